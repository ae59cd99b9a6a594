//! The series that every route has, as Prometheus's registry keeps them.

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::{
    BREAKER, BUCKETS, DRILL, DRILL_SUCCESS, FALLBACKS, IN_FLIGHT, LATE, OBSERVED, ON_FALLBACK,
    REQUEST_SECONDS, REQUESTS, RETRIES, SIGNATURES, UPSTREAM_SECONDS, WARNINGS,
};

pub(super) struct Families {
    pub(super) requests: IntCounterVec,
    pub(super) fallbacks: IntCounterVec,
    pub(super) observed: IntCounterVec,
    pub(super) warnings: IntCounterVec,
    pub(super) request_seconds: HistogramVec,
    pub(super) upstream_seconds: HistogramVec,
    pub(super) in_flight: IntGaugeVec,
    pub(super) late: IntCounterVec,
    pub(super) retries: IntCounterVec,
    pub(super) signatures: IntCounterVec,
    pub(super) breaker: IntGaugeVec,
    pub(super) on_fallback: GaugeVec,
    pub(super) drill: IntGaugeVec,
    pub(super) drill_success: GaugeVec,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            requests: kept(
                registry,
                counters(REQUESTS, "Calls, by how they ended.", &["route", "outcome"]),
            ),
            fallbacks: kept(
                registry,
                counters(FALLBACKS, "Fallbacks served, by why.", &["route", "reason"]),
            ),
            observed: kept(
                registry,
                counters(
                    OBSERVED,
                    "Answers that enforcing would have replaced.",
                    &["route", "reason"],
                ),
            ),
            warnings: kept(
                registry,
                counters(
                    WARNINGS,
                    "Warnings that Twilio would log, by its code.",
                    &["route", "code"],
                ),
            ),
            request_seconds: kept(
                registry,
                histograms(
                    REQUEST_SECONDS,
                    "From the head received to the answer ready.",
                    &["route", "outcome"],
                ),
            ),
            upstream_seconds: kept(
                registry,
                histograms(
                    UPSTREAM_SECONDS,
                    "From the head received to the app's answer whole.",
                    &["route"],
                ),
            ),
            breaker: kept(
                registry,
                gauges(BREAKER, "0 closed, 1 half-open, 2 open.", &["route"]),
            ),
            on_fallback: kept(
                registry,
                timestamps(
                    ON_FALLBACK,
                    "Since when the route has been serving from fallback; 0: it is not.",
                    &["route"],
                ),
            ),
            drill: kept(
                registry,
                gauges(DRILL, "Whether a drill is on: 1, or 0.", &["route"]),
            ),
            drill_success: kept(
                registry,
                timestamps(
                    DRILL_SUCCESS,
                    "When a drill last found the fallback good; 0: never.",
                    &["route"],
                ),
            ),
            in_flight: kept(registry, gauges(IN_FLIGHT, "Calls under way.", &["route"])),
            late: kept(
                registry,
                counters(LATE, "Answers that came after the deadline.", &["route"]),
            ),
            retries: kept(
                registry,
                counters(
                    RETRIES,
                    "Second tries, by their result.",
                    &["route", "result"],
                ),
            ),
            signatures: kept(
                registry,
                counters(
                    SIGNATURES,
                    "Signatures that were checked, by what was found.",
                    &["route", "result"],
                ),
            ),
        }
    }
}

pub(super) const GOOD: &str = "names and labels here are good, and each is registered once";

pub(super) fn kept<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    series: C,
) -> C {
    registry.register(Box::new(series.clone())).expect(GOOD);
    series
}

pub(super) fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect(GOOD)
}

pub(super) fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), labels).expect(GOOD)
}

pub(super) fn timestamps(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    GaugeVec::new(Opts::new(name, help), labels).expect(GOOD)
}

pub(super) fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels).expect(GOOD)
}

pub(super) fn histograms(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
    HistogramVec::new(options, labels).expect(GOOD)
}
