use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use tokio::time::advance;

use super::*;
use crate::failure::{Outcome, Reason};
use crate::signature;

/// The lines of one family.
fn family(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = metrics.encode(&[]);
    let is_of_family = |line: &&str| {
        let line = line.trim_start_matches("# HELP ");
        line.trim_start_matches("# TYPE ").starts_with(name)
    };
    let lines = text.lines().filter(is_of_family);
    lines.map(str::to_owned).collect()
}

#[test]
fn every_family_of_a_route_is_exported_with_its_help_and_its_type() {
    let metrics = Metrics::new();
    let route = metrics.route("voice");
    route.observed_failures();
    route.record_upstream_time(Duration::ZERO);
    route.start().finish(Outcome::Upstream);
    let text = metrics.encode(&[]);
    for head in [
        "# HELP understudy_requests_total Requests, by outcome.\n# TYPE understudy_requests_total counter\n",
        "# HELP understudy_fallback_activations_total Fallback responses, by reason.\n# TYPE understudy_fallback_activations_total counter\n",
        "# HELP understudy_observed_failures_total Responses that mode enforce would have replaced, by reason.\n# TYPE understudy_observed_failures_total counter\n",
        "# HELP understudy_twiml_warnings_total Warnings that Twilio would log for a response, by Twilio's code.\n# TYPE understudy_twiml_warnings_total counter\n",
        "# HELP understudy_request_duration_seconds Time from the request head received to the response ready, by outcome.\n# TYPE understudy_request_duration_seconds histogram\n",
        "# HELP understudy_upstream_duration_seconds Time from the request head received to the app's response received.\n# TYPE understudy_upstream_duration_seconds histogram\n",
        "# HELP understudy_in_flight_requests Requests in flight.\n# TYPE understudy_in_flight_requests gauge\n",
        "# HELP understudy_late_answers_total Responses of the app that came after the deadline.\n# TYPE understudy_late_answers_total counter\n",
        "# HELP understudy_retries_total Requests that were sent to the app a second time, by result.\n# TYPE understudy_retries_total counter\n",
        "# HELP understudy_signature_checks_total Signatures that were checked, by result.\n# TYPE understudy_signature_checks_total counter\n",
        "# HELP understudy_breaker_state State of the circuit breaker: 0 closed, 1 half-open, 2 open.\n# TYPE understudy_breaker_state gauge\n",
        "# HELP understudy_fallback_since_timestamp_seconds Time since which the route has been serving from fallback; 0 if it is not.\n# TYPE understudy_fallback_since_timestamp_seconds gauge\n",
        "# HELP understudy_drill_active Whether a drill is running: 1 or 0.\n# TYPE understudy_drill_active gauge\n",
        "# HELP understudy_drill_last_success_timestamp_seconds Time at which a drill last succeeded; 0: never.\n# TYPE understudy_drill_last_success_timestamp_seconds gauge\n",
    ] {
        assert!(text.contains(head), "{head}");
    }
    let mut names: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .collect();
    let families = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), families, "a family is exported twice");
}

#[test]
fn a_process_without_a_route_exports_no_family_of_routes() {
    assert_eq!(
        family(&Metrics::new(), "understudy_requests_total"),
        [""; 0]
    );
}

#[test]
fn counters_have_the_label_route_last() {
    let metrics = Metrics::new();
    let route = metrics.route("voice");
    route.record_signature_check(Ok(()));
    route.record_signature_check(Err(signature::Error::Missing));
    route.record_signature_check(Err(signature::Error::Missing));
    route.record_retry(false);
    route.late_responses.inc();
    assert_eq!(
        family(&metrics, "understudy_signature_checks_total")[2..],
        [
            r#"understudy_signature_checks_total{result="valid",route="voice"} 1"#,
            r#"understudy_signature_checks_total{result="invalid",route="voice"} 0"#,
            r#"understudy_signature_checks_total{result="missing",route="voice"} 2"#,
        ]
    );
    assert_eq!(
        family(&metrics, "understudy_retries_total")[2..],
        [
            r#"understudy_retries_total{result="success",route="voice"} 0"#,
            r#"understudy_retries_total{result="failure",route="voice"} 1"#,
        ]
    );
    assert_eq!(
        family(&metrics, "understudy_late_answers_total")[2..],
        [r#"understudy_late_answers_total{route="voice"} 1"#]
    );
}

#[test]
fn the_name_of_a_route_is_escaped() {
    let metrics = Metrics::new();
    metrics.route(r#"the "new\old" café"#);
    assert_eq!(
        family(&metrics, "understudy_in_flight_requests")[2..],
        [r#"understudy_in_flight_requests{route="the \"new\\old\" café"} 0"#]
    );
}

#[test]
fn a_configured_route_is_described() {
    let route = ConfiguredRoute {
        name: "voice",
        kind: "auto",
        mode: "enforce",
        upstream: r#"the "old" app"#,
        deadline: Duration::from_millis(8500),
    };
    let text = Metrics::new().encode(&[route]);
    let labels = r#"kind="auto",mode="enforce",route="voice",upstream="the \"old\" app""#;
    for line in [
        "# HELP understudy_route_info Kind, mode and upstream of a configured route; always 1.\n# TYPE understudy_route_info gauge",
        &format!("understudy_route_info{{{labels}}} 1"),
        "# HELP understudy_route_deadline_seconds Deadline of a configured route.\n# TYPE understudy_route_deadline_seconds gauge",
        r#"understudy_route_deadline_seconds{route="voice"} 8.5"#,
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}");
    }
}

#[test]
fn a_warning_has_a_series_once_it_has_occurred() {
    let metrics = Metrics::new();
    let route = metrics.route("voice");
    let series = |code, count| {
        format!(r#"understudy_twiml_warnings_total{{code="{code}",route="voice"}} {count}"#)
    };
    let warnings = || family(&metrics, "understudy_twiml_warnings_total").split_off(2);
    assert_eq!(warnings(), [series(12200, 0), series(12300, 0)]);
    for code in [13520, 12200, 13520] {
        route.record_warning(code);
    }
    assert_eq!(
        warnings(),
        [series(12200, 1), series(12300, 0), series(13520, 2)]
    );
}

#[test]
fn only_a_route_that_observes_has_series_of_what_it_observes() {
    let metrics = Metrics::new();
    metrics.route("voice");
    let observed = || family(&metrics, "understudy_observed_failures_total");
    assert_eq!(observed(), [""; 0]);
    let sms = metrics.route("sms");
    sms.observed_failures();
    sms.record_observed_failure(Reason::Root);
    let found = observed();
    assert_eq!(found.len(), 2 + Reason::ALL.len());
    assert!(found[2..].iter().all(|line| line.contains("route=\"sms\"")));
    let root = r#"understudy_observed_failures_total{reason="root",route="sms"} 1"#;
    assert!(found.iter().any(|line| line == root));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_in_the_counter_and_the_histogram_of_its_outcome() {
    let metrics = Metrics::new();
    let record = metrics.route("voice").start();
    advance(Duration::from_micros(2500)).await;
    record.finish(Outcome::Fallback);
    let requests = family(&metrics, "understudy_requests_total");
    assert_eq!(requests.len(), 2 + Outcome::ALL.len());
    let counted = r#"understudy_requests_total{outcome="fallback",route="voice"} 1"#;
    assert!(requests.iter().any(|line| line == counted));
    let name = "understudy_request_duration_seconds";
    let labels = r#"outcome="fallback",route="voice""#;
    let mut expected = vec![format!(r#"{name}_bucket{{{labels},le="0.001"}} 0"#)];
    for le in [
        "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2", "3", "5", "8",
        "10", "12", "15", "+Inf",
    ] {
        expected.push(format!(r#"{name}_bucket{{{labels},le="{le}"}} 1"#));
    }
    expected.push(format!("{name}_sum{{{labels}}} 0.0025"));
    expected.push(format!("{name}_count{{{labels}}} 1"));
    assert_eq!(family(&metrics, name)[2..], expected);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_finished_is_abandoned() {
    let route = Metrics::new().route("voice");
    drop(route.start());
    route.start().finish(Outcome::Rejected);
    let counts = Outcome::ALL.map(|outcome| route.requests(outcome));
    assert_eq!(counts.iter().sum::<u64>(), 2);
    assert_eq!(route.requests(Outcome::Abandoned), 1);
}

#[test]
fn the_requests_of_all_routes_are_counted_together() {
    let metrics = Metrics::new();
    assert_eq!(metrics.requests(), 0);
    for outcome in Outcome::ALL {
        metrics.route("voice").start().finish(outcome);
    }
    drop(metrics.route("sms").start());
    assert_eq!(metrics.requests(), Outcome::ALL.len() as u64 + 1);
}

#[test]
fn a_route_is_counted_on_under_the_same_name_and_takes_little_memory() {
    let metrics = Metrics::new();
    metrics.route("voice").record_fallback(Reason::Connect);
    metrics.route("voice").record_fallback(Reason::Connect);
    assert_eq!(metrics.route("voice").fallbacks(Reason::Connect), 2);
    assert_eq!(metrics.route("sms").fallbacks(Reason::Connect), 0);
    assert!(size_of::<RouteMetrics>() < 2048);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Finish(usize, Outcome),
    Drop(usize),
    /// Whoever has it panics.
    Panic(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Start),
        2 => (0..8_usize, select(&Outcome::ALL[..])).prop_map(|(at, outcome)| Step::Finish(at, outcome)),
        1 => (0..8_usize).prop_map(Step::Drop),
        1 => (0..8_usize).prop_map(Step::Panic),
    ]
}

proptest! {
    /// Requests that finish, are dropped or lost by a panic, in any order: each is counted exactly once, under its outcome.
    #[test]
    fn in_any_order_each_request_is_counted_once(steps in proptest::collection::vec(step(), 0..100)) {
        let route = Metrics::new().route("voice");
        let mut records = Vec::new();
        let mut expected = [0; Outcome::ALL.len()];
        for step in steps {
            match step {
                Step::Start => records.push(route.start()),
                Step::Finish(at, outcome) if at < records.len() => {
                    records.swap_remove(at).finish(outcome);
                    expected[outcome.index()] += 1;
                }
                Step::Drop(at) if at < records.len() => {
                    drop(records.swap_remove(at));
                    expected[Outcome::Abandoned.index()] += 1;
                }
                Step::Panic(at) if at < records.len() => {
                    let record = records.swap_remove(at);
                    let panicked = catch_unwind(AssertUnwindSafe(|| {
                        let _record = record;
                        resume_unwind(Box::new("as a bug would"))
                    }));
                    prop_assert!(panicked.is_err());
                    expected[Outcome::Abandoned.index()] += 1;
                }
                Step::Finish(..) | Step::Drop(_) | Step::Panic(_) => {}
            }
            prop_assert_eq!(Outcome::ALL.map(|outcome| route.requests(outcome)), expected);
        }
    }
}
