//! When a connection to the app serves another request: never where the next caller could get somebody else's response.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use support::{FakeUpstream, Script, Sidecar, Webhook, millis, wait_for};

const GOOD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>";

/// An app whose first response is this; every further one is good.
fn app_that_begins_with(first: &'static str) -> FakeUpstream {
    let has_begun = AtomicBool::new(false);
    FakeUpstream::start(move |_| match has_begun.swap(true, Relaxed) {
        false => Script::new().send(first),
        true => Script::new().send(GOOD),
    })
}

/// How many connections two requests need, of which the first one is this.
async fn connections_for(app: &FakeUpstream, first: Webhook) -> usize {
    let sidecar = Sidecar::before(app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    client.request(first).await;
    let got = client.request(Webhook::voice("/voice/x")).await;
    assert_eq!(
        (got.status, got.reason(), got.text()),
        (200, None, "<Response/>".to_owned())
    );
    app.connections()
}

#[tokio::test]
async fn not_after_a_head_whose_app_sends_a_body_all_the_same() {
    let app = app_that_begins_with(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 16\r\n\r\n<Response></Response>",
    );
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    let head = "HEAD /voice/x HTTP/1.1\r\nHost: hooks.example.com\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.head().await.status, 200);
    let got = client.request(Webhook::voice("/voice/x")).await;
    assert_eq!((got.reason(), got.text()), (None, "<Response/>".to_owned()));
    assert_eq!(app.connections(), 2);
}

#[tokio::test]
async fn not_after_a_204_that_announces_a_body() {
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let first = format!("HTTP/1.1 204 No Content\r\n{framing}\r\n\r\n");
        let app = app_that_begins_with(first.leak());
        assert_eq!(
            connections_for(&app, Webhook::sms("/sms")).await,
            2,
            "{framing}"
        );
    }
}

#[tokio::test]
async fn not_after_a_304_that_announces_a_body() {
    let app = app_that_begins_with("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    let conditional = Webhook::voice("/voice/x")
        .get()
        .header("If-None-Match", "\"1\"");
    assert_eq!(connections_for(&app, conditional).await, 2);
}

#[tokio::test]
async fn not_with_bytes_behind_a_response() {
    let app = app_that_begins_with(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>HTTP/1.1 200 OK\r\n",
    );
    assert_eq!(connections_for(&app, Webhook::voice("/voice/x")).await, 2);
}

#[tokio::test]
async fn not_where_the_app_closes_it() {
    let app = app_that_begins_with(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>",
    );
    assert_eq!(connections_for(&app, Webhook::voice("/voice/x")).await, 2);
}

#[tokio::test]
async fn not_in_the_last_moments_of_the_apps_own_keep_alive() {
    let app = app_that_begins_with(
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>",
    );
    assert_eq!(connections_for(&app, Webhook::voice("/voice/x")).await, 2);
}

#[tokio::test]
async fn but_after_every_other_response() {
    let app = app_that_begins_with(GOOD);
    assert_eq!(connections_for(&app, Webhook::voice("/voice/x")).await, 1);
}

#[tokio::test]
async fn a_reload_renews_the_connections() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    for _ in 0..2 {
        assert_eq!(
            client.request(Webhook::voice("/voice/x")).await.reason(),
            None
        );
        assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    }
    assert_eq!(
        client.request(Webhook::voice("/voice/x")).await.reason(),
        None
    );
    assert_eq!(app.connections(), 3);
}

#[tokio::test]
async fn a_408_on_a_connection_that_was_used_before_is_tried_again_on_a_fresh_one() {
    let app = FakeUpstream::start(|request| match request.number {
        1 => Script::new().send(GOOD),
        _ => Script::new()
            .send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .close(),
    });
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut client = sidecar.connect().await;
    let webhook = Webhook::voice("/voice/x?name=%C3%A4&empty=")
        .header("Cookie", "a=b; c=\"d\"")
        .header("X-Custom", "one")
        .header("X-Custom", "two, and more")
        .header("X-Empty", "");
    let mut bytes = webhook.bytes();
    let place = bytes
        .windows(3)
        .position(|part| part == b"one")
        .expect("it is there");
    bytes.splice(place..place + 3, *b"caf\xe9\ttime");
    for _ in 0..2 {
        let got = client.request(bytes.clone()).await;
        assert_eq!((got.status, got.reason()), (200, None));
    }
    assert_eq!(app.connections(), 2);
    // The second try is the same request, byte for byte.
    let requests = app.requests();
    let sent: Vec<_> = requests
        .iter()
        .map(|request| (&request.head, &request.body))
        .collect();
    assert_eq!((sent[1], sent[2]), (sent[0], sent[0]));
}

#[tokio::test]
async fn a_408_on_a_fresh_connection_is_the_apps_response() {
    let app = FakeUpstream::start(|_| Script::response("408 Request Timeout", "text/plain", ""));
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("status_4xx"));
    assert_eq!(app.requests().len(), 1);
}

#[tokio::test]
async fn with_an_idle_timeout_of_zero_each_connection_serves_one_request() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .workers(1)
        .upstream("idle_timeout = \"0s\"")
        .start()
        .await;
    let mut client = sidecar.connect().await;
    for _ in 0..3 {
        assert_eq!(
            client.request(Webhook::voice("/voice/x")).await.reason(),
            None
        );
    }
    assert_eq!(app.connections(), 3);
    wait_for("the last connection to end", async {
        while app.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_beyond_its_age_is_replaced() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .workers(1)
        .upstream("max_connection_age = \"1ms\"")
        .start()
        .await;
    let mut client = sidecar.connect().await;
    for _ in 0..3 {
        assert_eq!(
            client.request(Webhook::voice("/voice/x")).await.reason(),
            None
        );
        tokio::time::sleep(millis(2)).await;
    }
    assert_eq!(app.connections(), 3);
}
