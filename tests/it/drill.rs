//! A drill on a live route serves the route's real fallback, always ends, and is counted apart.

mod command;
mod refused;

use serde_json::Value;

use support::{Client, FakeUpstream, Response, Sidecar, Webhook, millis, wait_for};

const DOCUMENT: &str = "<Response><Say>hello</Say></Response>";
const FALLBACK: &str = "<Response><Say>the fallback</Say></Response>";

/// A route of each kind; one failure would open a breaker.
const ROUTES: &str = r#"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
fallback = "voice.xml"
[[route]]
name = "messaging"
path = "/messaging/*"
kind = "messaging"
[[route]]
name = "callback"
path = "/callback/*"
kind = "callback"
[[route]]
name = "auto"
path = "/auto/*"
kind = "auto"
"#;

async fn before(app: &FakeUpstream) -> Sidecar {
    with_routes(app, ROUTES).await
}

async fn with_routes(app: &FakeUpstream, routes: &str) -> Sidecar {
    Sidecar::before(app)
        .deadline(millis(300))
        .defaults("breaker = { failures = 1 }")
        .routes(routes)
        .file("voice.xml", FALLBACK)
        .start()
        .await
}

/// Sends a request with a JSON body to the admin listener.
async fn admin(sidecar: &Sidecar, method: &str, path: &str, body: &str) -> Response {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    Client::connect(sidecar.admin).await.request(request).await
}

async fn put(sidecar: &Sidecar, route: &str, body: &str) -> Response {
    admin(sidecar, "PUT", &format!("/api/drills/{route}"), body).await
}

async fn delete(sidecar: &Sidecar, route: &str) -> Response {
    admin(sidecar, "DELETE", &format!("/api/drills/{route}"), "").await
}

/// Starts a drill of five minutes.
pub(crate) async fn begin(sidecar: &Sidecar, route: &str, fault: &str) {
    let body = format!("{{\"for\":\"5m\",\"fault\":\"{fault}\"}}");
    let got = put(sidecar, route, &body).await;
    assert!(matches!(got.status, 200 | 201), "{got:?}");
}

fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

/// The drills that run.
async fn drills(sidecar: &Sidecar) -> Vec<Value> {
    let list = json(&sidecar.admin_get("/api/drills").await);
    list["drills"].as_array().expect("a list").clone()
}

async fn send_webhook(sidecar: &Sidecar) -> Response {
    sidecar.request(Webhook::voice("/voice/x")).await
}

/// The value of a metric of the voice route.
async fn of_voice(sidecar: &Sidecar, name: &str) -> f64 {
    let name = format!("understudy_{name}");
    sidecar.metric(&name, &[("route", "voice")]).await
}

#[tokio::test]
async fn every_fault_gets_the_real_fallback_and_is_counted_apart() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    let faults = ["deadline", "status_5xx", "malformed", "root"];
    for (many, fault) in [1.0, 2.0, 3.0, 4.0].into_iter().zip(faults) {
        begin(&sidecar, "voice", fault).await;
        let got = send_webhook(&sidecar).await;
        assert_eq!((got.status, got.reason()), (200, Some("drill")), "{fault}");
        assert_eq!(got.text(), FALLBACK);
        assert!(fault != "deadline" || got.took >= millis(300), "{got:?}");
        let line = sidecar
            .wait_for_log(|line| line["error"] == format!("a drill: {fault}"))
            .await;
        assert_eq!(
            (&line["reason"], &line["route"]),
            (&"drill".into(), &"voice".into())
        );
        let drill = [("route", "voice"), ("reason", "drill")];
        let name = "understudy_fallback_activations_total";
        sidecar.wait_for_metric(name, &drill, many).await;
        assert_eq!(of_voice(&sidecar, "fallback_activations_total").await, many);
    }
    assert_eq!(app.connections(), 0);
    assert_eq!(of_voice(&sidecar, "breaker_state").await, 0.0);
    assert_eq!(
        of_voice(&sidecar, "fallback_since_timestamp_seconds").await,
        0.0
    );
    let success = of_voice(&sidecar, "drill_last_success_timestamp_seconds").await;
    assert!(success > 1.7e9, "{success}");
    let status = json(&sidecar.admin_get("/api/status").await);
    assert_eq!(status["failures"][0]["reason"], "drill");
    assert_eq!(status["routes"][0]["drill"]["fault"], "root");
    assert_eq!(status["routes"][1]["drill"], Value::Null);
    // An open breaker would refuse this request.
    delete(&sidecar, "voice").await;
    assert_eq!(send_webhook(&sidecar).await.reason(), None);
}

#[tokio::test]
async fn its_series_exist_from_the_start() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    let text = sidecar.admin_get("/metrics").await.text();
    for route in ["voice", "messaging", "callback", "auto", "unmatched"] {
        for name in ["active", "last_success_timestamp_seconds"] {
            let series = format!("understudy_drill_{name}{{route=\"{route}\"}} 0\n");
            assert!(text.contains(&series), "{series}");
        }
    }
}

#[tokio::test]
async fn only_the_chosen_percentage_of_requests_does_not_reach_the_app() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    put(&sidecar, "voice", r#"{"for":"5m","percent":50}"#).await;
    let mut client = sidecar.connect().await;
    let mut injected = 0;
    for _ in 0..200 {
        let got = client.request(Webhook::voice("/voice/x")).await;
        match got.reason() {
            Some(reason) => {
                assert_eq!((reason, got.text().as_str()), ("drill", FALLBACK));
                injected += 1;
            }
            None => assert_eq!(got.text(), DOCUMENT),
        }
    }
    assert!((1..200).contains(&injected), "{injected}");
    assert_eq!(app.requests().len(), 200 - injected);
    let drill = &drills(&sidecar).await[0];
    assert_eq!(
        (&drill["requests"], &drill["injected"]),
        (&200.into(), &injected.into())
    );
}

#[tokio::test]
async fn a_drill_ends_by_itself() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    let got = put(&sidecar, "voice", r#"{"for":"1s"}"#).await;
    assert_eq!(got.status, 201);
    sidecar
        .wait_for_log(|line| line["message"] == "drill ended")
        .await;
    assert!(drills(&sidecar).await.is_empty());
    assert_eq!(of_voice(&sidecar, "drill_active").await, 0.0);
    assert_eq!(send_webhook(&sidecar).await.reason(), None);
}

#[tokio::test]
async fn a_drill_can_be_listed_replaced_and_stopped() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    let got = put(&sidecar, "voice", r#"{"for":"5m"}"#).await;
    let drill = json(&got);
    assert_eq!(
        (got.status, got.header("content-type")),
        (201, Some("application/json"))
    );
    assert_eq!(
        (&drill["route"], &drill["fault"], &drill["percent"]),
        (&"voice".into(), &"status_5xx".into(), &100.into())
    );
    let left = drill["ends_in_seconds"].as_f64().expect("a number");
    assert!((200.0..=300.0).contains(&left), "{left}");
    assert_eq!(of_voice(&sidecar, "drill_active").await, 1.0);
    send_webhook(&sidecar).await;

    let got = put(&sidecar, "voice", r#"{"for":"1h","fault":"root"}"#).await;
    assert_eq!(got.status, 200);
    let list = drills(&sidecar).await;
    assert_eq!((list.len(), &list[0]["fault"]), (1, &"root".into()));
    send_webhook(&sidecar).await;

    let got = delete(&sidecar, "voice").await;
    assert_eq!((got.status, &json(&got)["injected"]), (200, &1.into()));
    assert_eq!(of_voice(&sidecar, "drill_active").await, 0.0);
    assert!(drills(&sidecar).await.is_empty());
    assert_eq!(send_webhook(&sidecar).await.reason(), None);
    assert_eq!(delete(&sidecar, "voice").await.status, 404);
}

#[tokio::test]
async fn a_drill_outlives_a_reload() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    begin(&sidecar, "voice", "root").await;
    send_webhook(&sidecar).await;
    sidecar.rewrite("voice.xml", FALLBACK.replace("the", "another"));
    wait_for("the other document", async {
        while !send_webhook(&sidecar).await.text().contains("another") {}
    })
    .await;
    let drill = &drills(&sidecar).await[0];
    assert_eq!(drill["requests"], drill["injected"]);
    assert_eq!(of_voice(&sidecar, "drill_active").await, 1.0);
    assert!(app.requests().is_empty());
}

#[tokio::test]
async fn a_reload_ends_a_drill_that_would_show_nothing() {
    let app = FakeUpstream::with_document(DOCUMENT);
    for (change, fault) in [
        (("name = \"voice\"", "name = \"other\""), "deadline"),
        (
            ("kind = \"voice\"", "kind = \"voice\"\nmode = \"observe\""),
            "deadline",
        ),
        (
            ("kind = \"voice\"", "kind = \"voice\"\nvalidate = \"off\""),
            "malformed",
        ),
    ] {
        let sidecar = before(&app).await;
        begin(&sidecar, "voice", fault).await;
        begin(&sidecar, "messaging", fault).await;
        assert_eq!(of_voice(&sidecar, "drill_active").await, 1.0);
        sidecar.rewrite_config(&sidecar.config().replace(change.0, change.1));
        sidecar
            .wait_for_metric(
                "understudy_config_reloads_total",
                &[("result", "success")],
                1.0,
            )
            .await;
        let list = drills(&sidecar).await;
        assert_eq!((list.len(), &list[0]["route"]), (1, &"messaging".into()));
        assert_eq!(of_voice(&sidecar, "drill_active").await, 0.0);
        assert_eq!(send_webhook(&sidecar).await.reason(), None);
        sidecar
            .wait_for_log(|line| line["message"] == "drill ended by the new configuration")
            .await;
    }
}

#[tokio::test]
async fn a_dry_drill_validates_the_fallback_and_touches_no_request() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    for (route, valid) in [
        ("voice", vec!["Voice"]),
        ("messaging", vec!["Messaging"]),
        ("auto", vec!["Voice", "Messaging"]),
    ] {
        let got = put(&sidecar, route, r#"{"dry":true}"#).await;
        assert_eq!((got.status, &json(&got)["valid"]), (200, &valid.into()));
    }
    let success = of_voice(&sidecar, "drill_last_success_timestamp_seconds").await;
    assert!(success > 1.7e9, "{success}");
    assert!(drills(&sidecar).await.is_empty());
    assert_eq!(send_webhook(&sidecar).await.reason(), None);
    assert_eq!(of_voice(&sidecar, "fallback_activations_total").await, 0.0);
}

#[tokio::test]
async fn where_no_twiml_is_expected_it_gives_502_or_504() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    let callback = Webhook::status_callback;
    for (many, fault, status) in [(1.0, "status_5xx", 502), (2.0, "deadline", 504)] {
        begin(&sidecar, "callback", fault).await;
        let got = sidecar.request(callback("/callback/x")).await;
        assert_eq!((got.status, got.reason()), (status, None), "{got:?}");
        let error = [("route", "callback"), ("outcome", "error")];
        sidecar
            .wait_for_metric("understudy_requests_total", &error, many)
            .await;
        let line = sidecar
            .wait_for_log(|line| line["error"] == format!("a drill: {fault}"))
            .await;
        assert_eq!(
            (&line["reason"], &line["outcome"]),
            (&"drill".into(), &"error".into())
        );
    }
    begin(&sidecar, "auto", "malformed").await;
    assert_eq!(sidecar.request(callback("/auto/x")).await.status, 502);
    let got = sidecar.request(Webhook::voice("/auto/x")).await;
    assert_eq!((got.status, got.reason()), (200, Some("drill")));
    let got = sidecar.request(Webhook::voice("/auto/x").get()).await;
    assert_eq!((got.status, got.reason()), (200, Some("drill")));
    begin(&sidecar, "unmatched", "status_5xx").await;
    assert_eq!(
        sidecar.request(Webhook::voice("/elsewhere")).await.status,
        502
    );
    assert!(app.requests().is_empty());
    let name = "understudy_drill_last_success_timestamp_seconds";
    assert_eq!(sidecar.metric(name, &[("route", "callback")]).await, 0.0);
}

#[tokio::test]
async fn a_bad_request_is_still_refused() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).await;
    begin(&sidecar, "voice", "deadline").await;
    let head =
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let large = format!(
        "{head}Content-Length: 1000000\r\n\r\n{}",
        "a".repeat(1_000_000)
    );
    assert_eq!(sidecar.request(large).await.status, 413);
    let slow = format!("{head}Content-Length: 10\r\n\r\nCallSid");
    assert_eq!(sidecar.request(slow).await.status, 408);
    begin(&sidecar, "messaging", "status_5xx").await;
    let stop = Webhook::sms("/messaging/x").with("Body", "STOP");
    let got = sidecar.request(stop).await;
    assert_eq!(got.reason(), Some("drill"));
    assert!(got.text().ends_with("<Response/>"), "{got:?}");
}

#[tokio::test]
async fn an_injected_request_takes_no_concurrency_permit_of_the_app() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let routes = ROUTES.replace(
        "\nfallback = \"voice.xml\"",
        "\nfallback = \"voice.xml\"\ndeadline = \"10s\"",
    );
    let sidecar = Sidecar::before(&app)
        .upstream("max_in_flight = 1")
        .routes(&routes)
        .file("voice.xml", FALLBACK)
        .start()
        .await;
    begin(&sidecar, "voice", "deadline").await;
    let mut waiting = sidecar.connect().await;
    waiting.send(Webhook::voice("/voice/x")).await;
    let name = "understudy_in_flight_requests";
    sidecar
        .wait_for_metric(name, &[("route", "voice")], 1.0)
        .await;
    for _ in 0..3 {
        let got = sidecar.request(Webhook::sms("/messaging/x")).await;
        assert_eq!((got.status, got.reason()), (200, None));
    }
}

#[tokio::test]
async fn a_fallback_url_is_drilled_too_and_only_its_own_response_is_a_success() {
    let (app, other) = (
        FakeUpstream::with_document(DOCUMENT),
        FakeUpstream::with_document(FALLBACK),
    );
    let url = format!(
        "{{ url = \"http://{}/backup\", file = \"voice.xml\" }}",
        other.address()
    );
    let sidecar = Sidecar::before(&app)
        .routes(&ROUTES.replace("\"voice.xml\"", &url))
        .file("voice.xml", DOCUMENT)
        .start()
        .await;
    begin(&sidecar, "voice", "root").await;
    other.refuse().await;
    let success = "drill_last_success_timestamp_seconds";
    let got = send_webhook(&sidecar).await;
    assert_eq!(
        (got.reason(), got.text().as_str()),
        (Some("drill"), DOCUMENT)
    );
    assert_eq!(of_voice(&sidecar, success).await, 0.0);
    other.recover().await;
    let got = send_webhook(&sidecar).await;
    assert_eq!(
        (got.reason(), got.text().as_str()),
        (Some("drill"), FALLBACK)
    );
    assert!(of_voice(&sidecar, success).await > 1.7e9);
    assert!(app.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_abandoned() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let route =
        "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\ndeadline = \"14s\"\n";
    let sidecar = with_routes(&app, route).await;
    begin(&sidecar, "voice", "deadline").await;
    let mut client = sidecar.connect().await;
    client.send(Webhook::voice("/voice/x")).await;
    sidecar
        .wait_for_metric("understudy_in_flight_requests", &[], 1.0)
        .await;
    client.reset();
    sidecar
        .wait_for_metric(
            "understudy_requests_total",
            &[("outcome", "abandoned")],
            1.0,
        )
        .await;
}
