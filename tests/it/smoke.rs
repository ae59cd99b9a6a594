//! The two things that all other tests rely on: a request goes through, and the proxy ends when it is asked to.

use serde_json::json;
use support::{FakeUpstream, Sidecar, Signal, Webhook, millis};

#[tokio::test]
async fn a_call_goes_through_and_is_counted() {
    let app = FakeUpstream::with_document("<Response><Say>Hello</Say></Response>");
    let sidecar = Sidecar::before(&app).deadline(millis(5000)).start().await;

    let webhook = Webhook::voice("/voice/incoming");
    let response = sidecar.request(&webhook).await;

    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "<Response><Say>Hello</Say></Response>")
    );
    assert!(response.whole && response.keeps_alive, "{response:?}");
    let labels = [("route", "voice"), ("outcome", "upstream")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, 1.0)
        .await;
    let request = &app.requests()[0];
    assert!(webhook.bytes().ends_with(&request.body) && !request.body.is_empty());
}

#[tokio::test]
async fn it_ends_in_good_order_at_a_signal_and_says_how_many_requests_it_had() {
    let app = FakeUpstream::with_document("<Response/>");
    let mut sidecar = Sidecar::before(&app).start().await;
    for path in ["/voice", "/sms"] {
        sidecar.request(Webhook::voice(path).bytes()).await;
    }
    // It belongs to no route.
    sidecar.request("this is not HTTP\r\n\r\n").await;
    sidecar.signal(Signal::Terminate);
    assert_eq!(sidecar.wait().await.code(), Some(0));
    let last = sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    assert_eq!(
        (&last["cut_off"], &last["requests"]),
        (&json!(0), &json!(3))
    );
}
