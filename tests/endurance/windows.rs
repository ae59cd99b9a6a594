//! What was disturbed when. A request that a disturbance may have touched may end in another way than its plan says; any other
//! may not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::plan::Door;

/// For how long the past is remembered. No request takes as long.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A disturbance that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The child app was killed, and isn't back yet.
    ChildDown,
    /// The child app is stopped.
    ChildStopped,
    /// The app's Unix socket is gone.
    UnixGone,
    /// The app in this process closes all its connections.
    HangUp,
    /// A drill begins, runs or ends on the routes for drills.
    Drill(Door),
    /// A drill surely runs there: it takes hold of every request that lies within.
    DrillHolds(Door),
    /// A process ends and the next one is not there yet: whoever connects waits.
    Restart(Door),
    /// A new process takes over; or an old one is still there for what is open.
    Upgrade(Door),
    /// Descriptors are short.
    Starved(Door),
}

#[derive(Debug)]
struct Window {
    what: What,
    from: Instant,
    to: Option<Instant>,
}

/// Every disturbance of the last minute.
#[derive(Default)]
pub(crate) struct Windows(Mutex<Vec<Window>>);

/// A disturbance that goes on until this is dropped.
pub(crate) struct Open<'a> {
    windows: &'a Windows,
    what: What,
}

impl Windows {
    fn all(&self) -> MutexGuard<'_, Vec<Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a disturbance. To be called before anything is disturbed.
    pub(crate) fn open(&self, what: What) -> Open<'_> {
        let now = Instant::now();
        let mut all = self.all();
        all.retain(|window| window.to.is_none_or(|to| now - to < REMEMBERED));
        all.push(Window {
            what,
            from: now,
            to: None,
        });
        let windows = self;
        Open { windows, what }
    }

    /// Whether it was so at any time between these.
    pub(crate) fn touch(&self, what: What, from: Instant, to: Instant) -> bool {
        self.overlap(what, from, to).is_some()
    }

    /// For how long it was so between these; none if it never was.
    pub(crate) fn overlap(&self, what: What, from: Instant, to: Instant) -> Option<Duration> {
        let all = self.all();
        let own = all.iter().filter(|window| window.what == what);
        let own = own.filter_map(|window| {
            let end = window.to.unwrap_or(to).min(to);
            (window.from <= to && end >= from)
                .then(|| end.saturating_duration_since(window.from.max(from)))
        });
        own.reduce(|sum, time| sum + time)
    }

    /// Whether it was so all the time between these.
    pub(crate) fn contain(&self, what: What, from: Instant, to: Instant) -> bool {
        let all = self.all();
        let mut own = all.iter().filter(|window| window.what == what);
        own.any(|window| window.from <= from && window.to.is_none_or(|end| end >= to))
    }

    /// What was so between these, for a story.
    pub(crate) fn describe(&self, from: Instant, to: Instant) -> Vec<(Instant, String)> {
        let all = self.all();
        let own = all
            .iter()
            .filter(|window| window.from <= to && window.to.is_none_or(|end| end >= from));
        own.flat_map(|window| {
            let begins = (
                window.from,
                format!("disturbance begins: {:?}", window.what),
            );
            let ends = window
                .to
                .map(|to| (to, format!("disturbance ends: {:?}", window.what)));
            [Some(begins), ends].into_iter().flatten()
        })
        .collect()
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut all = self.windows.all();
        let own = all
            .iter_mut()
            .rev()
            .find(|window| window.what == self.what && window.to.is_none());
        if let Some(window) = own {
            window.to = Some(Instant::now());
        }
    }
}
