//! A reload is all or nothing, and no call notices it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncBufReadExt, BufReader};

use support::{FakeUpstream, Script, Sidecar, Signal, Webhook, wait_for};

fn says(word: &str) -> String {
    format!("<Response><Say>{word}</Say></Response>")
}

/// A proxy before an app that is no good, with one voice route whose document is a file.
async fn with_document(app: &FakeUpstream, document: &str) -> Sidecar {
    let route = "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\nfallback = \"document.xml\"\n";
    Sidecar::before(app)
        .routes(route)
        .file("document.xml", says(document))
        .start()
        .await
}

fn broken_app() -> FakeUpstream {
    FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"))
}

/// Waits until the fallback says this.
async fn until_it_says(sidecar: &Sidecar, word: &str) {
    wait_for(word, async {
        while !sidecar
            .request(Webhook::voice("/voice/x"))
            .await
            .text()
            .contains(word)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn reloads(sidecar: &Sidecar, result: &str, many: f64) {
    sidecar
        .wait_for_metric(
            "understudy_config_reloads_total",
            &[("result", result)],
            many,
        )
        .await;
}

#[tokio::test]
async fn a_changed_document_is_noticed_however_an_editor_writes_it() {
    let app = broken_app();
    let sidecar = with_document(&app, "one").await;
    until_it_says(&sidecar, "one").await;
    sidecar.rewrite("document.xml", says("two"));
    until_it_says(&sidecar, "two").await;
    let document = sidecar.config_path().with_file_name("document.xml");
    fs::write(&document, says("three")).expect("a file");
    until_it_says(&sidecar, "three").await;
    fs::remove_file(&document).expect("a file");
    reloads(&sidecar, "failure", 1.0).await;
    until_it_says(&sidecar, "three").await;
    fs::write(&document, says("four")).expect("a file");
    until_it_says(&sidecar, "four").await;
}

#[tokio::test]
async fn a_changed_configuration_is_noticed() {
    let app = broken_app();
    let sidecar = with_document(&app, "one").await;
    let changed = sidecar.config().replace(
        "\"document.xml\"",
        "{ inline = \"<Response><Say>inline</Say></Response>\" }",
    );
    sidecar.rewrite_config(&changed);
    until_it_says(&sidecar, "inline").await;
    reloads(&sidecar, "success", 1.0).await;
}

#[tokio::test]
async fn a_symbolic_link_that_is_swapped_is_noticed_as_kubernetes_does_it() {
    let app = broken_app();
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://{}\"\n[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\nfallback = \"document.xml\"\n",
        app.address()
    );
    for (version, word) in [("..1", "one"), ("..2", "two")] {
        fs::create_dir(root.join(version)).expect("a folder");
        fs::write(root.join(version).join("understudy.toml"), &config).expect("a file");
        fs::write(root.join(version).join("document.xml"), says(word)).expect("a file");
    }
    symlink("..1", root.join("..data")).expect("a link");
    for file in ["understudy.toml", "document.xml"] {
        symlink(format!("..data/{file}"), root.join(file)).expect("a link");
    }
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(["run", "--config"])
        .arg(root.join("understudy.toml"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let ready = wait_for("a line", lines.next_line())
        .await
        .expect("a pipe")
        .expect("a line");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let address = ready["listen"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an address");

    let ask = || async {
        support::Client::connect(address)
            .await
            .request(Webhook::voice("/voice/x"))
            .await
            .text()
    };
    assert!(ask().await.contains("one"));
    symlink("..2", root.join("..data_tmp")).expect("a link");
    fs::rename(root.join("..data_tmp"), root.join("..data")).expect("a swap");
    wait_for("the other document", async {
        while !ask().await.contains("two") {}
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_leaves_the_old_in_place_and_is_said_with_file_place_and_remedy() {
    let app = broken_app();
    let sidecar = with_document(&app, "one").await;
    sidecar.rewrite("document.xml", "<Response><Say>half</Response>");
    reloads(&sidecar, "failure", 1.0).await;
    until_it_says(&sidecar, "one").await;
    let line = sidecar.wait_for_log(|line| line["level"] == "ERROR").await;
    let problem = line["error"].as_str().expect("words");
    assert!(
        problem.contains("understudy.toml:") && problem.contains("document.xml:1:"),
        "{problem}"
    );
    assert_eq!(
        sidecar
            .metric("understudy_config_last_reload_successful", &[])
            .await,
        0.0
    );
    let status = sidecar.admin_get("/api/status").await.text();
    assert!(status.contains("document.xml:1:"), "{status}");
    // Mended, it is taken.
    sidecar.rewrite("document.xml", says("two"));
    until_it_says(&sidecar, "two").await;
    // It is counted when it is in force already.
    sidecar
        .wait_for_metric("understudy_config_last_reload_successful", &[], 1.0)
        .await;
}

#[tokio::test]
async fn the_admin_listener_and_sighup_reload_too() {
    let app = broken_app();
    let sidecar = with_document(&app, "one").await;
    let before = sidecar
        .metric(
            "understudy_config_last_reload_success_timestamp_seconds",
            &[],
        )
        .await;
    let got = sidecar.admin_post("/api/reload").await;
    assert_eq!(
        (got.status, got.text().trim()),
        (200, "{\"reloaded\":true}")
    );
    sidecar.signal(Signal::HangUp);
    reloads(&sidecar, "success", 2.0).await;
    let after = sidecar
        .metric(
            "understudy_config_last_reload_success_timestamp_seconds",
            &[],
        )
        .await;
    assert!(after > before);
}

#[tokio::test]
async fn a_reload_that_a_web_page_could_ask_for_is_refused() {
    let app = broken_app();
    let sidecar = with_document(&app, "one").await;
    let mut client = support::Client::connect(sidecar.admin).await;
    let got = client.request("POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(got.status, 415);
    let got = client
        .request("GET /api/reload HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
    reloads(&sidecar, "success", 0.0).await;
}

#[tokio::test]
async fn a_key_that_needs_a_restart_is_said_to() {
    let app = broken_app();
    let sidecar = with_document(&app, "one").await;
    sidecar.rewrite_config(&sidecar.config().replace("workers = 2", "workers = 3"));
    reloads(&sidecar, "failure", 1.0).await;
    let line = sidecar.wait_for_log(|line| line["level"] == "ERROR").await;
    assert_eq!(
        line["error"],
        "server.workers can't change while understudy runs; restart it"
    );
}

#[tokio::test]
async fn a_call_under_way_finishes_on_what_it_began_with_and_counters_go_on() {
    let app = FakeUpstream::start(|request| match request.path() {
        "/voice/slow" => Script::new().stall(),
        _ => Script::response("500 Oops", "text/html", "no"),
    });
    let route = "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\ndeadline = \"2s\"\nfallback = \"document.xml\"\n";
    let sidecar = Sidecar::before(&app)
        .routes(route)
        .file("document.xml", says("one"))
        .start()
        .await;
    let mut slow = sidecar.connect().await;
    slow.send(Webhook::voice("/voice/slow")).await;
    app.wait_for_requests(1).await;
    sidecar.rewrite("document.xml", says("two"));
    until_it_says(&sidecar, "two").await;
    let quick = sidecar
        .metric(
            "understudy_fallback_activations_total",
            &[("reason", "status_5xx")],
        )
        .await;
    assert!(quick >= 1.0);
    let got = slow.response().await;
    assert!(got.text().contains("one"), "{got:?}");
    assert_eq!(got.reason(), Some("deadline"));
}

#[tokio::test]
async fn another_app_takes_over_from_the_next_call_on() {
    let old = FakeUpstream::with_document("<Response><Say>old</Say></Response>");
    let new = FakeUpstream::with_document("<Response><Say>new</Say></Response>");
    let sidecar = Sidecar::before(&old).start().await;
    let mut client = sidecar.connect().await;
    assert!(
        client
            .request(Webhook::voice("/voice/x"))
            .await
            .text()
            .contains("old")
    );
    let moved = sidecar
        .config()
        .replace(&old.address().to_string(), &new.address().to_string());
    sidecar.rewrite_config(&moved);
    reloads(&sidecar, "success", 1.0).await;
    assert!(
        client
            .request(Webhook::voice("/voice/x"))
            .await
            .text()
            .contains("new")
    );
    wait_for("the old connections to end", async {
        while old.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_under_load_lose_no_call() {
    let app = FakeUpstream::with_document("<Response><Say>app</Say></Response>");
    let sidecar = Arc::new(with_document(&app, "one").await);
    let (done, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (sidecar, done, asked) =
                (Arc::clone(&sidecar), Arc::clone(&done), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut client = sidecar.connect().await;
                while !done.load(Relaxed) {
                    let got = client.request(Webhook::voice("/voice/x")).await;
                    assert_eq!((got.status, got.reason()), (200, None));
                    assert!(got.text().contains("app"));
                    asked.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..1000 {
        assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    }
    done.store(true, Relaxed);
    for caller in callers {
        caller.await.expect("no call was lost");
    }
    let asked = asked.load(Relaxed) as f64;
    assert!(asked >= 1000.0, "only {asked} calls");
    assert_eq!(
        sidecar
            .metric("understudy_requests_total", &[("outcome", "upstream")])
            .await,
        asked
    );
    assert_eq!(
        sidecar.metric("understudy_requests_total", &[]).await,
        asked
    );
    reloads(&sidecar, "success", 1000.0).await;
}
