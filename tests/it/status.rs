//! The status document: what callers get now, and what it says of a failure.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::{Value, json};

use support::{Builder, FakeUpstream, Script, Sidecar, Webhook, millis, wait_until};

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

/// A proxy with a route that queues, and one that doesn't.
fn with_queue(app: &FakeUpstream, folder: &Path) -> Builder {
    let path = folder.join("queue");
    Sidecar::before(app)
        .deadline(millis(500))
        .defaults("breaker = { failures = 3, probe_every = \"100ms\" }")
        .routes(&format!(
            "[queue]\npath = {path:?}\nmax_size = \"2MiB\"\n\
             [[route]]\nname = \"status\"\npath = \"/status/*\"\nkind = \"callback\"\nwhen_down = \"queue\"\n\
             [[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\n"
        ))
}

async fn queue_of(sidecar: &Sidecar, query: &str) -> Value {
    status(sidecar, query).await["queue"].clone()
}

fn nothing_of(name: &str) -> Value {
    json!({
        "name": name,
        "configured": true,
        "breaker": "closed",
        "waiting": 0,
        "dead": 0,
        "oldest_age_seconds": null,
        "next_try_in_seconds": null,
        "last_error": null,
    })
}

#[tokio::test]
async fn without_a_queue_there_is_none_in_the_status() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    assert_eq!(queue_of(&sidecar, "").await, Value::Null);
}

#[tokio::test]
async fn the_queue_says_how_many_wait_for_how_long_and_why_without_anything_of_callers() {
    let refuses = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&refuses);
    let app = FakeUpstream::start(move |request| {
        match request.path() == "/status/gone" && now.load(Relaxed) {
            true => Script::response("410 Gone", "text/plain", "gone"),
            false => Script::response("503 Busy", "text/plain", "busy"),
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let sidecar = with_queue(&app, folder.path()).start().await;
    let empty = json!({
        "bytes": 0,
        "max_bytes": 2 << 20,
        "damaged": 0,
        "waiting": 0,
        "dead": 0,
        "routes_total": 1,
        "routes": [nothing_of("status")],
    });
    assert_eq!(queue_of(&sidecar, "").await, empty);

    for (path, call) in [("/status/x", "CAkumquat1"), ("/status/gone", "CAkumquat2")] {
        let callback = Webhook::status_callback(path)
            .with("CallSid", call)
            .with("From", "+12025550187");
        assert_eq!(sidecar.request(callback).await.status, 204);
    }
    refuses.store(true, Relaxed);
    wait_until("one to be a dead letter", async || {
        queue_of(&sidecar, "").await["dead"] == 1
    })
    .await;
    let all = status(&sidecar, "").await;
    let queue = &all["queue"];
    assert_eq!((&queue["waiting"], &queue["dead"]), (&json!(1), &json!(1)));
    assert!(queue["bytes"].as_u64() > Some(0), "{queue}");
    let route = &queue["routes"][0];
    assert_eq!((&route["waiting"], &route["dead"]), (&json!(1), &json!(1)));
    assert!(route["oldest_age_seconds"].as_f64() > Some(0.0), "{route}");
    let error = route["last_error"].as_str().expect("words");
    assert!(error.starts_with("the app responded with "), "{route}");
    wait_until("the time of the next try", async || {
        let route = &queue_of(&sidecar, "").await["routes"][0];
        route["next_try_in_seconds"].as_f64() > Some(0.0)
    })
    .await;
    assert!(!queue.to_string().contains("kumquat"), "{queue}");
    assert!(!all.to_string().contains("2025550187"), "{all}");
}

#[tokio::test]
async fn what_waits_of_a_route_that_is_gone_comes_first_where_not_all_are_asked_for() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let folder = tempfile::tempdir().expect("a folder");
    let sidecar = with_queue(&app, folder.path()).start().await;
    app.refuse().await;
    let callback = Webhook::status_callback("/status/x");
    assert_eq!(sidecar.request(callback).await.status, 204);
    let config = sidecar.config();
    sidecar.rewrite_config(&config.replace("\"status\"", "\"new\""));
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);

    let queue = queue_of(&sidecar, "").await;
    assert_eq!(queue["routes"][0], nothing_of("new"));
    let gone = &queue["routes"][1];
    assert_eq!(
        (&gone["name"], &gone["configured"], &gone["waiting"]),
        (&json!("status"), &json!(false), &json!(1))
    );
    let one = queue_of(&sidecar, "?routes=1").await;
    assert_eq!(
        (&one["routes"][0]["name"], &one["routes"][1]),
        (&json!("status"), &Value::Null)
    );
    assert_eq!(
        (&one["routes_total"], &one["waiting"]),
        (&json!(2), &json!(1))
    );
}
