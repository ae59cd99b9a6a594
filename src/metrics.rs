//! What Prometheus sees. Names are constants here and nowhere else; every series of a route exists at 0 from the start, since
//! `increase()` never sees a counter that appears at 1.
//!
//! [`RequestRecord`] counts each call once, whatever becomes of it.

mod families;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use tokio::time::Instant;

use families::{Families, GOOD, counters, gauge, gauges, kept};

use crate::failure::{Outcome, Reason};
use crate::log::{self, Access};
use crate::recent_failures::now;
use crate::signature;
use crate::upstream::ConnectionStats;

const REQUESTS: &str = "understudy_requests_total";
const FALLBACKS: &str = "understudy_fallback_activations_total";
const OBSERVED: &str = "understudy_observed_failures_total";
const WARNINGS: &str = "understudy_twiml_warnings_total";
const REQUEST_SECONDS: &str = "understudy_request_duration_seconds";
const UPSTREAM_SECONDS: &str = "understudy_upstream_duration_seconds";
const IN_FLIGHT: &str = "understudy_in_flight_requests";
const LATE: &str = "understudy_late_answers_total";
const RETRIES: &str = "understudy_retries_total";
const SIGNATURES: &str = "understudy_signature_checks_total";
const BREAKER: &str = "understudy_breaker_state";
const ON_FALLBACK: &str = "understudy_fallback_since_timestamp_seconds";
const DRILL: &str = "understudy_drill_active";
const DRILL_SUCCESS: &str = "understudy_drill_last_success_timestamp_seconds";
const UPSTREAM_CONNECTIONS: &str = "understudy_upstream_connections";
const UPSTREAM_OPENED: &str = "understudy_upstream_connections_opened_total";
const CLIENT_CONNECTIONS: &str = "understudy_client_connections";
const RELOAD_OK: &str = "understudy_config_last_reload_successful";
const RELOAD_AT: &str = "understudy_config_last_reload_success_timestamp_seconds";
const RELOADS: &str = "understudy_config_reloads_total";
const CERTIFICATE: &str = "understudy_tls_certificate_not_after_timestamp_seconds";
const ROUTE: &str = "understudy_route_info";
const ROUTE_DEADLINE: &str = "understudy_route_deadline_seconds";
const LOG_DROPPED: &str = "understudy_log_lines_dropped_total";
const BUILD: &str = "understudy_build_info";

/// On the goals and the deadlines: from a cached page to Twilio's own 15 s.
const BUCKETS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 12.0,
    15.0,
];

/// Warnings that a page can have by its head alone; those of the grammar are added as they come.
const WARNING_CODES: [u32; 2] = [12200, 12300];

/// Every series of the process.
pub struct Metrics {
    registry: Registry,
    families: Families,
    routes: Mutex<HashMap<String, Arc<RouteMetrics>>>,
    census: Arc<ConnectionStats>,
    /// Client connections that are open.
    pub client_connections: IntGauge,
    /// What each route is for, as configured now.
    pub route_info: IntGaugeVec,
    /// Each route's deadline, as configured now.
    pub route_deadline: GaugeVec,
    reload_ok: IntGauge,
    reload_at: Gauge,
    reloads: IntCounterVec,
    certificates: IntGaugeVec,
    upstream_connections: IntGaugeVec,
    upstream_opened: IntCounter,
    log_dropped: IntCounter,
}

/// The series of one route, ready to count.
pub struct RouteMetrics {
    requests: [IntCounter; Outcome::ALL.len()],
    fallbacks: [IntCounter; Reason::ALL.len()],
    observed: [IntCounter; Reason::ALL.len()],
    warnings: IntCounterVec,
    route: String,
    request_seconds: [Histogram; Outcome::ALL.len()],
    /// How long the app took for an answer.
    pub upstream_seconds: Histogram,
    /// Calls under way; also what `max_in_flight` is held against.
    pub in_flight: AtomicUsize,
    in_flight_gauge: IntGauge,
    /// Answers that came after the deadline.
    pub late: IntCounter,
    retries: [IntCounter; 2],
    signatures: [IntCounter; 3],
    /// 0 closed, 1 half-open, 2 open.
    pub breaker_state: IntGauge,
    /// Since when every call has been answered by the fallback, in seconds since 1970; 0 if the last one wasn't.
    pub on_fallback: Gauge,
    /// Whether a drill is on: 1, or 0.
    pub drill_active: IntGauge,
    /// When a drill last found the fallback good, in seconds since 1970; 0: never.
    pub drill_success: Gauge,
}

impl Metrics {
    /// The series of a new process, none of any route yet.
    pub fn new(census: Arc<ConnectionStats>) -> Arc<Self> {
        let registry = Registry::new();
        let metrics = Self {
            families: Families::new(&registry),
            routes: Mutex::default(),
            census,
            client_connections: kept(
                &registry,
                gauge(CLIENT_CONNECTIONS, "Client connections that are open."),
            ),
            route_info: kept(
                &registry,
                gauges(
                    ROUTE,
                    "What each route is for: 1.",
                    &["route", "kind", "mode"],
                ),
            ),
            route_deadline: kept(
                &registry,
                GaugeVec::new(
                    Opts::new(ROUTE_DEADLINE, "Each route's deadline."),
                    &["route"],
                )
                .expect(GOOD),
            ),
            reload_ok: kept(
                &registry,
                gauge(RELOAD_OK, "Whether the last reload succeeded: 1, or 0."),
            ),
            reload_at: kept(
                &registry,
                Gauge::new(RELOAD_AT, "When the configuration was last loaded.").expect(GOOD),
            ),
            reloads: kept(
                &registry,
                counters(RELOADS, "Reloads of the configuration.", &["result"]),
            ),
            certificates: kept(
                &registry,
                gauges(CERTIFICATE, "When each certificate ends.", &["cert"]),
            ),
            upstream_connections: kept(
                &registry,
                gauges(
                    UPSTREAM_CONNECTIONS,
                    "Connections to the app that are open.",
                    &["state"],
                ),
            ),
            log_dropped: kept(
                &registry,
                IntCounter::new(
                    LOG_DROPPED,
                    "Lines of the log that were dropped, because whoever takes them stood still.",
                )
                .expect(GOOD),
            ),
            upstream_opened: kept(
                &registry,
                IntCounter::new(UPSTREAM_OPENED, "Connections to the app that were opened.")
                    .expect(GOOD),
            ),
            registry,
        };
        metrics.begin_process();
        Arc::new(metrics)
    }

    fn begin_process(&self) {
        let build = gauges(BUILD, "What runs here.", &["version", "revision"]);
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION"), revision()])
            .set(1);
        kept(&self.registry, build);
        let process = Box::new(ProcessCollector::for_self());
        self.registry.register(process).expect(GOOD);
        for result in ["success", "failure"] {
            self.reloads.with_label_values(&[result]);
        }
        self.reload_ok.set(1);
        self.note_load();
    }

    /// The series of a route, the same ones for the same name.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(RouteMetrics::new(&self.families, name));
        Arc::clone(routes.entry(name.to_owned()).or_insert_with(new))
    }

    /// A reload succeeded, or left the old configuration in place.
    pub fn reloaded(&self, success: bool) {
        let result = if success { "success" } else { "failure" };
        self.reloads.with_label_values(&[result]).inc();
        self.reload_ok.set(success.into());
        if success {
            self.note_load();
        }
    }

    /// These certificates, and no others, are shown, each until its second since 1970.
    pub fn certificates<'c>(&self, ends: impl Iterator<Item = (&'c str, i64)>) {
        self.certificates.reset();
        for (name, end) in ends {
            self.certificates.with_label_values(&[name]).set(end);
        }
    }

    fn note_load(&self) {
        self.reload_at.set(now());
    }

    /// Everything in Prometheus's text format.
    pub fn text(&self) -> Vec<u8> {
        self.refresh();
        let mut text = Vec::new();
        let encoder = TextEncoder::new();
        encoder
            .encode(&self.registry.gather(), &mut text)
            .expect("memory takes all");
        text
    }

    /// Gauges that are counted elsewhere, as they are now.
    fn refresh(&self) {
        let census = &self.census;
        self.upstream_connections
            .with_label_values(&["idle"])
            .set(census.idle());
        self.upstream_connections
            .with_label_values(&["busy"])
            .set(census.busy());
        self.upstream_opened
            .inc_by(census.opened().saturating_sub(self.upstream_opened.get()));
        self.log_dropped
            .inc_by(log::dropped_lines().saturating_sub(self.log_dropped.get()));
        for route in self
            .routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
        {
            route
                .in_flight_gauge
                .set(route.in_flight.load(Relaxed) as i64);
        }
    }
}

/// The commit this was built from, if the build was told.
pub fn revision() -> &'static str {
    option_env!("UNDERSTUDY_REVISION").unwrap_or("unknown")
}

impl RouteMetrics {
    fn new(families: &Families, route: &str) -> Self {
        for code in WARNING_CODES {
            families
                .warnings
                .with_label_values(&[route, &code.to_string()]);
        }
        Self {
            requests: Outcome::ALL
                .map(|o| families.requests.with_label_values(&[route, o.label()])),
            observed: Reason::ALL.map(|r| families.observed.with_label_values(&[route, r.label()])),
            fallbacks: Reason::ALL
                .map(|r| families.fallbacks.with_label_values(&[route, r.label()])),
            warnings: families.warnings.clone(),
            route: route.to_owned(),
            request_seconds: Outcome::ALL.map(|o| {
                families
                    .request_seconds
                    .with_label_values(&[route, o.label()])
            }),
            upstream_seconds: families.upstream_seconds.with_label_values(&[route]),
            in_flight: AtomicUsize::new(0),
            in_flight_gauge: families.in_flight.with_label_values(&[route]),
            breaker_state: families.breaker.with_label_values(&[route]),
            on_fallback: families.on_fallback.with_label_values(&[route]),
            drill_active: families.drill.with_label_values(&[route]),
            drill_success: families.drill_success.with_label_values(&[route]),
            late: families.late.with_label_values(&[route]),
            retries: ["success", "failure"]
                .map(|result| families.retries.with_label_values(&[route, result])),
            signatures: ["valid", "invalid", "missing"]
                .map(|result| families.signatures.with_label_values(&[route, result])),
        }
    }

    /// Begins to count a call.
    pub fn begin(self: &Arc<Self>) -> RequestRecord {
        RequestRecord {
            route: Arc::clone(self),
            began: Instant::now(),
            counted: false,
            access: None,
        }
    }

    /// A fallback was served. One of a drill says nothing of the app.
    pub fn fell_back(&self, reason: Reason) {
        self.fallbacks[reason.index()].inc();
        if reason != Reason::Drill && self.on_fallback.get() == 0.0 {
            self.on_fallback.set(now());
        }
    }

    /// A drill found the fallback good.
    pub fn drill_succeeded(&self) {
        self.drill_success.set(now());
    }

    /// An answer went back that a stricter mode would have replaced.
    pub fn observed(&self, reason: Reason) {
        self.observed[reason.index()].inc();
    }

    /// A page went back that Twilio will warn about.
    pub fn warned(&self, code: u32) {
        self.warnings
            .with_label_values(&[&self.route, &code.to_string()])
            .inc();
    }

    /// A second try was made.
    pub fn retried(&self, success: bool) {
        self.retries[usize::from(!success)].inc();
    }

    /// A signature was checked.
    pub fn checked(&self, found: Result<(), signature::Error>) {
        let at = match found {
            Ok(()) => 0,
            Err(signature::Error::Invalid) => 1,
            Err(signature::Error::Missing) => 2,
        };
        self.signatures[at].inc();
    }

    /// How many calls ended so.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests[outcome.index()].get()
    }

    /// How many fallbacks were served for this reason.
    pub fn fallbacks(&self, reason: Reason) -> u64 {
        self.fallbacks[reason.index()].get()
    }
}

/// Counts one call. Dropped before it was told an outcome, it counts the call as abandoned: hyper drops a call's future when
/// the client leaves.
#[must_use = "a call is counted when its tally ends"]
pub struct RequestRecord {
    route: Arc<RouteMetrics>,
    began: Instant,
    counted: bool,
    /// What the access log will say, where it is on.
    pub access: Option<Box<Access>>,
}

impl RequestRecord {
    /// The call ended so.
    pub fn finish(mut self, outcome: Outcome) {
        self.count(outcome);
    }

    /// When the call began.
    pub fn began(&self) -> Instant {
        self.began
    }

    fn count(&mut self, outcome: Outcome) {
        self.counted = true;
        self.route.requests[outcome.index()].inc();
        if outcome == Outcome::Upstream && self.route.on_fallback.get() != 0.0 {
            self.route.on_fallback.set(0.0);
        }
        let took = self.began.elapsed();
        self.route.request_seconds[outcome.index()].observe(took.as_secs_f64());
        if let Some(access) = self.access.take() {
            access.say(outcome.label(), took);
        }
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if !self.counted {
            self.count(Outcome::Abandoned);
        }
    }
}
