//! One strict deadline over every step of a request.

use support::{FakeUpstream, Script, Sidecar, Webhook, millis, response};

const DOCUMENT: &str = "<Response><Say>hello</Say></Response>";

#[tokio::test]
async fn a_response_that_trickles_in_or_stops_half_way_does_not_extend_it() {
    let whole = response("200 OK", &[("Content-Type", "text/xml")], DOCUMENT);
    let slow_head = whole.clone();
    let body_at = whole.len() - DOCUMENT.len();
    let app = FakeUpstream::start(move |request| {
        let (head, body) = (slow_head.slice(..body_at), slow_head.slice(body_at..));
        match request.path() {
            "/voice/trickled-head" => Script::new().trickle(slow_head.clone(), millis(100)),
            "/voice/trickled-body" => Script::new().send(head).trickle(body, millis(100)),
            "/voice/half-head" => Script::new().send(head.slice(..20)).stall(),
            "/voice/half-body" => Script::new().send(head).send(body.slice(..20)).stall(),
            _ => Script::new().stall(),
        }
    });
    let sidecar = Sidecar::before(&app).deadline(millis(600)).start().await;
    let mut waiting = Vec::new();
    for path in [
        "trickled-head",
        "trickled-body",
        "half-head",
        "half-body",
        "silent",
    ] {
        let mut client = sidecar.connect().await;
        client.send(Webhook::voice(&format!("/voice/{path}"))).await;
        waiting.push((path, client));
    }
    for (path, mut client) in waiting {
        let got = client.response().await;
        assert_eq!(
            (got.status, got.reason()),
            (200, Some("deadline")),
            "{path}"
        );
        assert!(
            got.took >= millis(600),
            "{path} was answered before its deadline: {:?}",
            got.took
        );
    }
    let labels = [("route", "voice"), ("reason", "deadline")];
    sidecar
        .wait_for_metric("understudy_fallback_activations_total", &labels, 5.0)
        .await;
}

#[tokio::test]
async fn a_connection_that_is_neither_accepted_nor_refused_has_its_own_timeout() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app)
        .upstream("connect_timeout = \"100ms\"")
        .start()
        .await;
    app.overflow().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("connect_timeout"));
}

#[tokio::test]
async fn the_deadline_ends_a_longer_connect_timeout() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).deadline(millis(200)).start().await;
    app.overflow().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("deadline"));
}

#[tokio::test]
async fn a_callback_or_other_request_gets_504() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = Sidecar::before(&app).deadline(millis(200)).start().await;
    for path in ["/callback/x", "/pass/x", "/elsewhere"] {
        let got = sidecar.request(Webhook::status_callback(path)).await;
        assert_eq!((got.status, got.reason()), (504, None), "{path}");
    }
    sidecar
        .wait_for_metric("understudy_requests_total", &[("outcome", "error")], 3.0)
        .await;
}

#[tokio::test]
async fn for_a_long_request_to_a_route_without_limits_it_counts_from_the_last_bytes() {
    let app = FakeUpstream::start(|_| Script::response("200 OK", "text/plain", "got it"));
    let sidecar = Sidecar::before(&app).deadline(millis(2000)).start().await;
    let mut client = sidecar.connect().await;
    client
        .send("POST /pass/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        .await;
    for _ in 0..5 {
        // A slow network: the request takes longer than the deadline, but no pause in it does.
        tokio::time::sleep(millis(500)).await;
        client.send_more("x").await.expect("it is open");
    }
    assert_eq!(client.response().await.text(), "got it");
}

#[tokio::test]
async fn a_body_that_streams_is_not_cut_by_the_deadline() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 8\r\n\r\n";
    let app =
        FakeUpstream::start(move |_| Script::new().send(head).trickle("12345678", millis(60)));
    let sidecar = Sidecar::before(&app).deadline(millis(200)).start().await;
    for path in ["/voice/x", "/pass/x", "/callback/x"] {
        let got = sidecar.request(Webhook::voice(path)).await;
        assert_eq!(
            (got.status, got.text().as_str(), got.whole),
            (200, "12345678", true),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_thousand_requests_to_a_silent_app_all_get_the_fallback_at_their_deadline() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = Sidecar::before(&app).deadline(millis(1500)).start().await;
    let answered = sidecar.reasons(&Webhook::voice("/voice/x"), 1000).await;
    assert!(
        answered
            .iter()
            .all(|reason| reason.as_deref() == Some("deadline"))
    );
    let labels = [("route", "voice"), ("outcome", "fallback")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, 1000.0)
        .await;
}
