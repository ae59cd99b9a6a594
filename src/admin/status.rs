//! The status document. Holds nothing of a caller's but Twilio's identifiers.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Map, Value, json};

use super::drills;
use crate::exchange::{Route, Site};
use crate::metrics;
use crate::outcome::{Outcome, Reason};
use crate::reload::Reloader;

/// The status as it is now.
pub(super) fn of(site: &Site, reloader: &Reloader) -> Value {
    let settings = &site.upstream.settings;
    let census = &site.upstream.census;
    let failures = site.shared.failures.latest();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": metrics::revision(),
        "config": reloader.last(),
        "upstream": {
            "url": format!("http://{}:{}", settings.host, settings.port),
            "connections": { "idle": census.idle(), "busy": census.busy(), "opened": census.opened() },
        },
        "routes": site.all_routes().map(|r| route(r)).collect::<Vec<_>>(),
        "failures": failures.iter().map(|failure| json!(**failure)).collect::<Vec<_>>(),
    })
}

fn route(route: &Route) -> Value {
    let (settings, metrics) = (&route.settings, &route.metrics);
    let requests = Outcome::ALL.map(|outcome| (outcome.label(), metrics.requests(outcome)));
    let fallbacks = Reason::ALL.map(|reason| (reason.label(), metrics.fallbacks(reason)));
    json!({
        "name": settings.name,
        "kind": settings.kind.as_str(),
        "path": settings.pattern.path.to_string(),
        "host": settings.pattern.host,
        "methods": settings.pattern.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
        "fallback_since_seconds": Some(metrics.on_fallback.get()).filter(|since| *since > 0.0),
        "breaker": route.breaker.state().label(),
        "deadline_seconds": settings.deadline.as_secs_f64(),
        "in_flight": metrics.in_flight.load(Relaxed),
        "drill": drills::shown(route),
        "drill_last_success_seconds": metrics.drill_success.get(),
        "requests": counts(requests),
        "fallbacks": counts(fallbacks.into_iter().filter(|(_, count)| *count > 0)),
    })
}

fn counts(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    counts
        .into_iter()
        .map(|(label, count)| (label.to_owned(), count.into()))
        .collect()
}
