//! The last failures, for whoever looks at the status. Holds nothing of a caller's but Twilio's identifier of the call.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

/// How many are kept.
const KEPT: usize = 100;

/// One call that didn't get the app's answer.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
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
    /// What happened, in words.
    pub detail: String,
}

/// The last failures of all routes.
#[derive(Debug, Default)]
pub struct Failures(Mutex<VecDeque<Failure>>);

impl Failures {
    /// Keeps one; the oldest goes.
    pub fn push(&self, failure: Failure) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front(failure);
    }

    /// Those that are kept, the newest first.
    pub fn latest(&self) -> Vec<Failure> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

/// Now, in seconds since 1970.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.as_ref().map_or(0.0, Duration::as_secs_f64)
}
