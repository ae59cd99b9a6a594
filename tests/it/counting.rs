//! Each request is counted once, however it ends, and every series exists from the start.

use std::collections::BTreeSet;

use understudy::failure::{Outcome, Reason};

use support::{FakeUpstream, Script, Sidecar, Webhook, millis};

#[tokio::test]
async fn every_series_of_a_route_exists_at_0_from_the_start() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let text = sidecar.admin_get("/metrics").await.text();
    for route in [
        "voice",
        "messaging",
        "callback",
        "pass",
        "auto",
        "unmatched",
    ] {
        for outcome in Outcome::ALL.map(Outcome::label) {
            let series =
                format!("understudy_requests_total{{outcome=\"{outcome}\",route=\"{route}\"}} 0");
            assert!(text.contains(&series), "{series}");
        }
        for reason in Reason::ALL.map(Reason::label) {
            let labels = format!("{{reason=\"{reason}\",route=\"{route}\"}} 0");
            let series = format!("understudy_fallback_activations_total{labels}");
            assert!(text.contains(&series), "{series}");
        }
        for name in ["in_flight_requests", "late_answers_total"] {
            assert!(
                text.contains(&format!("understudy_{name}{{route=\"{route}\"}} 0")),
                "{name}"
            );
        }
        for result in ["success", "failure"] {
            assert!(text.contains(&format!(
                "understudy_retries_total{{result=\"{result}\",route=\"{route}\"}} 0"
            )));
        }
    }
    for series in [
        "understudy_upstream_connections{state=\"idle\",upstream=\"default\"} 0",
        "understudy_upstream_connections{state=\"busy\",upstream=\"default\"} 0",
        "understudy_upstream_connections_opened_total{upstream=\"default\"} 0",
        "understudy_client_connections 0",
        "understudy_config_last_reload_successful 1",
        "understudy_config_last_reload_success_timestamp_seconds 1",
        "understudy_config_reloads_total{result=\"success\"} 0",
        "understudy_config_reloads_total{result=\"failure\"} 0",
        "understudy_build_info{",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(series), "{series}");
    }
    let of_route = text.lines().filter(|line| line.contains("route=\"voice\""));
    assert!(of_route.count() <= 60, "series of one route");
}

#[tokio::test]
async fn histograms_exist_from_their_first_observation() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let histograms = async || {
        let text = sidecar.admin_get("/metrics").await.text();
        let lines = text
            .lines()
            .filter(|line| line.contains("duration_seconds_count{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(histograms().await, Vec::<String>::new());
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.reason(),
        None
    );
    let labels = [("route", "voice"), ("outcome", "upstream")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, 1.0)
        .await;
    assert_eq!(
        histograms().await,
        [
            "understudy_request_duration_seconds_count{outcome=\"upstream\",route=\"voice\"} 1",
            "understudy_upstream_duration_seconds_count{route=\"voice\"} 1",
        ]
    );
}

#[tokio::test]
async fn only_a_route_that_observes_has_series_for_what_it_observes() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let observed = async || {
        let text = sidecar.admin_get("/metrics").await.text();
        let mut lines = text.lines();
        lines.any(|line| {
            line.starts_with("understudy_observed_failures_total{") && line.ends_with(" 0")
        })
    };
    assert!(!observed().await);
    let config = sidecar
        .config()
        .replace("[defaults]", "[defaults]\nmode = \"observe\"");
    sidecar.rewrite_config(&config);
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    assert!(observed().await);
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_counted_as_abandoned_and_is_no_longer_in_flight() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = Sidecar::before(&app).start().await;
    for (many, path) in [(1.0, "/voice/x"), (2.0, "/pass/x")] {
        let mut client = sidecar.connect().await;
        client.send(Webhook::voice(path)).await;
        app.wait_for_requests(many as usize).await;
        assert_eq!(
            sidecar.metric("understudy_in_flight_requests", &[]).await,
            1.0
        );
        client.reset();
        sidecar
            .wait_for_metric(
                "understudy_requests_total",
                &[("outcome", "abandoned")],
                many,
            )
            .await;
    }
    assert_eq!(sidecar.metric("understudy_requests_total", &[]).await, 2.0);
    assert_eq!(
        sidecar.metric("understudy_in_flight_requests", &[]).await,
        0.0
    );
}

#[tokio::test]
async fn a_streamed_response_whose_client_leaves_is_counted_as_abandoned_once() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n";
    let app = FakeUpstream::start(move |_| Script::new().send(head).endless(vec![7; 10_000]));
    let sidecar = Sidecar::before(&app).start().await;
    let mut client = sidecar.connect().await;
    client.send(Webhook::voice("/voice/x")).await;
    client.head().await;
    client.bytes(100_000).await;
    client.reset();
    sidecar
        .wait_for_metric(
            "understudy_requests_total",
            &[("outcome", "abandoned")],
            1.0,
        )
        .await;
    assert_eq!(sidecar.metric("understudy_requests_total", &[]).await, 1.0);
}

#[tokio::test]
async fn a_request_over_the_limit_gets_the_fallback_at_once() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = Sidecar::before(&app)
        .defaults("max_in_flight = 2")
        .start()
        .await;
    let mut waiting = Vec::new();
    for many in 1..=2 {
        let mut client = sidecar.connect().await;
        client.send(Webhook::voice("/voice/x")).await;
        app.wait_for_requests(many).await;
        waiting.push(client);
    }
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!((got.status, got.reason()), (200, Some("overload")));
    let mut other = sidecar.connect().await;
    other.send(Webhook::sms("/callback/x")).await;
    // Another route has its own limit.
    app.wait_for_requests(3).await;
}

#[tokio::test]
async fn the_app_has_a_limit_over_all_routes() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = Sidecar::before(&app)
        .upstream("max_in_flight = 2")
        .start()
        .await;
    let mut waiting = Vec::new();
    for (many, path) in [(1, "/voice/x"), (2, "/messaging/x")] {
        let mut client = sidecar.connect().await;
        client.send(Webhook::sms(path)).await;
        app.wait_for_requests(many).await;
        waiting.push(client);
    }
    let got = sidecar.request(Webhook::voice("/auto/x")).await;
    assert_eq!((got.status, got.reason()), (200, Some("overload")));
    drop(waiting);
    sidecar
        .wait_for_metric(
            "understudy_requests_total",
            &[("outcome", "abandoned")],
            2.0,
        )
        .await;
    let mut client = sidecar.connect().await;
    client.send(Webhook::voice("/voice/x")).await;
    app.wait_for_requests(3).await;
}

#[tokio::test]
async fn a_response_after_the_deadline_is_counted_late_and_its_connection_is_used_again() {
    let app = FakeUpstream::start(|request| match request.path() {
        "/voice/slow" => {
            Script::new()
                .pause(millis(500))
                .send(support::response("200 OK", &[], "<Response/>"))
        }
        _ => Script::twiml("<Response/>"),
    });
    let sidecar = Sidecar::before(&app)
        .workers(1)
        .deadline(millis(200))
        .start()
        .await;
    let got = sidecar.request(Webhook::voice("/voice/slow")).await;
    assert_eq!(got.reason(), Some("deadline"));
    sidecar
        .wait_for_metric("understudy_late_answers_total", &[("route", "voice")], 1.0)
        .await;
    let got = sidecar.request(Webhook::voice("/voice/quick")).await;
    assert_eq!((got.reason(), app.connections()), (None, 1));
}

#[tokio::test]
async fn after_the_deadline_a_route_that_cancels_closes_the_connection_to_the_app() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = Sidecar::before(&app)
        .deadline(millis(200))
        .defaults("after_deadline = \"cancel\"")
        .start()
        .await;
    let got = sidecar.request(Webhook::voice("/voice/slow")).await;
    assert_eq!(got.reason(), Some("deadline"));
    support::wait_for("the end of the connection", async {
        while app.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_fallback_is_one_log_line_without_phone_numbers_and_bodies() {
    let app = FakeUpstream::start(|_| {
        Script::response(
            "200 OK",
            "text/xml",
            "<Response>\n <Say>+15550199</Sai></Response>",
        )
    });
    let sidecar = Sidecar::before(&app).start().await;
    let webhook = Webhook::voice("/voice/x")
        .with("From", "+15550188")
        .with("SpeechResult", "secret words");
    assert_eq!(sidecar.request(&webhook).await.reason(), Some("malformed"));
    let line = sidecar
        .wait_for_log(|line| line["reason"] == "malformed")
        .await;
    assert_eq!(line["route"], "voice");
    assert_eq!(line["twilio_code"], 12100);
    assert_eq!(line["sid"], "CA00000000000000000000000000000002");
    assert_eq!(line["upstream_status"], 200);
    assert_eq!((&line["line"], &line["column"]), (&2.into(), &16.into()));
    let status = sidecar.admin_get("/api/status").await.text();
    let metrics = sidecar.admin_get("/metrics").await.text();
    for said in sidecar.log_lines().iter().chain([&status, &metrics]) {
        for secret in ["5550199", "5550188", "secret words"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["failures"][0]["reason"], "malformed");
    assert_eq!(status["failures"][0]["line"], 2);
    let routes = status["routes"].as_array().expect("routes");
    let names: BTreeSet<_> = routes
        .iter()
        .filter_map(|route| route["name"].as_str())
        .collect();
    assert!(names.contains("voice") && names.contains("unmatched"));
}
