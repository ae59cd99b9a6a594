//! Which requests the admin listener accepts.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use support::{Client, FakeUpstream, Sidecar, understudy};

async fn status(sidecar: &Sidecar, request: &str) -> u16 {
    Client::connect(sidecar.admin)
        .await
        .request(request)
        .await
        .status
}

#[tokio::test]
async fn on_loopback_a_foreign_host_is_refused() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    for path in ["/metrics", "/api/status", "/api/drills", "/", "/nowhere"] {
        let rebound = format!("GET {path} HTTP/1.1\r\nHost: attacker.example\r\n\r\n");
        assert_eq!(status(&sidecar, &rebound).await, 421, "{path}");
    }
    assert_eq!(
        status(&sidecar, "GET /healthz HTTP/1.1\r\nHost: probe\r\n\r\n").await,
        200
    );
    let own = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", sidecar.admin);
    assert_eq!(status(&sidecar, &own).await, 200);
}

#[tokio::test]
async fn beyond_loopback_the_token_is_needed_and_can_be_changed_by_a_reload() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .server("admin = \"0.0.0.0:0\"")
        .server("admin_token_file = \"admin.token\"")
        .file("admin.token", "the-first-token-of-it\n")
        .start()
        .await;
    let get = |path: &str, token: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: proxy.example\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
    };
    assert_eq!(
        status(
            &sidecar,
            "GET /metrics HTTP/1.1\r\nHost: proxy.example\r\n\r\n"
        )
        .await,
        401
    );
    assert_eq!(
        status(&sidecar, &get("/metrics", "the-second-token-of-it")).await,
        401
    );
    assert_eq!(
        status(&sidecar, &get("/metrics", "the-first-token-of-it")).await,
        200
    );
    assert_eq!(
        status(&sidecar, "GET /readyz HTTP/1.1\r\nHost: probe\r\n\r\n").await,
        200
    );
    let reload = "POST /api/reload HTTP/1.1\r\nHost: proxy.example\r\nContent-Type: application/json\r\nContent-Length: 0\r\nAuthorization: Bearer the-first-token-of-it\r\n\r\n";
    assert_eq!(status(&sidecar, reload).await, 200);

    let token = sidecar.config_path().with_file_name("admin.token");
    let listed = |more: &[&str]| {
        let admin = sidecar.admin.to_string();
        let arguments = [&["drill", "list", "--admin", &admin][..], more].concat();
        understudy(&arguments).status.code()
    };
    assert_eq!(
        listed(&["--admin-token-file", &token.to_string_lossy()]),
        Some(0)
    );
    assert_eq!(listed(&[]), Some(2));

    sidecar.rewrite("admin.token", "the-second-token-of-it\n");
    support::wait_for("the new token", async {
        while status(&sidecar, &get("/metrics", "the-second-token-of-it")).await != 200 {}
    })
    .await;
    assert_eq!(
        status(&sidecar, &get("/metrics", "the-first-token-of-it")).await,
        401
    );
    assert!(
        sidecar
            .log_lines()
            .iter()
            .all(|line| !line.contains("-token-of-it"))
    );
}

#[test]
fn beyond_loopback_a_configuration_without_a_token_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    fs::write(folder.path().join("empty.token"), "\n").expect("a file");
    fs::write(folder.path().join("short.token"), "fifteen-letters\n").expect("a file");
    for (token, wanted) in [
        ("", "server.admin: 0.0.0.0:9464 is not on loopback"),
        (
            "admin_token_file = \"nowhere.token\"",
            "nowhere.token: there is no such file",
        ),
        (
            "admin_token_file = \"empty.token\"",
            "empty.token holds no token",
        ),
        (
            "admin_token_file = \"short.token\"",
            "short.token: the token has fewer than 16 characters",
        ),
    ] {
        let text = format!(
            "[server]\nadmin = \"0.0.0.0:9464\"\n{token}\n[upstream]\nurl = \"http://127.0.0.1:3000\"\n"
        );
        fs::write(&path, text).expect("a file");
        let output = understudy(&["check", "--config", &path.to_string_lossy()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(wanted), "{wanted} is not in {said}");
        assert!(!said.contains("fifteen-letters"), "{said}");
    }
}

#[test]
fn a_token_of_sixteen_characters_is_accepted_and_a_readable_file_is_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    let text = "[server]\nadmin = \"0.0.0.0:9464\"\nadmin_token_file = \"admin.token\"\n[upstream]\nurl = \"http://127.0.0.1:3000\"\n";
    fs::write(&path, text).expect("a file");
    let token = folder.path().join("admin.token");
    fs::write(&token, "sixteen-letters.\n").expect("a file");
    let is_roots = fs::metadata(&token).expect("a file").uid() == 0;
    for (mode, is_noted) in [
        (0o600, false),
        (0o640, !is_roots),
        (0o604, true),
        (0o400, false),
    ] {
        fs::set_permissions(&token, fs::Permissions::from_mode(mode)).expect("our own file");
        let output = understudy(&["check", "--config", &path.to_string_lossy()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        if is_noted {
            let noted = format!("others than its owner may read it (mode {mode:o})");
            assert!(
                said.contains("understudy.toml:3:20: server.admin_token_file: ")
                    && said.contains(&noted),
                "{said}"
            );
        } else {
            assert_eq!(said, "", "{mode:o}");
        }
    }
}

#[tokio::test]
async fn a_request_without_exactly_one_host_is_refused() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let own = sidecar.admin;
    for path in ["/metrics", "/api/status", "/", "/healthz", "/readyz"] {
        for hosts in [
            format!("Host: {own}\r\nHost: attacker.example\r\n"),
            format!("Host: attacker.example\r\nHost: {own}\r\n"),
            format!("Host: {own}\r\nhost: {own}\r\n"),
        ] {
            for version in ["1.0", "1.1"] {
                let request = format!("GET {path} HTTP/{version}\r\n{hosts}\r\n");
                assert_eq!(status(&sidecar, &request).await, 400, "{request}");
            }
        }
    }
    for (request, wanted) in [
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\nHost:\r\n\r\n", 421),
        ("GET /metrics HTTP/1.0\r\n\r\n", 421),
        // Probes often name no host.
        ("GET /healthz HTTP/1.1\r\n\r\n", 200),
        ("GET /readyz HTTP/1.0\r\n\r\n", 200),
    ] {
        assert_eq!(status(&sidecar, request).await, wanted, "{request}");
    }
    let change = format!(
        "POST /api/reload HTTP/1.1\r\nHost: {own}\r\nHost: {own}\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(status(&sidecar, &change).await, 400);
}

#[tokio::test]
async fn beyond_loopback_two_hosts_are_refused_even_with_the_token() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .server("admin = \"0.0.0.0:0\"")
        .server("admin_token_file = \"admin.token\"")
        .file("admin.token", "the-first-token-of-it\n")
        .start()
        .await;
    let request = |hosts: &str| {
        format!(
            "GET /metrics HTTP/1.1\r\n{hosts}Authorization: Bearer the-first-token-of-it\r\n\r\n"
        )
    };
    for (hosts, wanted) in [
        ("Host: proxy.example\r\n", 200),
        ("Host: proxy.example\r\nHost: proxy.example\r\n", 400),
        ("", 400),
    ] {
        assert_eq!(status(&sidecar, &request(hosts)).await, wanted, "{hosts}");
    }
}

#[tokio::test]
async fn a_large_scrape_does_not_delay_other_requests() {
    let app = FakeUpstream::with_document("<Response/>");
    let route = |at| format!("[[route]]\nname = \"r{at}\"\npath = \"/r/{at}\"\nkind = \"voice\"\n");
    let routes: String = (0..2000).map(route).collect();
    let sidecar = Sidecar::before(&app).routes(&routes).start().await;
    let mut scrape = Client::connect(sidecar.admin).await;
    scrape
        .send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let mut scraped = Box::pin(scrape.head());
    let alive = status(&sidecar, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    tokio::select! {
        biased;
        _ = &mut scraped => panic!("the scrape came first"),
        status = alive => assert_eq!(status, 200),
    }
    assert_eq!(scraped.await.status, 200);
}
