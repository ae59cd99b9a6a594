//! The last failures, for the status. Of a caller it holds nothing but Twilio's identifier of the call or message.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::failure::Reason;
use crate::twiml::Excerpt;

/// How many failures are kept.
const CAPACITY: usize = 100;

/// The last failures of all routes, and the last one of each.
#[derive(Debug, Default)]
pub struct RecentFailures(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The newest first.
    latest: VecDeque<Arc<FailureRecord>>,
    by_route: HashMap<String, LastFailure>,
}

/// One request that didn't get a good response from the app.
#[derive(Clone, Debug, Serialize)]
pub struct FailureRecord {
    /// When, in seconds since 1970.
    pub timestamp_seconds: f64,
    /// The route.
    pub route: String,
    /// How the request ended: the label of its outcome.
    pub outcome: &'static str,
    /// Why: the label of its reason.
    pub reason: &'static str,
    /// Twilio's error code, if it has one for this.
    pub twilio_code: Option<u32>,
    /// `CallSid` or `MessageSid`.
    pub sid: Option<String>,
    /// The status of the app's response, if there was one.
    pub upstream_status: Option<u16>,
    /// How long the request took.
    pub milliseconds: u64,
    /// The line in the app's document, from 1.
    pub line: Option<u32>,
    /// The column in that line, in characters from 1.
    pub column: Option<u32>,
    /// That line around the column, masked: only markup and known names are left.
    pub excerpt: Option<Excerpt>,
    /// What happened, in words.
    pub error: String,
    /// How to correct the document, if the validator knows.
    pub help: Option<String>,
}

/// The last failure of a route: the last one where the app was asked, if it ever was.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LastFailure {
    /// When, in seconds since 1970.
    pub timestamp_seconds: f64,
    /// As in [`FailureRecord::reason`].
    pub reason: &'static str,
}

impl LastFailure {
    /// Whether the app was not asked. The failure before this one says why.
    fn is_without_upstream(self) -> bool {
        [Reason::BreakerOpen, Reason::Drill]
            .map(Reason::label)
            .contains(&self.reason)
    }
}

impl RecentFailures {
    /// Adds a failure, and forgets the oldest.
    pub fn push(&self, failure: FailureRecord) {
        let last = LastFailure {
            timestamp_seconds: failure.timestamp_seconds,
            reason: failure.reason,
        };
        let mut inner = self.lock();
        match inner.by_route.get_mut(&failure.route) {
            Some(before) if last.is_without_upstream() && !before.is_without_upstream() => {}
            Some(before) => *before = last,
            None => {
                inner.by_route.insert(failure.route.clone(), last);
            }
        }
        inner.latest.truncate(CAPACITY - 1);
        inner.latest.push_front(Arc::new(failure));
    }

    /// The failures that are kept, the newest first.
    pub fn latest(&self) -> Vec<Arc<FailureRecord>> {
        self.lock().latest.iter().cloned().collect()
    }

    /// The last failure of a route, also when its record is no longer kept.
    pub fn last_of(&self, route: &str) -> Option<LastFailure> {
        self.lock().by_route.get(route).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The current time in seconds since 1970.
pub fn now() -> f64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    elapsed.as_ref().map_or(0.0, Duration::as_secs_f64)
}
