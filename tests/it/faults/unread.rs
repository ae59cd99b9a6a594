//! An app that responds before it has read the request, as servers do that don't need the body or refuse it: the kernel resets the
//! connection when more of the body arrives.

use support::{FakeUpstream, Script, Sidecar, Webhook, millis, response};

const DOCUMENT: &str = "<Response><!-- early --></Response>";
/// How often it is tried: not every reset arrives before the response is read.
const TIMES: usize = 20;

/// The response of an app that reads nothing, and what it does then.
fn early(then: fn(Script) -> Script) -> FakeUpstream {
    let headers = [("Content-Type", "text/xml"), ("Connection", "close")];
    FakeUpstream::start(move |_| {
        then(Script::unread().send(response("200 OK", &headers, DOCUMENT)))
    })
}

/// The response goes back, every time, and no request harms the next on its connection.
async fn goes_back(app: FakeUpstream, webhook: Webhook) {
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    for _ in 0..TIMES {
        let got = client.request(&webhook).await;
        assert_eq!((got.reason(), got.text().as_str()), (None, DOCUMENT));
    }
    let labels = [("route", "voice"), ("outcome", "upstream")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, TIMES as f64)
        .await;
    assert_eq!(app.connections(), TIMES, "none was used again");
}

#[tokio::test]
async fn a_response_to_an_unread_webhook_goes_back() {
    let webhook = Webhook::voice("/voice/short");
    goes_back(early(Script::close), webhook.clone()).await;
    goes_back(early(|app| app.pause(millis(20)).close()), webhook).await;
}

#[tokio::test]
async fn a_response_that_comes_while_a_long_request_is_sent_goes_back() {
    let webhook = Webhook::voice("/voice/long").with("Filler", &"x".repeat(200 * 1024));
    goes_back(early(Script::close), webhook.clone()).await;
    goes_back(early(|app| app.pause(millis(20)).close()), webhook).await;
}

#[tokio::test]
async fn an_app_that_never_reads_a_request_meets_the_deadline() {
    let app = FakeUpstream::start(|_| Script::unread().stall());
    let sidecar = Sidecar::before(&app).deadline(millis(400)).start().await;
    let response = sidecar.request(Webhook::voice("/voice/unread")).await;
    assert_eq!(response.reason(), Some("deadline"));
    assert!(response.took >= millis(400));
}
