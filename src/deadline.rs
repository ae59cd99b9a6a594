//! The instant by which a request must have its response.
//!
//! It is fixed when the request's head has been read, and passed on as a value. No step has a timer of its own, and a request of
//! HTTP/1.1 has none either: see [`Alarm`].

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The instant by which a request must have its response, and when the request began.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    at: Instant,
}

impl Deadline {
    /// The deadline of a request that began then and may take this long.
    pub fn after(began: Instant, budget: Duration) -> Self {
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
    /// [`Passed`] if the deadline comes first.
    pub async fn bound<T>(&self, future: impl Future<Output = T>) -> Result<T, Passed> {
        timeout_at(self.at, future).await.map_err(|_| Passed)
    }

    /// The same, without a timer of its own: whoever polls this polls it again when the alarm rings.
    ///
    /// # Errors
    ///
    /// [`Passed`] if the deadline comes first.
    pub async fn bound_by<T>(
        &self,
        alarm: &Alarm,
        mut future: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Passed> {
        poll_fn(|cx| {
            if let Poll::Ready(result) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            if self.at <= Instant::now() {
                return Poll::Ready(Err(Passed));
            }
            alarm.set(self.at);
            Poll::Pending
        })
        .await
    }
}

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed;

/// When the task of a connection has to be polled again because of the deadline of its request. The task has a timer already, for
/// its idle time; one more for each request would cost more than this.
#[derive(Debug, Default)]
pub struct Alarm(Cell<Option<Instant>>);

impl Alarm {
    /// The instant, if one is set.
    pub fn at(&self) -> Option<Instant> {
        self.0.get()
    }

    /// Whether the instant has come.
    pub fn has_rung(&self) -> bool {
        self.at().is_some_and(|at| at <= Instant::now())
    }

    /// Rings at this instant, and at no other.
    pub fn set(&self, at: Instant) {
        self.0.set(Some(at));
    }

    /// Doesn't ring.
    pub fn clear(&self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::task::ready;
    use tokio::time::{Sleep, advance, sleep};

    #[tokio::test(start_paused = true)]
    async fn a_result_that_is_ready_when_the_deadline_passes_is_returned() {
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(8));
        advance(Duration::from_secs(9)).await;
        assert_eq!(deadline.bound(ready(1)).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn with_an_alarm_a_deadline_passes_when_its_task_is_polled_after_it() {
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(8));
        let alarm = Alarm::default();
        let bounded = async {
            let never = pin!(pending::<()>());
            deadline.bound_by(&alarm, never).await
        };
        let ring = async {
            let at = alarm.at().expect("it was polled, and has set the alarm");
            tokio::time::sleep_until(at).await;
        };
        let (result, ()) = tokio::join!(biased; bounded, ring);
        assert_eq!(result, Err(Passed));
        assert_eq!(deadline.began.elapsed(), Duration::from_secs(8));
        let ready = pin!(ready(1));
        assert_eq!(deadline.bound_by(&alarm, ready).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_can_be_counted_from_a_later_instant() {
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(8));
        advance(Duration::from_secs(5)).await;
        let later = Instant::now();
        advance(Duration::from_secs(3)).await;
        let moved = deadline.restart_from(later).expect("there are 5 s left");
        assert_eq!(moved.at - deadline.at, Duration::from_secs(5));
        advance(Duration::from_secs(5)).await;
        assert!(deadline.restart_from(later).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_takes_its_own_time_at_most_and_no_longer_than_the_request() {
        let began = Instant::now();
        let seconds = Duration::from_secs;
        let deadline = Deadline::after(began, seconds(8));
        assert_eq!(deadline.at() - began, seconds(8));
        assert_eq!(deadline.shorten_by(seconds(1)).at() - began, seconds(7));
        advance(seconds(2)).await;
        assert_eq!(deadline.limit_to(seconds(3)).at() - began, seconds(5));
        assert_eq!(deadline.limit_to(seconds(7)).at() - began, seconds(8));
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_from_its_instant_on_until_it_is_cleared() {
        let alarm = Alarm::default();
        assert!(!alarm.has_rung(), "it is not set");
        alarm.set(Instant::now() + Duration::from_secs(1));
        assert!(!alarm.has_rung());
        advance(Duration::from_secs(1)).await;
        assert!(alarm.has_rung());
        alarm.clear();
        assert!(!alarm.has_rung());
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_never_ends_is_cut_off_at_the_deadline() {
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(8));
        assert!(deadline.bound(pending::<()>()).await.is_err());
        assert_eq!(deadline.began.elapsed(), Duration::from_secs(8));
    }

    /// A request on a connection, with times in milliseconds.
    #[derive(Clone, Debug)]
    struct Request {
        /// How long nothing happens before it.
        pause: u64,
        budget: u64,
        /// What is kept of it for a later step.
        reserved: u64,
        /// The longest time of its only step.
        step: u64,
        /// When its response is there.
        takes: u64,
        /// When its client leaves.
        leaves: Option<u64>,
    }

    fn request() -> impl Strategy<Value = Request> {
        let leaves = prop_oneof![3 => Just(None), 1 => (1..9000_u64).prop_map(Some)];
        let times = (0..3000_u64, 1..9000_u64, 0..1000_u64);
        (times, 1..9000_u64, 1..9000_u64, leaves).prop_map(|(times, step, takes, leaves)| {
            let (pause, budget, reserved) = times;
            Request {
                pause,
                budget,
                reserved: reserved.min(budget - 1),
                step,
                takes,
                leaves,
            }
        })
    }

    /// Polls as the task of a connection does: again when it is woken, or when its only timer, which is moved for an alarm, fires.
    async fn poll_on_connection<T>(
        alarm: &Alarm,
        mut timer: Pin<&mut Sleep>,
        mut future: Pin<&mut impl Future<Output = T>>,
    ) -> T {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = future.as_mut().poll(cx) {
                    return Poll::Ready(result);
                }
                if let Some(at) = alarm.at().filter(|at| *at < timer.deadline()) {
                    timer.as_mut().reset(at);
                }
                ready!(timer.as_mut().poll(cx));
                if alarm.has_rung() {
                    alarm.clear();
                } else {
                    timer
                        .as_mut()
                        .reset(Instant::now() + Duration::from_secs(60));
                }
            }
        })
        .await
    }

    async fn simulate(requests: Vec<Request>) -> Result<(), TestCaseError> {
        let millis = Duration::from_millis;
        let alarm = Alarm::default();
        let mut timer = pin!(sleep(Duration::from_secs(60)));
        for request in requests {
            sleep(millis(request.pause)).await;
            let began = Instant::now();
            let whole = Deadline::after(began, millis(request.budget));
            let deadline = whole.shorten_by(millis(request.reserved));
            let mut bounded = pin!(async {
                let response = pin!(async {
                    let step = deadline.limit_to(millis(request.step));
                    step.bound(sleep(millis(request.takes))).await
                });
                deadline.bound_by(&alarm, response).await
            });
            let polled = poll_on_connection(&alarm, timer.as_mut(), bounded.as_mut());
            let result = match request.leaves {
                Some(leaves) => timeout_at(began + millis(leaves), polled).await.ok(),
                None => Some(polled.await),
            };
            // Timers have a resolution of a millisecond.
            let took = began.elapsed();
            let is_near = |expected: u64| took >= millis(expected) && took <= millis(expected + 1);
            let limit = request.budget - request.reserved;
            let cut_off = limit.min(request.step);
            let expected = match result {
                None => request.leaves.expect("its client left"),
                Some(Ok(Ok(()))) => request.takes,
                Some(Ok(Err(Passed))) => cut_off,
                Some(Err(Passed)) => limit,
            };
            prop_assert!(is_near(expected), "{request:?}: {result:?} after {took:?}");
            let first = request
                .leaves
                .unwrap_or(u64::MAX)
                .min(request.takes)
                .min(cut_off);
            prop_assert!(
                expected <= first + 1,
                "{request:?}: {result:?} after {took:?}"
            );
        }
        Ok(())
    }

    proptest! {
        /// Requests one after another on a connection, whose deadlines share its timer and whose clients may leave at any time: each
        /// ends with what comes first, and never early, whatever the alarm was set to before.
        #[test]
        fn in_any_schedule_each_request_ends_with_what_comes_first(requests in proptest::collection::vec(request(), 1..20)) {
            support::run_on_paused_clock(simulate(requests))?;
        }
    }
}
