//! The last failures, for whoever looks at the status. Holds nothing of a caller's but Twilio's identifier of the call.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::failure::Reason;
use crate::twiml::Excerpt;

/// How many are kept.
const KEPT: usize = 100;

/// One call that didn't get the app's answer.
#[derive(Clone, Debug, Serialize)]
pub struct FailureRecord {
    /// When, in seconds since 1970.
    pub timestamp_seconds: f64,
    /// The route.
    pub route: String,
    /// How the call ended.
    pub outcome: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Twilio's code for it, if it has one.
    pub twilio_code: Option<u32>,
    /// `CallSid` or `MessageSid`.
    pub sid: Option<String>,
    /// What status the app answered, if it did.
    pub upstream_status: Option<u16>,
    /// How long the call took.
    pub milliseconds: u64,
    /// The line in the app's page, from 1.
    pub line: Option<u32>,
    /// The column in that line, in characters from 1.
    pub column: Option<u32>,
    /// That line around the column, masked: nothing of it but markup and known names.
    pub excerpt: Option<Excerpt>,
    /// What happened, in words.
    pub detail: String,
    /// What would be right, where the page itself tells.
    pub help: Option<String>,
}

/// When and why a route last failed: where the app was tried, if it ever was.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Last {
    /// In seconds since 1970.
    pub timestamp_seconds: f64,
    /// As in [`FailureRecord::reason`].
    pub reason: &'static str,
}

impl Last {
    /// Whether the app wasn't even asked: why it wasn't is what the failure before says.
    fn says_nothing_of_app(self) -> bool {
        [Reason::BreakerOpen, Reason::Drill]
            .map(Reason::label)
            .contains(&self.reason)
    }
}

/// The last failures of all routes, and the last one of each.
#[derive(Debug, Default)]
pub struct RecentFailures(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    latest: VecDeque<Arc<FailureRecord>>,
    of_routes: HashMap<String, Last>,
}

impl RecentFailures {
    /// Keeps one; the oldest goes.
    pub fn push(&self, failure: FailureRecord) {
        let last = Last {
            timestamp_seconds: failure.timestamp_seconds,
            reason: failure.reason,
        };
        let mut kept = self.kept();
        match kept.of_routes.get_mut(&failure.route) {
            Some(before) if last.says_nothing_of_app() && !before.says_nothing_of_app() => {}
            Some(before) => *before = last,
            None => {
                kept.of_routes.insert(failure.route.clone(), last);
            }
        }
        kept.latest.truncate(KEPT - 1);
        kept.latest.push_front(Arc::new(failure));
    }

    /// Those that are kept, the newest first.
    pub fn latest(&self) -> Vec<Arc<FailureRecord>> {
        self.kept().latest.iter().cloned().collect()
    }

    /// The last one of a route, also if it isn't kept any more.
    pub fn last_of(&self, route: &str) -> Option<Last> {
        self.kept().of_routes.get(route).copied()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Now, in seconds since 1970.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.as_ref().map_or(0.0, Duration::as_secs_f64)
}
