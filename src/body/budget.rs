//! A bound on the memory that bodies take together.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bounds the memory of bodies that are collected before their signature is checked and are still arriving, over all connections.
/// A body that arrives at once takes nothing of it.
#[derive(Debug)]
pub struct MemoryBudget {
    /// In bytes.
    limit: usize,
    reserved: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of this many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            reserved: AtomicUsize::new(0),
        }
    }

    pub(super) fn reserve(&self) -> Reservation<'_> {
        Reservation {
            budget: self,
            bytes: 0,
        }
    }
}

/// What one body has reserved of a [`MemoryBudget`]; released when dropped.
pub(super) struct Reservation<'b> {
    budget: &'b MemoryBudget,
    bytes: usize,
}

impl Reservation<'_> {
    /// Reserves as much more as a body of this many bytes needs. False if the budget is used up.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        more == 0 || self.budget.reserved.fetch_add(more, Relaxed) + more <= self.budget.limit
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.budget.reserved.fetch_sub(self.bytes, Relaxed);
    }
}
