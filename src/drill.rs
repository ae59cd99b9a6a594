//! A drill of the fallback on a live route: some of its requests are answered as if the upstream had failed.
//!
//! While a drill is running, a fault is injected in a share of the route's requests, chosen at random. Every drill has an end, and
//! the clock ends it even if nobody stops it. This module only decides which requests get the fault: `proxy` injects it.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The longest time that a drill may take.
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// One route's drills, one at a time. They are kept when the configuration is reloaded.
#[derive(Debug, Default)]
pub struct Drill {
    /// Whether `current` holds a drill: every request reads this, so that it needn't take the lock.
    is_set: AtomicBool,
    current: Mutex<Option<Current>>,
    /// Notified when the drill is stopped or replaced.
    changed: Notify,
}

/// A drill that was started. It may have reached its end without having been cleared yet.
#[derive(Debug)]
struct Current {
    settings: Settings,
    ends: Instant,
    requests: u64,
    /// `<= requests`
    injected: u64,
    /// Random keys: with them the number of a request decides whether the fault is injected.
    random: RandomState,
}

/// What a drill injects, how often, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is injected.
    pub fault: Fault,
    /// In how many requests it is injected.
    pub percent: Percent,
    /// How long the drill takes.
    pub time_limit: TimeLimit,
}

/// How far a drill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its settings.
    pub settings: Settings,
    /// How much of its time is left.
    pub remaining: Duration,
    /// How many requests have arrived.
    pub requests: u64,
    /// In how many of them the fault was injected.
    pub injected: u64,
}

/// What is injected in a request. Each is named like the reason that the upstream's own failure of this kind has.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(
    serialize_all = "snake_case",
    parse_err_ty = Error,
    parse_err_fn = unknown_fault
)]
pub enum Fault {
    /// No response until the deadline.
    Deadline,
    /// A status of 500. It is the default, as nobody has to wait for its fallback.
    #[default]
    #[strum(serialize = "status_5xx")]
    Status5xx,
    /// A document that breaks off.
    Malformed,
    /// A document whose root is `response`.
    Root,
}

/// In how many of a hundred requests a fault is injected: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

/// How long a drill takes: more than 0, at most 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit(Duration);

/// Why a text is not a valid setting of a drill, by what would be right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No fault has this name.
    #[error("a fault is deadline, status_5xx, malformed or root")]
    Fault,
    /// It isn't a whole number from 1 to 100.
    #[error("a percent is a whole number from 1 to 100")]
    Percent,
    /// It isn't a duration.
    #[error("a time is a number with its unit, such as 5m")]
    Time(#[source] humantime::DurationError),
    /// It is a duration of 0.
    #[error("a drill lasts longer than 0, such as 5m")]
    ZeroTime,
    /// It is longer than 24 hours.
    #[error("a drill lasts 24h at most")]
    TooLong,
}

fn unknown_fault(_: &str) -> Error {
    Error::Fault
}

impl Drill {
    /// Starts a drill. Returns the progress of the running one that it replaces, if there is one.
    pub fn start(&self, settings: Settings) -> Option<Progress> {
        let mut current = self.current();
        let replaced = current.replace(Current::new(settings));
        self.is_set.store(true, Relaxed);
        self.changed.notify_waiters();
        replaced
            .filter(|replaced| !replaced.is_over())
            .map(|replaced| replaced.progress())
    }

    /// Stops the running drill, if there is one.
    pub fn stop(&self) -> Option<Progress> {
        let stopped = self.clear_if(|current| !current.is_over());
        self.changed.notify_waiters();
        stopped
    }

    /// The progress of the running drill, if there is one.
    pub fn progress(&self) -> Option<Progress> {
        if !self.is_set.load(Relaxed) {
            return None;
        }
        let current = self.current();
        let running = current.as_ref().filter(|current| !current.is_over());
        running.map(Current::progress)
    }

    /// The fault for the next request, if a drill is running and chooses it.
    pub fn next_fault(&self) -> Option<Fault> {
        if !self.is_set.load(Relaxed) {
            return None;
        }
        self.current().as_mut()?.next_fault()
    }

    /// Waits until the drill reaches its end, and clears it. `None` if it was stopped.
    pub async fn wait_for_end(&self) -> Option<Progress> {
        loop {
            let changed = self.changed.notified();
            let ends = self.current().as_ref()?.ends;
            if timeout_at(ends, changed).await.is_err() {
                return self.clear_if(Current::is_over);
            }
        }
    }

    fn clear_if(&self, condition: impl Fn(&Current) -> bool) -> Option<Progress> {
        let mut current = self.current();
        let cleared = current.take_if(|current| condition(current))?;
        self.is_set.store(false, Relaxed);
        Some(cleared.progress())
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            ends: Instant::now() + settings.time_limit.0,
            requests: 0,
            injected: 0,
            random: RandomState::new(),
        }
    }

    fn next_fault(&mut self) -> Option<Fault> {
        if self.is_over() {
            return None;
        }
        self.requests += 1;
        let drawn = self.random.hash_one(self.requests) % 100;
        if drawn >= u64::from(self.settings.percent.0) {
            return None;
        }
        self.injected += 1;
        Some(self.settings.fault)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    fn progress(&self) -> Progress {
        Progress {
            settings: self.settings,
            remaining: self.ends.saturating_duration_since(Instant::now()),
            requests: self.requests,
            injected: self.injected,
        }
    }
}

impl Fault {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it is a failure only where documents are validated.
    pub fn needs_validation(self) -> bool {
        match self {
            Self::Malformed | Self::Root => true,
            Self::Deadline | Self::Status5xx => false,
        }
    }
}

impl Percent {
    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Percent {
    /// Every request.
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
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = text.parse().ok();
        let percent = number.filter(|number| (1..=100).contains(number));
        percent.map(Self).ok_or(Error::Percent)
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for TimeLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match humantime::parse_duration(text).map_err(Error::Time)? {
            Duration::ZERO => Err(Error::ZeroTime),
            time if time > MAX_TIME => Err(Error::TooLong),
            time => Ok(Self(time)),
        }
    }
}

#[cfg(test)]
mod tests;
