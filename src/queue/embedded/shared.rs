//! What the writer shares with the methods of the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::queue::callback::Callback;
use crate::queue::index::{Index, Record};
use crate::queue::store::{Changes, Ending, Error, Id};

use super::file::{self, Callbacks};

/// The index, and the files for reading.
pub(super) struct Shared {
    index: Mutex<Index>,
    /// Callbacks that are not on the disk yet.
    appending: Mutex<Keys>,
    /// By their numbers. The lock is taken for writing only while a file is opened, closed or compacted.
    pub(super) files: RwLock<BTreeMap<u32, Callbacks>>,
    changes: watch::Sender<()>,
    max_size: AtomicU64,
    /// Whether a file can't be read yet, since another process has it or the disk is broken.
    is_partial: AtomicBool,
}

/// How many callbacks of a route and key are being appended, and the sum of their sizes.
#[derive(Default)]
struct Keys {
    counts: HashMap<(Arc<str>, Arc<str>), usize>,
    bytes: u64,
}

/// A callback that is being appended. It counts as waiting and towards `max_size`.
pub(super) struct Appending {
    shared: Arc<Shared>,
    pub(super) record: Record,
}

impl Drop for Appending {
    fn drop(&mut self) {
        let mut keys = lock(&self.shared.appending);
        keys.bytes -= self.record.size;
        let key = (Arc::clone(&self.record.route), Arc::clone(&self.record.key));
        if let Some(count) = keys.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                keys.counts.remove(&key);
            }
        }
    }
}

impl Shared {
    pub(super) fn new(max_size: u64) -> Self {
        Self {
            index: Mutex::default(),
            appending: Mutex::default(),
            files: RwLock::default(),
            changes: watch::Sender::new(()),
            max_size: max_size.into(),
            is_partial: false.into(),
        }
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    pub(super) fn set_max_size(&self, max_size: u64) {
        self.max_size.store(max_size, Ordering::Relaxed);
    }

    pub(super) fn set_partial(&self, is_partial: bool) {
        self.is_partial.store(is_partial, Ordering::Release);
    }

    fn is_partial(&self) -> bool {
        self.is_partial.load(Ordering::Acquire)
    }

    pub(super) fn begin_append(
        self: &Arc<Self>,
        callback: &Callback,
        size: u64,
    ) -> Result<Appending, Error> {
        let record = Record::new(callback, size);
        let stored = self.index().bytes();
        let mut keys = lock(&self.appending);
        let max_size = self.max_size.load(Ordering::Relaxed);
        if stored.saturating_add(keys.bytes).saturating_add(size) > max_size {
            return Err(Error::Full { max_size });
        }
        keys.bytes += size;
        let key = (Arc::clone(&record.route), Arc::clone(&record.key));
        *keys.counts.entry(key).or_default() += 1;
        drop(keys);
        Ok(Appending {
            shared: Arc::clone(self),
            record,
        })
    }

    pub(super) fn is_waiting(&self, route: &str, key: &str) -> bool {
        self.is_partial()
            || {
                let keys = lock(&self.appending);
                !keys.counts.is_empty() && keys.counts.contains_key(&(route.into(), key.into()))
            }
            || self.index().is_waiting(route, key)
    }

    /// Nothing is claimed while older ones may wait in a file that can't be read yet.
    pub(super) fn claim(&self, route: &str, now: SystemTime) -> Option<Id> {
        if self.is_partial() {
            return None;
        }
        self.index().claim(route, now)
    }

    pub(super) fn release(&self, id: Id) {
        self.index().release(id);
        self.notify();
    }

    pub(super) fn finish(&self, id: Id, ending: &Ending) {
        let mut index = self.index();
        match ending {
            Ending::Delivered => {
                if let Some(record) = index.remove(id) {
                    index.forget_error(&record.route);
                }
            }
            Ending::Retry { at, error } => {
                index.put_off(id, *at, error);
            }
            Ending::Dead { at, error } => {
                index.make_dead_letter(id, *at, error);
            }
        }
        drop(index);
        self.notify();
    }

    /// A callback that can't be read any more is a dead letter.
    pub(super) fn end_damaged(&self, id: Id, now: SystemTime, error: &Error) {
        let mut index = self.index();
        index.count_damaged();
        index.make_dead_letter(id, now, &error.to_string());
        drop(index);
        self.notify();
    }

    pub(super) fn next_due(&self, route: &str) -> Option<SystemTime> {
        if self.is_partial() {
            return None;
        }
        self.index().next_due(route)
    }

    /// A callback as it is stored.
    pub(super) fn read(&self, id: Id) -> Result<Vec<u8>, Error> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let file = files.get(&id.file());
        let file = file.ok_or_else(|| Error::Io("its file is not open".to_owned()))?;
        match file.read(id) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) | Err(file::Error::Damaged(_)) => Err(Error::Damaged(id)),
            Err(error) => Err(Error::Io(error.to_string())),
        }
    }

    pub(super) fn changes(&self) -> Changes {
        self.changes.subscribe()
    }

    pub(super) fn notify(&self) {
        self.changes.send_replace(());
    }
}

/// Locks even after a panic of another thread, which leaves counts that are wrong by one at most.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
