//! Several apps, wherever they live.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use support::{FakeUpstream, Script, Sidecar, Webhook, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const RESPONSE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>";

fn routes(upstream: &str) -> String {
    format!(
        "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\n\
         [[route]]\nname = \"texts\"\npath = \"/sms\"\nkind = \"messaging\"\nupstream = \"texts\"\n\
         [upstreams.texts]\n{upstream}\n"
    )
}

/// An app on a Unix socket, which sends the heads of its requests.
fn unix_app(path: PathBuf) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let listener = UnixListener::bind(path).expect("the path is free");
    let (sender, requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let _ = sender.send(request);
                    stream
                        .write_all(RESPONSE.as_bytes())
                        .await
                        .expect("written");
                }
            });
        }
    });
    requests
}

#[tokio::test]
async fn each_route_reaches_its_own_upstream() {
    let (app, texts) = (
        FakeUpstream::with_document("<Response/>"),
        FakeUpstream::with_document("<Response/>"),
    );
    let sidecar = Sidecar::before(&app)
        .routes(&routes(&format!("url = \"http://{}\"", texts.address())))
        .start()
        .await;
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.reason(),
        None
    );
    assert_eq!(sidecar.request(Webhook::sms("/sms")).await.reason(), None);
    assert_eq!((app.requests().len(), texts.requests().len()), (1, 1));
    for upstream in ["default", "texts"] {
        let labels = [("upstream", upstream)];
        sidecar
            .wait_for_metric("understudy_upstream_connections_opened_total", &labels, 1.0)
            .await;
    }
    let labels = [("route", "texts"), ("upstream", "texts")];
    assert_eq!(sidecar.metric("understudy_route_info", &labels).await, 1.0);
}

#[tokio::test]
async fn an_app_on_a_unix_socket_is_reached_and_found_again_after_it_was_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("app.sock");
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .routes(&routes(&format!("url = \"unix:{}\"", socket.display())))
        .start()
        .await;
    let mut client = sidecar.connect().await;
    client.send(Webhook::sms("/sms")).await;
    let mut requests = unix_app(socket);
    let got = client.response().await;
    assert_eq!((got.status, got.reason()), (200, None));
    let request = requests.recv().await.expect("a request");
    assert!(
        request.contains("\r\nHost: hooks.example.com\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn an_upstream_gets_the_host_that_its_settings_name() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .upstream("host = \"app.internal\"")
        .start()
        .await;
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.reason(),
        None
    );
    let request = &app.requests()[0];
    assert_eq!(request.header("host"), Some("app.internal"));
    assert_eq!(
        request.header("x-forwarded-host"),
        Some("hooks.example.com")
    );
}

#[tokio::test]
async fn a_reload_moves_a_route_to_another_upstream() {
    let (app, other) = (
        FakeUpstream::with_document("<Response/>"),
        FakeUpstream::with_document("<Response/>"),
    );
    let sidecar = Sidecar::before(&app)
        .routes(&routes(&format!("url = \"http://{}\"", app.address())))
        .start()
        .await;
    assert_eq!(sidecar.request(Webhook::sms("/sms")).await.reason(), None);
    let moved = sidecar.config().replace(
        &routes(&format!("url = \"http://{}\"", app.address())),
        &routes(&format!("url = \"http://{}\"", other.address())),
    );
    sidecar.rewrite_config(&moved);
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    assert_eq!(sidecar.request(Webhook::sms("/sms")).await.reason(), None);
    assert_eq!((app.requests().len(), other.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_request_that_comes_back_to_us_is_answered_at_once_and_that_is_said() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let to_us = sidecar
        .config()
        .replace(&app.address().to_string(), &sidecar.address.to_string());
    sidecar.rewrite_config(&to_us);
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("status_5xx"));
    let line = sidecar
        .wait_for_log(|line| line["message"] == "request refused")
        .await;
    let error = line["error"].as_str().unwrap_or_default();
    assert!(error.contains("came from understudy itself"), "{line}");
    assert_eq!(app.requests().len(), 0);
}

#[tokio::test]
async fn a_chunked_body_that_is_here_whole_goes_on_with_its_length() {
    let app = FakeUpstream::start(|_| Script::new().send(RESPONSE));
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    let request = "POST /voice/x HTTP/1.1\r\nHost: hooks.example.com\r\n\
                   Content-Type: application/x-www-form-urlencoded\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n";
    for _ in 0..2 {
        assert_eq!(client.request(request).await.reason(), None);
    }
    for request in app.requests() {
        assert_eq!(request.header("content-length"), Some("3"), "{request:?}");
        assert_eq!(request.header("transfer-encoding"), None, "{request:?}");
    }
}

#[tokio::test]
async fn a_fallback_url_that_is_down_costs_its_budget_only_until_its_breaker_opens() {
    let (app, standby) = (
        FakeUpstream::start(|_| Script::response("500 Oops", "text/plain", "no")),
        FakeUpstream::start(|_| Script::new().stall()),
    );
    let routes = format!(
        "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\n\
         fallback = {{ url = \"http://{}/voice\", budget = \"100ms\", inline = \"<Response/>\" }}\n\
         breaker = {{ failures = 3, probe_every = \"60s\" }}\n",
        standby.address()
    );
    let sidecar = Sidecar::before(&app).routes(&routes).start().await;
    for _ in 0..6 {
        assert_eq!(
            sidecar.request(Webhook::voice("/voice/x")).await.text(),
            "<Response/>"
        );
    }
    assert_eq!(standby.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_every_upstream_once_if_it_is_told_to() {
    let app = FakeUpstream::start(|request| match request.path() {
        "/health" => Script::response("200 OK", "text/plain", "well"),
        _ => Script::response("503 Busy", "text/plain", "unwell"),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("understudy.toml");
    let config = |path: &str| {
        let url = app.address();
        format!(
            "[server]\npublic_url = \"https://hooks.example.com\"\n\
             [upstream]\nurl = \"http://{url}\"\n[defaults.breaker]\nhealth_path = \"{path}\"\n\
             [upstreams.away]\nurl = \"unix:/there/is/no.sock\"\n"
        )
    };
    std::fs::write(&file, config("/health")).expect("written");
    let file = file.to_str().expect("UTF-8");
    let check =
        |arguments: &[&str]| support::understudy(&[arguments, &["--config", file]].concat());
    assert_eq!(check(&["check"]).status.code(), Some(0));
    let output = check(&["check", "--probe"]);
    assert_eq!(output.status.code(), Some(1));
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(out.contains("upstream default at http://"), "{out}{err}");
    assert!(
        err.contains("upstream away at unix:/there/is/no.sock: the app can't be reached"),
        "{err}"
    );
    // A probe has the `Host` of requests: a virtual host may not respond to another.
    let hosts: Vec<_> = (app.requests().iter())
        .map(|request| request.header("host").map(str::to_owned))
        .collect();
    assert_eq!(hosts, [Some("hooks.example.com".to_owned())]);
}

#[tokio::test]
async fn upstreams_are_added_moved_and_removed_under_load_and_no_caller_notices() {
    let apps: Vec<_> = (0..3)
        .map(|_| FakeUpstream::with_document("<Response/>"))
        .collect();
    let route = |upstream: &str| {
        format!(
            "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\nupstream = \"{upstream}\"\n"
        )
    };
    let upstream =
        |name: &str, app: usize| format!("[upstreams.{name}]\nurl = \"{}\"\n", apps[app].url());
    let configurations = [
        // Added, and used.
        [route("one"), upstream("one", 1)].concat(),
        // Moved to another address.
        [route("one"), upstream("one", 2)].concat(),
        // Another one is added in its place.
        [route("two"), upstream("two", 1)].concat(),
        // Removed: the route is the default upstream's again.
        route("default").replace("upstream = \"default\"\n", ""),
    ];
    let sidecar = Sidecar::before(&apps[0])
        .routes(&configurations[3])
        .start()
        .await;
    let usual = sidecar.config();
    let stop = AtomicBool::new(false);
    let call = async || {
        let mut client = sidecar.connect().await;
        let mut calls = 0;
        while !stop.load(Relaxed) {
            let response = client.request(Webhook::voice("/voice/x")).await;
            assert_eq!((response.status, response.reason()), (200, None));
            calls += 1;
        }
        calls
    };
    let reload = async {
        for _ in 0..3 {
            for (routes, app) in configurations.iter().zip([1, 2, 1, 0]) {
                let before = apps[app].requests().len();
                sidecar.rewrite_config(&usual.replace(&configurations[3], routes));
                assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
                apps[app].wait_for_requests(before + 20).await;
            }
        }
        stop.store(true, Relaxed);
    };
    let (one, other, third, ()) = tokio::join!(call(), call(), call(), reload);
    let reached: usize = apps.iter().map(|app| app.requests().len()).sum();
    assert_eq!(reached, one + other + third, "each reached one app once");

    // What is removed is not in the status document any more, and its connections end.
    let status = sidecar.admin_get("/api/status").await.text();
    assert!(!status.contains(&apps[1].address().to_string()), "{status}");
    for removed in ["one", "two"] {
        let labels = [("upstream", removed)];
        wait_until("the connections to end", async || {
            sidecar
                .metric("understudy_upstream_connections", &labels)
                .await
                == 0.0
        })
        .await;
    }
}

#[tokio::test]
async fn running_out_of_descriptors_is_not_the_apps_fault_and_is_said_once() {
    const LIMIT: usize = 64;
    let app = FakeUpstream::with_document("<Response/>");
    let limited = format!("ulimit -n {LIMIT} && exec \"$@\"");
    let sidecar = Sidecar::before(&app)
        .workers(1)
        .defaults("breaker = { failures = 1, probe_every = \"60s\" }")
        .within(&["sh", "-c", &limited, "sh"])
        .start()
        .await;
    let mut client = sidecar.connect().await;
    let mut others = Vec::new();
    let folder = format!("/proc/{}/fd", sidecar.pid());
    let open = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    while open() < LIMIT {
        others.push(sidecar.connect().await);
    }
    for _ in 0..3 {
        let response = client.request(Webhook::voice("/voice/x")).await;
        assert_eq!(
            (response.status, response.reason()),
            (200, Some("overload"))
        );
    }
    drop(others);
    // No breaker has heard of it.
    wait_until("descriptors to be free again", async || open() < LIMIT / 2).await;
    let response = client.request(Webhook::voice("/voice/x")).await;
    assert_eq!((response.status, response.reason()), (200, None));
    let lines = sidecar.log_lines();
    let said = lines
        .iter()
        .filter(|line| line.contains("no resources left for connections"));
    assert_eq!(said.count(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_health_probe_and_a_fallback_url_may_be_on_unix_sockets() {
    let is_well = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&is_well);
    let app = FakeUpstream::start_on_unix_socket(move |request| {
        match (request.path(), now.load(Relaxed)) {
            ("/health", true) => Script::response("200 OK", "text/plain", "well"),
            (_, true) => Script::twiml("<Response/>"),
            (_, false) => Script::response("503 Busy", "text/plain", "unwell"),
        }
    });
    let document = "<Response><Say>From the standby</Say></Response>";
    let standby = FakeUpstream::start_on_unix_socket(move |_| Script::twiml(document));
    let routes = format!(
        "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nhost = \"hooks.example.com\"\nkind = \"voice\"\n\
         fallback = {{ url = \"{}:/backup\", inline = \"<Response/>\" }}\n\
         breaker = {{ failures = 1, probe_every = \"20ms\", health_path = \"/health\" }}\n",
        standby.url()
    );
    let sidecar = Sidecar::before(&app).routes(&routes).start().await;
    for reason in ["status_5xx", "breaker_open"] {
        let response = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(response.reason(), Some(reason));
        assert_eq!(response.text(), document);
    }
    assert_eq!(standby.requests()[0].target(), "/backup");
    is_well.store(true, Relaxed);
    let labels = [("route", "voice")];
    wait_until("the breaker to close", async || {
        sidecar
            .request(Webhook::voice("/voice/x"))
            .await
            .reason()
            .is_none()
            && sidecar.metric("understudy_breaker_state", &labels).await == 0.0
    })
    .await;
    let requests = app.requests();
    let mut probes = requests
        .iter()
        .filter(|request| request.path() == "/health");
    let probe = probes.next().expect("a probe");
    assert_eq!(probe.header("host"), Some("hooks.example.com"));
}

#[tokio::test]
async fn without_a_configuration_the_app_may_be_on_a_unix_socket() {
    let app = FakeUpstream::start_on_unix_socket(|_| Script::twiml("<Response/>"));
    let sidecar = Sidecar::before(&app)
        .without_config(&app.url())
        .start()
        .await;
    let response = sidecar.request(Webhook::voice("/any/path")).await;
    assert_eq!((response.status, response.reason()), (200, None));
    assert_eq!(app.requests().len(), 1);
}
