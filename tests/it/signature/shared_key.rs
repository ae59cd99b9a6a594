//! Requests that Twilio signs with a SharedKey instead of an auth token, and both at the same time.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use serde_json::Value;
use sha2::{Digest, Sha256};
use understudy::signature::{Error, Tokens, Verifier};

use super::{ACCOUNT, PUBLIC_URL, TOKEN, checks, with_tokens};
use support::{FakeUpstream, Script, Sidecar, Webhook, json_fixture};

const SETTINGS: &str = "X-Twilio-Webhooks-Signature-Settings";
const KEY: &str = "webhooks_sharedkey_01kabc";
const SECRET: &str = "hunter2sharedsecretmarked";

fn sign(secret: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key is good");
    mac.update(message.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn settings(key: &str) -> String {
    format!("key={key},algorithm=HMAC_SHA256")
}

/// A voice webhook, signed with this secret of this key.
fn voice(key: &str, secret: &str) -> Webhook {
    let webhook = Webhook::voice("/voice/x");
    let message = webhook.message(PUBLIC_URL);
    webhook
        .signature(&sign(secret, &message))
        .header(SETTINGS, &settings(key))
}

fn tokens_file() -> String {
    format!("{ACCOUNT}={TOKEN}\n{KEY}={SECRET}\n")
}

async fn enforcing(app: &FakeUpstream) -> Sidecar {
    with_tokens(app, "enforce", &tokens_file()).start().await
}

#[test]
fn every_vector_of_twilios_own_library_is_valid_by_its_secret_alone() {
    let vectors = json_fixture("signature-vectors-sha256.json");
    let vectors = vectors["vectors"].as_array().expect("a list");
    assert!(vectors.len() >= 4);
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().unwrap_or_default().to_owned();
        let (shared_key, secret) = (text("shared_key"), text("secret"));
        let (header, signature) = (text("settings_header"), text("signature"));
        let file = format!("{shared_key}={secret}");
        let check = |file: &str, header: &str, signature: &str| {
            let tokens = Tokens::parse(file.as_bytes()).expect("a good file");
            verify(vector, tokens, header, signature)
        };
        let name = &vector["name"];
        assert_eq!(check(&file, &header, &signature), Ok(()), "{name}");
        let lower = header.replace("HMAC_SHA256", "hmac_sha256");
        assert_eq!(check(&file, &lower, &signature), Ok(()), "{name}");
        let spaced = format!(" algorithm = HMAC_SHA256 , key = {shared_key} ");
        assert_eq!(check(&file, &spaced, &signature), Ok(()), "{name}");

        let of_token = vector["sha1_of_token"]["signature"].as_str();
        let other = of_token.unwrap_or("AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        for (file, header, signature) in [
            (format!("{file}x"), header.clone(), &*signature),
            (file.clone(), header.replace("SHA256", "SHA512"), &signature),
            (file.clone(), header.replace("_01", "_02"), &signature),
            (file.clone(), "algorithm=HMAC_SHA256".into(), &signature),
            (file.clone(), format!("key={shared_key}"), &signature),
            (file.clone(), String::new(), &signature),
            (file.clone(), header.clone(), other),
            (format!("*={secret}"), header.clone(), &signature),
        ] {
            let checked = check(&file, &header, signature);
            assert_eq!(checked, Err(Error::Invalid), "{name} {header}");
        }
        // The token of the same account is valid at the same time.
        if let (Some(token), Some(signature)) =
            (vector["sha1_of_token"]["token"].as_str(), of_token)
        {
            let both = format!("{file}\n*={token}");
            for header in ["", "key=x", "key=x,algorithm=", "algorithm=HMAC_SHA1"] {
                assert_eq!(check(&both, header, signature), Ok(()), "{name} {header}");
            }
        }
    }
}

/// Verifies a vector with these tokens and this value of the settings header, which is left out if empty.
fn verify(vector: &Value, tokens: Tokens, settings: &str, signature: &str) -> Result<(), Error> {
    let url = vector["url"].as_str().expect("a URL");
    let target = url.strip_prefix(PUBLIC_URL).expect("ours");
    let (kind, body) = match vector["body"].as_str() {
        Some(body) => ("application/json", body.to_owned()),
        None => {
            let mut form = Serializer::new(String::new());
            for (name, value) in vector["params"].as_object().expect("parameters") {
                form.append_pair(name, value.as_str().expect("text"));
            }
            ("application/x-www-form-urlencoded", form.finish())
        }
    };
    let mut request = Request::post(target)
        .header("content-type", kind)
        .header("x-twilio-signature", signature);
    if !settings.is_empty() {
        request = request.header(SETTINGS, settings);
    }
    let (head, ()) = request.body(()).expect("a request").into_parts();
    Verifier::new(PUBLIC_URL, tokens).verify(&head, body.as_bytes())
}

#[tokio::test]
async fn requests_signed_with_a_shared_key_and_with_a_token_are_valid_at_the_same_time() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = enforcing(&app).await;
    let other = "webhooks_sharedkey_other";
    let twice = voice(KEY, SECRET).header(SETTINGS, &settings(KEY));
    for (webhook, status) in [
        (voice(KEY, SECRET), 200),
        (Webhook::voice("/voice/x").signed(PUBLIC_URL, TOKEN), 200),
        (voice(KEY, "another"), 403),
        (voice(other, SECRET), 403),
        (voice(KEY, TOKEN), 403),
        (voice(KEY, SECRET).with("From", "+12025550148"), 403),
        (twice, 403),
        (
            Webhook::voice("/voice/x")
                .signed(PUBLIC_URL, TOKEN)
                .header(SETTINGS, &settings(KEY)),
            403,
        ),
    ] {
        assert_eq!(
            sidecar.request(&webhook).await.status,
            status,
            "{webhook:?}"
        );
    }
    assert_eq!(checks(&sidecar, "valid").await, 2.0);
    assert_eq!(checks(&sidecar, "invalid").await, 6.0);
    let came = app.requests();
    assert_eq!(came.len(), 2);
    assert_eq!(
        came[0].header(SETTINGS),
        Some(&*settings(KEY)),
        "the app can check for itself"
    );
}

#[tokio::test]
async fn a_get_a_json_body_and_a_media_stream_are_checked_with_it() {
    let app = FakeUpstream::start(|request| {
        match request.header("upgrade") {
        Some(_) => Script::new()
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .echo(),
        None => Script::twiml("<Response/>"),
    }
    });
    let sidecar = enforcing(&app).await;
    let request = |head: &str, url: &str, body: &str| {
        format!(
            "{head}\r\nHost: hooks.example.com\r\nX-Twilio-Signature: {}\r\n{SETTINGS}: {}\r\n\r\n{body}",
            sign(SECRET, url),
            settings(KEY)
        )
    };
    let json = "{\"CallSid\":\"CA1\"}";
    let hash: String = Sha256::digest(json)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let json_target = format!("/voice/x?bodySHA256={hash}");
    let json_head = format!(
        "POST {json_target} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}",
        json.len()
    );
    let get_target = "/voice/x?CallSid=CA1&From=%2B12025550147";
    for (head, target, body) in [
        (format!("GET {get_target} HTTP/1.1"), get_target, ""),
        (json_head, &json_target, json),
    ] {
        let good = request(&head, &format!("{PUBLIC_URL}{target}"), body);
        assert_eq!(sidecar.request(good).await.status, 200, "{target}");
        let bad = request(&head, &format!("{PUBLIC_URL}{target}0"), body);
        assert_eq!(sidecar.request(bad).await.status, 403, "{target}");
    }
    let upgrade = "GET /voice/media HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dCUj2u9Z20txhAn0beBdDA==";
    for (url, status) in [
        ("wss://hooks.example.com/voice/media", 101),
        ("wss://hooks.example.com/voice/other", 403),
    ] {
        let mut client = sidecar.connect().await;
        client.send(request(upgrade, url, "")).await;
        assert_eq!(client.head().await.status, status, "{url}");
    }
}

#[tokio::test]
async fn a_secret_is_rotated_by_reloads_between_which_both_are_valid() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_tokens(&app, "enforce", &format!("{KEY}=old\n"))
        .start()
        .await;
    let steps = [
        (format!("{KEY}=old\n{KEY}=new\n"), 200, 200),
        (format!("{KEY}=new\n"), 403, 200),
    ];
    assert_eq!(sidecar.request(&voice(KEY, "new")).await.status, 403);
    for ((file, old, new), reloads) in steps.into_iter().zip(1_u32..) {
        sidecar.rewrite("tokens", file);
        let success = [("result", "success")];
        let series = "understudy_config_reloads_total";
        sidecar
            .wait_for_metric(series, &success, reloads.into())
            .await;
        assert_eq!(sidecar.request(&voice(KEY, "old")).await.status, old);
        assert_eq!(sidecar.request(&voice(KEY, "new")).await.status, new);
    }
}

#[tokio::test]
async fn the_secret_that_matched_last_is_named_and_never_shown() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = enforcing(&app).await;
    let names = async || {
        let status = sidecar.admin_get("/api/status").await;
        let status: Value = serde_json::from_str(&status.text()).expect("JSON");
        let secrets = status["signature"]["secrets"].as_array().cloned();
        let secrets = secrets.expect("a list");
        let of_one = |secret: Value| {
            (
                secret["name"].as_str().expect("a name").to_owned(),
                secret["last_match_seconds"].as_u64().is_some(),
            )
        };
        secrets.into_iter().map(of_one).collect::<Vec<_>>()
    };
    let token = || "auth token of line 1".to_owned();
    assert_eq!(names().await, [(token(), false), (KEY.to_owned(), false)]);
    assert_eq!(sidecar.request(&voice(KEY, SECRET)).await.status, 200);
    assert_eq!(names().await, [(KEY.to_owned(), true), (token(), false)]);
    let line = sidecar.wait_for_log(|line| line["secret"] == KEY).await;
    assert_eq!(line["level"], "INFO");
    sidecar
        .request(&Webhook::voice("/voice/x").signed(PUBLIC_URL, TOKEN))
        .await;
    sidecar.wait_for_log(|line| line["secret"] == token()).await;
    let shown = format!(
        "{}{}",
        sidecar.log_lines().concat(),
        sidecar.admin_get("/api/status").await.text()
    );
    assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
}

#[test]
fn a_malformed_line_is_an_error_with_its_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("understudy.toml");
    let text = format!(
        "[server]\npublic_url = \"{PUBLIC_URL}\"\n[upstream]\nurl = \"http://127.0.0.1:3000\"\n\
         [signature]\ntokens_file = \"tokens\"\n[defaults]\nsignature = \"enforce\"\n"
    );
    fs::write(&config, text).expect("a file");
    let tokens = format!("{ACCOUNT}=x\nwebhooks_sharedkey_ ={SECRET}\n{KEY}={SECRET}\n{KEY}=\n");
    fs::write(folder.path().join("tokens"), tokens).expect("a file");
    let path = config.to_str().expect("text");
    let output = support::understudy(&["check", "--config", path]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("line 2 has no valid id of a SharedKey before its `=`"),
        "{said}"
    );
    assert!(said.contains("line 4 has nothing after its `=`"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_signs_with_a_shared_key() {
    let app = FakeUpstream::with_document("<Response/>");
    let url = format!("http://{}/voice/x", app.address());
    let key = format!("{KEY}={SECRET}");
    let output = support::understudy(&["call", "--url", &url, "--shared-key", &key]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let came = &app.requests()[0];
    assert_eq!(came.header(SETTINGS), Some(&*settings(KEY)));
    let mut head = Request::post(came.target());
    for name in ["host", "content-type", "x-twilio-signature", SETTINGS] {
        head = head.header(name, came.header(name).expect("a field"));
    }
    let (head, ()) = head.body(()).expect("a request").into_parts();
    let tokens = Tokens::parse(key.as_bytes()).expect("a good line");
    let verifier = Verifier::new(&format!("http://{}", app.address()), tokens);
    assert_eq!(verifier.verify(&head, &came.payload()), Ok(()));

    let wrong = support::understudy(&["call", "--url", &url, "--shared-key", SECRET]);
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("write KEY=SECRET"), "{said}");
}
