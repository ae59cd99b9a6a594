//! What takes more than bytes and a response: interim responses, responses without a body, and what only the app can do.

use support::{FakeUpstream, Response, Script, Sidecar};

/// An app that knows validators and ranges, and answers HEAD and 204 as it should.
fn app() -> FakeUpstream {
    FakeUpstream::start(|request| {
        let not_changed = request.header("if-none-match") == Some("\"v1\"")
            || request.header("if-modified-since") == Some("Sat, 01 Aug 2026 00:00:00 GMT");
        let head = "ETag: \"v1\"\r\nLast-Modified: Sat, 01 Aug 2026 00:00:00 GMT\r\n";
        let date = "Date: Sun, 02 Aug 2026 00:00:00 GMT\r\n";
        Script::new().send(if not_changed {
            format!("HTTP/1.1 304 Not Modified\r\n{head}{date}\r\n")
        } else if request.header("range") == Some("bytes=0-1") {
            format!("HTTP/1.1 206 Partial Content\r\n{head}{date}Content-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nhe")
        } else if request.method() == "HEAD" {
            format!("HTTP/1.1 200 OK\r\n{head}{date}Content-Length: 5\r\n\r\n")
        } else if request.path().ends_with("/none") {
            format!("HTTP/1.1 204 No Content\r\n{date}\r\n")
        } else if request.path().ends_with("/method") {
            format!("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n{date}Content-Length: 0\r\n\r\n")
        } else {
            format!("HTTP/1.1 200 OK\r\n{head}{date}Accept-Ranges: bytes\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
        })
    })
}

/// A name of Http11Probe, a request, and what its response must be.
type Sequence = (&'static str, String, fn(&Response) -> bool);

fn sequences() -> Vec<Sequence> {
    let with = |line: &str| format!("GET /pass/x HTTP/1.1\r\nHost: a\r\n{line}\r\n");
    let method = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    vec![
        ("COMP-HEAD-NO-BODY", method("HEAD", "/pass/x"), |got| {
            got.status == 200 && got.body.is_empty() && got.header("content-length") == Some("5")
        }),
        ("SMUG-HEAD-CL-BODY", "HEAD /pass/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned(), |got| {
            got.status == 200 && got.body.is_empty()
        }),
        ("COMP-NO-CL-IN-204", method("GET", "/pass/none"), |got| {
            got.status == 204
                && got.header("content-length").is_none()
                && got.header("transfer-encoding").is_none()
        }),
        ("COMP-405-ALLOW", method("POST", "/pass/method"), |got| {
            got.status == 405 && got.header("allow") == Some("GET, HEAD")
        }),
        ("COMP-DATE-FORMAT", method("GET", "/pass/x"), |got| {
            got.header("date") == Some("Sun, 02 Aug 2026 00:00:00 GMT")
        }),
        ("COMP-EXPECT-100", "POST /pass/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello".to_owned(), |got| {
            got.status == 200
        }),
        ("COMP-NO-1XX-HTTP10", "POST /pass/x HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello".to_owned(), |got| {
            got.status == 200 && got.interim.is_empty()
        }),
        ("COMP-CONTENT-TYPE", method("GET", "/pass/x"), |got| {
            got.header("content-type") == Some("text/plain")
        }),
        ("CAP-ETAG", method("GET", "/pass/x"), |got| {
            got.header("etag") == Some("\"v1\"")
        }),
        ("CAP-LAST-MODIFIED", method("GET", "/pass/x"), |got| {
            got.header("last-modified") == Some("Sat, 01 Aug 2026 00:00:00 GMT")
        }),
        ("CAP-ETAG-304", with("If-None-Match: \"v1\"\r\n"), |got| {
            got.status == 304 && got.body.is_empty() && got.header("etag") == Some("\"v1\"")
        }),
        ("CAP-ETAG-OTHER", with("If-None-Match: \"v0\"\r\n"), |got| {
            got.status == 200 && got.body == b"hello"
        }),
        ("CAP-LAST-MODIFIED-304", with("If-Modified-Since: Sat, 01 Aug 2026 00:00:00 GMT\r\n"), |got| {
            got.status == 304
        }),
        ("CAP-DATE-INVALID", with("If-Modified-Since: nonsense\r\n"), |got| {
            got.status == 200
        }),
        ("CAP-RANGE", with("Range: bytes=0-1\r\n"), |got| {
            got.status == 206 && got.body == b"he" && got.header("content-range") == Some("bytes 0-1/5")
        }),
        ("CAP-ACCEPT-RANGES", method("GET", "/pass/x"), |got| {
            got.header("accept-ranges") == Some("bytes")
        }),
        ("CAP-KEEP-ALIVE", method("GET", "/pass/x"), |got| got.keeps_alive),
    ]
}

#[tokio::test]
async fn sequences_and_capabilities() {
    let app = app();
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    let mut wrong = Vec::new();
    for (name, request, is_right) in sequences() {
        let mut client = sidecar.connect().await;
        let before = app.requests().len();
        let got = client.request(request).await;
        let one = app.requests().len() == before + 1;
        let next = if got.keeps_alive {
            let request = "GET /pass/x HTTP/1.1\r\nHost: a\r\n\r\n";
            client.request(request).await.status == 200
        } else {
            client.closed().await.is_empty()
        };
        if !(is_right(&got) && one && next) {
            wrong.push(format!("{name}: {got:?}, once {one}, next {next}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_to_go_on() {
    let app = app();
    let sidecar = Sidecar::before(&app).start().await;
    let mut client = sidecar.connect().await;
    client
        .send(
            "POST /pass/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        )
        .await;
    let interim = client.bytes(25).await;
    assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send_more("hello").await.expect("it is open");
    assert_eq!(client.response().await.status, 200);
    assert_eq!(app.requests()[0].payload(), b"hello");
}

/// MAL-EMPTY-REQUEST: nothing at all is no request, and gets no response.
#[tokio::test]
async fn a_client_that_says_nothing_gets_nothing() {
    let app = app();
    let sidecar = Sidecar::before(&app).start().await;
    let mut client = sidecar.connect().await;
    client.end().await;
    assert_eq!(client.closed().await, b"");
    let requests = sidecar.metric("understudy_requests_total", &[]).await;
    assert_eq!(requests, 0.0);
}
