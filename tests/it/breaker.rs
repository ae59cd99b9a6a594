//! Requests don't wait for an app that is known to be down, and the app isn't flooded when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use support::{FakeUpstream, Response, Script, Sidecar, Webhook, millis, response, wait_for};

const DOCUMENT: &str = "<Response><Say>hello</Say></Response>";

/// A proxy with a breaker that opens after three failures and probes five times a second.
async fn before(app: &FakeUpstream, more: &str) -> Sidecar {
    let breaker = format!("breaker = {{ failures = 3, probe_every = \"200ms\"{more} }}");
    Sidecar::before(app)
        .deadline(millis(300))
        .defaults(&breaker)
        .start()
        .await
}

async fn ask(sidecar: &Sidecar) -> Response {
    sidecar.request(Webhook::voice("/voice/x")).await
}

async fn wait_for_state(sidecar: &Sidecar, state: f64) {
    wait_for("the breaker's state", async {
        while sidecar
            .metric("understudy_breaker_state", &[("route", "voice")])
            .await
            != state
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn it_opens_after_failures_in_a_row_and_closes_when_the_app_is_back() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app, "").await;
    assert_eq!(ask(&sidecar).await.reason(), None);
    app.refuse().await;
    for _ in 0..3 {
        assert_eq!(ask(&sidecar).await.reason(), Some("connect"));
    }
    let got = ask(&sidecar).await;
    assert_eq!((got.status, got.reason()), (200, Some("breaker_open")));
    wait_for_state(&sidecar, 2.0).await;
    app.recover().await;
    wait_for_state(&sidecar, 1.0).await;
    assert_eq!(ask(&sidecar).await.reason(), None);
    wait_for_state(&sidecar, 0.0).await;
    sidecar
        .wait_for_log(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.contains("breaker opened"))
        })
        .await;
}

#[tokio::test]
async fn each_kind_of_failure_opens_it_but_a_document_that_is_not_valid_does_not() {
    let fault = Arc::new(std::sync::Mutex::new(""));
    let now = Arc::clone(&fault);
    let app = FakeUpstream::start(move |_| match *now.lock().expect("no poison") {
        "deadline" => Script::new().stall(),
        "reset" => Script::new().reset(),
        "status_5xx" => Script::response("503 Busy", "text/plain", "busy"),
        "status_4xx" => Script::response("404 Not Found", "text/plain", "no"),
        "malformed" => Script::twiml("<Response>"),
        _ => Script::twiml(DOCUMENT),
    });
    for (reason, opens) in [
        ("deadline", true),
        ("reset", true),
        ("status_5xx", true),
        ("status_4xx", false),
        ("malformed", false),
    ] {
        *fault.lock().expect("no poison") = reason;
        let sidecar = before(&app, "").await;
        for _ in 0..3 {
            assert_eq!(ask(&sidecar).await.reason(), Some(reason));
        }
        let fourth = if opens { "breaker_open" } else { reason };
        assert_eq!(ask(&sidecar).await.reason(), Some(fourth), "{reason}");
    }
}

#[tokio::test]
async fn half_open_one_request_waits_for_the_app_and_the_others_do_not() {
    let silent = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&silent);
    let app = FakeUpstream::start(move |_| match now.load(Relaxed) {
        true => Script::new().stall(),
        false => Script::twiml(DOCUMENT),
    });
    let sidecar = before(&app, "").await;
    for _ in 0..3 {
        ask(&sidecar).await;
    }
    // The app accepts connections, which is enough for the probe.
    wait_for_state(&sidecar, 1.0).await;
    let tried = app.requests().len();
    let reasons = sidecar.reasons(&Webhook::voice("/voice/x"), 20).await;
    let waited = reasons
        .iter()
        .filter(|reason| reason.as_deref() == Some("deadline"))
        .count();
    assert_eq!(
        (waited, app.requests().len()),
        (1, tried + 1),
        "{reasons:?}"
    );
    silent.store(false, Relaxed);
    wait_for_state(&sidecar, 1.0).await;
    assert_eq!(ask(&sidecar).await.reason(), None);
    wait_for_state(&sidecar, 0.0).await;
}

#[tokio::test]
async fn with_a_health_path_a_probe_succeeds_only_if_its_response_does() {
    let well = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&well);
    let app = FakeUpstream::start(move |request| match (request.path(), now.load(Relaxed)) {
        ("/health", true) => Script::response("200 OK", "text/plain", "well"),
        ("/health", false) => Script::response("503 Busy", "text/plain", "unwell"),
        (_, true) => Script::twiml(DOCUMENT),
        (_, false) => Script::response("500 Oops", "text/plain", "no"),
    });
    let sidecar = before(&app, ", health_path = \"/health?deep=1\"").await;
    for _ in 0..3 {
        ask(&sidecar).await;
    }
    wait_for("two probes", async {
        while app
            .requests()
            .iter()
            .filter(|request| request.target() == "/health?deep=1")
            .count()
            < 2
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(ask(&sidecar).await.reason(), Some("breaker_open"));
    well.store(true, Relaxed);
    wait_for_state(&sidecar, 1.0).await;
    assert_eq!(ask(&sidecar).await.reason(), None);
}

#[tokio::test]
async fn its_state_survives_a_reload() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app, "").await;
    app.refuse().await;
    for _ in 0..3 {
        ask(&sidecar).await;
    }
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    assert_eq!(ask(&sidecar).await.reason(), Some("breaker_open"));
    app.recover().await;
    wait_for_state(&sidecar, 1.0).await;
}

#[tokio::test]
async fn each_route_has_its_own_breaker_and_a_callback_gets_502() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app, "").await;
    app.refuse().await;
    for _ in 0..3 {
        assert_eq!(
            sidecar
                .request(Webhook::status_callback("/callback/x"))
                .await
                .status,
            502
        );
    }
    let got = sidecar
        .request(Webhook::status_callback("/callback/x"))
        .await;
    assert_eq!((got.status, got.reason()), (502, None));
    assert!(got.text().contains("known to be down"), "{got:?}");
    assert_eq!(ask(&sidecar).await.reason(), Some("connect"));
}

#[tokio::test]
async fn the_time_since_which_a_route_serves_from_fallback_is_published() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app, "").await;
    let since = async || {
        sidecar
            .metric(
                "understudy_fallback_since_timestamp_seconds",
                &[("route", "voice")],
            )
            .await
    };
    assert_eq!((ask(&sidecar).await.reason(), since().await), (None, 0.0));
    app.refuse().await;
    ask(&sidecar).await;
    let first = since().await;
    ask(&sidecar).await;
    assert!(first > 0.0 && since().await == first);
    let status = sidecar.admin_get("/api/status").await.text();
    assert!(
        status.contains(&format!("\"fallback_since_seconds\":{first}")),
        "{status}"
    );
    app.recover().await;
    ask(&sidecar).await;
    assert_eq!(since().await, 0.0);
}

/// An outage: under load the app goes down for a while, and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_in_an_outage_gets_twiml_and_few_wait() {
    let app = FakeUpstream::start(|_| {
        let reply = response("200 OK", &[("Content-Type", "text/xml")], DOCUMENT);
        Script::new().pause(millis(2)).send(reply)
    });
    let sidecar = Arc::new(before(&app, "").await);
    let (done, good, fallen) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let (sidecar, done) = (Arc::clone(&sidecar), Arc::clone(&done));
            let (good, fallen) = (Arc::clone(&good), Arc::clone(&fallen));
            tokio::spawn(async move {
                let mut outage = Vec::new();
                while !done.load(Relaxed) {
                    let got = ask(&sidecar).await;
                    assert_eq!(got.status, 200);
                    assert!(got.text().contains("<Response>"), "{got:?}");
                    if got.reason().is_some() {
                        outage.push(got.took);
                        fallen.fetch_add(1, Relaxed);
                    } else {
                        good.fetch_add(1, Relaxed);
                    }
                    tokio::time::sleep(millis(20)).await;
                }
                outage
            })
        })
        .collect();
    let reach = async |counter: &AtomicUsize, more: usize| {
        let wanted = counter.load(Relaxed) + more;
        wait_for("requests", async {
            while counter.load(Relaxed) < wanted {
                tokio::time::sleep(millis(1)).await;
            }
        })
        .await;
    };
    reach(&good, 100).await;
    app.refuse().await;
    reach(&fallen, 300).await;
    app.recover().await;
    let connections = app.connections();
    reach(&good, 100).await;
    assert!(
        app.connections() - connections <= 20,
        "the app was flooded: {}",
        app.connections() - connections
    );
    done.store(true, Relaxed);
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await.expect("no request was lost"));
    }
    waits.sort_unstable();
    let tried = sidecar
        .metric(
            "understudy_fallback_activations_total",
            &[("reason", "connect")],
        )
        .await;
    let open = sidecar
        .metric(
            "understudy_fallback_activations_total",
            &[("reason", "breaker_open")],
        )
        .await;
    assert!(
        open > 10.0 * tried,
        "{open} requests did not wait, {tried} did"
    );
    eprintln!("median wait in the outage: {:?}", waits[waits.len() / 2]);
}
