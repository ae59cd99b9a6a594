//! Signatures that others made: those of Twilio's own libraries and documentation, and those of recorded requests.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use http::Request;
use serde_json::Value;
use understudy::signature::{Error, Tokens, Verifier};

use super::{PUBLIC_URL, checks};
use support::{FakeUpstream, Script, Sidecar, fixture, json_fixture, sign};

/// Verifies a vector: its request is made as the proxy would get it, with the user name of the URL in a header.
fn verify(vector: &Value) -> Result<(), Error> {
    let url = vector["url"].as_str().expect("a URL");
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (authority, target) = rest.split_at(rest.find('/').expect("a path"));
    let (user, host) = match authority.split_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let token = vector["auth_token"].as_str().expect("a token");
    let tokens = Tokens::parse(format!("*={token}").as_bytes()).expect("a token");
    let verifier = Verifier::new(&format!("{scheme}://{host}"), tokens);

    let (kind, body) = match vector["body"].as_str() {
        Some(body) => ("application/json", body.to_owned()),
        None => ("application/x-www-form-urlencoded", form(vector)),
    };
    let signature = match vector["signature"].as_str() {
        Some(signature) => signature.to_owned(),
        None => sign(token, url),
    };
    let mut request = Request::post(target)
        .header("content-type", kind)
        .header("x-twilio-signature", signature);
    if let Some(user) = user {
        let field = format!("Basic {}", STANDARD.encode(user));
        request = request.header("authorization", field);
    }
    let (head, ()) = request.body(()).expect("a request").into_parts();
    verifier.verify(&head, body.as_bytes())
}

fn form(vector: &Value) -> String {
    let mut form = Serializer::new(String::new());
    for pair in vector["params"].as_array().expect("parameters") {
        let part = |at: usize| pair[at].as_str().expect("text");
        form.append_pair(part(0), part(1));
    }
    form.finish()
}

#[test]
fn every_vector_of_twilios_own_libraries_has_the_result_that_they_give() {
    let vectors = json_fixture("signature-vectors.json");
    let vectors = vectors["vectors"].as_array().expect("a list");
    assert!(vectors.len() >= 15);
    for vector in vectors {
        // The hash of the body as a parameter of a form is a scheme of 2017, which Twilio no longer uses.
        let valid = vector["valid"] == true && vector["legacy"].is_null();
        let expected = if valid { Ok(()) } else { Err(Error::Invalid) };
        assert_eq!(verify(vector), expected, "{}", vector["name"]);
    }
}

#[test]
fn no_vector_is_valid_with_another_token_or_another_path() {
    let vectors = json_fixture("signature-vectors.json");
    for vector in vectors["vectors"].as_array().expect("a list") {
        if vector["signature"].is_null() {
            continue;
        }
        let mut other = vector.clone();
        other["auth_token"] = "12346".into();
        assert_eq!(verify(&other), Err(Error::Invalid), "{}", vector["name"]);
        let mut other = vector.clone();
        other["url"] = vector["url"]
            .as_str()
            .expect("a URL")
            .replace("/myapp", "/Myapp")
            .into();
        assert_eq!(verify(&other), Err(Error::Invalid), "{}", vector["name"]);
    }
}

/// A TwiML route for each path that is recorded.
const ROUTES: &str = r#"
[signature]
tokens_file = "tokens"
[[route]]
name = "voice"
path = "/voice/*"
kind = "auto"
[[route]]
name = "sms"
path = "/sms/*"
kind = "auto"
"#;

#[tokio::test]
async fn every_recorded_request_but_the_forged_one_is_valid() {
    let manifest = json_fixture("requests/manifest.json");
    let text = |key: &str| manifest[key].as_str().expect("text").to_owned();
    assert_eq!(text("public_base"), PUBLIC_URL);
    let app = FakeUpstream::start(|request| {
        match request.header("upgrade") {
        Some(_) => Script::new()
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .echo(),
        None => Script::twiml("<Response/>"),
    }
    });
    let sidecar = Sidecar::before(&app)
        .server(&format!("public_url = \"{PUBLIC_URL}\""))
        .defaults("signature = \"enforce\"")
        .routes(ROUTES)
        .file(
            "tokens",
            format!("{}={}\n", text("account_sid"), text("auth_token")),
        )
        .start()
        .await;

    let requests = manifest["requests"].as_array().expect("a list");
    assert!(requests.len() >= 22);
    let (mut valid, mut invalid) = (0, 0);
    for request in requests {
        let name = request["file"].as_str().expect("a name");
        let path = fixture(&format!("requests/{name}"));
        let bytes = fs::read(path).expect("a request");
        let is_valid = request["signature_valid"] == true;
        let mut client = sidecar.connect().await;
        client.send(bytes.clone()).await;
        let got = if request["kind"] == "websocket" {
            client.head().await
        } else {
            client.response().await
        };
        let expected = match (is_valid, request["kind"] == "websocket") {
            (false, _) => 403,
            (true, true) => 101,
            (true, false) => 200,
        };
        assert_eq!(got.status, expected, "{name}: {got:?}");
        valid += usize::from(is_valid);
        invalid += usize::from(!is_valid);
        assert_eq!(app.requests().len(), valid, "{name}");
        if is_valid && request["kind"] != "websocket" {
            let came = &app.requests()[valid - 1];
            assert!(bytes.ends_with(&came.body), "{name}");
        }
    }
    assert_eq!(checks(&sidecar, "valid").await, valid as f64);
    assert_eq!(
        (checks(&sidecar, "invalid").await, invalid),
        (1.0, 1),
        "the forged one"
    );
}

#[tokio::test]
async fn a_stream_is_signed_with_a_slash_at_its_end_or_without() {
    let app = FakeUpstream::start(|_| {
        Script::new()
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
            .echo()
    });
    let sidecar = super::with_token(&app, "enforce").start().await;
    for (path, url, status) in [
        ("/voice/media", "wss://hooks.example.com/voice/media", 101),
        ("/voice/media", "wss://hooks.example.com/voice/media/", 101),
        ("/voice/media/", "wss://hooks.example.com/voice/media", 101),
        (
            "/voice/media",
            "wss://hooks.example.com:443/voice/media",
            101,
        ),
        ("/voice/media", "https://hooks.example.com/voice/media", 403),
        ("/voice/media", "wss://hooks.example.com/voice/other", 403),
    ] {
        let signature = sign(super::TOKEN, url);
        let mut client = sidecar.connect().await;
        client
            .send(format!(
                "GET {path} HTTP/1.1\r\nHost: hooks.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dCUj2u9Z20txhAn0beBdDA==\r\nX-Twilio-Signature: {signature}\r\n\r\n"
            ))
            .await;
        let head = client.head().await;
        assert_eq!(head.status, status, "{path} {url}");
        if status == 101 {
            assert_eq!(client.bytes(5).await, b"hello");
            client.send_more("frame").await.expect("it is open");
            assert_eq!(client.bytes(5).await, b"frame");
        }
    }
}
