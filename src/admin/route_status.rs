//! What callers get now: for each route, and for all routes in a few numbers. Routes in trouble come first.

use serde::Serialize;
use serde_json::{Value, json};

use super::history::{History, Timeline};
use crate::breaker::State;
use crate::proxy::{Mode, Route, Snapshot};
use crate::recent_failures::LastFailure;

/// How many routes in trouble the summary names.
const NAMED: usize = 3;

/// What callers of a route get now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RouteState {
    /// The fallback, since the app last failed.
    Fallback,
    /// An error: the app is known to be down and the route has no fallback.
    Down,
    /// The fallback, because of a drill.
    Drill,
    /// The app's responses.
    App,
}

/// The status of one route.
pub(super) struct RouteStatus<'s> {
    pub(super) route: &'s Route,
    pub(super) state: RouteState,
    /// None if no request ended in the last ten minutes.
    pub(super) timeline: Option<Timeline>,
    pub(super) last_failure: Option<LastFailure>,
}

/// The order of routes where not all can be shown: the worst trouble first, routes without requests last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    NotFromApp(RouteState),
    BreakerNotClosed,
    Drill,
    Failing,
    Busy,
    Quiet,
}

impl<'s> RouteStatus<'s> {
    pub(super) fn new(route: &'s Route, snapshot: &Snapshot, history: &History) -> Self {
        let name = &route.settings.name;
        Self {
            route,
            state: RouteState::of(route),
            timeline: history.timeline(name, &route.metrics),
            last_failure: snapshot.shared.failures.last_of(name),
        }
    }

    fn priority(&self) -> Priority {
        let has_failures = self.timeline.as_ref().map(Timeline::has_failures);
        match (self.state, has_failures) {
            (RouteState::Fallback | RouteState::Down, _) => Priority::NotFromApp(self.state),
            _ if self.route.breaker.state() != State::Closed => Priority::BreakerNotClosed,
            (RouteState::Drill, _) => Priority::Drill,
            (RouteState::App, Some(true)) => Priority::Failing,
            (RouteState::App, Some(false)) => Priority::Busy,
            (RouteState::App, None) => Priority::Quiet,
        }
    }

    /// Since when the route has been serving from its fallback, in seconds since 1970.
    pub(super) fn fallback_since(&self) -> Option<f64> {
        Some(self.route.metrics.fallback_since.get()).filter(|since| *since > 0.0)
    }

    fn to_short_json(&self) -> Value {
        json!({
            "name": self.route.settings.name,
            "state": self.state,
            "queues": self.route.queues(),
            "since_seconds": self.fallback_since(),
            "last_failure": self.last_failure,
        })
    }
}

impl RouteState {
    fn of(route: &Route) -> Self {
        if route.metrics.fallback_since.get() > 0.0 {
            return Self::Fallback;
        }
        if route.drill.progress().is_some() {
            return Self::Drill;
        }
        match (route.breaker.state(), route.settings.mode) {
            (State::Open | State::HalfOpen, Mode::Enforce) => Self::Down,
            _ => Self::App,
        }
    }
}

/// Puts routes in trouble first. Routes of the same priority keep their order.
pub(super) fn sort_by_priority(routes: &mut [RouteStatus<'_>]) {
    routes.sort_by_key(RouteStatus::priority);
}

/// All routes in a few numbers, and the first of those in trouble.
pub(super) fn summary(routes: &[RouteStatus<'_>], snapshot: &Snapshot) -> Value {
    let count = |state| routes.iter().filter(|route| route.state == state).count();
    let observed = routes
        .iter()
        .filter(|status| status.route.settings.mode == Mode::Observe);
    let mut trouble: Vec<_> = routes
        .iter()
        .filter(|route| route.state < RouteState::App)
        .collect();
    trouble.sort_by_key(|route| route.state);
    let first = trouble.iter().take(NAMED);
    let since = trouble.iter().filter_map(|route| route.fallback_since());
    json!({
        "routes": snapshot.routes.len(),
        "fallback": count(RouteState::Fallback),
        "down": count(RouteState::Down),
        "drill": count(RouteState::Drill),
        "observed": observed.count(),
        "fallback_since_seconds": since.min_by(f64::total_cmp),
        "first": first.map(|route| route.to_short_json()).collect::<Vec<_>>(),
    })
}
