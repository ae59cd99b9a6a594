//! The families that have series for each route, and how the other families are registered.
//!
//! The series of routes are written as text from where they are counted. For 1,000 routes, values of the crate `prometheus` took
//! 26 MB and four times as long.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::histogram::{BOUNDS, Histogram};
use super::number::Counter;
use super::queue::{ENQUEUED, QueueMetrics, REFUSED};
use super::route::RouteMetrics;
use crate::failure::{Outcome, Reason};

const IN_MEMORY: &str = "writing to memory does not fail";

/// A family that has series for each route, read from a `T`.
pub(super) struct Family<T> {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    write: fn(&T, &mut Series<'_>),
}

/// The name of a label, and its value, escaped.
type Label<'l> = (&'l str, &'l str);

/// Where the series of one route in one family are written.
struct Series<'s> {
    family: &'static str,
    route: &'s str,
    text: &'s mut String,
}

/// A route as it is configured.
pub struct ConfiguredRoute<'r> {
    /// Its name.
    pub name: &'r str,
    /// Its kind, as in the configuration.
    pub kind: &'r str,
    /// Its mode, as in the configuration.
    pub mode: &'r str,
    /// The name of its upstream.
    pub upstream: &'r str,
    /// Its deadline.
    pub deadline: Duration,
}

/// Writes these families in Prometheus's text format, without those that have no series.
pub(super) fn encode<'r, T: 'r>(
    families: &[Family<T>],
    routes: impl Iterator<Item = (&'r str, &'r T)> + Clone,
    text: &mut String,
) {
    for Family {
        name,
        help,
        kind,
        write,
    } in families
    {
        let start = text.len();
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect(IN_MEMORY);
        let before = text.len();
        for (route, values) in routes.clone() {
            let mut series = Series {
                family: name,
                route: &escape(route),
                text,
            };
            write(values, &mut series);
        }
        if text.len() == before {
            text.truncate(start);
        }
    }
}

impl Series<'_> {
    /// Adds the only series of the route.
    fn one(&mut self, value: impl Display) {
        self.add("", &[], &[], value);
    }

    /// Adds series of a queue, if the route has one.
    fn of_queue(&mut self, route: &RouteMetrics, write: fn(&QueueMetrics, &mut Self)) {
        if let Some(queue) = route.queue.get() {
            write(queue, self);
        }
    }

    /// Adds a series for each of these values of a label.
    fn counters<const N: usize>(
        &mut self,
        label: &str,
        values: [&str; N],
        counters: &[Counter; N],
    ) {
        for (value, counter) in values.iter().zip(counters) {
            self.add("", &[(label, value)], &[], counter.get());
        }
    }

    /// Adds a histogram from its first observation on: its buckets are many series, and most outcomes never happen.
    fn histogram(&mut self, labels: &[Label<'_>], histogram: &Histogram) {
        let counts = histogram.cumulative_counts();
        let count = counts[BOUNDS.len()];
        if count == 0 {
            return;
        }
        for (bound, count) in BOUNDS.iter().zip(counts) {
            self.add("_bucket", labels, &[("le", &bound.to_string())], count);
        }
        self.add("_bucket", labels, &[("le", "+Inf")], count);
        self.add("_sum", labels, &[], histogram.sum());
        self.add("_count", labels, &[], count);
    }

    /// Adds a series with these labels before and after `route`.
    fn add(
        &mut self,
        suffix: &str,
        before: &[Label<'_>],
        after: &[Label<'_>],
        value: impl Display,
    ) {
        self.text.extend([self.family, suffix]);
        let route = [("route", self.route)];
        let mut separator = "{";
        for (name, value) in before.iter().chain(&route).chain(after) {
            self.text.extend([separator, name, "=\"", value, "\""]);
            separator = ",";
        }
        writeln!(self.text, "}} {value}").expect(IN_MEMORY);
    }
}

/// A label's value as it is written between quotation marks.
fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    let value = value.replace('\\', r"\\").replace('"', r#"\""#);
    Cow::Owned(value.replace('\n', r"\n"))
}

impl ConfiguredRoute<'_> {
    pub(super) const FAMILIES: [Family<Self>; 2] = [
        Family {
            name: "understudy_route_info",
            help: "Kind, mode and upstream of a configured route; always 1.",
            kind: "gauge",
            write: |route, series| {
                let before = [("kind", route.kind), ("mode", route.mode)];
                series.add("", &before, &[("upstream", &escape(route.upstream))], 1);
            },
        },
        Family {
            name: "understudy_route_deadline_seconds",
            help: "Deadline of a configured route.",
            kind: "gauge",
            write: |route, series| series.one(route.deadline.as_secs_f64()),
        },
    ];
}

impl RouteMetrics {
    pub(super) const FAMILIES: [Family<Self>; 21] = [
        Family {
            name: "understudy_requests_total",
            help: "Requests, by outcome.",
            kind: "counter",
            write: |route, series| {
                for outcome in Outcome::ALL {
                    series.add(
                        "",
                        &[("outcome", outcome.label())],
                        &[],
                        route.requests(outcome),
                    );
                }
            },
        },
        Family {
            name: "understudy_fallback_activations_total",
            help: "Fallback responses, by reason.",
            kind: "counter",
            write: |route, series| {
                series.counters("reason", Reason::ALL.map(Reason::label), &route.fallbacks)
            },
        },
        Family {
            name: "understudy_observed_failures_total",
            help: "Responses that mode enforce would have replaced, by reason.",
            kind: "counter",
            write: |route, series| {
                if let Some(failures) = route.observed_failures.get() {
                    series.counters("reason", Reason::ALL.map(Reason::label), failures);
                }
            },
        },
        Family {
            name: "understudy_twiml_warnings_total",
            help: "Warnings that Twilio would log for a response, by Twilio's code.",
            kind: "counter",
            write: |route, series| {
                for (code, count) in route.warnings() {
                    series.add("", &[("code", &code.to_string())], &[], count);
                }
            },
        },
        Family {
            name: "understudy_request_duration_seconds",
            help: "Time from the request head received to the response ready, by outcome.",
            kind: "histogram",
            write: |route, series| {
                for outcome in Outcome::ALL {
                    let labels = [("outcome", outcome.label())];
                    series.histogram(&labels, &route.request_seconds[outcome.index()]);
                }
            },
        },
        Family {
            name: "understudy_upstream_duration_seconds",
            help: "Time from the request head received to the app's response received.",
            kind: "histogram",
            write: |route, series| series.histogram(&[], &route.upstream_seconds),
        },
        Family {
            name: "understudy_in_flight_requests",
            help: "Requests in flight.",
            kind: "gauge",
            write: |route, series| series.one(route.in_flight.load(Relaxed)),
        },
        Family {
            name: "understudy_late_answers_total",
            help: "Responses of the app that came after the deadline.",
            kind: "counter",
            write: |route, series| series.one(route.late_responses.get()),
        },
        Family {
            name: "understudy_retries_total",
            help: "Requests that were sent to the app a second time, by result.",
            kind: "counter",
            write: |route, series| {
                series.counters("result", ["success", "failure"], &route.retries)
            },
        },
        Family {
            name: "understudy_signature_checks_total",
            help: "Signatures that were checked, by result.",
            kind: "counter",
            write: |route, series| {
                series.counters(
                    "result",
                    ["valid", "invalid", "missing"],
                    &route.signature_checks,
                )
            },
        },
        Family {
            name: "understudy_breaker_state",
            help: "State of the circuit breaker: 0 closed, 1 half-open, 2 open.",
            kind: "gauge",
            write: |route, series| series.one(route.breaker_state.get()),
        },
        Family {
            name: "understudy_fallback_since_timestamp_seconds",
            help: "Time since which the route has been serving from fallback; 0 if it is not.",
            kind: "gauge",
            write: |route, series| series.one(route.fallback_since.get()),
        },
        Family {
            name: "understudy_drill_active",
            help: "Whether a drill is running: 1 or 0.",
            kind: "gauge",
            write: |route, series| series.one(route.drill_active.get()),
        },
        Family {
            name: "understudy_drill_last_success_timestamp_seconds",
            help: "Time at which a drill last succeeded; 0: never.",
            kind: "gauge",
            write: |route, series| series.one(route.drill_success.get()),
        },
        Family {
            name: "understudy_queue_depth",
            help: "Callbacks that wait to be delivered.",
            kind: "gauge",
            write: |route, series| {
                series.of_queue(route, |queue, series| series.one(queue.depth.get()));
            },
        },
        Family {
            name: "understudy_queue_oldest_seconds",
            help: "How long the oldest callback has been waiting; 0 if none waits.",
            kind: "gauge",
            write: |route, series| {
                series.of_queue(route, |queue, series| series.one(queue.oldest.get()));
            },
        },
        Family {
            name: "understudy_queue_dead_letters",
            help: "Callbacks that are kept and not tried again.",
            kind: "gauge",
            write: |route, series| {
                series.of_queue(route, |queue, series| series.one(queue.dead_letters.get()));
            },
        },
        Family {
            name: "understudy_queue_enqueued_total",
            help: "Callbacks that were stored, by reason.",
            kind: "counter",
            write: |route, series| {
                series.of_queue(route, |queue, series| {
                    series.counters("reason", ENQUEUED, &queue.enqueued);
                });
            },
        },
        Family {
            name: "understudy_queue_delivered_total",
            help: "Queued callbacks that the app has taken.",
            kind: "counter",
            write: |route, series| {
                series.of_queue(route, |queue, series| series.one(queue.delivered.get()));
            },
        },
        Family {
            name: "understudy_queue_expired_total",
            help: "Queued callbacks that became dead letters because of their age.",
            kind: "counter",
            write: |route, series| {
                series.of_queue(route, |queue, series| series.one(queue.expired.get()));
            },
        },
        Family {
            name: "understudy_queue_refused_total",
            help: "Callbacks that could not be stored, by reason: they are lost.",
            kind: "counter",
            write: |route, series| {
                series.of_queue(route, |queue, series| {
                    series.counters("reason", REFUSED, &queue.refused);
                });
            },
        },
    ];
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
