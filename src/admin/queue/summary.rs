//! How much waits in the queue, as a part of the status document. It holds nothing of callers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::proxy::{Route, Snapshot};
use crate::queue::{RouteSummary, Summary};

/// A route that queues callbacks or has stored ones.
struct QueueRoute<'s> {
    name: &'s str,
    /// None if the configuration in force doesn't have it. Then nothing of it is delivered.
    route: Option<&'s Route>,
    counts: RouteSummary,
}

/// What a store of at most `max_size` bytes has, with at most so many routes.
pub(super) fn to_json(
    stored: &Summary,
    max_size: u64,
    snapshot: &Snapshot,
    most: Option<usize>,
) -> Value {
    let now = SystemTime::now();
    let mut routes = routes(stored, snapshot);
    let all = routes.len();
    let (waiting, dead) = routes.iter().fold((0, 0), |(waiting, dead), route| {
        (waiting + route.counts.waiting, dead + route.counts.dead)
    });
    if let Some(most) = most {
        routes.sort_by_key(priority);
        routes.truncate(most);
    }
    json!({
        "bytes": stored.bytes,
        "max_bytes": max_size,
        "damaged": stored.damaged,
        "waiting": waiting,
        "dead": dead,
        "routes_total": all,
        "routes": routes.iter().map(|route| route_json(route, now)).collect::<Vec<_>>(),
    })
}

/// Every route that queues callbacks or has stored ones, by name.
fn routes<'s>(stored: &'s Summary, snapshot: &'s Snapshot) -> Vec<QueueRoute<'s>> {
    let listed =
        |route: &&Arc<Route>| route.queues() || stored.routes.contains_key(&route.settings.name);
    let configured = snapshot.all_routes().filter(listed);
    let mut routes: BTreeMap<&str, Option<&Route>> = configured
        .map(|route| (route.settings.name.as_str(), Some(&**route)))
        .collect();
    for name in stored.routes.keys() {
        routes.entry(name).or_default();
    }
    let with_counts = routes.into_iter().map(|(name, route)| QueueRoute {
        name,
        route,
        counts: stored.routes.get(name).cloned().unwrap_or_default(),
    });
    with_counts.collect()
}

/// The longest wait first, then those with dead letters, then the rest.
fn priority(route: &QueueRoute<'_>) -> (bool, Option<SystemTime>, Reverse<u64>) {
    let RouteSummary { oldest, dead, .. } = route.counts;
    (oldest.is_none(), oldest, Reverse(dead))
}

fn route_json(route: &QueueRoute<'_>, now: SystemTime) -> Value {
    let counts = &route.counts;
    let seconds = |duration: Duration| duration.as_secs_f64();
    let oldest = counts.oldest.map(|since| now.duration_since(since));
    let next_try = counts.next_try.map(|at| at.duration_since(now));
    json!({
        "name": route.name,
        "configured": route.route.is_some(),
        "breaker": route.route.map(|route| route.breaker.state().label()),
        "waiting": counts.waiting,
        "dead": counts.dead,
        "oldest_age_seconds": oldest.map(|age| seconds(age.unwrap_or_default())),
        "next_try_in_seconds": next_try.map(|until| seconds(until.unwrap_or_default())),
        "last_error": counts.last_error,
    })
}
