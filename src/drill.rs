//! Why a request may be answered without asking the app: a drill of the fallback on a live route.
//!
//! While a drill is on, the calls that chance picks meet the fault that was asked for. A [`Plan`] can't be made without an end,
//! and the end comes by the clock, whoever forgets it. How a fault comes about on the road, and what such a request gets for an
//! answer, is not decided here.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The longest that a drill may last.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// One route's drills, one at a time. They outlive reloads.
#[derive(Debug, Default)]
pub struct Drill {
    /// Whether there may be one: what every call looks at, without taking the lock.
    set: AtomicBool,
    current: Mutex<Option<Current>>,
    /// Tells who waits for the end that there is another, or none.
    changed: Notify,
}

/// A drill that was begun and not yet cleared away.
#[derive(Debug)]
struct Current {
    plan: Plan,
    ends: Instant,
    calls: u64,
    /// `<= calls`
    injected: u64,
    /// Random keys, by which a call's number decides whether the fault is injected.
    chance: RandomState,
}

/// How a drill goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is injected.
    pub fault: Fault,
    /// In how many requests it is injected.
    pub percent: Percent,
    /// After so long it ends.
    pub length: Length,
}

/// How far a drill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How it goes.
    pub plan: Plan,
    /// How long it still lasts.
    pub left: Duration,
    /// How many calls came.
    pub calls: u64,
    /// In how many of them the fault was injected.
    pub injected: u64,
}

/// What is injected in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Silence until the deadline.
    Deadline,
    /// A status of 500. It is the usual fault, as nobody has to wait for its fallback.
    #[default]
    Status5xx,
    /// A page that breaks off.
    Malformed,
    /// A page whose root is `response`.
    Root,
}

/// How many calls of a hundred: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

/// How long a drill lasts: over 0, at most [`LONGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length(Duration);

/// What no drill can be made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Invalid {
    /// No fault has this name.
    Fault,
    /// It isn't a whole number from 1 to 100.
    Percent,
    /// It isn't a time.
    Time(humantime::DurationError),
    /// It would end as it begins.
    NoTime,
    /// It is over [`LONGEST`].
    TooLong,
}

impl Drill {
    /// Begins a drill: the one whose place it takes, if one was on.
    pub fn begin(&self, plan: Plan) -> Option<Progress> {
        let mut current = self.current();
        let before = current.replace(Current::new(plan));
        self.set.store(true, Relaxed);
        self.changed.notify_waiters();
        before
            .filter(|before| !before.is_over())
            .map(|before| before.progress())
    }

    /// Ends the drill that is on, if one is.
    pub fn stop(&self) -> Option<Progress> {
        let stopped = self.clear_if(|current| !current.is_over());
        self.changed.notify_waiters();
        stopped
    }

    /// The drill that is on, if one is.
    pub fn progress(&self) -> Option<Progress> {
        if !self.set.load(Relaxed) {
            return None;
        }
        let current = self.current();
        let on = current.as_ref().filter(|current| !current.is_over());
        on.map(Current::progress)
    }

    /// The fault for the next request, if a drill is on and chooses it.
    pub fn next_fault(&self) -> Option<Fault> {
        if !self.set.load(Relaxed) {
            return None;
        }
        self.current().as_mut()?.next_fault()
    }

    /// Waits until the drill has ended by itself, and clears it away. None if something else has ended it.
    pub async fn over(&self) -> Option<Progress> {
        loop {
            let changed = self.changed.notified();
            let ends = self.current().as_ref()?.ends;
            if timeout_at(ends, changed).await.is_err() {
                return self.clear_if(Current::is_over);
            }
        }
    }

    fn clear_if(&self, is_so: impl Fn(&Current) -> bool) -> Option<Progress> {
        let mut current = self.current();
        let cleared = current.take_if(|current| is_so(current))?;
        self.set.store(false, Relaxed);
        Some(cleared.progress())
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            ends: Instant::now() + plan.length.0,
            calls: 0,
            injected: 0,
            chance: RandomState::new(),
        }
    }

    fn next_fault(&mut self) -> Option<Fault> {
        if self.is_over() {
            return None;
        }
        self.calls += 1;
        let drawn = self.chance.hash_one(self.calls) % 100;
        if drawn >= u64::from(self.plan.percent.0) {
            return None;
        }
        self.injected += 1;
        Some(self.plan.fault)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    fn progress(&self) -> Progress {
        Progress {
            plan: self.plan,
            left: self.ends.saturating_duration_since(Instant::now()),
            calls: self.calls,
            injected: self.injected,
        }
    }
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 4] = [Self::Deadline, Self::Status5xx, Self::Malformed, Self::Root];

    /// Its word: that of the reason for which the app's own failure would be replaced.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Status5xx => "status_5xx",
            Self::Malformed => "malformed",
            Self::Root => "root",
        }
    }

    /// Whether only a judge of pages takes it for a failure.
    pub fn is_of_a_page(self) -> bool {
        match self {
            Self::Malformed | Self::Root => true,
            Self::Deadline | Self::Status5xx => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let named = |fault: &Self| fault.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(Invalid::Fault)
    }
}

impl Percent {
    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Percent {
    /// Every call.
    fn default() -> Self {
        Self(100)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Percent {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = text.parse().ok();
        let percent = number.filter(|number| (1..=100).contains(number));
        percent.map(Self).ok_or(Invalid::Percent)
    }
}

impl TryFrom<Duration> for Length {
    type Error = Invalid;

    fn try_from(length: Duration) -> Result<Self, Invalid> {
        match length {
            Duration::ZERO => Err(Invalid::NoTime),
            length if length > LONGEST => Err(Invalid::TooLong),
            length => Ok(Self(length)),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Length {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        humantime::parse_duration(text)
            .map_err(Invalid::Time)?
            .try_into()
    }
}

impl fmt::Display for Invalid {
    /// What would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault => {
                let [first, second, third, last] = Fault::ALL;
                write!(f, "a fault is {first}, {second}, {third} or {last}")
            }
            Self::Percent => f.write_str("a percent is a whole number from 1 to 100"),
            Self::Time(_) => f.write_str("a time is a number with its unit, such as 5m"),
            Self::NoTime => f.write_str("a drill lasts longer than 0, such as 5m"),
            Self::TooLong => f.write_str("a drill lasts 24h at most"),
        }
    }
}

impl std::error::Error for Invalid {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Time(error) => Some(error),
            Self::Fault | Self::Percent | Self::NoTime | Self::TooLong => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::task::JoinHandle;
    use tokio::time::advance;

    fn plan(percent: u8, length: Duration) -> Plan {
        Plan {
            fault: Fault::Root,
            percent: Percent(percent),
            length: Length(length),
        }
    }

    const MINUTES: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn it_strikes_until_its_end_though_nobody_clears_it_away() {
        let drill = Drill::default();
        assert_eq!((drill.next_fault(), drill.progress()), (None, None));
        assert_eq!(drill.begin(plan(100, MINUTES)), None);
        advance(MINUTES - Duration::from_millis(1)).await;
        assert_eq!(drill.next_fault(), Some(Fault::Root));
        let progress = drill.progress().expect("it is on");
        assert_eq!((progress.calls, progress.injected), (1, 1));
        assert_eq!(progress.left, Duration::from_millis(1));
        advance(Duration::from_millis(1)).await;
        assert_eq!((drill.next_fault(), drill.progress()), (None, None));
        assert_eq!(drill.stop(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_its_end_learns_how_it_went() {
        let drill = Drill::default();
        drill.begin(plan(100, MINUTES));
        drill.next_fault();
        let began = Instant::now();
        let over = drill.over().await.expect("nobody stopped it");
        assert_eq!((over.calls, over.injected), (1, 1));
        assert_eq!(began.elapsed(), MINUTES);
        assert!(!drill.set.load(Relaxed), "calls take the lock no more");
    }

    /// Waits for its end in the background, and has begun to.
    async fn waiting(drill: &Arc<Drill>) -> JoinHandle<(Duration, Option<Progress>)> {
        let (drill, began) = (Arc::clone(drill), Instant::now());
        let waiting = tokio::spawn(async move {
            let over = drill.over().await;
            (began.elapsed(), over)
        });
        tokio::task::yield_now().await;
        waiting
    }

    #[tokio::test(start_paused = true)]
    async fn stopped_it_ends_at_once_and_has_not_ended_by_itself() {
        let drill = Arc::new(Drill::default());
        drill.begin(plan(100, MINUTES));
        let waiting = waiting(&drill).await;
        advance(Duration::from_secs(1)).await;
        let stopped = drill.stop().expect("it is on");
        assert_eq!(stopped.left, MINUTES - Duration::from_secs(1));
        assert_eq!((drill.next_fault(), drill.stop()), (None, None));
        let told = waiting.await.expect("no panic");
        assert_eq!(told, (Duration::from_secs(1), None));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_anothers_place_has_its_own_end_be_it_sooner_or_later() {
        for length in [MINUTES / 10, MINUTES * 10] {
            let drill = Arc::new(Drill::default());
            drill.begin(plan(100, MINUTES));
            let waiting = waiting(&drill).await;
            advance(MINUTES / 2).await;
            let before = drill.begin(plan(10, length)).expect("one was on");
            assert_eq!((before.plan.percent.0, before.left), (100, MINUTES / 2));
            let (waited, over) = waiting.await.expect("no panic");
            let over = over.expect("it ended by itself");
            assert_eq!((waited, over.plan.percent.0), (MINUTES / 2 + length, 10));
        }
    }

    #[test]
    fn a_percent_of_the_calls_is_struck_and_not_always_the_same_ones() {
        let injected = |percent| {
            let drill = Drill::default();
            drill.begin(plan(percent, MINUTES));
            let injected: Vec<bool> = (0..10_000).map(|_| drill.next_fault().is_some()).collect();
            let progress = drill.progress().expect("it is on");
            let many = injected.iter().filter(|injected| **injected).count();
            assert_eq!((progress.calls, progress.injected), (10_000, many as u64));
            (many, injected)
        };
        // Further from the mean than this by chance: once in 10^13.
        for percent in [1, 10, 50, 99] {
            let mean = f64::from(percent) * 100.0;
            let deviation = (mean * (1.0 - mean / 10_000.0)).sqrt();
            let (many, _) = injected(percent);
            assert!(
                (many as f64 - mean).abs() < 7.5 * deviation,
                "{percent}: {many}"
            );
        }
        assert_eq!(injected(100).0, 10_000);
        assert_ne!(injected(50).1, injected(50).1);
    }

    #[test]
    fn words_are_read_and_what_is_wrong_is_said() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
        }
        for percent in ["1", "100"] {
            let read: Percent = percent.parse().expect("it is one");
            assert_eq!(read.to_string(), percent);
        }
        for length in ["1ms", "5m", "1day"] {
            let read: Length = length.parse().expect("it is one");
            assert_eq!(read.to_string(), length);
        }
        for percent in ["0", "101", "-1", "1.5", "300", "", "ten", "50%"] {
            assert_eq!(percent.parse::<Percent>(), Err(Invalid::Percent));
        }
        let length = str::parse::<Length>;
        for zero in ["0", "0s", "0h 0ms"] {
            assert_eq!(length(zero), Err(Invalid::NoTime), "{zero}");
        }
        for long in ["24h 1ns", "2days", "1year"] {
            assert_eq!(length(long), Err(Invalid::TooLong), "{long}");
        }
        for no_time in ["", "5", "m", "-5m", "soon", "99999999999999999999y"] {
            assert!(
                matches!(length(no_time), Err(Invalid::Time(_))),
                "{no_time}"
            );
        }
        assert_eq!("slow".parse::<Fault>(), Err(Invalid::Fault));
        assert_eq!(
            Invalid::Fault.to_string(),
            "a fault is deadline, status_5xx, malformed or root"
        );
    }
}
