//! The series of a route whose callbacks are queued.

use super::number::{Counter, Gauge};

/// Why a callback is queued: what the upstream did, or that older ones of its key wait.
pub(super) const ENQUEUED: [&str; 13] = [
    "connect",
    "connect_timeout",
    "tls",
    "deadline",
    "reset",
    "truncated",
    "protocol",
    "status_5xx",
    "breaker_open",
    "overload",
    "drill",
    "internal",
    "order",
];

/// Why a callback isn't stored.
pub(super) const REFUSED: [&str; 7] = [
    "full",
    "too_large",
    "io",
    "away",
    "damaged",
    "closed",
    "timeout",
];

/// The series of a route whose callbacks are queued. Only such a route has them.
#[derive(Default)]
pub struct QueueMetrics {
    /// By reason.
    pub(super) enqueued: [Counter; ENQUEUED.len()],
    /// By reason.
    pub(super) refused: [Counter; REFUSED.len()],
    pub(super) delivered: Counter,
    pub(super) expired: Counter,
    /// How many wait.
    pub depth: Gauge,
    /// For how long the oldest has been waiting, in seconds; 0 if none waits.
    pub oldest: Gauge,
    /// How many dead letters are kept.
    pub dead_letters: Gauge,
}

impl QueueMetrics {
    /// Counts a callback that is stored, by the label of its reason.
    pub fn enqueued(&self, reason: &str) {
        count(&ENQUEUED, &self.enqueued, reason);
    }

    /// Counts a callback that isn't stored, by the label of the reason.
    pub fn refused(&self, reason: &str) {
        count(&REFUSED, &self.refused, reason);
    }

    /// Counts a callback that the upstream has taken.
    pub fn delivered(&self) {
        self.delivered.inc();
    }

    /// Counts a callback that became a dead letter because of its age.
    pub fn expired(&self) {
        self.expired.inc();
    }
}

fn count<const N: usize>(labels: &[&str; N], counters: &[Counter; N], label: &str) {
    let place = labels.iter().position(|own| *own == label);
    debug_assert!(place.is_some(), "{label} is in no list");
    if let Some(place) = place {
        counters[place].inc();
    }
}
