//! The 33 cases of uNetworking's h1spec: a server waits for what isn't whole, takes what is right, and refuses what is not.

use crate::ambiguity::case::{Case, Wanted};
use crate::ambiguity::run;
use support::{FakeUpstream, Sidecar};

/// Beginnings of a request, in the words of h1spec. None of them may be answered.
const FRAGMENTS: [(&str, &str); 15] = [
    ("Fragmented method", "G"),
    ("Fragmented URL 1", "GET "),
    ("Fragmented URL 2", "GET /pass/h"),
    ("Fragmented URL 3", "GET /pass/h "),
    ("Fragmented HTTP version", "GET /pass/h HTTP"),
    ("Fragmented request line", "GET /pass/h HTTP/1.1"),
    (
        "Fragmented request line newline 1",
        "GET /pass/h HTTP/1.1\r",
    ),
    (
        "Fragmented request line newline 2",
        "GET /pass/h HTTP/1.1\r\n",
    ),
    ("Fragmented field name", "GET /pass/h HTTP/1.1\r\nHos"),
    ("Fragmented field value 1", "GET /pass/h HTTP/1.1\r\nHost:"),
    ("Fragmented field value 2", "GET /pass/h HTTP/1.1\r\nHost: "),
    (
        "Fragmented field value 3",
        "GET /pass/h HTTP/1.1\r\nHost: localhost",
    ),
    (
        "Fragmented field value 4",
        "GET /pass/h HTTP/1.1\r\nHost: localhost\r",
    ),
    (
        "Fragmented request",
        "GET /pass/h HTTP/1.1\r\nHost: localhost\r\n",
    ),
    (
        "Fragmented request termination",
        "GET /pass/h HTTP/1.1\r\nHost: localhost\r\n\r",
    ),
];

const WHOLE: &str = "GET /pass/h HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// h1spec waits half a second for the silence. Here the rest follows instead: what was answered before would not be answered now.
#[tokio::test]
async fn what_is_not_whole_waits_for_the_rest() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).workers(1).start().await;
    for (at, (name, begun)) in FRAGMENTS.into_iter().enumerate() {
        let mut client = sidecar.connect().await;
        client.send(begun).await;
        // The only worker has read it when it has served another connection behind it.
        assert_eq!(sidecar.request(WHOLE).await.status, 200);
        let rest = client.send_more(&WHOLE[begun.len()..]).await;
        rest.expect("the connection is open");
        assert_eq!(client.response().await.status, 200, "{name}");
        assert_eq!(app.requests().len(), 2 * (at + 1), "{name}");
    }
}

#[tokio::test]
async fn what_is_whole_is_served_or_refused() {
    let host = "Host: example.com";
    let get = |lines: &str| format!("GET /pass/x HTTP/1.1\r\n{lines}\r\n\r\n");
    let served = || Wanted::get().host("example.com");
    let post = |body: &str| Wanted::post(body).host("example.com");
    let refused = |name, bytes: String| Case::refused(bytes).with(&[400]).named(name);
    let serves = |name, bytes: String, wanted| Case::is(bytes, wanted).named(name);
    let cases = vec![
        refused("Request without HTTP version", "GET / \r\n\r\n".to_owned()),
        serves("Request with Expect header", get(&format!("{host}\r\nExpect: 100-continue")), served()),
        serves("Valid GET request", get(host), served()),
        serves("Valid GET request with edge cases", get("hoSt:\texample.com\r\nempty:"), served()),
        refused("Invalid header characters", get(&format!("{host}\r\nX-Invalid[]: test"))),
        refused("Missing Host header", get("Content-Length: 5")),
        refused("Multiple Host headers", get(&format!("{host}\r\nHost: example.org"))),
        refused(
            "Overflowing negative Content-Length header",
            get(&format!("{host}\r\nContent-Length: -123456789123456789123456789")),
        ),
        refused("Negative Content-Length header", get(&format!("{host}\r\nContent-Length: -1234"))),
        refused("Non-numeric Content-Length header", get(&format!("{host}\r\nContent-Length: abc"))),
        serves("Empty header value", get(&format!("{host}\r\nX-Empty-Header: ")), served()),
        refused(
            "Header containing invalid control character",
            get(&format!("{host}\r\nX-Bad-Control-Char: test\x07")),
        ),
        refused("Invalid HTTP version", format!("GET / HTTP/9.9\r\n{host}\r\n\r\n")),
        refused("Invalid prefix of request", format!("Extra lineGET / HTTP/1.1\r\n{host}\r\n\r\n")),
        refused("Invalid line ending", format!("GET / HTTP/1.1\r\n{host}\r\n\rSome-Header: Test\r\n\r\n")),
        serves(
            "Valid POST request with body",
            format!("POST /pass/x HTTP/1.1\r\n{host}\r\nContent-Length: 5\r\n\r\nhello"),
            post("hello"),
        ),
        serves(
            "Chunked Transfer-Encoding",
            format!("POST /pass/x HTTP/1.1\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n"),
            post("HellO world1"),
        ),
        Case::either(
            format!(
                "POST /pass/x HTTP/1.1\r\n{host}\r\ncontent-LengtH: 5\r\nTransFer-Encoding: chunked\r\n\r\n\
                 c\r\nHellO world1\r\n0\r\n\r\n"
            ),
            [post("HellO world1")],
        )
        .closes()
        .with(&[400])
        .named("Conflicting Transfer-Encoding and Content-Length in varying case"),
    ];
    run(cases).await;
}
