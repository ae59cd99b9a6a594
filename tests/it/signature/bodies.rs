//! A body that is read for the check of its signature is bounded, and reaches the app whole.

use super::{PUBLIC_URL, TOKEN, checks, with_token};
use support::{Client, FakeUpstream, Script, Webhook, millis, sign};

/// Sends a request's head with `Transfer-Encoding: chunked` and its body in chunks of this size.
async fn send_chunked(client: &mut Client, webhook: &Webhook, size: usize) {
    let request = webhook.bytes();
    let end = request.windows(4).position(|part| part == b"\r\n\r\n");
    let (head, body) = request.split_at(end.expect("a head") + 4);
    let head = String::from_utf8_lossy(head);
    let lines: Vec<_> = head
        .split("\r\n")
        .filter(|line| !line.starts_with("Content-Length"))
        .collect();
    let head = lines
        .join("\r\n")
        .replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(head).await;
    for piece in body.chunks(size) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        client.send_more(chunk).await.expect("it is open");
    }
    client.send_more("0\r\n\r\n").await.expect("it is open");
}

#[tokio::test]
async fn a_long_form_reaches_the_app_byte_for_byte_whether_chunked_or_not() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    for (length, size) in [(10, 1), (60_000, 777), (70_000, 16_000), (200_000, 50_000)] {
        for path in ["/sms/x", "/callback/x", "/auto/x"] {
            let text = "K\u{f6}ln & +%".repeat(length / 10);
            let text = &text[..text.floor_char_boundary(length)];
            let webhook = Webhook::sms(path)
                .with("Body", text)
                .signed(PUBLIC_URL, TOKEN);
            let request = webhook.bytes();
            if request.len() > 256 << 10 {
                continue;
            }
            let whole = sidecar.request(&webhook).await;
            assert_eq!(whole.status, 200, "{path} {length}: {whole:?}");
            let mut client = sidecar.connect().await;
            send_chunked(&mut client, &webhook, size).await;
            let pieces = client.response().await;
            assert_eq!(pieces.status, 200, "{path} {length}: {pieces:?}");
            let requests = app.requests();
            for came in &requests[requests.len() - 2..] {
                let body = came.payload();
                assert!(
                    request.ends_with(&body) && body.len() >= length,
                    "{path} {length}: {}",
                    body.len()
                );
            }
        }
    }
    assert_eq!(checks(&sidecar, "invalid").await, 0.0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_on_every_route_that_checks() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "report")
        .defaults("max_request_body = \"1KiB\"")
        .start()
        .await;
    for path in ["/voice/x", "/callback/x", "/nowhere"] {
        let webhook = Webhook::sms(path)
            .with("Body", &"x".repeat(2000))
            .signed(PUBLIC_URL, TOKEN);
        assert_eq!(sidecar.request(&webhook).await.status, 413, "{path}");
        let mut client = sidecar.connect().await;
        send_chunked(&mut client, &webhook, 500).await;
        assert_eq!(client.response().await.status, 413, "{path}");
    }
    assert_eq!(app.requests().len(), 0);
    assert_eq!(
        sidecar
            .metric("understudy_signature_checks_total", &[])
            .await,
        0.0
    );
}

#[tokio::test]
async fn a_body_that_trickles_in_is_timed_out_on_every_route_that_checks() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce")
        .deadline(millis(300))
        .start()
        .await;
    for path in ["/voice/x", "/callback/x", "/nowhere"] {
        let mut client = sidecar.connect().await;
        client
            .send(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nContent-Length: 1000\r\n\r\na="
            ))
            .await;
        for _ in 0..10 {
            tokio::time::sleep(millis(50)).await;
            // The response may have come by now.
            let _ = client.send_more("x").await;
        }
        let got = client.response().await;
        assert_eq!((got.status, got.reason()), (408, None), "{path}");
    }
    assert_eq!(app.requests().len(), 0);
}

#[tokio::test]
async fn json_is_signed_by_its_hash() {
    let app = FakeUpstream::start(|_| Script::response("200 OK", "application/json", "{}"));
    let sidecar = with_token(&app, "enforce").start().await;
    let body = "{\"property\": \"value\", \"boolean\": true}";
    let hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    let url = format!("/callback/events?foo=1&bodySHA256={hash}");
    let signature = sign(TOKEN, &format!("{PUBLIC_URL}{url}"));
    let post = |url: &str, body: &str, signature: &str| {
        format!(
            "POST {url} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Twilio-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let got = sidecar.request(post(&url, body, &signature)).await;
    assert_eq!(got.status, 200);
    assert_eq!(app.requests()[0].payload(), body.as_bytes());

    let altered = body.replace("true", "null");
    assert_eq!(
        sidecar
            .request(post(&url, &altered, &signature))
            .await
            .status,
        403
    );
    assert_eq!(
        sidecar.request(post(&url, "", &signature)).await.status,
        403
    );
    let plain = sign(TOKEN, &format!("{PUBLIC_URL}/callback/events"));
    let got = sidecar
        .request(post("/callback/events", body, &plain))
        .await;
    assert_eq!(got.status, 403, "the body isn't signed");
    assert_eq!(app.requests().len(), 1);
}
