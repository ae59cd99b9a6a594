//! The status document: what callers get now, and what it says of a failure.

use serde_json::{Value, json};

use support::{FakeUpstream, Script, Sidecar, Webhook};

const DOCUMENT: &str = "<Response><Say>hello</Say></Response>";

async fn status(sidecar: &Sidecar, query: &str) -> Value {
    let got = sidecar.admin_get(&format!("/api/status{query}")).await;
    assert_eq!(got.status, 200, "{got:?}");
    serde_json::from_str(&got.text()).expect("JSON")
}

fn names(status: &Value) -> Vec<&str> {
    let routes = status["routes"].as_array().expect("routes");
    let names = routes.iter().map(|route| route["name"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

#[tokio::test]
async fn a_failure_has_its_line_without_what_a_caller_said() {
    let app = FakeUpstream::with_document(
        "<?xml version=\"1.0\"?>\n<Response>\n  <Say voice=\"alice\">Dear Ann, call +15550199</Gather>\n</Response>",
    );
    let sidecar = Sidecar::before(&app).start().await;
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.reason(),
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
async fn an_observed_failure_has_its_line_too() {
    let app = FakeUpstream::start(|_| {
        Script::response("200 OK", "text/html", "<!DOCTYPE html>\n<html lang=\"en\">")
    });
    let sidecar = Sidecar::before(&app)
        .defaults("mode = \"observe\"")
        .start()
        .await;
    sidecar.request(Webhook::voice("/voice/x")).await;
    let status = status(&sidecar, "").await;
    let failure = &status["failures"][0];
    assert_eq!(
        (&failure["outcome"], &failure["excerpt"]["text"]),
        (&json!("observed"), &json!("<!DOCTYPE html>"))
    );
    assert_eq!(status["summary"]["observed"], 6);
    assert_eq!(status["summary"]["fallback"], 0);
}

#[tokio::test]
async fn the_summary_is_of_all_routes_whichever_are_requested() {
    let app = FakeUpstream::with_document("<Response>");
    let sidecar = Sidecar::before(&app).start().await;
    let healthy = status(&sidecar, "").await;
    assert_eq!(
        (
            &healthy["summary"]["routes"],
            &healthy["summary"]["fallback"]
        ),
        (&json!(5), &json!(0))
    );
    assert_eq!(
        names(&healthy),
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
        (&healthy["history"], &healthy["routes"][1]["history"]),
        (&Value::Null, &Value::Null)
    );

    sidecar.request(Webhook::sms("/messaging/x")).await;
    let one = status(&sidecar, "?routes=1&history=yes").await;
    assert_eq!(
        (names(&one), &one["routes_matching"]),
        (vec!["messaging"], &json!(6))
    );
    let route = &one["routes"][0];
    assert_eq!(
        (&route["state"], &route["mode"]),
        (&json!("fallback"), &json!("enforce"))
    );
    assert_eq!(route["last_failure"]["reason"], "malformed");
    let history = &route["history"];
    assert_eq!(
        (&history["requests"][59], &history["failed"][59]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&one["history"]["slots"], &one["history"]["slot_seconds"]),
        (&json!(60), &json!(10))
    );

    // The route in trouble isn't requested, and is in the summary all the same.
    let other = status(&sidecar, "?routes=5&match=VOI").await;
    assert_eq!(
        (names(&other), &other["routes_matching"]),
        (vec!["voice"], &json!(1))
    );
    assert_eq!(other["summary"]["fallback"], 1);
    assert_eq!(other["summary"]["first"][0]["name"], "messaging");
    assert_eq!(
        other["summary"]["first"][0]["since_seconds"],
        route["fallback_since_seconds"]
    );
}

#[tokio::test]
async fn while_the_breaker_is_open_the_reason_is_the_one_that_opened_it() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app)
        .defaults("breaker = { failures = 2, probe_every = \"30s\" }")
        .start()
        .await;
    app.refuse().await;
    for reason in ["connect", "connect", "breaker_open"] {
        assert_eq!(
            sidecar.request(Webhook::voice("/voice/x")).await.reason(),
            Some(reason)
        );
    }
    for _ in 0..2 {
        sidecar
            .request(Webhook::status_callback("/callback/x"))
            .await;
    }
    let status = status(&sidecar, "?routes=2").await;
    assert_eq!(names(&status), ["voice", "callback"]);
    assert_eq!(status["routes"][0]["last_failure"]["reason"], "connect");
    assert_eq!(status["failures"][2]["reason"], "breaker_open");
    // A route without TwiML has no fallback to serve from.
    assert_eq!(
        (&status["routes"][1]["state"], &status["summary"]["down"]),
        (&json!("down"), &json!(1))
    );
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_with_the_known_ones() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.admin_get("/api/status?route=voice").await;
    let words = "unknown parameter \\\"route\\\"; use routes, match or history";
    assert!(got.status == 400 && got.text().contains(words), "{got:?}");
}
