//! An app that answers before it has read the request, as small servers do that don't look at bodies, and big ones that have
//! seen enough: the kernel answers what comes behind with a reset.

use support::{FakeUpstream, Script, Sidecar, Webhook, millis, response};

const PAGE: &str = "<Response><!-- early --></Response>";
/// How often what may go wrong is tried: the reset meets the answer sooner or later.
const TIMES: usize = 20;

/// The answer of an app that reads nothing, and what it does then.
fn early(then: fn(Script) -> Script) -> FakeUpstream {
    let fields = [("Content-Type", "text/xml"), ("Connection", "close")];
    FakeUpstream::start(move |_| then(Script::unread().send(response("200 OK", &fields, PAGE))))
}

/// The answer goes back, every time, and no call harms the next on its connection.
async fn goes_back(app: FakeUpstream, webhook: Webhook) {
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    for _ in 0..TIMES {
        let got = client.request(&webhook).await;
        assert_eq!((got.reason(), got.text().as_str()), (None, PAGE));
    }
    let labels = [("route", "voice"), ("outcome", "upstream")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, TIMES as f64)
        .await;
    assert_eq!(app.connections(), TIMES, "none was used again");
}

#[tokio::test]
async fn an_answer_to_an_unread_webhook_goes_back() {
    let webhook = Webhook::voice("/voice/short");
    goes_back(early(Script::close), webhook.clone()).await;
    goes_back(early(|app| app.pause(millis(20)).close()), webhook).await;
}

#[tokio::test]
async fn an_answer_that_comes_while_a_long_request_is_sent_goes_back() {
    let webhook = Webhook::voice("/voice/long").with("Filler", &"x".repeat(200 * 1024));
    goes_back(early(Script::close), webhook.clone()).await;
    goes_back(early(|app| app.pause(millis(20)).close()), webhook).await;
}

#[tokio::test]
async fn an_app_that_never_reads_a_request_meets_the_deadline() {
    let app = FakeUpstream::start(|_| Script::unread().stall());
    let sidecar = Sidecar::before(&app).deadline(millis(400)).start().await;
    let answer = sidecar.request(Webhook::voice("/voice/unread")).await;
    assert_eq!(answer.reason(), Some("deadline"));
    assert!(answer.took >= millis(400));
}
