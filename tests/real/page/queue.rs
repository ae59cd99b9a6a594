//! The queue on the page: how much waits, since when, and why; nothing where no queue is configured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::browser::{Browser, installed};
use super::{DOCUMENT, HEALTHY, before, row};
use support::{FakeUpstream, Script, Sidecar, Webhook};

const ROUTES: &str = r#"
[[route]]
name = "call-status"
path = "/status/*"
kind = "callback"
when_down = "queue"
[[route]]
name = "incoming-call"
path = "/voice/*"
kind = "voice"
"#;

#[tokio::test]
async fn what_waits_is_shown_until_it_is_delivered_and_dead_letters_stay() {
    if !installed() {
        return;
    }
    let is_well = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&is_well);
    let app = FakeUpstream::start(move |request| match (now.load(Relaxed), request.path()) {
        (false, _) => Script::response("503 Busy", "text/plain", "busy"),
        (true, "/status/gone") => Script::response("410 Gone", "text/plain", "gone"),
        (true, _) => Script::twiml(DOCUMENT),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue");
    let sidecar = Sidecar::before(&app)
        .defaults("breaker = { failures = 3, probe_every = \"100ms\" }")
        .routes(&format!("[queue]\npath = {path:?}\n{ROUTES}"))
        .start()
        .await;
    let browser = Browser::on(&sidecar).await;
    browser
        .reads(
            "#queue-shown",
            &["0 waiting, 0 dead letters; 0 bytes of 1 GiB"],
        )
        .await;
    browser
        .reads("#queue tr.quiet", &["call-status", "–"])
        .await;

    for (number, path) in ["/status/gone", "/status/x", "/status/x"]
        .iter()
        .enumerate()
    {
        let callback = Webhook::status_callback(path).with("CallSid", &format!("CA{number}"));
        assert_eq!(sidecar.request(callback).await.status, 204);
    }
    browser.reads("#queue-shown", &["3 waiting"]).await;
    let shown = browser
        .reads("#queue tr.stored", &["3", "The app responded with 503."])
        .await;
    assert!(!shown.contains("CA1"), "{shown}");
    for scheme in ["light", "dark"] {
        browser.prefers("prefers-color-scheme", scheme).await;
        browser
            .expect_accessible(&format!("the queue, {scheme}"))
            .await;
        browser.resize(360, 740).await;
        browser
            .expect_accessible(&format!("the queue on a phone, {scheme}"))
            .await;
        let wide = browser.value("document.documentElement.scrollWidth").await;
        assert_eq!(wide, 360, "a page that goes out at the side");
        browser.resize(1440, 1000).await;
    }

    is_well.store(true, Relaxed);
    browser
        .reads("#queue-shown", &["0 waiting, 1 dead letter;"])
        .await;
    browser.reads("#queue .dead", &["1"]).await;
    browser.reads("#headline", &["Serving from app"]).await;

    browser.click(&row("call-status")).await;
    browser
        .reads(
            "#drill-meaning",
            &["all real callers of call-status will have their callbacks queued, and delivered to the app later."],
        )
        .await;
    browser.click("#drill-cancel").await;
    app.refuse().await;
    for number in 0..3 {
        let callback = Webhook::status_callback("/status/x");
        let callback = callback.with("CallSid", &format!("CA1{number}"));
        assert_eq!(sidecar.request(callback).await.status, 204);
    }
    browser
        .reads(
            "#headline",
            &["The app is down, and callbacks are queued on call-status"],
        )
        .await;
    browser
        .reads("#routes tr.down", &["app is down, callbacks are queued"])
        .await;
    browser
        .reads("#queue tr.stored", &["when the app responds"])
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn without_a_queue_the_page_has_no_section_of_it() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[HEALTHY]).await;
    assert_eq!(browser.text("#queue-title").await, "");
}
