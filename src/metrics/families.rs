//! The metric families that have series for each route, and how the other families are registered.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{
    Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::histogram::Histogram;
use super::route::{Counter, RouteMetrics};
use crate::failure::{Outcome, Reason};

/// The series of every route, read when they are exported.
#[derive(Clone)]
pub(super) struct RouteFamilies {
    families: Arc<[Family]>,
    routes: Arc<Mutex<BTreeMap<String, Arc<RouteMetrics>>>>,
}

/// A family that has series for each route.
struct Family {
    desc: Desc,
    kind: MetricType,
    read: Read,
}

type Read = fn(&RouteMetrics, &mut Series<'_>);

/// The series of one family.
struct Series<'f> {
    labels: &'f [String],
    route: &'f str,
    metrics: Vec<Metric>,
}

impl RouteFamilies {
    pub(super) fn new() -> Self {
        Self {
            families: Family::all().into(),
            routes: Arc::default(),
        }
    }

    /// The series of a route: the same ones each time for the same name.
    pub(super) fn route(&self, name: &str) -> Arc<RouteMetrics> {
        Arc::clone(self.routes().entry(name.to_owned()).or_default())
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<String, Arc<RouteMetrics>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for RouteFamilies {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().map(|family| &family.desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let routes = self.routes();
        let families = self.families.iter();
        families.map(|family| family.collect(&routes)).collect()
    }
}

impl Family {
    fn collect(&self, routes: &BTreeMap<String, Arc<RouteMetrics>>) -> MetricFamily {
        let mut series = Series {
            labels: &self.desc.variable_labels,
            route: "",
            metrics: Vec::new(),
        };
        for (name, route) in routes {
            series.route = name;
            (self.read)(route, &mut series);
        }
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(self.kind);
        family.set_metric(series.metrics);
        family
    }
}

impl Series<'_> {
    fn counters<const N: usize>(&mut self, values: [&str; N], counters: &[Counter; N]) {
        for (value, counter) in values.iter().zip(counters) {
            self.counter(value, counter.get());
        }
    }

    fn counter(&mut self, value: &str, count: u64) {
        let mut counter = proto::Counter::default();
        counter.set_value(count as f64);
        self.add(value).set_counter(counter);
    }

    fn gauge(&mut self, number: f64) {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(number);
        self.add("").set_gauge(gauge);
    }

    /// Adds a histogram from its first observation on: its buckets are many series, and most outcomes never happen.
    fn histogram(&mut self, value: &str, histogram: &Histogram) {
        if histogram.count() > 0 {
            self.add(value).set_histogram(histogram.to_proto());
        }
    }

    /// Adds a series with this value of the label beside `route`, if the family has one.
    fn add(&mut self, value: &str) -> &mut Metric {
        let labels = self.labels.iter().map(|name| {
            let mut label = LabelPair::default();
            label.set_value(if name == ROUTE { self.route } else { value }.to_owned());
            label.set_name(name.clone());
            label
        });
        self.metrics.push(Metric::from_label(labels.collect()));
        self.metrics.last_mut().expect("it was added")
    }
}

/// The label that every series here has.
const ROUTE: &str = "route";

impl Family {
    fn new(kind: MetricType, name: &str, help: &str, labels: &[&str], read: Read) -> Self {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new());
        Self {
            desc: desc.expect("its name and labels are valid"),
            kind,
            read,
        }
    }

    /// Every family. Labels are in alphabetical order.
    fn all() -> [Self; 14] {
        [
            Self::new(
                MetricType::COUNTER,
                "understudy_requests_total",
                "Requests, by outcome.",
                &["outcome", ROUTE],
                |route, series| {
                    for outcome in Outcome::ALL {
                        series.counter(outcome.label(), route.requests(outcome));
                    }
                },
            ),
            Self::new(
                MetricType::COUNTER,
                "understudy_fallback_activations_total",
                "Fallback responses, by reason.",
                &["reason", ROUTE],
                |route, series| series.counters(Reason::ALL.map(Reason::label), &route.fallbacks),
            ),
            Self::new(
                MetricType::COUNTER,
                "understudy_observed_failures_total",
                "Responses that mode enforce would have replaced, by reason.",
                &["reason", ROUTE],
                |route, series| {
                    if let Some(failures) = route.observed_failures.get() {
                        series.counters(Reason::ALL.map(Reason::label), failures);
                    }
                },
            ),
            Self::new(
                MetricType::COUNTER,
                "understudy_twiml_warnings_total",
                "Warnings that Twilio would log for a response, by Twilio's code.",
                &["code", ROUTE],
                |route, series| {
                    for (code, count) in route.warnings() {
                        series.counter(&code.to_string(), count);
                    }
                },
            ),
            Self::new(
                MetricType::HISTOGRAM,
                "understudy_request_duration_seconds",
                "Time from the request head received to the response ready, by outcome.",
                &["outcome", ROUTE],
                |route, series| {
                    for outcome in Outcome::ALL {
                        series.histogram(outcome.label(), &route.request_seconds[outcome.index()]);
                    }
                },
            ),
            Self::new(
                MetricType::HISTOGRAM,
                "understudy_upstream_duration_seconds",
                "Time from the request head received to the app's response received.",
                &[ROUTE],
                |route, series| series.histogram("", &route.upstream_seconds),
            ),
            Self::new(
                MetricType::GAUGE,
                "understudy_in_flight_requests",
                "Requests in flight.",
                &[ROUTE],
                |route, series| series.gauge(route.in_flight.load(Relaxed) as f64),
            ),
            Self::new(
                MetricType::COUNTER,
                "understudy_late_answers_total",
                "Responses of the app that came after the deadline.",
                &[ROUTE],
                |route, series| series.counter("", route.late_responses.get()),
            ),
            Self::new(
                MetricType::COUNTER,
                "understudy_retries_total",
                "Requests that were sent to the app a second time, by result.",
                &["result", ROUTE],
                |route, series| series.counters(["success", "failure"], &route.retries),
            ),
            Self::new(
                MetricType::COUNTER,
                "understudy_signature_checks_total",
                "Signatures that were checked, by result.",
                &["result", ROUTE],
                |route, series| {
                    series.counters(["valid", "invalid", "missing"], &route.signature_checks)
                },
            ),
            Self::new(
                MetricType::GAUGE,
                "understudy_breaker_state",
                "State of the circuit breaker: 0 closed, 1 half-open, 2 open.",
                &[ROUTE],
                |route, series| series.gauge(route.breaker_state.get()),
            ),
            Self::new(
                MetricType::GAUGE,
                "understudy_fallback_since_timestamp_seconds",
                "Time since which the route has been serving from fallback; 0 if it is not.",
                &[ROUTE],
                |route, series| series.gauge(route.fallback_since.get()),
            ),
            Self::new(
                MetricType::GAUGE,
                "understudy_drill_active",
                "Whether a drill is running: 1 or 0.",
                &[ROUTE],
                |route, series| series.gauge(route.drill_active.get()),
            ),
            Self::new(
                MetricType::GAUGE,
                "understudy_drill_last_success_timestamp_seconds",
                "Time at which a drill last succeeded; 0: never.",
                &[ROUTE],
                |route, series| series.gauge(route.drill_success.get()),
            ),
        ]
    }
}

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
