//! The instant by which a request must have its response.
//!
//! It is fixed when the request's head has been read, and passed on as a value. No step has a timer of its own.

use std::future::Future;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// The instant by which a request must have its response, and when the request began.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    at: Instant,
}

impl Deadline {
    /// The deadline of a request that begins now and may take this long.
    pub fn after(budget: Duration) -> Self {
        let began = Instant::now();
        Self {
            began,
            at: began + budget,
        }
    }

    /// The same budget, counted from a later instant. `None` if that deadline has passed too.
    pub fn restart_from(&self, instant: Instant) -> Option<Self> {
        let at = instant + (self.at - self.began);
        let later = Self { at, ..*self };
        (at > Instant::now()).then_some(later)
    }

    /// A deadline that comes earlier by this time, which is kept for a later step.
    pub fn shorten_by(&self, time: Duration) -> Self {
        Self {
            at: self.at - time,
            ..*self
        }
    }

    /// The deadline of one step that may take this long from now on, but no longer than the request.
    pub fn limit_to(&self, budget: Duration) -> Self {
        let at = self.at.min(Instant::now() + budget);
        Self { at, ..*self }
    }

    /// The instant itself.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Waits for the future, but no longer than the deadline. The future is polled before the clock is read, so a result that is
    /// ready at the last moment counts.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if the deadline comes first.
    pub async fn bound<T>(&self, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        timeout_at(self.at, future).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_result_that_is_ready_when_the_deadline_passes_is_returned() {
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
        let moved = deadline.restart_from(later).expect("there are 5 s left");
        assert_eq!(moved.at - deadline.at, Duration::from_secs(5));
        advance(Duration::from_secs(5)).await;
        assert!(deadline.restart_from(later).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_never_ends_is_cut_off_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(8));
        assert!(deadline.bound(pending::<()>()).await.is_err());
        assert_eq!(deadline.began.elapsed(), Duration::from_secs(8));
    }
}
