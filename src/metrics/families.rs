//! The metric families that have a series for each route, and how families are registered.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

/// The metric families that have a series for each route.
pub(super) struct RouteFamilies {
    pub(super) requests: IntCounterVec,
    pub(super) fallbacks: IntCounterVec,
    pub(super) observed_failures: IntCounterVec,
    pub(super) warnings: IntCounterVec,
    pub(super) request_seconds: HistogramVec,
    pub(super) upstream_seconds: HistogramVec,
    pub(super) in_flight: IntGaugeVec,
    pub(super) late_responses: IntCounterVec,
    pub(super) retries: IntCounterVec,
    pub(super) signature_checks: IntCounterVec,
    pub(super) breaker_state: IntGaugeVec,
    pub(super) fallback_since: GaugeVec,
    pub(super) drill_active: IntGaugeVec,
    pub(super) drill_success: GaugeVec,
}

impl RouteFamilies {
    pub(super) fn new(registrar: &Registrar<'_>) -> Self {
        Self {
            requests: registrar.counters(
                "understudy_requests_total",
                "Requests, by outcome.",
                &["route", "outcome"],
            ),
            fallbacks: registrar.counters(
                "understudy_fallback_activations_total",
                "Fallback responses, by reason.",
                &["route", "reason"],
            ),
            observed_failures: registrar.counters(
                "understudy_observed_failures_total",
                "Responses that mode enforce would have replaced, by reason.",
                &["route", "reason"],
            ),
            warnings: registrar.counters(
                "understudy_twiml_warnings_total",
                "Warnings that Twilio would log for a response, by Twilio's code.",
                &["route", "code"],
            ),
            request_seconds: registrar.histograms(
                "understudy_request_duration_seconds",
                "Time from the request head received to the response ready, by outcome.",
                &["route", "outcome"],
            ),
            upstream_seconds: registrar.histograms(
                "understudy_upstream_duration_seconds",
                "Time from the request head received to the app's response received.",
                &["route"],
            ),
            in_flight: registrar.gauges(
                "understudy_in_flight_requests",
                "Requests in flight.",
                &["route"],
            ),
            late_responses: registrar.counters(
                "understudy_late_answers_total",
                "Responses of the app that came after the deadline.",
                &["route"],
            ),
            retries: registrar.counters(
                "understudy_retries_total",
                "Requests that were sent to the app a second time, by result.",
                &["route", "result"],
            ),
            signature_checks: registrar.counters(
                "understudy_signature_checks_total",
                "Signatures that were checked, by result.",
                &["route", "result"],
            ),
            breaker_state: registrar.gauges(
                "understudy_breaker_state",
                "State of the circuit breaker: 0 closed, 1 half-open, 2 open.",
                &["route"],
            ),
            fallback_since: registrar.float_gauges(
                "understudy_fallback_since_timestamp_seconds",
                "Time since which the route has been serving from fallback; 0 if it is not.",
                &["route"],
            ),
            drill_active: registrar.gauges(
                "understudy_drill_active",
                "Whether a drill is running: 1 or 0.",
                &["route"],
            ),
            drill_success: registrar.float_gauges(
                "understudy_drill_last_success_timestamp_seconds",
                "Time at which a drill last succeeded; 0: never.",
                &["route"],
            ),
        }
    }
}

/// The upper bounds of the histograms, in seconds: from a cached document to the time that Twilio waits.
const BUCKETS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 12.0,
    15.0,
];

/// Makes metric families, and registers them.
pub(super) struct Registrar<'r>(pub(super) &'r Registry);

impl Registrar<'_> {
    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(name, help))
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::new(name, help))
    }

    pub(super) fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        self.register(HistogramVec::new(options, labels))
    }

    fn register<C: Collector + Clone + 'static>(&self, family: prometheus::Result<C>) -> C {
        let family = family.expect("its name and labels are valid");
        self.add(family.clone());
        family
    }

    pub(super) fn add(&self, collector: impl Collector + 'static) {
        let added = self.0.register(Box::new(collector));
        added.expect("each family is registered once");
    }
}
