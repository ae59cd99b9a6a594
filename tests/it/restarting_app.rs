//! An app that restarts loses no caller: a connection that is refused is tried again.

use support::{FakeUpstream, Sidecar, Webhook, millis};

/// Waits until a request is in flight: in the same moment its first connection is refused.
async fn wait_until_refused(sidecar: &Sidecar) {
    let labels = [("route", "voice")];
    sidecar
        .wait_for_metric("understudy_in_flight_requests", &labels, 1.0)
        .await;
}

#[tokio::test]
async fn a_caller_who_comes_while_the_app_restarts_gets_the_apps_response() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .upstream("retry_connect = \"60s\"")
        .deadline(millis(14_000))
        .start()
        .await;
    app.refuse().await;
    let mut client = sidecar.connect().await;
    client.send(Webhook::voice("/voice/x")).await;
    wait_until_refused(&sidecar).await;
    app.recover().await;
    let got = client.response().await;
    assert_eq!((got.status, got.reason()), (200, None));
    let labels = [("route", "voice"), ("result", "success")];
    sidecar
        .wait_for_metric("understudy_retries_total", &labels, 1.0)
        .await;
}

#[tokio::test]
async fn the_breaker_counts_a_request_once_however_often_it_was_tried() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .upstream("retry_connect = \"300ms\"")
        .defaults("breaker = { failures = 2, probe_every = \"60s\" }")
        .start()
        .await;
    app.refuse().await;
    for reason in ["connect", "connect", "breaker_open"] {
        let got = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(got.reason(), Some(reason));
    }
}

#[tokio::test]
async fn a_retry_that_may_take_none_of_the_deadline_is_not_made() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .upstream("retry_connect = \"0s\"")
        .start()
        .await;
    app.refuse().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("connect"));
    assert_eq!(sidecar.metric("understudy_retries_total", &[]).await, 0.0);
}

#[tokio::test]
async fn an_app_that_refuses_until_the_deadline_has_refused_and_is_not_slow() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .upstream("retry_connect = \"60s\"")
        .upstream("connect_timeout = \"1500ms\"")
        .deadline(millis(1500))
        .start()
        .await;
    app.refuse().await;
    let mut client = sidecar.connect().await;
    client.send(Webhook::voice("/voice/x")).await;
    wait_until_refused(&sidecar).await;
    // The next try hangs.
    app.overflow().await;
    assert_eq!(client.response().await.reason(), Some("connect"));
}

#[tokio::test]
async fn an_app_that_took_no_connection_in_time_is_not_slow_either() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .upstream("connect_timeout = \"1s\"")
        .deadline(millis(1900))
        .start()
        .await;
    app.overflow().await;
    // The second try is not over at the deadline.
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("connect_timeout"));
}
