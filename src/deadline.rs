//! One instant per call, and the budget it came from.
//!
//! A deadline is taken when a call's head is in, and handed on as a value. No step has a timer of its own.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// The instant by which a call must have its answer.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    at: Instant,
}

/// The deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed;

impl Deadline {
    /// The deadline of a call that begins now and has this budget.
    pub fn after(budget: Duration) -> Self {
        let began = Instant::now();
        Self {
            began,
            at: began + budget,
        }
    }

    /// The same budget, counted from a later instant; none if that has passed too.
    pub fn counted_from(&self, instant: Instant) -> Option<Self> {
        let at = instant + (self.at - self.began);
        let later = Self { at, ..*self };
        (at > Instant::now()).then_some(later)
    }

    /// So much earlier, to keep time for something else.
    pub fn less(&self, time: Duration) -> Self {
        Self {
            at: self.at - time,
            ..*self
        }
    }

    /// This budget from now on, but no later than the deadline.
    pub fn within(&self, budget: Duration) -> Self {
        let at = self.at.min(Instant::now() + budget);
        Self { at, ..*self }
    }

    /// The instant itself.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// How long the call has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What the future gives, if it gives it in time. The future is polled before the clock is read, so an answer
    /// that is ready at the last moment counts.
    ///
    /// # Errors
    ///
    /// [`Passed`] if the deadline comes first.
    pub async fn bound<T>(&self, future: impl Future<Output = T>) -> Result<T, Passed> {
        tokio::time::timeout_at(self.at, future)
            .await
            .map_err(|_| Passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_is_given_even_at_the_last_moment() {
        let deadline = Deadline::after(Duration::from_secs(8));
        advance(Duration::from_secs(9)).await;
        assert_eq!(deadline.bound(ready(1)).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_can_be_counted_from_a_later_instant() {
        let deadline = Deadline::after(Duration::from_secs(8));
        advance(Duration::from_secs(5)).await;
        let later = Instant::now();
        advance(Duration::from_secs(3)).await;
        let moved = deadline.counted_from(later).expect("there are 5 s left");
        assert_eq!(moved.at() - deadline.at(), Duration::from_secs(5));
        advance(Duration::from_secs(5)).await;
        assert!(deadline.counted_from(later).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_comes_passes_the_deadline_at_its_instant() {
        let deadline = Deadline::after(Duration::from_secs(8));
        assert_eq!(deadline.bound(pending::<()>()).await, Err(Passed));
        assert_eq!(deadline.elapsed(), Duration::from_secs(8));
    }
}
