//! A request is sent a second time only where the app can't have seen the request, or where a GET met a connection that had died.

use support::{FakeUpstream, Script, Sidecar, Webhook};

/// An app whose second request on a connection meets this; every first one is answered.
fn app_that_ends_its_second(by: fn(Script) -> Script) -> FakeUpstream {
    FakeUpstream::start(move |request| match request.number {
        1 => Script::twiml("<Response/>"),
        _ => by(Script::new()),
    })
}

async fn retries(sidecar: &Sidecar) -> f64 {
    sidecar.metric("understudy_retries_total", &[]).await
}

#[tokio::test]
async fn a_get_on_a_connection_that_ends_without_a_byte_is_tried_again_on_a_fresh_one() {
    for by in [Script::close as fn(Script) -> Script, Script::reset] {
        let app = app_that_ends_its_second(by);
        let sidecar = Sidecar::before(&app).workers(1).start().await;
        let mut client = sidecar.connect().await;
        for _ in 0..2 {
            let got = client.request(Webhook::voice("/voice/x").get()).await;
            assert_eq!((got.status, got.reason()), (200, None));
        }
        assert_eq!((app.connections(), app.requests().len()), (2, 3));
        let labels = [("route", "voice"), ("result", "success")];
        sidecar
            .wait_for_metric("understudy_retries_total", &labels, 1.0)
            .await;
    }
}

#[tokio::test]
async fn a_post_that_the_app_may_have_seen_is_not_sent_twice() {
    for by in [Script::close as fn(Script) -> Script, Script::reset] {
        let app = app_that_ends_its_second(by);
        let sidecar = Sidecar::before(&app).workers(1).start().await;
        let mut client = sidecar.connect().await;
        assert_eq!(
            client.request(Webhook::voice("/voice/x")).await.reason(),
            None
        );
        assert_eq!(
            client.request(Webhook::voice("/voice/x")).await.reason(),
            Some("reset")
        );
        assert_eq!((app.requests().len(), retries(&sidecar).await), (2, 0.0));
    }
}

#[tokio::test]
async fn a_get_that_got_a_byte_of_response_is_not_sent_twice() {
    let app = app_that_ends_its_second(|script| script.send("HTTP/1.1 2").close());
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    client.request(Webhook::voice("/voice/x").get()).await;
    let got = client.request(Webhook::voice("/voice/x").get()).await;
    assert_eq!((got.reason(), app.requests().len()), (Some("reset"), 2));
}

#[tokio::test]
async fn a_get_on_a_fresh_connection_that_ends_is_not_sent_twice() {
    let app = FakeUpstream::start(|_| Script::new().close());
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let got = sidecar.request(Webhook::voice("/voice/x").get()).await;
    assert_eq!((got.reason(), app.requests().len()), (Some("reset"), 1));
}

#[tokio::test]
async fn connections_that_the_app_has_closed_meanwhile_are_not_used_even_for_a_post() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    for _ in 0..5 {
        assert_eq!(
            client.request(Webhook::voice("/voice/x")).await.reason(),
            None
        );
        app.hang_up().await;
    }
    assert_eq!((app.requests().len(), app.connections()), (5, 5));
    assert_eq!(retries(&sidecar).await, 0.0);
}

#[tokio::test]
async fn a_refused_connection_is_tried_once_more_and_the_failure_counted() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    app.refuse().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("connect"));
    let labels = [("route", "voice"), ("result", "failure")];
    sidecar
        .wait_for_metric("understudy_retries_total", &labels, 1.0)
        .await;
    app.recover().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), None);
}

#[tokio::test]
async fn one_connection_serves_calls_one_after_another_and_old_ones_are_let_go() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .workers(1)
        .upstream("idle_timeout = \"500ms\"")
        .start()
        .await;
    let mut client = sidecar.connect().await;
    for _ in 0..20 {
        client.request(Webhook::voice("/voice/x")).await;
    }
    assert_eq!(app.connections(), 1);
    assert_eq!(
        sidecar
            .metric("understudy_upstream_connections_opened_total", &[])
            .await,
        1.0
    );
    assert_eq!(
        sidecar
            .metric("understudy_upstream_connections", &[("state", "idle")])
            .await,
        1.0
    );
    support::wait_for("the idle connection to end", async {
        while app.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    sidecar
        .wait_for_metric("understudy_upstream_connections", &[("state", "idle")], 0.0)
        .await;
    assert_eq!(
        sidecar
            .metric("understudy_upstream_connections", &[("state", "busy")])
            .await,
        0.0
    );
}
