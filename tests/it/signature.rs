//! Where a route enforces signatures, only requests that Twilio has signed are forwarded, and no secret is ever shown.

mod bodies;
mod gate;
mod recorded;
mod shared_key;
mod tokens;

use support::{Builder, FakeUpstream, Script, Sidecar, Webhook, sign, wait_for};

/// The public URL of the proxy in these tests.
const PUBLIC_URL: &str = "https://hooks.example.com";

/// The account of [`Webhook`].
const ACCOUNT: &str = "AC00000000000000000000000000000001";

/// The account's token in these tests, which must never be shown.
const TOKEN: &str = "hunter2hunter2hunter2hunter2marked";

const ROUTES: &str = r#"
[signature]
tokens_file = "tokens"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
[[route]]
name = "messaging"
path = "/sms/*"
kind = "messaging"
[[route]]
name = "callback"
path = "/callback/*"
kind = "callback"
[[route]]
name = "auto"
path = "/auto/*"
kind = "auto"
[[route]]
name = "open"
path = "/open/*"
kind = "voice"
signature = "off"
"#;

/// A proxy with this signature policy and these tokens.
fn with_tokens(app: &FakeUpstream, policy: &str, tokens: &str) -> Builder {
    Sidecar::before(app)
        .server(&format!("public_url = \"{PUBLIC_URL}\""))
        .defaults(&format!("signature = \"{policy}\""))
        .routes(ROUTES)
        .file("tokens", tokens)
}

/// A proxy with this signature policy and the token of these tests.
fn with_token(app: &FakeUpstream, policy: &str) -> Builder {
    with_tokens(app, policy, &format!("{ACCOUNT}={TOKEN}\n"))
}

/// How many checks on any route had this result.
async fn checks(sidecar: &Sidecar, result: &str) -> f64 {
    let labels = [("result", result)];
    sidecar
        .metric("understudy_signature_checks_total", &labels)
        .await
}

#[tokio::test]
async fn an_unsigned_request_gets_403_without_twiml_and_never_reaches_the_app() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    let good = Webhook::voice("/voice/x").signed(PUBLIC_URL, TOKEN);
    let mut refused = 0.0;
    for (webhook, result) in [
        (Webhook::voice("/voice/x").unsigned(), "missing"),
        (Webhook::voice("/voice/x"), "invalid"),
        (good.clone().with("From", "+12025550148"), "invalid"),
        (
            good.clone()
                .header("X-Twilio-Signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            "invalid",
        ),
        (
            Webhook::voice("/voice/x").signed(PUBLIC_URL, "another"),
            "invalid",
        ),
        (
            Webhook::voice("/voice/x").signed("https://other.example.com", TOKEN),
            "invalid",
        ),
        (Webhook::voice("/voice/x").get(), "invalid"),
        (Webhook::sms("/sms/x").unsigned(), "missing"),
        (Webhook::status_callback("/callback/x"), "invalid"),
        (Webhook::sms("/auto/x"), "invalid"),
        (Webhook::voice("/nowhere").unsigned(), "missing"),
    ] {
        let before = checks(&sidecar, result).await;
        let got = sidecar.request(&webhook).await;
        assert_eq!((got.status, got.reason()), (403, None), "{webhook:?}");
        assert_eq!(
            got.header("content-type"),
            Some("text/plain; charset=utf-8"),
            "{got:?}"
        );
        assert!(!got.text().contains('<'), "{got:?}");
        assert_eq!(checks(&sidecar, result).await, before + 1.0, "{webhook:?}");
        refused += 1.0;
        let rejected = [("outcome", "rejected")];
        sidecar
            .wait_for_metric("understudy_requests_total", &rejected, refused)
            .await;
    }
    assert_eq!(app.requests().len(), 0);
    assert_eq!(checks(&sidecar, "valid").await, 0.0);
    assert_eq!(sidecar.request(&good).await.status, 200);
    assert_eq!(checks(&sidecar, "valid").await, 1.0);
}

#[tokio::test]
async fn a_route_without_signatures_checks_nothing() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    for webhook in [
        Webhook::voice("/open/x"),
        Webhook::voice("/open/x").unsigned(),
    ] {
        assert_eq!(sidecar.request(&webhook).await.status, 200);
    }
    assert_eq!(
        sidecar
            .metric("understudy_signature_checks_total", &[])
            .await,
        0.0
    );
}

#[tokio::test]
async fn report_counts_and_logs_the_result_and_forwards_every_request() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "report").start().await;
    for (webhook, result) in [
        (
            Webhook::voice("/voice/x").signed(PUBLIC_URL, TOKEN),
            "valid",
        ),
        (Webhook::voice("/voice/x"), "invalid"),
        (Webhook::sms("/sms/x").unsigned(), "missing"),
    ] {
        let got = sidecar.request(&webhook).await;
        assert_eq!((got.status, got.reason()), (200, None), "{webhook:?}");
        assert_eq!(checks(&sidecar, result).await, 1.0, "{webhook:?}");
        let requests = app.requests();
        let request = requests.last().expect("it came");
        assert!(webhook.bytes().ends_with(&request.body) && !request.body.is_empty());
    }
    for (route, error) in [
        ("voice", "the request's X-Twilio-Signature is not Twilio's"),
        ("messaging", "the request has no X-Twilio-Signature"),
    ] {
        let line = sidecar.wait_for_log(|line| line["error"] == error).await;
        assert_eq!(
            (line["route"].as_str(), line["level"].as_str()),
            (Some(route), Some("INFO"))
        );
        let line = line.to_string();
        let numbers = ["2025550147", "4155550123"];
        assert!(
            !numbers.iter().any(|number| line.contains(number)),
            "{line}"
        );
    }
    let upstream = [("outcome", "upstream")];
    sidecar
        .wait_for_metric("understudy_requests_total", &upstream, 3.0)
        .await;
}

#[tokio::test]
async fn every_series_of_a_check_exists_at_0_from_the_start() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let text = sidecar.admin_get("/metrics").await.text();
    for route in ["voice", "auto", "unmatched"] {
        for result in ["valid", "invalid", "missing"] {
            let series = format!(
                "understudy_signature_checks_total{{result=\"{result}\",route=\"{route}\"}} 0"
            );
            assert!(text.contains(&series), "{series}");
        }
    }
}

#[tokio::test]
async fn get_is_signed_by_its_url_and_with_or_without_the_port() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    for base in [PUBLIC_URL, "https://hooks.example.com:443"] {
        for webhook in [Webhook::voice("/voice/x"), Webhook::voice("/voice/x").get()] {
            let webhook = webhook.signed(base, TOKEN);
            assert_eq!(sidecar.request(&webhook).await.status, 200, "{webhook:?}");
        }
    }
    let path = Webhook::voice("/voice/a%2Fb//c?x=%41+b").signed(PUBLIC_URL, TOKEN);
    assert_eq!(sidecar.request(&path).await.status, 200);
}

#[tokio::test]
async fn a_target_without_a_path_is_checked_as_it_is_forwarded() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    let ask = async |target: &str, signed: &str| {
        let signature = sign(TOKEN, &format!("{PUBLIC_URL}{signed}"));
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: hooks.example.com\r\nX-Twilio-Signature: {signature}\r\n\r\n"
        );
        sidecar.request(head).await.status
    };
    for (target, forwarded) in [
        ("http://hooks.example.com?x=1", "/?x=1"),
        ("http://hooks.example.com/?x=1", "/?x=1"),
        ("http://hooks.example.com?", "/?"),
        ("http://hooks.example.com", "/"),
        ("/?x=1", "/?x=1"),
    ] {
        assert_eq!(ask(target, forwarded).await, 200, "{target}");
        let request = app.requests().pop().expect("it came");
        assert_eq!(request.target(), forwarded, "{target}");
        let without = forwarded.trim_start_matches('/');
        assert_eq!(ask(target, without).await, 403, "{target}");
    }
}

#[tokio::test]
async fn only_a_signed_request_gets_the_fallback_of_an_app_that_fails() {
    let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"));
    let sidecar = with_token(&app, "enforce").start().await;
    let webhook = Webhook::voice("/voice/x");
    let got = sidecar
        .request(&webhook.clone().signed(PUBLIC_URL, TOKEN))
        .await;
    assert_eq!((got.status, got.reason()), (200, Some("status_5xx")));
    let got = sidecar.request(&webhook).await;
    assert_eq!((got.status, got.reason()), (403, None));
    assert_eq!(app.requests().len(), 1);
}

#[tokio::test]
async fn an_unsigned_request_neither_takes_the_trial_of_a_breaker_nor_opens_it() {
    let app = FakeUpstream::start(|request| match request.path() {
        "/voice/bad" => Script::response("500 Oops", "text/html", "no"),
        _ => Script::twiml("<Response/>"),
    });
    let sidecar = with_token(&app, "enforce")
        .defaults("breaker = { failures = 1, probe_every = \"10ms\" }")
        .start()
        .await;
    let unsigned = Webhook::voice("/voice/bad");
    assert_eq!(sidecar.request(&unsigned).await.status, 403);
    let bad = unsigned.clone().signed(PUBLIC_URL, TOKEN);
    assert_eq!(sidecar.request(&bad).await.reason(), Some("status_5xx"));
    wait_for("the breaker to be half-open", async {
        while sidecar
            .metric("understudy_breaker_state", &[("route", "voice")])
            .await
            != 1.0
        {}
    })
    .await;

    // One request that is incomplete, and one that is complete.
    let mut slow = sidecar.connect().await;
    let request = unsigned.bytes();
    slow.send(&request[..request.len() - 5]).await;
    assert_eq!(sidecar.request(&unsigned).await.status, 403);

    let good = Webhook::voice("/voice/x").signed(PUBLIC_URL, TOKEN);
    let got = sidecar.request(&good).await;
    assert_eq!((got.status, got.reason()), (200, None));
    let closed = [("route", "voice")];
    assert_eq!(
        sidecar.metric("understudy_breaker_state", &closed).await,
        0.0
    );
    slow.send_more(&request[request.len() - 5..])
        .await
        .expect("it is open");
    assert_eq!(slow.response().await.status, 403);
}
