//! The series of one route, and the record that counts each of its requests once.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::histogram::Histogram;
use super::number::{Counter, Gauge};
use super::queue::QueueMetrics;
use crate::failure::{Outcome, Reason};
use crate::log::AccessLine;
use crate::recent_failures::now;
use crate::signature;

/// Warnings that a response can get for its head alone. Their series exist from the start; those of the grammar's warnings are
/// created when one occurs.
const HEAD_WARNINGS: [u32; 2] = [12200, 12300];

/// The series of one route. What every request writes comes first, so that it is in few cache lines.
#[derive(Default)]
#[repr(C)]
pub struct RouteMetrics {
    /// Requests in flight. The limit `max_in_flight` is compared with it too.
    pub in_flight: AtomicUsize,
    /// Time since which the route has been serving from fallback, in seconds since 1970; 0 if it is not.
    pub fallback_since: Gauge,
    /// By result: valid, invalid, missing.
    pub(super) signature_checks: [Counter; 3],
    pub(super) upstream_seconds: Histogram,
    /// By outcome. Each request is in one of them, so they count requests too.
    pub(super) request_seconds: [Histogram; Outcome::ALL.len()],
    pub(super) fallbacks: [Counter; Reason::ALL.len()],
    /// Only a route that observes has these.
    pub(super) observed_failures: OnceLock<[Counter; Reason::ALL.len()]>,
    /// Only a route whose callbacks are queued has these.
    pub(super) queue: OnceLock<Box<QueueMetrics>>,
    /// By Twilio's code: those that occurred.
    warnings: Mutex<BTreeMap<u32, u64>>,
    /// Responses of the upstream that came after the deadline.
    pub late_responses: Counter,
    /// By result: success, failure.
    pub(super) retries: [Counter; 2],
    /// 0 closed, 1 half-open, 2 open.
    pub breaker_state: Gauge,
    /// Whether a drill is running: 1 or 0.
    pub drill_active: Gauge,
    /// Time at which a drill last succeeded, in seconds since 1970; 0: never.
    pub drill_success: Gauge,
}

impl RouteMetrics {
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

    /// The counters of a route that observes, by reason. They are there, at 0, from the first call.
    pub fn observed_failures(&self) -> &[Counter; Reason::ALL.len()] {
        self.observed_failures.get_or_init(Default::default)
    }

    /// The series of a route whose callbacks are queued. They are there, at 0, from the first call.
    pub fn queue(&self) -> &QueueMetrics {
        self.queue.get_or_init(Default::default)
    }

    /// Records the time from the request head received to the upstream's response received.
    pub fn record_upstream_time(&self, time: Duration) {
        self.upstream_seconds.observe(time);
    }

    /// Counts a response for which Twilio will log a warning.
    pub fn record_warning(&self, code: u32) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        *warnings.entry(code).or_default() += 1;
    }

    /// How many responses had each warning, by Twilio's code.
    pub(super) fn warnings(&self) -> BTreeMap<u32, u64> {
        let occurred = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut warnings = BTreeMap::from(HEAD_WARNINGS.map(|code| (code, 0)));
        warnings.extend(occurred.iter());
        warnings
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
        self.request_seconds[outcome.index()].count()
    }

    /// How many fallback responses had this reason.
    pub fn fallbacks(&self, reason: Reason) -> u64 {
        self.fallbacks[reason.index()].get()
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
        if outcome == Outcome::Upstream && self.route.fallback_since.get() != 0.0 {
            self.route.fallback_since.set(0.0);
        }
        let duration = self.started.elapsed();
        self.route.request_seconds[outcome.index()].observe(duration);
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
