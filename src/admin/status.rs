//! The status document. Of callers it holds nothing but Twilio's identifiers.
//!
//! Without a query (see [`super::query`]) it has every route. With `routes=200&history=yes`, as the status page asks, it stays
//! small however many there are. Its `summary` is always of all routes.
//!
//! - `version`, `revision`, `now_seconds` (by this machine's clock), `started_at_seconds`, `ready`: this process.
//! - `config`: when the configuration in force was loaded, and why the last reload failed, if it did.
//! - `upstreams`, `client_connections`: the apps, and connections on both sides.
//! - `signature`: the secrets that signatures are checked with, each by its name and when it last signed a valid request, the
//!   latest first; null if no route checks signatures.
//! - `summary`: how many routes serve from fallback, are down without one, have a drill, are observed; the first of those in
//!   trouble.
//! - `routes`, `routes_matching`: each route's settings, state, counts, drill, last failure, and, if requested, its `history`:
//!   how many requests ended in each of the last slots, and how many of them without a good response; null if none ended.
//! - `history`: how many slots there are, how long each is, and for how long the last one has been running.
//! - `queue`: how much waits, of how many bytes at most, and how many callbacks were found damaged; for each route that queues, or of
//!   which something is stored, how many wait and are dead, for how long the oldest has been waiting, in how many seconds the next
//!   one is due (0: at once), and why the last delivery failed; null if no queue is configured.
//! - `failures`: the last failures of all routes, each with its position and the masked line of the document.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Map, Value, json};

use super::drills;
use super::history::{History, Timeline};
use super::query::StatusQuery;
use super::queue;
use super::route_status::{self, RouteStatus};
use crate::failure::{Outcome, Reason};
use crate::metrics;
use crate::proxy::Snapshot;
use crate::recent_failures::now;
use crate::reload::Reloader;
use crate::upstream::Upstream;

/// What the document is made from.
pub(super) struct Sources<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) reloader: &'s Reloader,
    pub(super) history: &'s History,
    /// Whether requests are accepted.
    pub(super) ready: bool,
    /// In seconds since 1970.
    pub(super) started_at_seconds: f64,
}

/// The status as it is now.
pub(super) fn to_json(sources: &Sources<'_>, query: &StatusQuery) -> Value {
    let snapshot = sources.snapshot;
    let mut routes: Vec<_> = snapshot
        .all_routes()
        .map(|route| RouteStatus::new(route, snapshot, sources.history))
        .collect();
    let summary = route_status::summary(&routes, snapshot);
    routes.retain(|status| query.matches(status.route));
    let matching = routes.len();
    if let Some(most) = query.routes {
        route_status::sort_by_priority(&mut routes);
        routes.truncate(most);
    }
    let failures = snapshot.shared.failures.latest();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": metrics::revision(),
        "now_seconds": now(),
        "started_at_seconds": sources.started_at_seconds,
        "ready": sources.ready,
        "config": sources.reloader.status(),
        "upstreams": snapshot.upstreams.iter().map(|one| upstream(one)).collect::<Vec<_>>(),
        "client_connections": snapshot.shared.metrics.client_connections.get(),
        "signature": signature(snapshot),
        "summary": summary,
        "routes_matching": matching,
        "history": query.history.then(|| sources.history.to_json()),
        "routes": routes.iter().map(|status| route(status, query)).collect::<Vec<_>>(),
        "queue": queue::summary(snapshot, query.routes),
        "failures": failures.iter().map(|failure| json!(**failure)).collect::<Vec<_>>(),
    })
}

fn upstream(upstream: &Upstream) -> Value {
    let (settings, connections) = (&upstream.settings, &upstream.stats);
    json!({
        "name": settings.name,
        "url": settings.url(),
        "in_flight": upstream.in_flight.load(Relaxed),
        "connections": {
            "idle": connections.idle(),
            "busy": connections.busy(),
            "opened": connections.opened(),
        },
    })
}

fn signature(snapshot: &Snapshot) -> Option<Value> {
    let secrets = snapshot
        .all_routes()
        .find_map(|route| route.settings.signature.secret_usage())?;
    let secrets = secrets
        .into_iter()
        .map(|secret| json!({ "name": secret.name, "last_match_seconds": secret.last_match }));
    Some(json!({ "secrets": secrets.collect::<Vec<_>>() }))
}

fn route(status: &RouteStatus<'_>, query: &StatusQuery) -> Value {
    let route = status.route;
    let (settings, metrics) = (&route.settings, &route.metrics);
    let requests = Outcome::ALL.map(|outcome| (outcome.label(), metrics.requests(outcome)));
    let fallbacks = Reason::ALL.map(|reason| (reason.label(), metrics.fallbacks(reason)));
    let timeline = status.timeline.as_ref().filter(|_| query.history);
    json!({
        "name": settings.name,
        "kind": settings.kind.as_str(),
        "queues": route.queues(),
        "mode": settings.mode.as_str(),
        "path": settings.pattern.path.to_string(),
        "host": settings.pattern.host,
        "methods": settings.pattern.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
        "state": status.state,
        "fallback_since_seconds": status.fallback_since(),
        "breaker": route.breaker.state().label(),
        "deadline_seconds": settings.deadline.as_secs_f64(),
        "in_flight": metrics.in_flight.load(Relaxed),
        "drill": drills::current(route),
        "drill_last_success_seconds": metrics.drill_success.get(),
        "last_failure": status.last_failure,
        "history": timeline.map(Timeline::to_json),
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
