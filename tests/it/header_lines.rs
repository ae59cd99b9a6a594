//! A header line of the app's response that is not valid costs that line, not the response.

use support::{FakeUpstream, Script, Sidecar, Webhook};

#[tokio::test]
async fn a_line_that_is_not_valid_is_left_out_and_the_response_goes_back() {
    for line in [
        "Set-Cookie: a=\u{1}",
        "Set-Cookie: a=\0",
        "Set-Cookie: a\rb",
        "Set-Cookie: a\u{7f}",
        "Set\0Cookie: a",
        ": a",
        "X Name: a",
        "No colon at all",
        "X-Blank : a",
    ] {
        let response = format!(
            "HTTP/1.1 200 OK\r\nX-Before: 1\r\n{line}\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>"
        );
        let app = FakeUpstream::start(move |_| Script::new().send(response.clone()));
        let sidecar = Sidecar::before(&app).start().await;
        let got = sidecar.request(Webhook::voice("/voice/x")).await;
        let seen = (got.reason(), got.header("x-before"), got.text());
        assert_eq!(seen, (None, Some("1"), "<Response/>".to_owned()), "{line}");
        assert_eq!(got.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn a_length_with_a_blank_before_its_colon_is_a_length() {
    let app = FakeUpstream::start(|_| {
        Script::new().send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length : 11\r\n\r\n<Response/>",
        )
    });
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!((got.reason(), got.text()), (None, "<Response/>".to_owned()));
}

#[tokio::test]
async fn the_body_behind_such_a_line_is_not_touched() {
    const BODY: &str = "a\0b\rc\n\nd\0";
    let response = format!(
        "HTTP/1.1 200 OK\r\nX-Odd: \0\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let app = FakeUpstream::start(move |_| Script::new().send(response.clone()));
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.request(Webhook::voice("/pass/x")).await;
    assert_eq!((got.status, got.text().as_str()), (200, BODY));
    assert_eq!(got.header("x-odd"), None);
}
