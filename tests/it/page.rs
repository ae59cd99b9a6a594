//! The status page, and what it needs of the status: read as bytes. What a browser makes of it is tried in `tests/real/page.rs`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use understudy::outcome::Reason;

use crate::support::{Answer, App, Client, Script, Sidecar, Webhook};

const PAGE: &str = "<Response><Say>hello</Say></Response>";

/// What a browser sends when somebody goes to an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn asked(sidecar: &Sidecar, method: &str, path: &str, fields: &str) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n",
        sidecar.admin
    );
    let mut client = Client::connect(sidecar.admin).await;
    if method == "HEAD" {
        client.send(request).await;
        return client.head().await;
    }
    client.ask(request).await
}

async fn page(sidecar: &Sidecar) -> Answer {
    let got = asked(sidecar, "GET", "/", &format!("Accept: {BROWSER}\r\n")).await;
    assert_eq!(got.status, 200, "{got:?}");
    got
}

async fn status(sidecar: &Sidecar, query: &str) -> Value {
    let got = sidecar.admin_get(&format!("/api/status{query}")).await;
    assert_eq!(got.status, 200, "{got:?}");
    serde_json::from_str(&got.text()).expect("JSON")
}

/// What stands between two marks.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let rest = text.split_once(begin).expect(begin).1;
    rest.split_once(end).expect(end).0
}

fn names(status: &Value) -> Vec<&str> {
    let routes = status["routes"].as_array().expect("routes");
    let names = routes.iter().map(|route| route["name"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

#[tokio::test]
async fn a_browser_gets_the_page_and_a_program_what_there_is() {
    let app = App::with_page(PAGE);
    let sidecar = Sidecar::before(&app).start().await;
    let page = page(&sidecar).await;
    for (name, wanted) in [
        ("content-type", "text/html; charset=utf-8"),
        ("vary", "accept"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(page.field(name), Some(wanted));
    }
    let head = asked(&sidecar, "HEAD", "/", "Accept: text/html\r\n").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.field("content-length"), page.field("content-length"));

    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        let index = asked(&sidecar, "GET", "/", accept).await;
        assert_eq!(
            index.field("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(index.field("vary"), Some("accept"));
        assert!(index.text().contains("GET  /api/status\n"), "{index:?}");
    }
    let nowhere = asked(&sidecar, "GET", "/nowhere", "Accept: text/html\r\n").await;
    assert_eq!(
        (nowhere.status, nowhere.field("content-type")),
        (404, Some("text/plain; charset=utf-8"))
    );
    assert_eq!(
        asked(&sidecar, "POST", "/", "Content-Length: 0\r\n")
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn a_browser_may_run_the_pages_own_script_and_style_and_load_nothing() {
    let app = App::with_page(PAGE);
    let sidecar = Sidecar::before(&app).start().await;
    let page = page(&sidecar).await;
    let text = page.text();
    let hash = |part: &str| BASE64_STANDARD.encode(Sha256::digest(part));
    let script = hash(between(&text, "<script>", "</script>"));
    let style = hash(between(&text, "<style>", "</style>"));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    assert_eq!(page.field("content-security-policy"), Some(&*policy));
    for loads in [
        " src=",
        "srcset",
        "@import",
        "url(",
        "import(",
        "importScripts",
        "innerHTML",
        "style=\"",
        " onclick=",
    ] {
        assert!(!text.contains(loads), "{loads}");
    }
    let elsewhere: Vec<_> = text
        .match_indices("://")
        .map(|(at, _)| &text[at - 5..at + 27])
        .collect();
    for address in elsewhere {
        let is_link = address.contains("https://www.twilio.com/docs/");
        let is_name = address.contains("http://www.w3.org/2000/svg");
        assert!(is_link || is_name, "{address}");
    }
}

#[tokio::test]
async fn beyond_loopback_the_page_is_open_and_holds_nothing_and_what_it_shows_needs_the_token() {
    let app = App::with_page(PAGE);
    let sidecar = Sidecar::before(&app)
        .server("admin = \"0.0.0.0:0\"")
        .server("admin_token_file = \"admin.token\"")
        .file("admin.token", "t0ken\n")
        .start()
        .await;
    let open = page(&sidecar).await;
    let port = app.address().port().to_string();
    for told in ["messaging/*", "t0ken", port.as_str()] {
        assert!(!open.text().contains(told), "{told}");
    }
    assert_eq!(asked(&sidecar, "HEAD", "/", "").await.status, 200);
    for (method, path, wanted) in [
        ("GET", "/api/status?routes=200&history=yes", 401),
        ("GET", "/api/status", 401),
        ("GET", "/nowhere", 401),
        ("POST", "/", 401),
        ("PUT", "/api/drills/voice", 401),
        ("POST", "/api/reload", 401),
    ] {
        let got = asked(&sidecar, method, path, "Content-Length: 0\r\n").await;
        assert_eq!(got.status, wanted, "{method} {path}");
    }
    // As the page's own script asks, with what a browser adds.
    let own = format!(
        "Authorization: Bearer t0ken\r\nOrigin: http://{}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: 0\r\n",
        sidecar.admin
    );
    assert_eq!(
        asked(&sidecar, "GET", "/api/status", &own).await.status,
        200
    );
    assert_eq!(
        asked(&sidecar, "POST", "/api/reload", &own).await.status,
        200
    );
    let other = own.replace("same-origin", "cross-site");
    assert_eq!(
        asked(&sidecar, "POST", "/api/reload", &other).await.status,
        403
    );
}

#[tokio::test]
async fn a_failure_shows_its_line_and_nothing_that_a_caller_said() {
    let app = App::with_page(
        "<?xml version=\"1.0\"?>\n<Response>\n  <Say voice=\"alice\">Dear Ann, call +15550199</Gather>\n</Response>",
    );
    let sidecar = Sidecar::before(&app).start().await;
    assert_eq!(
        sidecar.ask(Webhook::voice("/voice/x")).await.reason(),
        Some("malformed")
    );
    let status = status(&sidecar, "").await;
    let failure = &status["failures"][0];
    assert_eq!(
        (&failure["line"], &failure["column"]),
        (&json!(3), &json!(46))
    );
    assert_eq!(
        failure["excerpt"],
        json!({ "text": "  <Say voice=\"•••••\">•••• •••, •••• +••••••••</Gather>", "column": 46, "width": 1 })
    );
    assert_eq!(failure["help"], "close `<Say>` first");
    let all = status.to_string();
    for said in ["Ann", "15550199", "alice"] {
        assert!(!all.contains(said), "{said} in {all}");
    }
}

#[tokio::test]
async fn on_a_route_that_is_only_observed_the_line_is_shown_too() {
    let app =
        App::start(|_| Script::page("200 OK", "text/html", "<!DOCTYPE html>\n<html lang=\"en\">"));
    let sidecar = Sidecar::before(&app)
        .defaults("mode = \"observe\"")
        .start()
        .await;
    sidecar.ask(Webhook::voice("/voice/x")).await;
    let status = status(&sidecar, "").await;
    let failure = &status["failures"][0];
    assert_eq!(
        (&failure["outcome"], &failure["excerpt"]["text"]),
        (&json!("observed"), &json!("<!DOCTYPE html>"))
    );
    assert_eq!(status["stage"]["observed"], 6);
    assert_eq!(status["stage"]["fallback"], 0);
}

#[tokio::test]
async fn what_is_on_stage_is_told_of_all_routes_whichever_are_asked_for() {
    let app = App::with_page("<Response>");
    let sidecar = Sidecar::before(&app).start().await;
    let calm = status(&sidecar, "").await;
    assert_eq!(
        (&calm["stage"]["routes"], &calm["stage"]["fallback"]),
        (&json!(5), &json!(0))
    );
    assert_eq!(
        names(&calm),
        [
            "voice",
            "messaging",
            "callback",
            "pass",
            "auto",
            "unmatched"
        ]
    );
    assert_eq!(
        (&calm["history"], &calm["routes"][1]["history"]),
        (&Value::Null, &Value::Null)
    );

    sidecar.ask(Webhook::sms("/messaging/x")).await;
    let one = status(&sidecar, "?routes=1&history=yes").await;
    assert_eq!(
        (names(&one), &one["routes_matching"]),
        (vec!["messaging"], &json!(6))
    );
    let route = &one["routes"][0];
    assert_eq!(
        (&route["stage"], &route["mode"]),
        (&json!("fallback"), &json!("enforce"))
    );
    assert_eq!(route["last_failure"]["reason"], "malformed");
    let history = &route["history"];
    assert_eq!(
        (&history["calls"][59], &history["failed"][59]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&one["history"]["slots"], &one["history"]["slot_seconds"]),
        (&json!(60), &json!(10))
    );

    // The one in trouble isn't asked for, and is told of all the same.
    let other = status(&sidecar, "?routes=5&match=VOI").await;
    assert_eq!(
        (names(&other), &other["routes_matching"]),
        (vec!["voice"], &json!(1))
    );
    assert_eq!(other["stage"]["fallback"], 1);
    assert_eq!(other["stage"]["first"][0]["name"], "messaging");
    assert_eq!(
        other["stage"]["first"][0]["since_seconds"],
        route["fallback_since_seconds"]
    );
}

#[tokio::test]
async fn while_the_breaker_is_open_the_reason_is_told_that_opened_it() {
    let app = App::with_page(PAGE);
    let sidecar = Sidecar::before(&app)
        .defaults("breaker = { failures = 2, probe_every = \"30s\" }")
        .start()
        .await;
    app.refuse().await;
    for reason in ["connect", "connect", "breaker_open"] {
        assert_eq!(
            sidecar.ask(Webhook::voice("/voice/x")).await.reason(),
            Some(reason)
        );
    }
    for _ in 0..2 {
        sidecar.ask(Webhook::status_callback("/callback/x")).await;
    }
    let status = status(&sidecar, "?routes=2").await;
    assert_eq!(names(&status), ["voice", "callback"]);
    assert_eq!(status["routes"][0]["last_failure"]["reason"], "connect");
    assert_eq!(status["failures"][2]["reason"], "breaker_open");
    // A route without TwiML has no fallback that could be on stage.
    assert_eq!(
        (&status["routes"][1]["stage"], &status["stage"]["down"]),
        (&json!("down"), &json!(1))
    );
}

#[tokio::test]
async fn what_can_not_be_asked_for_is_refused_with_what_can() {
    let app = App::with_page(PAGE);
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.admin_get("/api/status?route=voice").await;
    let words = "nothing is asked for by \\\"route\\\"; there are routes, match and history";
    assert!(got.status == 400 && got.text().contains(words), "{got:?}");
}

#[tokio::test]
async fn every_reason_has_its_words_there() {
    let app = App::with_page(PAGE);
    let sidecar = Sidecar::before(&app).start().await;
    let text = page(&sidecar).await.text();
    let reasons = between(&text, "const REASONS = {", "\n};");
    let keys: Vec<_> = reasons
        .lines()
        .filter_map(|line| line.trim().split_once(": [").map(|(key, _)| key))
        .collect();
    assert_eq!(keys, Reason::ALL.map(Reason::label));
}
