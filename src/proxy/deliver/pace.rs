//! How fast the callbacks of one route are delivered: an app that is back gets few at once at first.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use tokio::time::Instant;

/// The most deliveries at once on one route.
const MOST_AT_ONCE: usize = 16;

/// The pause of a callback after its first failed delivery; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The pause of a route after its first failed delivery in a row, whatever callback is next; each further one doubles it.
const FIRST_ROUTE_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_ROUTE_PAUSE: Duration = Duration::from_secs(5);

/// The pace of the deliveries of one route: one at once at first, twice as many after each run of successes, and one again after a
/// failure.
#[derive(Debug)]
pub(super) struct Pace {
    running: usize,
    /// How many may run at once.
    limit: usize,
    /// Successes since the limit was last changed.
    successes: usize,
    /// Failures in a row.
    failures: u32,
    paused_until: Option<Instant>,
    /// No search for callbacks that are too old is needed before this time.
    pub(super) expires_after: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            running: 0,
            limit: 1,
            successes: 0,
            failures: 0,
            paused_until: None,
            expires_after: None,
        }
    }

    /// Whether one more may run.
    pub(super) fn has_room(&self) -> bool {
        self.running < self.limit
    }

    /// How long its pause lasts from now on, if it has one.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let left = self.paused_until?.checked_duration_since(now)?;
        Some(left).filter(|left| !left.is_zero())
    }

    pub(super) fn begin(&mut self) {
        self.running += 1;
    }

    /// Ends a delivery that says nothing about the app.
    pub(super) fn end(&mut self) {
        self.running -= 1;
    }

    /// Ends a delivery that the app has accepted.
    pub(super) fn succeed(&mut self) {
        self.end();
        self.failures = 0;
        self.paused_until = None;
        self.successes += 1;
        if self.successes >= self.limit {
            self.successes = 0;
            self.limit = MOST_AT_ONCE.min(2 * self.limit);
        }
    }

    /// Ends a delivery that has failed.
    pub(super) fn fail(&mut self, now: Instant) {
        self.end();
        let pause = doubled(FIRST_ROUTE_PAUSE, self.failures, LONGEST_ROUTE_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.paused_until = Some(now + pause);
        self.limit = 1;
        self.successes = 0;
    }
}

/// How long a callback waits after so many failed deliveries, at least one. Up to a fifth less by chance, so that those which failed
/// together don't come together again.
pub(super) fn pause_of_callback(attempts: u32) -> Duration {
    let random = RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64;
    let pause = doubled(FIRST_PAUSE, attempts.saturating_sub(1), LONGEST_PAUSE);
    pause.mul_f64(1.0 - 0.2 * random)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn at_once(pace: &Pace) -> usize {
        pace.limit
    }

    #[test]
    fn an_app_that_is_back_gets_one_then_twice_as_many_with_each_run() {
        let mut pace = Pace::new();
        let mut limits = Vec::new();
        for _ in 0..40 {
            pace.begin();
            pace.succeed();
            limits.push(at_once(&pace));
        }
        limits.dedup();
        assert_eq!(limits, [2, 4, 8, MOST_AT_ONCE]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_begins_again_with_one_after_a_pause() {
        let mut pace = Pace::new();
        for _ in 0..7 {
            pace.begin();
            pace.succeed();
        }
        assert_eq!(at_once(&pace), 8);
        pace.begin();
        pace.begin();
        pace.fail(Instant::now());
        assert!(!pace.has_room(), "one runs still");
        assert_eq!(pace.pause(Instant::now()), Some(FIRST_ROUTE_PAUSE));
        pace.fail(Instant::now());
        assert_eq!(pace.pause(Instant::now()), Some(2 * FIRST_ROUTE_PAUSE));
        advance(2 * FIRST_ROUTE_PAUSE).await;
        assert_eq!((pace.pause(Instant::now()), pace.has_room()), (None, true));
        for _ in 0..20 {
            pace.begin();
            pace.fail(Instant::now());
        }
        assert_eq!(pace.pause(Instant::now()), Some(LONGEST_ROUTE_PAUSE));
        pace.begin();
        pace.succeed();
        assert_eq!(pace.pause(Instant::now()), None);
    }

    #[test]
    fn a_callback_waits_twice_as_long_after_each_failure_up_to_five_minutes() {
        for (attempts, seconds) in [
            (1, 1),
            (2, 2),
            (5, 16),
            (9, 256),
            (10, 300),
            (u32::MAX, 300),
        ] {
            let longest = Duration::from_secs(seconds);
            let pause = pause_of_callback(attempts);
            assert!(
                pause <= longest && pause >= longest.mul_f64(0.8),
                "{attempts}: {pause:?}"
            );
        }
    }
}
