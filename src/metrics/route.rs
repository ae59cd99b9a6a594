//! The series of one route, and the record that counts each of its requests once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use prometheus::{Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use tokio::time::Instant;

use super::families::RouteFamilies;
use crate::failure::{Outcome, Reason};
use crate::log::AccessLine;
use crate::recent_failures::now;
use crate::signature;

/// Warnings that a response can get for its head alone. Their series exist from the start; those of the grammar's warnings are
/// created when one occurs.
const HEAD_WARNINGS: [u32; 2] = [12200, 12300];

/// The series of one route, ready to count.
pub struct RouteMetrics {
    requests: [IntCounter; Outcome::ALL.len()],
    fallbacks: [IntCounter; Reason::ALL.len()],
    /// Only a route that observes has these.
    observed_failures: OnceLock<[IntCounter; Reason::ALL.len()]>,
    observed_family: IntCounterVec,
    warnings: IntCounterVec,
    route: String,
    request_seconds: [LazyHistogram; Outcome::ALL.len()],
    upstream_seconds: LazyHistogram,
    /// Requests in flight. The limit `max_in_flight` is compared with it too.
    pub in_flight: AtomicUsize,
    in_flight_gauge: IntGauge,
    /// Responses of the upstream that came after the deadline.
    pub late_responses: IntCounter,
    /// By result: success, failure.
    retries: [IntCounter; 2],
    /// By result: valid, invalid, missing.
    signature_checks: [IntCounter; 3],
    /// 0 closed, 1 half-open, 2 open.
    pub breaker_state: IntGauge,
    /// Time since which the route has been serving from fallback, in seconds since 1970; 0 if it is not.
    pub fallback_since: Gauge,
    /// Whether a drill is running: 1 or 0.
    pub drill_active: IntGauge,
    /// Time at which a drill last succeeded, in seconds since 1970; 0: never.
    pub drill_success: Gauge,
}

/// A histogram that exists from its first observation. Its buckets are most of a route's series, and most outcomes never happen.
struct LazyHistogram {
    family: HistogramVec,
    histogram: OnceLock<Histogram>,
}

impl LazyHistogram {
    fn new(family: &HistogramVec) -> Self {
        Self {
            family: family.clone(),
            histogram: OnceLock::new(),
        }
    }

    fn observe(&self, labels: &[&str], seconds: f64) {
        let histogram = self
            .histogram
            .get_or_init(|| self.family.with_label_values(labels));
        histogram.observe(seconds);
    }
}

impl RouteMetrics {
    pub(super) fn new(families: &RouteFamilies, route: &str) -> Self {
        let name = &[route];
        for code in HEAD_WARNINGS {
            let labels = [route, &code.to_string()];
            families.warnings.with_label_values(&labels);
        }
        let by_outcome = |outcome: Outcome| [route, outcome.label()];
        let by_reason = |reason: Reason| [route, reason.label()];
        let by_result = |result| [route, result];
        Self {
            requests: Outcome::ALL.map(|o| families.requests.with_label_values(&by_outcome(o))),
            request_seconds: Outcome::ALL.map(|_| LazyHistogram::new(&families.request_seconds)),
            fallbacks: Reason::ALL.map(|r| families.fallbacks.with_label_values(&by_reason(r))),
            observed_failures: OnceLock::new(),
            observed_family: families.observed_failures.clone(),
            warnings: families.warnings.clone(),
            route: route.to_owned(),
            upstream_seconds: LazyHistogram::new(&families.upstream_seconds),
            in_flight: AtomicUsize::new(0),
            in_flight_gauge: families.in_flight.with_label_values(name),
            late_responses: families.late_responses.with_label_values(name),
            retries: ["success", "failure"]
                .map(|result| families.retries.with_label_values(&by_result(result))),
            signature_checks: ["valid", "invalid", "missing"].map(|result| {
                families
                    .signature_checks
                    .with_label_values(&by_result(result))
            }),
            breaker_state: families.breaker_state.with_label_values(name),
            fallback_since: families.fallback_since.with_label_values(name),
            drill_active: families.drill_active.with_label_values(name),
            drill_success: families.drill_success.with_label_values(name),
        }
    }

    /// Starts to measure a request.
    pub fn start(self: &Arc<Self>) -> RequestRecord {
        RequestRecord {
            route: Arc::clone(self),
            started: Instant::now(),
            is_counted: false,
            access: None,
        }
    }

    /// Counts a fallback response. One of a drill says nothing about the upstream.
    pub fn record_fallback(&self, reason: Reason) {
        self.fallbacks[reason.index()].inc();
        if reason != Reason::Drill && self.fallback_since.get() == 0.0 {
            self.fallback_since.set(now());
        }
    }

    /// Records that a drill served the fallback, or found it valid.
    pub fn record_drill_success(&self) {
        self.drill_success.set(now());
    }

    /// Counts a response that mode enforce would have replaced.
    pub fn record_observed_failure(&self, reason: Reason) {
        self.observed_failures()[reason.index()].inc();
    }

    /// The counters of a route that observes. They are there, at 0, from the first call.
    pub fn observed_failures(&self) -> &[IntCounter; Reason::ALL.len()] {
        let new = |reason: Reason| {
            let labels = [self.route.as_str(), reason.label()];
            self.observed_family.with_label_values(&labels)
        };
        self.observed_failures.get_or_init(|| Reason::ALL.map(new))
    }

    /// Records the time from the request head received to the upstream's response received.
    pub fn record_upstream_time(&self, seconds: f64) {
        self.upstream_seconds.observe(&[&self.route], seconds);
    }

    /// Counts a response for which Twilio will log a warning.
    pub fn record_warning(&self, code: u32) {
        let labels = [self.route.as_str(), &code.to_string()];
        self.warnings.with_label_values(&labels).inc();
    }

    /// Counts a request that was sent a second time.
    pub fn record_retry(&self, success: bool) {
        self.retries[usize::from(!success)].inc();
    }

    /// Counts a signature that was checked.
    pub fn record_signature_check(&self, result: Result<(), signature::Error>) {
        let index = match result {
            Ok(()) => 0,
            Err(signature::Error::Invalid) => 1,
            Err(signature::Error::Missing) => 2,
        };
        self.signature_checks[index].inc();
    }

    /// How many requests had this outcome.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests[outcome.index()].get()
    }

    /// How many fallback responses had this reason.
    pub fn fallbacks(&self, reason: Reason) -> u64 {
        self.fallbacks[reason.index()].get()
    }

    /// Copies what is counted elsewhere into its gauge.
    pub(super) fn refresh(&self) {
        let in_flight = self.in_flight.load(Relaxed);
        self.in_flight_gauge.set(in_flight as i64);
    }
}

/// Counts one request. If it is dropped before [`RequestRecord::finish`], it counts the request as abandoned: hyper drops the future
/// of a request when the client leaves.
#[must_use = "a request is counted when its record is finished or dropped"]
pub struct RequestRecord {
    route: Arc<RouteMetrics>,
    started: Instant,
    is_counted: bool,
    /// The request's line in the access log, if that is on.
    pub access: Option<Box<AccessLine>>,
}

impl RequestRecord {
    /// Counts the request with this outcome.
    pub fn finish(mut self, outcome: Outcome) {
        self.count(outcome);
    }

    /// When the request started.
    pub fn started(&self) -> Instant {
        self.started
    }

    fn count(&mut self, outcome: Outcome) {
        self.is_counted = true;
        self.route.requests[outcome.index()].inc();
        if outcome == Outcome::Upstream && self.route.fallback_since.get() != 0.0 {
            self.route.fallback_since.set(0.0);
        }
        let duration = self.started.elapsed();
        let labels = [self.route.route.as_str(), outcome.label()];
        self.route.request_seconds[outcome.index()].observe(&labels, duration.as_secs_f64());
        if let Some(access) = self.access.take() {
            access.write(outcome.label(), duration);
        }
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if !self.is_counted {
            self.count(Outcome::Abandoned);
        }
    }
}
