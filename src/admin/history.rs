//! What each route has been doing over the last ten minutes, so that whoever opens the page at night has them at once.
//!
//! Looked up from the counters every ten seconds, on the admin listener's own thread: a call never knows of it. Survives a
//! reload, as counters do. Only slots in which a call ended take room: ten thousand quiet routes are hardly more than their
//! names.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::failure::Outcome;
use crate::metrics::RouteMetrics;

/// How long a slot is.
pub(super) const SLOT: Duration = Duration::from_secs(10);

/// How many there are; the last is the one that is still running.
pub(super) const SLOTS: usize = 60;

/// The last minutes of every route.
#[derive(Debug)]
pub(super) struct History {
    routes: HashMap<String, Track>,
    /// How many slots are over.
    over: u64,
    /// Since when the running one has been running.
    since: Instant,
}

/// The last minutes of one route.
#[derive(Debug, Default)]
struct Track {
    /// What had been counted when the running slot began.
    before: Counts,
    /// The slots in which a call ended, the oldest first.
    slots: VecDeque<Slot>,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    calls: u32,
    failed: u32,
}

/// How many calls have ended, and how many of them without a good answer of the app's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    calls: u64,
    failed: u64,
}

/// A route's last minutes: one number for each slot, the oldest first, the running one last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Minutes {
    /// How many calls ended.
    pub(super) calls: [u32; SLOTS],
    /// How many of them had no good answer of the app's.
    pub(super) failed: [u32; SLOTS],
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            routes: HashMap::new(),
            over: 0,
            since: Instant::now(),
        }
    }

    /// Ends the running slot of these routes.
    pub(super) fn sample<'r>(&mut self, routes: impl Iterator<Item = (&'r str, &'r RouteMetrics)>) {
        for (name, metrics) in routes {
            let counts = Counts::of(metrics);
            match self.routes.get_mut(name) {
                Some(track) => track.end_slot(self.over, counts),
                None => {
                    let mut track = Track::default();
                    track.end_slot(self.over, counts);
                    self.routes.insert(name.to_owned(), track);
                }
            }
        }
        self.over += 1;
        self.since = Instant::now();
    }

    /// The last minutes of a route; none if no call ended in them.
    pub(super) fn of(&self, name: &str, metrics: &RouteMetrics) -> Option<Minutes> {
        let track = self.routes.get(name);
        let before = track.map(|track| track.before).unwrap_or_default();
        let running = before.until(Counts::of(metrics), self.over);
        let slots = track.into_iter().flat_map(|track| &track.slots);
        let mut minutes = Minutes::quiet();
        for slot in slots.chain(&running) {
            minutes.add(slot, self.over);
        }
        (minutes != Minutes::quiet()).then_some(minutes)
    }

    /// How its numbers are to be read.
    pub(super) fn document(&self) -> Value {
        json!({
            "slots": SLOTS,
            "slot_seconds": SLOT.as_secs(),
            "running_seconds": self.since.elapsed().as_secs_f64(),
        })
    }
}

impl Track {
    fn end_slot(&mut self, number: u64, counts: Counts) {
        self.slots.extend(self.before.until(counts, number));
        self.before = counts;
        while self
            .slots
            .front()
            .is_some_and(|slot| is_over(slot.number, number + 1))
        {
            self.slots.pop_front();
        }
    }
}

impl Counts {
    fn of(metrics: &RouteMetrics) -> Self {
        let requests = Outcome::ALL.map(|outcome| (outcome, metrics.requests(outcome)));
        let failed = requests.iter().filter(|(outcome, _)| is_failure(*outcome));
        Self {
            calls: requests.iter().map(|(_, count)| count).sum(),
            failed: failed.map(|(_, count)| count).sum(),
        }
    }

    /// What was counted from then until now; none if no call ended.
    fn until(self, now: Self, number: u64) -> Option<Slot> {
        let less =
            |now: u64, before: u64| u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
        let slot = Slot {
            number,
            calls: less(now.calls, self.calls),
            failed: less(now.failed, self.failed),
        };
        (slot.calls > 0).then_some(slot)
    }
}

impl Minutes {
    fn quiet() -> Self {
        Self {
            calls: [0; SLOTS],
            failed: [0; SLOTS],
        }
    }

    fn add(&mut self, slot: &Slot, running: u64) {
        if !is_over(slot.number, running) {
            let at = SLOTS - 1 - (running - slot.number) as usize;
            self.calls[at] += slot.calls;
            self.failed[at] += slot.failed;
        }
    }

    /// Whether any call had no good answer of the app's.
    pub(super) fn have_failures(&self) -> bool {
        self.failed.iter().any(|failed| *failed > 0)
    }

    pub(super) fn document(&self) -> Value {
        json!({ "calls": &self.calls[..], "failed": &self.failed[..] })
    }
}

/// Whether a slot is too long ago while another is running.
fn is_over(number: u64, running: u64) -> bool {
    running - number >= SLOTS as u64
}

fn is_failure(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Fallback | Outcome::Observed | Outcome::Error => true,
        Outcome::Upstream | Outcome::Rejected | Outcome::Abandoned => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;
    use crate::proxy::SharedState;

    /// One route of a process.
    struct Watched {
        name: &'static str,
        metrics: Arc<RouteMetrics>,
        history: History,
    }

    impl Watched {
        fn new(name: &'static str, shared: &SharedState) -> Self {
            Self {
                name,
                metrics: shared.metrics.route(name),
                history: History::new(),
            }
        }

        /// The same history after a reload that leaves only this route.
        fn renamed(self, name: &'static str, shared: &SharedState) -> Self {
            Self {
                history: self.history,
                ..Self::new(name, shared)
            }
        }

        fn call(&self, outcome: Outcome, many: usize) {
            for _ in 0..many {
                self.metrics.start().finish(outcome);
            }
        }

        async fn pass(&mut self, slots: usize) {
            for _ in 0..slots {
                advance(SLOT).await;
                self.history
                    .sample([(self.name, &*self.metrics)].into_iter());
            }
        }

        /// The slots in which something was counted: how long ago, calls, failed.
        fn shown(&self) -> Vec<(usize, u32, u32)> {
            let minutes = self.history.of(self.name, &self.metrics);
            let slots = minutes.iter().flat_map(|minutes| {
                let slots = minutes.calls.iter().zip(&minutes.failed).enumerate();
                slots.map(|(at, (calls, failed))| (SLOTS - 1 - at, *calls, *failed))
            });
            slots.filter(|(_, calls, _)| *calls > 0).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_running_slot_is_there_at_once_and_moves_back_with_time() {
        let mut voice = Watched::new("voice", &SharedState::new());
        assert_eq!(voice.shown(), []);
        voice.call(Outcome::Upstream, 3);
        voice.call(Outcome::Fallback, 1);
        assert_eq!(voice.shown(), [(0, 4, 1)]);
        voice.pass(1).await;
        voice.call(Outcome::Error, 2);
        voice.call(Outcome::Abandoned, 1);
        assert_eq!(voice.shown(), [(1, 4, 1), (0, 3, 2)]);
        advance(Duration::from_secs(3)).await;
        assert_eq!(voice.history.document()["running_seconds"], 3.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_ten_minutes_old_is_forgotten_with_the_room_it_took() {
        let mut voice = Watched::new("voice", &SharedState::new());
        voice.call(Outcome::Observed, 5);
        voice.pass(SLOTS - 1).await;
        assert_eq!(voice.shown(), [(SLOTS - 1, 5, 5)]);
        voice.pass(1).await;
        assert_eq!(voice.shown(), []);
        assert_eq!(voice.history.of("voice", &voice.metrics), None);
        assert!(voice.history.routes["voice"].slots.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_survives_a_reload_for_a_route_of_the_same_name() {
        let shared = SharedState::new();
        let mut route = Watched::new("voice", &shared);
        route.call(Outcome::Upstream, 2);
        route.pass(1).await;
        let mut route = route.renamed("sms", &shared);
        assert_eq!(route.shown(), []);
        route.pass(1).await;
        let route = route.renamed("voice", &shared);
        route.call(Outcome::Upstream, 1);
        assert_eq!(route.shown(), [(2, 2, 0), (0, 1, 0)]);
    }
}
