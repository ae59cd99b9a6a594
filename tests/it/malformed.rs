//! A request that isn't right is its sender's fault: a 4xx, never a fallback, never a crash.

use support::{FakeUpstream, Sidecar, Webhook, millis};

async fn rejected(sidecar: &Sidecar, many: f64) {
    sidecar
        .wait_for_metric(
            "understudy_requests_total",
            &[("outcome", "rejected")],
            many,
        )
        .await;
    assert_eq!(
        sidecar
            .metric("understudy_fallback_activations_total", &[])
            .await,
        0.0
    );
}

#[tokio::test]
async fn what_is_not_http_or_can_be_read_two_ways_is_refused_and_counted() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let long = "x".repeat(70_000);
    let many = "X-A: b\r\n".repeat(200);
    let cases = [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("GET /voice/x HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
        ("GET /voice/x HTTP/1.1\r\nHost: a\r\nX\r\n\r\n".to_owned(), 400),
        ("GET /voice/x HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /voice/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        ("GET /voice/x HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("GET /voice/x HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET voice HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        ("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(), 400),
        ("POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(), 501),
        ("POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(), 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 501),
        (format!("GET /voice/x HTTP/1.1\r\nHost: a\r\nX-A: {long}\r\n\r\n"), 431),
        (format!("GET /voice/x HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
    ];
    for (at, (request, status)) in cases.iter().enumerate() {
        let got = sidecar.request(request.clone()).await;
        assert_eq!(
            got.status,
            *status,
            "{}",
            &request[..request.len().min(200)]
        );
        assert_eq!(got.reason(), None);
        rejected(&sidecar, (at + 1) as f64).await;
    }
    assert_eq!(
        app.requests()
            .iter()
            .filter(|request| !request.body.is_empty())
            .count(),
        0
    );
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_is_announced_or_not() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .defaults("max_request_body = \"1KiB\"")
        .start()
        .await;
    let body = "x".repeat(5000);
    let announced =
        format!("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n{body}");
    let chunked = format!(
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n{body}\r\n0\r\n\r\n"
    );
    let fitting = format!(
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n{}",
        &body[..1024]
    );
    assert_eq!(sidecar.request(announced).await.status, 413);
    assert_eq!(sidecar.request(chunked).await.status, 413);
    assert_eq!(sidecar.request(fitting).await.status, 200);
    rejected(&sidecar, 2.0).await;
}

#[tokio::test]
async fn a_response_to_a_body_that_is_still_being_sent_is_not_destroyed() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    for _ in 0..10 {
        let mut client = sidecar.connect().await;
        client
            .send("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
            .await;
        // The connection is closed for writing at some point; what counts is that the response can be read.
        for _ in 0..9 {
            let _ = client.send_more(vec![b'x'; 100_000]).await;
        }
        assert_eq!(client.response().await.status, 413);
    }
}

#[tokio::test]
async fn a_head_that_never_becomes_whole_is_timed_out() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .server("header_timeout = \"200ms\"")
        .start()
        .await;
    let mut client = sidecar.connect().await;
    client.send("GET /voice/x HTTP/1.1\r\nHost: a\r\n").await;
    let got = client.response().await;
    assert_eq!((got.status, got.header("connection")), (408, Some("close")));
    client.closed().await;
    rejected(&sidecar, 1.0).await;
}

/// RFC 9110 §6.6.1. The library adds it to the responses that it sends.
#[tokio::test]
async fn responses_that_end_a_connection_without_a_request_have_a_date() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .server("header_timeout = \"200ms\"")
        .start()
        .await;
    for (begun, status) in [
        ("GET /voice/x HTTP/1.1\r\n", 408),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ] {
        let mut client = sidecar.connect().await;
        client.send(begun).await;
        let got = client.response().await;
        let date = got.header("date").unwrap_or_default();
        let is_date = date.len() == 29 && date.ends_with(" GMT");
        assert_eq!((got.status, is_date), (status, true), "{got:?}");
    }
}

#[tokio::test]
async fn a_body_that_never_becomes_whole_is_timed_out_and_the_app_is_not_blamed() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).deadline(millis(300)).start().await;
    let mut client = sidecar.connect().await;
    client
        .send("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    assert_eq!(client.response().await.status, 408);
    rejected(&sidecar, 1.0).await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_as_long_as_it_may_be() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .server("keep_alive = \"300ms\"")
        .server("header_timeout = \"100ms\"")
        .start()
        .await;
    let mut client = sidecar.connect().await;
    assert_eq!(client.request(Webhook::voice("/voice/x")).await.status, 200);
    let closed = std::time::Instant::now();
    assert_eq!(client.closed().await, b"");
    assert!(
        closed.elapsed() >= millis(150),
        "it was closed as if a head had begun"
    );
    rejected(&sidecar, 0.0).await;
}

#[tokio::test]
async fn an_old_client_is_served_and_its_connection_closed() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let mut client = sidecar.connect().await;
    client.send("GET /voice/x HTTP/1.0\r\n\r\n").await;
    let got = client.response().await;
    assert_eq!(
        (got.status, got.body.as_slice()),
        (200, &b"<Response/>"[..])
    );
    client.closed().await;
    let requests = app.requests();
    let head = String::from_utf8_lossy(&requests[0].head).into_owned();
    assert!(
        head.starts_with("GET /voice/x HTTP/1.1\r\n") && head.contains("\r\nHost: "),
        "{head}"
    );
}

/// Heads that are wrong, each with a body that never comes.
const WRONG_HEADS: [(&str, u16); 24] = [
    ("PO ST /voice/x HTTP/1.1\r\nHost: a\r\n", 400),
    ("P@ST /voice/x HTTP/1.1\r\nHost: a\r\n", 400),
    ("POST /voice/x HTTP/9.9\r\nHost: a\r\n", 400),
    ("POST /voice/x HTTP/1.2\r\nHost: a\r\n", 400),
    ("POST /voice/x\r\nHost: a\r\n", 400),
    ("POST voice HTTP/1.1\r\nHost: a\r\n", 400),
    ("POST * HTTP/1.1\r\nHost: a\r\n", 400),
    ("POST ftp://a/voice/x HTTP/1.1\r\nHost: a\r\n", 400),
    ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n", 501),
    ("POST /voice/x HTTP/1.1\r\n", 400),
    ("POST / HTTP/1.1\r\n", 400),
    ("POST /voice/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
    ("POST /voice/x HTTP/1.1\r\nHost: a b\r\n", 400),
    ("POST /voice/x HTTP/1.1\r\nHost : a\r\n", 400),
    ("POST /voice/x HTTP/1.1\r\nHost: a\r\nX\r\n", 400),
    ("POST /voice/x HTTP/1.1\r\nHost: a\r\nX@(): 1\r\n", 400),
    ("POST /voice/x HTTP/1.1\r\nHost: a\r\nX: \x01\r\n", 400),
    ("POST /voice/x HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n", 400),
    ("POST /voice/x HTTP/1.1\r\n X: a\r\nHost: a\r\n", 400),
    (
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n",
        400,
    ),
    (
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n",
        400,
    ),
    (
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n",
        400,
    ),
    (
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        501,
    ),
    (
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n",
        501,
    ),
];

#[tokio::test]
async fn a_wrong_head_is_refused_at_once_whatever_body_it_announces() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .server("header_timeout = \"14s\"")
        .defaults("deadline = \"14s\"")
        .start()
        .await;
    // A right one waits for its body until the deadline.
    let mut waiting = sidecar.connect().await;
    waiting
        .send("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n")
        .await;
    let refused = async {
        for (head, status) in WRONG_HEADS {
            let mut client = sidecar.connect().await;
            client
                .send(format!("{head}Content-Length: 50\r\n\r\n"))
                .await;
            let got = client.response().await;
            assert_eq!(got.status, status, "{head}");
            // Nothing of it is read as another request, and what comes late destroys nothing.
            let _ = client.send_more("GET /voice/x HTTP/1.1\r\n").await;
            client.closed().await;
        }
    };
    tokio::select! {
        biased;
        () = refused => {}
        _ = waiting.response() => panic!("a wrong head waited for its body"),
    }
}
