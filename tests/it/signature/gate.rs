//! Signatures are checked before anything else: in every state of its route, an unsigned request gets no TwiML, counts against no
//! limit, and never reaches the app.

use super::{ACCOUNT, PUBLIC_URL, ROUTES, TOKEN, checks, with_token, with_tokens};
use crate::drill;
use support::{Builder, Client, FakeUpstream, Response, Script, Sidecar, Webhook};

/// Valid base64 of 20 bytes, which no token makes.
const FORGED: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn signed() -> Webhook {
    Webhook::voice("/voice/x").signed(PUBLIC_URL, TOKEN)
}

/// Requests that anyone could send.
fn unsigned_requests() -> [Webhook; 3] {
    let webhook = Webhook::voice("/voice/x");
    [
        webhook.clone().unsigned(),
        webhook.clone().signature(FORGED),
        webhook.get().unsigned(),
    ]
}

async fn all_are_refused(sidecar: &Sidecar) {
    for request in unsigned_requests() {
        let got = sidecar.request(&request).await;
        assert_eq!((got.status, got.reason()), (403, None), "{got:?}");
        assert!(!got.text().contains('<'), "{got:?}");
    }
}

async fn gets_fallback(sidecar: &Sidecar, reason: &str) -> Response {
    let got = sidecar.request(signed()).await;
    assert_eq!((got.status, got.reason()), (200, Some(reason)), "{got:?}");
    got
}

#[tokio::test]
async fn an_unsigned_request_gets_no_fallback_in_a_drill_and_does_not_count_as_its_success() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    drill::begin(&sidecar, "voice", "status_5xx").await;
    all_are_refused(&sidecar).await;
    let last_success = "understudy_drill_last_success_timestamp_seconds";
    let route = [("route", "voice")];
    assert_eq!(sidecar.metric(last_success, &route).await, 0.0);
    gets_fallback(&sidecar, "drill").await;
    assert!(sidecar.metric(last_success, &route).await > 0.0);
}

#[tokio::test]
async fn with_an_open_breaker_only_a_signed_request_gets_the_fallback() {
    let app = FakeUpstream::with_document("<Response/>");
    app.refuse().await;
    let sidecar = with_token(&app, "enforce")
        .defaults("breaker = { failures = 1, probe_every = \"1h\" }")
        .start()
        .await;
    gets_fallback(&sidecar, "connect").await;
    gets_fallback(&sidecar, "breaker_open").await;
    all_are_refused(&sidecar).await;
}

/// A route with a limit of one request, and a request that the app never answers.
async fn full(app: &FakeUpstream, builder: Builder) -> (Sidecar, Client) {
    let sidecar = builder.defaults("max_in_flight = 1").start().await;
    let mut client = sidecar.connect().await;
    client
        .send(&Webhook::voice("/voice/hangs").signed(PUBLIC_URL, TOKEN))
        .await;
    app.wait_for_requests(1).await;
    (sidecar, client)
}

fn hangs() -> FakeUpstream {
    FakeUpstream::start(|request| match request.path() {
        "/voice/hangs" => Script::new().stall(),
        _ => Script::twiml("<Response/>"),
    })
}

#[tokio::test]
async fn at_the_limit_of_its_route_only_a_signed_request_gets_the_fallback() {
    let app = hangs();
    let (sidecar, _client) = full(&app, with_token(&app, "enforce")).await;
    all_are_refused(&sidecar).await;
    gets_fallback(&sidecar, "overload").await;
}

#[tokio::test]
async fn a_fallback_url_gets_only_signed_requests_and_their_signature() {
    let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"));
    let standby = FakeUpstream::with_document("<Response><Say>standby</Say></Response>");
    let url = format!(
        "fallback = {{ url = \"http://{}/backup\" }}",
        standby.address()
    );
    let routes = ROUTES.replace(
        "path = \"/voice/*\"",
        &format!("path = \"/voice/*\"\n{url}"),
    );
    let sidecar = with_tokens(&app, "enforce", &format!("{ACCOUNT}={TOKEN}\n"))
        .routes(&routes)
        .start()
        .await;
    drill::begin(&sidecar, "voice", "status_5xx").await;
    all_are_refused(&sidecar).await;
    assert_eq!(standby.requests().len(), 0);
    let got = gets_fallback(&sidecar, "drill").await;
    assert!(got.text().contains("standby"), "{got:?}");
    let asked = &standby.requests()[0];
    assert!(asked.header("x-twilio-signature").is_some(), "{asked:?}");
}

#[tokio::test]
async fn where_signatures_are_only_reported_unsigned_requests_are_handled_like_others() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "report").start().await;
    for request in unsigned_requests() {
        assert_eq!(sidecar.request(&request).await.status, 200);
    }
    drill::begin(&sidecar, "voice", "status_5xx").await;
    for request in unsigned_requests() {
        assert_eq!(sidecar.request(&request).await.reason(), Some("drill"));
    }
    assert_eq!(checks(&sidecar, "missing").await, 4.0);
    assert_eq!(checks(&sidecar, "invalid").await, 2.0);
}

/// A request with only this part of its body.
fn unfinished(path: &str, signature: Option<&str>, body: &str, length: usize) -> String {
    let signature = signature.map(|value| format!("X-Twilio-Signature: {value}\r\n"));
    format!(
        "POST {path} HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\n{}Content-Length: {length}\r\n\r\n{body}",
        signature.unwrap_or_default()
    )
}

#[tokio::test]
async fn a_request_without_a_signature_is_refused_at_its_head() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    for path in ["/voice/x", "/sms/x", "/callback/x", "/auto/x", "/nowhere"] {
        for signature in [None, Some("AAAA"), Some("?")] {
            let mut client = sidecar.connect().await;
            client.send(unfinished(path, signature, "", 1000)).await;
            // Nothing more is sent, so the head alone was refused.
            assert_eq!(client.response().await.status, 403, "{path} {signature:?}");
        }
    }
    let rejected = [("outcome", "rejected")];
    sidecar
        .wait_for_metric("understudy_requests_total", &rejected, 15.0)
        .await;
    assert_eq!(checks(&sidecar, "missing").await, 5.0);
    assert_eq!(checks(&sidecar, "invalid").await, 10.0);
}

#[tokio::test]
async fn a_client_that_is_refused_within_its_request_is_told_that_the_connection_ends() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    let mut client = sidecar.connect().await;
    client.send(unfinished("/voice/x", None, "", 1000)).await;
    let got = client.response().await;
    assert_eq!((got.status, got.header("connection")), (403, Some("close")));
    // What was sent whole leaves the connection as it is, or it would have to be made anew for each.
    let mut client = sidecar.connect().await;
    for _ in 0..3 {
        let got = client.request(Webhook::voice("/voice/x").unsigned()).await;
        assert_eq!((got.status, got.keeps_alive), (403, true), "{got:?}");
        assert_eq!(client.request(signed()).await.status, 200);
    }
}

#[tokio::test]
async fn incomplete_requests_do_not_count_against_the_limits_of_the_route_or_the_app() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce")
        .defaults("max_in_flight = 2")
        .upstream("max_in_flight = 2")
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = sidecar.connect().await;
        client
            .send(unfinished("/voice/x", Some(FORGED), "a=b", 1000))
            .await;
        clients.push(client);
    }
    for _ in 0..5 {
        let got = sidecar.request(signed()).await;
        assert_eq!((got.status, got.reason()), (200, None), "{got:?}");
    }
    let in_flight = sidecar.metric("understudy_in_flight_requests", &[]).await;
    assert_eq!(in_flight, 0.0);
}

#[tokio::test]
async fn the_body_of_an_unverified_request_must_arrive_as_fast_as_a_head() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce")
        .server("header_timeout = \"300ms\"")
        .defaults("deadline = \"14s\"")
        .start()
        .await;
    for path in ["/voice/x", "/callback/x"] {
        let mut client = sidecar.connect().await;
        client
            .send(unfinished(path, Some(FORGED), "a=b", 1000))
            .await;
        let got = client.response().await;
        assert_eq!(got.status, 408, "{path}: {got:?}");
    }
}

#[tokio::test]
async fn unverified_bodies_that_are_arriving_have_a_memory_budget_which_complete_requests_do_not_need()
 {
    const BODY: usize = 250_000;
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    let before = sidecar.peak_memory();
    let part = "x".repeat(BODY - 1);
    let mut clients = Vec::new();
    let mut refused = 0;
    // 16 MiB are enough for some 60 of them.
    for _ in 0..150 {
        let mut client = sidecar.connect().await;
        client
            .send(unfinished("/voice/x", Some(FORGED), "", BODY))
            .await;
        // A request may be refused before all of it is sent.
        let _ = client.send_more(part.clone()).await;
        clients.push(client);
    }
    let rejected = [("route", "voice"), ("outcome", "rejected")];
    for _ in 0..5 {
        let got = sidecar.request(signed()).await;
        assert_eq!((got.status, got.reason()), (200, None), "{got:?}");
    }
    refused += sidecar.metric("understudy_requests_total", &rejected).await as usize;
    assert!(refused >= 50, "{refused} were refused");
    let grown = (sidecar.peak_memory() - before) / 1024 / 1024;
    assert!(grown < 60, "it has grown by {grown} MiB");
    let mut over = 0;
    for mut client in clients {
        client.end().await;
        if let Some(got) = client.response_or_end().await {
            assert!(matches!(got.status, 400 | 408 | 503), "{got:?}");
            over += usize::from(got.status == 503);
        }
    }
    assert!(over >= 50, "{over} were refused for lack of memory");
    // What they had reserved is released.
    let big = format!("Body={}", "x".repeat(60_000));
    let mut client = sidecar.connect().await;
    client
        .send(unfinished(
            "/voice/x",
            Some(FORGED),
            &big[..50_000],
            big.len(),
        ))
        .await;
    client
        .send_more(big[50_000..].to_owned())
        .await
        .expect("it is open");
    assert_eq!(client.response().await.status, 403);
}

/// Signatures are enforced everywhere but on `/media/*`.
const MEDIA: &str = r#"
[signature]
tokens_file = "tokens"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
[[route]]
name = "exact"
path = "/hook"
kind = "voice"
[[route]]
name = "media"
path = "/media/*"
kind = "pass"
signature = "off"
"#;

#[tokio::test]
async fn a_path_that_a_server_may_normalize_to_another_gets_the_stricter_policy() {
    let app = FakeUpstream::start(|_| Script::response("200 OK", "text/plain", "media"));
    let sidecar = with_tokens(&app, "enforce", &format!("{ACCOUNT}={TOKEN}\n"))
        .routes(MEDIA)
        .start()
        .await;
    let ask = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: hooks.example.com\r\n\r\n");
        sidecar.request(request).await.status
    };
    for path in [
        "/media/../voice/ok",
        "/media/%2e%2e/voice/ok",
        "/media/%2E%2e/voice/ok",
        "/media/.%2e/voice/ok",
        "/media/..%2fvoice/ok",
        "/media/..%2Fvoice%2Fok",
        "/media/..;/voice/ok",
        "/media/..;x=y/voice/ok",
        "/media/..\\voice\\ok",
        "/media/..%5cvoice/ok",
        "/media/%252e%252e/voice/ok",
        "/media/..%252fvoice/ok",
        "/media//../../voice/ok",
        "/media/x/%2e%2e/%2e%2e/hook",
        "/media/../hook",
        "/media/../anything",
        "/media/..",
        "//media/../hook",
        "/media/./../hook;a",
    ] {
        assert_eq!(ask(path).await, 403, "{path}");
    }
    assert_eq!(app.requests().len(), 0);
    for path in [
        "/media/a.mp3",
        "/media/a%20b.mp3",
        "/media/",
        "/media/x/../a.mp3",
        "/media/a//b",
    ] {
        assert_eq!(ask(path).await, 200, "{path}");
    }
    let forwarded = app.requests();
    let targets: Vec<_> = forwarded
        .iter()
        .map(|request| request.target().to_owned())
        .collect();
    assert!(
        targets.contains(&"/media/x/../a.mp3".to_owned()),
        "{targets:?}"
    );
    let signed = Webhook::voice("/voice/%6fk;a/../x").signed(PUBLIC_URL, TOKEN);
    assert_eq!(sidecar.request(&signed).await.status, 200);
}

#[tokio::test]
async fn an_encoded_form_of_an_enforced_path_is_enforced_where_others_are_not() {
    let app = FakeUpstream::with_document("<Response/>");
    let routes = MEDIA.replace(
        "kind = \"voice\"",
        "kind = \"voice\"\nsignature = \"enforce\"",
    );
    let sidecar = with_tokens(&app, "off", &format!("{ACCOUNT}={TOKEN}\n"))
        .routes(&routes)
        .start()
        .await;
    for (path, status) in [
        ("/hook", 403),
        ("/h%6fok", 403),
        ("/hook;a=b", 403),
        ("//hook", 403),
        ("/x/../hook", 403),
        ("/other", 200),
        ("/%6fther", 200),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: hooks.example.com\r\n\r\n");
        assert_eq!(sidecar.request(request).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_request_that_names_two_accounts_is_refused() {
    let other = "ACffffffffffffffffffffffffffffffff";
    let app = FakeUpstream::with_document("<Response/>");
    let tokens = format!("{ACCOUNT}={TOKEN}\n{other}={TOKEN}other\n*={TOKEN}any\n");
    let sidecar = with_tokens(&app, "enforce", &tokens).start().await;
    let in_query = |account: &str| Webhook::voice(&format!("/voice/x?AccountSid={account}"));
    for (webhook, status) in [
        (in_query(ACCOUNT), 200),
        (in_query(other), 403),
        (in_query(&format!("{ACCOUNT}&AccountSid={other}")), 403),
        (in_query(&format!("{ACCOUNT}&accountsid={other}")), 403),
        (in_query(&format!("{ACCOUNT}&Account%53id={other}")), 403),
        (Webhook::voice("/voice/x").also("AccountSid", other), 403),
        (Webhook::voice("/voice/x").also("AccountSid", ACCOUNT), 200),
        (Webhook::voice("/voice/x").also("accountSid", other), 403),
    ] {
        for token in [TOKEN.to_owned(), format!("{TOKEN}any")] {
            let webhook = webhook.clone().signed(PUBLIC_URL, &token);
            assert_eq!(
                sidecar.request(&webhook).await.status,
                status,
                "{webhook:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_json_body_that_names_another_account_is_not_valid_with_this_ones_token() {
    use sha2::{Digest, Sha256};
    let other = "ACffffffffffffffffffffffffffffffff";
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    for (json, query, status) in [
        (
            format!("{{\"AccountSid\":\"{ACCOUNT}\"}}"),
            String::new(),
            200,
        ),
        ("{\"a\":1}".to_owned(), String::new(), 200),
        (
            format!("{{\"AccountSid\":\"{other}\"}}"),
            String::new(),
            403,
        ),
        (
            format!("{{\"AccountSid\":\"{ACCOUNT}\",\"AccountSid\":\"{other}\"}}"),
            String::new(),
            403,
        ),
        (
            format!("{{\"AccountSid\":\"{other}\"}}"),
            format!("AccountSid={ACCOUNT}&"),
            403,
        ),
        (
            format!("[{{\"AccountSid\":\"{ACCOUNT}\"}}]"),
            format!("AccountSid={ACCOUNT}&"),
            200,
        ),
    ] {
        let hash: String = Sha256::digest(&json)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let target = format!("/voice/x?{query}bodySHA256={hash}");
        let signature = support::sign(TOKEN, &format!("{PUBLIC_URL}{target}"));
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Type: application/json\r\nX-Twilio-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        );
        assert_eq!(
            sidecar.request(request).await.status,
            status,
            "{target} {json}"
        );
    }
}
