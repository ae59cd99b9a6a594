//! What callers get now: on each route, and on all of them in a few numbers. Routes in trouble first.

use serde::Serialize;
use serde_json::{Value, json};

use super::history::{History, Minutes};
use crate::breaker::State;
use crate::proxy::{Mode, Route, Snapshot};
use crate::recent_failures::LastFailure;

/// How many routes in trouble are named.
const NAMED: usize = 3;

/// What callers of a route get now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// The fallback, since the app last failed.
    Fallback,
    /// An error, as the app is known to be down and the route has no fallback.
    Down,
    /// The fallback, for a drill.
    Drill,
    /// The app.
    App,
}

/// One route as it stands.
pub(super) struct Standing<'s> {
    pub(super) route: &'s Route,
    pub(super) stage: Stage,
    pub(super) minutes: Option<Minutes>,
    pub(super) last_failure: Option<LastFailure>,
}

/// What puts one route before another where not all can be shown: the greatest trouble first, the quiet ones last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    NotFromApp(Stage),
    Probing,
    Drilling,
    Failing,
    Busy,
    Quiet,
}

impl<'s> Standing<'s> {
    pub(super) fn of(route: &'s Route, site: &Snapshot, history: &History) -> Self {
        let name = &route.settings.name;
        Self {
            route,
            stage: stage(route),
            minutes: history.of(name, &route.metrics),
            last_failure: site.shared.failures.last_of(name),
        }
    }

    fn rank(&self) -> Rank {
        let fails = self.minutes.as_ref().map(Minutes::have_failures);
        match (self.stage, fails) {
            (Stage::Fallback | Stage::Down, _) => Rank::NotFromApp(self.stage),
            _ if self.route.breaker.state() != State::Closed => Rank::Probing,
            (Stage::Drill, _) => Rank::Drilling,
            (Stage::App, Some(true)) => Rank::Failing,
            (Stage::App, Some(false)) => Rank::Busy,
            (Stage::App, None) => Rank::Quiet,
        }
    }

    fn named(&self) -> Value {
        json!({
            "name": self.route.settings.name,
            "stage": self.stage,
            "since_seconds": since(self.route),
            "last_failure": self.last_failure,
        })
    }
}

fn stage(route: &Route) -> Stage {
    if route.metrics.fallback_since.get() > 0.0 {
        return Stage::Fallback;
    }
    if route.drill.progress().is_some() {
        return Stage::Drill;
    }
    match (route.breaker.state(), route.settings.mode) {
        (State::Open | State::HalfOpen, Mode::Enforce) => Stage::Down,
        _ => Stage::App,
    }
}

/// Since when a route has been on its fallback.
pub(super) fn since(route: &Route) -> Option<f64> {
    Some(route.metrics.fallback_since.get()).filter(|since| *since > 0.0)
}

/// Those in trouble first; those of equal rank stay as they were written.
pub(super) fn sort(standings: &mut [Standing<'_>]) {
    standings.sort_by_key(Standing::rank);
}

/// All routes in a few numbers, and the first of those in trouble.
pub(super) fn document(standings: &[Standing<'_>], site: &Snapshot) -> Value {
    let many = |stage| standings.iter().filter(|one| one.stage == stage).count();
    let observed = |one: &&Standing<'_>| one.route.settings.mode == Mode::Observe;
    let off = |one: &&Standing<'_>| one.stage < Stage::App;
    let mut trouble: Vec<_> = standings.iter().filter(off).collect();
    trouble.sort_by_key(|one| one.stage);
    let first = trouble.iter().take(NAMED).map(|one| one.named());
    let since = trouble.iter().filter_map(|one| since(one.route));
    json!({
        "routes": site.routes.len(),
        "fallback": many(Stage::Fallback),
        "down": many(Stage::Down),
        "drill": many(Stage::Drill),
        "observed": standings.iter().filter(observed).count(),
        "fallback_since_seconds": since.min_by(f64::total_cmp),
        "first": first.collect::<Vec<_>>(),
    })
}
