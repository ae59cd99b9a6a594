//! The metrics of the process, for Prometheus.
//!
//! Each family has its name in one place: here those of the process, in `families` those of the routes. Every series of a route
//! exists at 0 from the start, since `increase()` never sees a counter that appears at 1. [`RequestRecord`] counts each request
//! once, however it ends.

mod families;
mod histogram;
mod number;
mod queue;
mod route;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

pub use families::ConfiguredRoute;
pub use queue::QueueMetrics;
pub use route::{RequestRecord, RouteMetrics};

use crate::failure::Outcome;
use crate::log;
use crate::recent_failures::now;
use crate::upstream::ConnectionStats;
use families::Registrar;

/// The metrics of the process.
pub struct Metrics {
    registry: Registry,
    routes: Mutex<BTreeMap<String, Arc<RouteMetrics>>>,
    upstreams: Mutex<BTreeMap<String, Arc<ConnectionStats>>>,
    /// Open connections of clients.
    pub client_connections: IntGauge,
    /// Idle connections of clients that were closed because new ones needed their places.
    pub evicted_connections: IntCounter,
    /// Open tunnels: client connections that have switched protocols.
    pub tunnels: IntGauge,
    last_reload_success: IntGauge,
    last_reload_time: Gauge,
    reloads: IntCounterVec,
    certificates: IntGaugeVec,
    upstream_connections: IntGaugeVec,
    opened_connections: IntCounterVec,
    dropped_log_lines: IntCounter,
}

impl Metrics {
    /// The metrics of a new process, which has no route yet.
    pub fn new() -> Arc<Self> {
        let registry = Registry::new();
        let registrar = Registrar(&registry);
        let metrics = Self {
            routes: Mutex::default(),
            upstreams: Mutex::default(),
            client_connections: registrar.gauge(
                "understudy_client_connections",
                "Open connections of clients.",
            ),
            evicted_connections: registrar.counter(
                "understudy_client_connections_evicted_total",
                "Idle connections of clients that were closed because new ones needed their places.",
            ),
            tunnels: registrar.gauge(
                "understudy_tunnels",
                "Open tunnels: client connections that have switched to another protocol, such as WebSocket.",
            ),
            last_reload_success: registrar.gauge(
                "understudy_config_last_reload_successful",
                "Whether the last reload of the configuration succeeded: 1 or 0.",
            ),
            last_reload_time: registrar.float_gauge(
                "understudy_config_last_reload_success_timestamp_seconds",
                "Time at which the configuration in force was loaded.",
            ),
            reloads: registrar.counters(
                "understudy_config_reloads_total",
                "Reloads of the configuration, by result.",
                &["result"],
            ),
            certificates: registrar.gauges(
                "understudy_tls_certificate_not_after_timestamp_seconds",
                "Time at which a certificate expires.",
                &["cert"],
            ),
            upstream_connections: registrar.gauges(
                "understudy_upstream_connections",
                "Open connections to an app, by state.",
                &["upstream", "state"],
            ),
            opened_connections: registrar.counters(
                "understudy_upstream_connections_opened_total",
                "Connections to an app that were opened.",
                &["upstream"],
            ),
            dropped_log_lines: registrar.counter(
                "understudy_log_lines_dropped_total",
                "Log lines that were dropped because their reader was too slow.",
            ),
            registry,
        };
        metrics.register_process();
        Arc::new(metrics)
    }

    /// Registers what describes the process, and sets what holds at its start.
    fn register_process(&self) {
        let registrar = Registrar(&self.registry);
        let build = registrar.gauges(
            "understudy_build_info",
            "Version and revision of understudy; always 1.",
            &["version", "revision"],
        );
        let labels = [env!("CARGO_PKG_VERSION"), revision()];
        build.with_label_values(&labels).set(1);
        registrar.add(ProcessCollector::for_self());
        for result in ["success", "failure"] {
            self.reloads.with_label_values(&[result]);
        }
        self.last_reload_success.set(1);
        self.last_reload_time.set(now());
    }

    /// The metrics of a route: the same ones each time for the same name.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        Arc::clone(lock(&self.routes).entry(name.to_owned()).or_default())
    }

    /// How many requests were counted, on all routes that ever were.
    pub fn requests(&self) -> u64 {
        let routes = lock(&self.routes);
        let of_route = |route: &Arc<RouteMetrics>| {
            let counts = Outcome::ALL.iter();
            counts.map(|outcome| route.requests(*outcome)).sum::<u64>()
        };
        routes.values().map(of_route).sum()
    }

    /// Calls this with each route that has series of a queue.
    pub fn for_each_queue(&self, mut set: impl FnMut(&str, &QueueMetrics)) {
        for (name, route) in &*lock(&self.routes) {
            if let Some(queue) = route.queue.get() {
                set(name, queue);
            }
        }
    }

    /// The connections to an upstream, counted: the same counts each time for the same name.
    pub fn upstream(&self, name: &str) -> Arc<ConnectionStats> {
        Arc::clone(lock(&self.upstreams).entry(name.to_owned()).or_default())
    }

    /// Counts a reload, and whether it succeeded. A failed one leaves the old configuration in force.
    pub fn record_reload(&self, success: bool) {
        let result = if success { "success" } else { "failure" };
        self.reloads.with_label_values(&[result]).inc();
        self.last_reload_success.set(success.into());
        if success {
            self.last_reload_time.set(now());
        }
    }

    /// Sets when each certificate in use expires, in seconds since 1970, and removes all others.
    pub fn set_certificates<'c>(&self, expiries: impl Iterator<Item = (&'c str, i64)>) {
        self.certificates.reset();
        for (name, expiry) in expiries {
            self.certificates.with_label_values(&[name]).set(expiry);
        }
    }

    /// All metrics in Prometheus's text format, with these routes as the configured ones.
    pub fn encode(&self, configured: &[ConfiguredRoute<'_>]) -> String {
        self.refresh();
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .expect("writing to memory does not fail");
        let routes = configured.iter().map(|route| (route.name, route));
        families::encode(&ConfiguredRoute::FAMILIES, routes, &mut text);
        let routes = lock(&self.routes);
        let routes = routes.iter().map(|(name, route)| (&**name, &**route));
        families::encode(&RouteMetrics::FAMILIES, routes, &mut text);
        text
    }

    /// Copies what is counted elsewhere.
    fn refresh(&self) {
        for (name, stats) in &*lock(&self.upstreams) {
            for (state, count) in [("idle", stats.idle()), ("busy", stats.busy())] {
                let connections = self.upstream_connections.with_label_values(&[name, state]);
                connections.set(count);
            }
            let opened = self.opened_connections.with_label_values(&[name]);
            raise_to(&opened, stats.opened());
        }
        raise_to(&self.dropped_log_lines, log::dropped_lines());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn raise_to(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

/// The revision that the binary was built from, if it was set for the build.
pub fn revision() -> &'static str {
    option_env!("UNDERSTUDY_REVISION").unwrap_or("unknown")
}

#[cfg(test)]
mod tests;
