//! The connections to one upstream, counted over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// How many connections there are to one upstream. It outlives reloads.
#[derive(Debug, Default)]
pub struct ConnectionStats {
    opened: AtomicU64,
    open: AtomicI64,
    idle: AtomicI64,
}

impl ConnectionStats {
    /// How many were ever opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// How many wait for a request.
    pub fn idle(&self) -> i64 {
        self.idle.load(Relaxed)
    }

    /// How many serve a request.
    pub fn busy(&self) -> i64 {
        (self.open.load(Relaxed) - self.idle()).max(0)
    }

    pub(super) fn became_idle(&self) {
        self.idle.fetch_add(1, Relaxed);
    }

    pub(super) fn left_idle(&self, count: usize) {
        self.idle.fetch_sub(count as i64, Relaxed);
    }
}

/// Counts one open connection, until it is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<ConnectionStats>);

impl OpenConnection {
    pub(super) fn new(stats: &Arc<ConnectionStats>) -> Self {
        stats.opened.fetch_add(1, Relaxed);
        stats.open.fetch_add(1, Relaxed);
        Self(Arc::clone(stats))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
