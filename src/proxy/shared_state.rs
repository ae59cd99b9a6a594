//! What outlives every reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::body::MemoryBudget;
use crate::breaker::Breaker;
use crate::drill::Drill;
use crate::metrics::Metrics;
use crate::queue::Store;
use crate::recent_failures::RecentFailures;

/// What request bodies may take together, in bytes, while their signatures are not verified yet.
const UNVERIFIED_BYTES: usize = 16 << 20;

/// What is the same in every [`Snapshot`](super::Snapshot) of one process.
pub struct SharedState {
    /// Every series.
    pub metrics: Arc<Metrics>,
    /// The last failures.
    pub failures: RecentFailures,
    /// The memory for bodies of requests that are not verified yet.
    pub(super) unverified: MemoryBudget,
    breakers: Mutex<HashMap<String, Arc<Breaker>>>,
    drills: Mutex<HashMap<String, Arc<Drill>>>,
    queue: OnceLock<Arc<dyn Store>>,
}

impl SharedState {
    /// That of a new process.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            metrics: Metrics::new(),
            failures: RecentFailures::default(),
            unverified: MemoryBudget::new(UNVERIFIED_BYTES),
            breakers: Mutex::default(),
            drills: Mutex::default(),
            queue: OnceLock::new(),
        })
    }

    /// Where callbacks are queued, if anywhere.
    pub fn queue(&self) -> Option<&Arc<dyn Store>> {
        self.queue.get()
    }

    /// Queues callbacks in this store from now on. The first one stays.
    pub fn set_queue(&self, store: Arc<dyn Store>) {
        let _ = self.queue.set(store);
    }

    /// The breaker of a route; it stays the same as long as the name does.
    pub(super) fn breaker(&self, route: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(route.to_owned());
        Arc::clone(breaker.or_insert_with(Breaker::new))
    }

    /// The drills of a route; they stay the same as long as the name does.
    pub(super) fn drill(&self, route: &str) -> Arc<Drill> {
        let mut drills = self.drills.lock().unwrap_or_else(PoisonError::into_inner);
        let drill = drills.entry(route.to_owned());
        Arc::clone(drill.or_default())
    }

    /// The drills of all routes that ever were, by name.
    pub(super) fn drills(&self) -> Vec<(String, Arc<Drill>)> {
        let drills = self.drills.lock().unwrap_or_else(PoisonError::into_inner);
        let drills = drills.iter();
        drills
            .map(|(name, drill)| (name.clone(), Arc::clone(drill)))
            .collect()
    }
}
