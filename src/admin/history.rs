//! The last ten minutes of each route, so that they are there when somebody opens the status page.
//!
//! Sampled from the counters every ten seconds on the admin listener's own thread, at no cost for requests. Survives a reload,
//! as counters do. Only slots in which a request ended take memory: ten thousand idle routes need little more than their
//! names.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::failure::Outcome;
use crate::metrics::RouteMetrics;

/// The length of a slot.
pub(super) const SLOT: Duration = Duration::from_secs(10);

/// How many slots are kept; the last one is still running.
pub(super) const SLOTS: usize = 60;

/// The last minutes of every route.
#[derive(Debug)]
pub(super) struct History {
    routes: HashMap<String, RouteHistory>,
    /// How many slots have ended: the number of the running one.
    running: u64,
    /// When the running slot began.
    began: Instant,
}

#[derive(Debug, Default)]
struct RouteHistory {
    /// The counters when the running slot began.
    before: Counts,
    /// The slots in which a request ended, the oldest first.
    slots: VecDeque<Slot>,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    requests: u32,
    failed: u32,
}

/// How many requests have ended, and how many of them without a good response of the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    requests: u64,
    failed: u64,
}

/// The last minutes of a route: a number for each slot, the oldest first, the running one last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    /// How many requests ended.
    requests: [u32; SLOTS],
    /// How many of them had no good response of the app.
    failed: [u32; SLOTS],
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            routes: HashMap::new(),
            running: 0,
            began: Instant::now(),
        }
    }

    /// Ends the running slot.
    pub(super) fn sample<'r>(&mut self, routes: impl Iterator<Item = (&'r str, &'r RouteMetrics)>) {
        for (name, metrics) in routes {
            let counts = Counts::read(metrics);
            match self.routes.get_mut(name) {
                Some(route) => route.end_slot(self.running, counts),
                None => {
                    let mut route = RouteHistory::default();
                    route.end_slot(self.running, counts);
                    self.routes.insert(name.to_owned(), route);
                }
            }
        }
        self.running += 1;
        self.began = Instant::now();
    }

    /// The last minutes of a route; none if no request ended in them.
    pub(super) fn timeline(&self, name: &str, metrics: &RouteMetrics) -> Option<Timeline> {
        let route = self.routes.get(name);
        let before = route.map(|route| route.before).unwrap_or_default();
        let running = before.slot_until(Counts::read(metrics), self.running);
        let slots = route.into_iter().flat_map(|route| &route.slots);
        let mut timeline = Timeline::EMPTY;
        for slot in slots.chain(&running) {
            timeline.add(slot, self.running);
        }
        (timeline != Timeline::EMPTY).then_some(timeline)
    }

    /// What a reader needs to know of the timelines.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "slots": SLOTS,
            "slot_seconds": SLOT.as_secs(),
            "running_seconds": self.began.elapsed().as_secs_f64(),
        })
    }
}

impl RouteHistory {
    fn end_slot(&mut self, number: u64, counts: Counts) {
        self.slots.extend(self.before.slot_until(counts, number));
        self.before = counts;
        self.slots
            .retain(|slot| !is_expired(slot.number, number + 1));
    }
}

impl Counts {
    fn read(metrics: &RouteMetrics) -> Self {
        let requests = Outcome::ALL.map(|outcome| (outcome, metrics.requests(outcome)));
        let failed = requests.iter().filter(|(outcome, _)| is_failure(*outcome));
        Self {
            requests: requests.iter().map(|(_, count)| count).sum(),
            failed: failed.map(|(_, count)| count).sum(),
        }
    }

    /// What was counted between these counts and later ones; none if no request ended.
    fn slot_until(self, now: Self, number: u64) -> Option<Slot> {
        let difference =
            |now: u64, before: u64| u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
        let slot = Slot {
            number,
            requests: difference(now.requests, self.requests),
            failed: difference(now.failed, self.failed),
        };
        (slot.requests > 0).then_some(slot)
    }
}

impl Timeline {
    const EMPTY: Self = Self {
        requests: [0; SLOTS],
        failed: [0; SLOTS],
    };

    fn add(&mut self, slot: &Slot, running: u64) {
        if !is_expired(slot.number, running) {
            let at = SLOTS - 1 - (running - slot.number) as usize;
            self.requests[at] += slot.requests;
            self.failed[at] += slot.failed;
        }
    }

    /// Whether any request had no good response of the app.
    pub(super) fn has_failures(&self) -> bool {
        self.failed.iter().any(|failed| *failed > 0)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "requests": &self.requests[..], "failed": &self.failed[..] })
    }
}

/// Whether a slot is too old while another is running.
fn is_expired(number: u64, running: u64) -> bool {
    running - number >= SLOTS as u64
}

fn is_failure(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Fallback | Outcome::Observed | Outcome::Error | Outcome::Queued => true,
        Outcome::Upstream | Outcome::Rejected | Outcome::Abandoned => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;
    use crate::proxy::SharedState;

    /// A route with its history.
    struct TestRoute {
        name: &'static str,
        metrics: Arc<RouteMetrics>,
        history: History,
    }

    impl TestRoute {
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

        fn count(&self, outcome: Outcome, requests: usize) {
            for _ in 0..requests {
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

        /// The slots in which requests ended: how long ago, requests, failed.
        fn slots(&self) -> Vec<(usize, u32, u32)> {
            let timeline = self.history.timeline(self.name, &self.metrics);
            let slots = timeline.iter().flat_map(|timeline| {
                let slots = timeline.requests.iter().zip(&timeline.failed).enumerate();
                slots.map(|(at, (requests, failed))| (SLOTS - 1 - at, *requests, *failed))
            });
            slots.filter(|(_, requests, _)| *requests > 0).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_running_slot_is_included_and_moves_back_with_time() {
        let mut voice = TestRoute::new("voice", &SharedState::new());
        assert_eq!(voice.slots(), []);
        voice.count(Outcome::Upstream, 3);
        voice.count(Outcome::Fallback, 1);
        assert_eq!(voice.slots(), [(0, 4, 1)]);
        voice.pass(1).await;
        voice.count(Outcome::Error, 2);
        voice.count(Outcome::Abandoned, 1);
        assert_eq!(voice.slots(), [(1, 4, 1), (0, 3, 2)]);
        advance(Duration::from_secs(3)).await;
        assert_eq!(voice.history.to_json()["running_seconds"], 3.0);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_over_ten_minutes_old_are_removed() {
        let mut voice = TestRoute::new("voice", &SharedState::new());
        voice.count(Outcome::Observed, 5);
        voice.pass(SLOTS - 1).await;
        assert_eq!(voice.slots(), [(SLOTS - 1, 5, 5)]);
        voice.pass(1).await;
        assert_eq!(voice.slots(), []);
        assert_eq!(voice.history.timeline("voice", &voice.metrics), None);
        assert!(voice.history.routes["voice"].slots.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_survives_a_reload_for_a_route_of_the_same_name() {
        let shared = SharedState::new();
        let mut route = TestRoute::new("voice", &shared);
        route.count(Outcome::Upstream, 2);
        route.pass(1).await;
        let mut route = route.renamed("sms", &shared);
        assert_eq!(route.slots(), []);
        route.pass(1).await;
        let route = route.renamed("voice", &shared);
        route.count(Outcome::Upstream, 1);
        assert_eq!(route.slots(), [(2, 2, 0), (0, 1, 0)]);
    }
}
