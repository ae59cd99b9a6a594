//! `understudy call`: one webhook as Twilio would send it, and its response validated as Twilio would.

use std::process::Output;

use understudy::signature::{Tokens, Verifier};

use support::{FakeUpstream, Script, Sidecar, wait_for};

const DOCUMENT: &str = "<Response><Say>hello</Say></Response>";

async fn call(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_understudy"));
    let command = command
        .arg("call")
        .args(arguments)
        .env_remove("TWILIO_AUTH_TOKEN");
    let Output {
        status,
        stdout,
        stderr,
    } = wait_for("the end of `call`", command.kill_on_drop(true).output())
        .await
        .expect("the binary runs");
    (
        status.code(),
        String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned(),
    )
}

#[tokio::test]
async fn a_good_response_is_valid_and_the_request_is_like_twilios() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let url = format!("http://{}/voice?step=1#rt=5000", app.address());
    let (code, said) = call(&["--url", &url, "-p", "Digits=5", "-p", "From=+12025550199"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("200 OK text/xml, 37 bytes in ") && said.ends_with("Valid Voice TwiML\n"),
        "{said}"
    );
    let request = &app.requests()[0];
    assert_eq!(
        (request.method(), request.target()),
        ("POST", "/voice?step=1")
    );
    let form = String::from_utf8(request.payload()).expect("a form");
    assert!(
        form.contains("From=%2B12025550199")
            && form.contains("Digits=5")
            && form.contains("CallStatus=ringing"),
        "{form}"
    );
    assert_eq!(form.matches("From=").count(), 1);
    assert_eq!(request.header("x-twilio-signature"), None);
}

#[tokio::test]
async fn with_a_token_the_request_is_signed_as_twilio_signs_it() {
    let app = FakeUpstream::with_document("<Response/>");
    let base = format!("http://{}", app.address());
    let (code, said) = call(&[
        "--url",
        &format!("{base}/sms?a=b"),
        "--kind",
        "messaging",
        "--token",
        "12345",
    ])
    .await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Valid Messaging TwiML"));
    let request = &app.requests()[0];
    let head = http::Request::post(request.target())
        .header("host", request.header("host").expect("a host"))
        .header(
            "content-type",
            request.header("content-type").expect("a type"),
        )
        .header(
            "x-twilio-signature",
            request.header("x-twilio-signature").expect("a signature"),
        );
    let (head, ()) = head.body(()).expect("a request").into_parts();
    let verifier = Verifier::new(&base, Tokens::parse(b"*=12345").expect("a token"));
    assert_eq!(verifier.verify(&head, &request.payload()), Ok(()));
    assert!(!said.contains("12345"));
}

#[tokio::test]
async fn a_bad_response_exits_1_with_twilios_code() {
    for (script, wanted) in [
        (
            Script::response("500 Oops", "text/html", "no"),
            "error[11217] the app answered 500",
        ),
        (
            Script::response("200 OK", "application/json", "{}"),
            "error[12300]",
        ),
        (Script::twiml(""), "error[11770]"),
        (
            Script::twiml("<Response><Say>half</Response>"),
            "1:20: error[12100]",
        ),
        (Script::twiml("<response/>"), "1:2: error[12102]"),
        (Script::twiml("<Response/>".repeat(10_000)), "error[11750]"),
        (Script::new().reset(), "error[11200]"),
    ] {
        let played = script.clone();
        let app = FakeUpstream::start(move |_| played.clone());
        let (code, said) = call(&["--url", &format!("http://{}/voice", app.address())]).await;
        assert_eq!(code, Some(1), "{script:?}: {said}");
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    app.refuse().await;
    let (code, said) = call(&["--url", &format!("http://{}/voice", app.address())]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("error[11202] the app can't be reached"),
        "{said}"
    );
}

#[tokio::test]
async fn a_warning_is_printed_and_exits_0() {
    let app = FakeUpstream::with_document("<Response><say>hello</say></Response>");
    let (code, said) = call(&["--url", &format!("http://{}/voice", app.address())]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1:12: warning[12200]"), "{said}");
}

#[tokio::test]
async fn it_works_through_the_proxy() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    let (code, said) = call(&["--url", &format!("http://{}/voice/x", sidecar.address)]).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn wrong_usage_exits_2() {
    for arguments in [
        &["--url", "ftp://a/voice"][..],
        &["--url", "http:///voice"],
        &["--url", "http://127.0.0.1/voice menu"],
        &["--url", "http://127.0.0.1/voice", "-p", "From"],
        &["--url", "http://127.0.0.1/voice", "--kind", "fax"],
        &[],
    ] {
        assert_eq!(call(arguments).await.0, Some(2), "{arguments:?}");
    }
}
