//! The status document. Holds nothing of a caller's but Twilio's identifiers.
//!
//! Without anything asked for (see [`super::view`]) it has every route; with `routes=200&history=yes`, as the page asks, it
//! stays small however many there are. Its numbers of all routes together, under `stage`, are there in any case.
//!
//! - `version`, `revision`, `now_seconds` (by this machine's clock), `started_at_seconds`, `ready`: this process.
//! - `config`: when the configuration in force was loaded, and why the last try changed nothing, if so.
//! - `upstreams`, `client_connections`: the apps, and connections on both sides.
//! - `signature`: the secrets that signatures are checked with, each by its name and when it last signed a valid request, the
//!   latest first; null if no route checks signatures.
//! - `stage`: how many routes are on the fallback, down without one, in a drill, observed; the first of those in trouble.
//! - `routes`, `routes_matching`: each route's settings, what is on its stage, counts, drill, last failure, and, if asked for,
//!   its `history`: calls that ended, and those without a good answer, in each of its last slots; null if none did.
//! - `history`: how many slots there are, how long each is, and for how long the last one has been running.
//! - `failures`: the last of all routes, each with its place and its line, masked.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Map, Value, json};

use super::drills;
use super::history::{History, Minutes};
use super::stage::{self, Standing};
use super::view::View;
use crate::failure::{Outcome, Reason};
use crate::metrics;
use crate::proxy::Snapshot;
use crate::recent_failures::now;
use crate::reload::Reloader;
use crate::upstream::Upstream;

/// What the document is made of.
pub(super) struct Sources<'s> {
    pub(super) site: &'s Snapshot,
    pub(super) reloader: &'s Reloader,
    pub(super) history: &'s History,
    /// Whether calls are taken.
    pub(super) ready: bool,
    /// Since when, in seconds since 1970.
    pub(super) started: f64,
}

/// The status as it is now.
pub(super) fn of(sources: &Sources<'_>, view: &View) -> Value {
    let site = sources.site;
    let routes = site.all_routes();
    let standings: Vec<_> = routes
        .map(|route| Standing::of(route, site, sources.history))
        .collect();
    let stage = stage::document(&standings, site);
    let mut shown: Vec<_> = standings
        .into_iter()
        .filter(|standing| view.has(standing.route))
        .collect();
    let matching = shown.len();
    if let Some(most) = view.routes {
        stage::sort(&mut shown);
        shown.truncate(most);
    }
    let failures = site.shared.failures.latest();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": metrics::revision(),
        "now_seconds": now(),
        "started_at_seconds": sources.started,
        "ready": sources.ready,
        "config": sources.reloader.status(),
        "upstreams": site.upstreams.iter().map(|one| upstream(one)).collect::<Vec<_>>(),
        "client_connections": site.shared.metrics.client_connections.get(),
        "signature": signature(site),
        "stage": stage,
        "routes_matching": matching,
        "history": view.history.then(|| sources.history.document()),
        "routes": shown.iter().map(|standing| route(standing, view)).collect::<Vec<_>>(),
        "failures": failures.iter().map(|failure| json!(**failure)).collect::<Vec<_>>(),
    })
}

fn upstream(upstream: &Upstream) -> Value {
    let (settings, stats) = (&upstream.settings, &upstream.stats);
    json!({
        "name": settings.name,
        "url": settings.url(),
        "in_flight": upstream.in_flight.load(Relaxed),
        "connections": { "idle": stats.idle(), "busy": stats.busy(), "opened": stats.opened() },
    })
}

fn signature(site: &Snapshot) -> Option<Value> {
    let secrets = site
        .all_routes()
        .find_map(|route| route.settings.signature.secret_usage())?;
    let secrets = secrets
        .into_iter()
        .map(|secret| json!({ "name": secret.name, "last_match_seconds": secret.last_match }));
    Some(json!({ "secrets": secrets.collect::<Vec<_>>() }))
}

fn route(standing: &Standing<'_>, view: &View) -> Value {
    let route = standing.route;
    let (settings, metrics) = (&route.settings, &route.metrics);
    let requests = Outcome::ALL.map(|outcome| (outcome.label(), metrics.requests(outcome)));
    let fallbacks = Reason::ALL.map(|reason| (reason.label(), metrics.fallbacks(reason)));
    let minutes = standing.minutes.as_ref().filter(|_| view.history);
    json!({
        "name": settings.name,
        "kind": settings.kind.as_str(),
        "mode": settings.mode.as_str(),
        "path": settings.pattern.path.to_string(),
        "host": settings.pattern.host,
        "methods": settings.pattern.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
        "stage": standing.stage,
        "fallback_since_seconds": stage::since(route),
        "breaker": route.breaker.state().label(),
        "deadline_seconds": settings.deadline.as_secs_f64(),
        "in_flight": metrics.in_flight.load(Relaxed),
        "drill": drills::shown(route),
        "drill_last_success_seconds": metrics.drill_success.get(),
        "last_failure": standing.last_failure,
        "history": minutes.map(Minutes::document),
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
