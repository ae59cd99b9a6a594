//! In observe mode responses are validated and counted, and go back as they are.

use support::{FakeUpstream, Script, Sidecar, Webhook, millis, response};

async fn observing(app: &FakeUpstream) -> Sidecar {
    Sidecar::before(app)
        .defaults("mode = \"observe\"")
        .deadline(millis(300))
        .start()
        .await
}

async fn observed(sidecar: &Sidecar, reason: &str) {
    sidecar
        .wait_for_metric(
            "understudy_observed_failures_total",
            &[("reason", reason)],
            1.0,
        )
        .await;
    sidecar
        .wait_for_metric("understudy_requests_total", &[("outcome", "observed")], 1.0)
        .await;
    assert_eq!(
        sidecar
            .metric("understudy_fallback_activations_total", &[])
            .await,
        0.0
    );
    assert_eq!(sidecar.metric("understudy_requests_total", &[]).await, 1.0);
}

#[tokio::test]
async fn bad_responses_go_back_as_they_are_and_are_counted() {
    let big = "<Response/>".repeat(10_000);
    for (script, status, reason) in [
        (
            Script::response("500 Oops", "text/html", "<h1>Oops</h1>"),
            500,
            "status_5xx",
        ),
        (
            Script::response("404 Gone", "text/html", ""),
            404,
            "status_4xx",
        ),
        (
            Script::response("200 OK", "application/json", "{}"),
            200,
            "content_type",
        ),
        (Script::twiml("<Response><Say>half"), 200, "malformed"),
        (Script::twiml("<response/>"), 200, "root"),
        (Script::twiml(""), 200, "empty"),
        (Script::twiml(&big), 200, "too_large"),
        (
            Script::response("308 Moved", "text/plain", "there"),
            308,
            "redirect",
        ),
    ] {
        let played = script.clone();
        let app = FakeUpstream::start(move |_| played.clone());
        let sidecar = observing(&app).await;
        let mut client = sidecar.connect().await;
        let got = client.request(Webhook::voice("/voice/x")).await;
        assert_eq!(
            (got.status, got.reason(), got.whole),
            (status, None, true),
            "{reason}"
        );
        match reason {
            "too_large" => assert_eq!(got.body.len(), big.len()),
            "malformed" => assert_eq!(got.text(), "<Response><Say>half"),
            _ => {}
        }
        observed(&sidecar, reason).await;
        let next = client.request(Webhook::voice("/voice/x")).await;
        assert_eq!(next.status, status, "the connection goes on after {reason}");
    }
}

#[tokio::test]
async fn a_response_after_the_deadline_goes_back_too() {
    let app = FakeUpstream::start(|_| {
        let reply = response(
            "200 OK",
            &[("Content-Type", "text/xml")],
            "<Response><Say>late</Say></Response>",
        );
        Script::new().pause(millis(600)).send(reply)
    });
    let sidecar = observing(&app).await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert!(got.text().contains("late"), "{got:?}");
    observed(&sidecar, "deadline").await;
}

#[tokio::test]
async fn an_app_that_gives_no_response_gives_none() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = observing(&app).await;
    app.refuse().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!((got.status, got.reason()), (502, None));
    observed(&sidecar, "connect").await;
    // However often: no request is answered without asking the app.
    for _ in 0..10 {
        sidecar.request(Webhook::voice("/voice/x")).await;
    }
    app.recover().await;
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.status,
        200
    );
}

#[tokio::test]
async fn a_good_response_is_the_apps() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = observing(&app).await;
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.status,
        200
    );
    sidecar
        .wait_for_metric("understudy_requests_total", &[("outcome", "upstream")], 1.0)
        .await;
    assert_eq!(
        sidecar
            .metric("understudy_observed_failures_total", &[])
            .await,
        0.0
    );
}
