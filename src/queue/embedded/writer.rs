//! The thread that writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use crate::queue::index::Record;
use crate::queue::store::{Error, Id};

use super::file::{self, Addition, Change};
use super::files::Files;
use super::shared::{Appending, Shared};

/// How long the end of a delivery waits to share a write. After a crash, callbacks whose delivery ended within this time are
/// delivered again.
const ENDING_DELAY: Duration = Duration::from_millis(100);

/// How often the writer checks whether another process has ended.
const TAKE_OVER_INTERVAL: Duration = Duration::from_millis(100);

/// Free pages are given back when nothing was written for so long.
const GIVE_BACK_DELAY: Duration = Duration::from_secs(1);

/// The most that is written at once, in callbacks and in bytes.
const MAX_BATCH: usize = 2048;
const MAX_BATCH_BYTES: usize = 8 << 20;

/// The id of an addition that isn't written yet.
const UNKNOWN: Id = Id::new(0, 0);

/// What the writer is asked to do.
pub(super) enum Job {
    /// Store a callback.
    Append {
        appending: Appending,
        callback: Vec<u8>,
        reply: oneshot::Sender<Result<Id, Error>>,
    },
    /// Store the record of this callback as it is in the index, with the next write.
    Change(Id),
    /// Make these due at once.
    Retry {
        ids: Vec<Id>,
        now: SystemTime,
        reply: oneshot::Sender<Result<usize, Error>>,
    },
    /// Erase these.
    Drop {
        ids: Vec<Id>,
        reply: oneshot::Sender<Result<usize, Error>>,
    },
    /// Write everything and end.
    Close { reply: oneshot::Sender<()> },
}

/// Owns the files.
pub(super) struct Writer {
    shared: Arc<Shared>,
    files: Files,
    pending: BTreeMap<Id, Change>,
    pending_since: Option<Instant>,
    /// The time of the last write, until free pages are given back.
    written: Option<Instant>,
}

/// What is written at once, and who waits for it.
#[derive(Default)]
struct Batch {
    additions: Vec<(Addition, Record, Origin)>,
    counts: Vec<(usize, oneshot::Sender<Result<usize, Error>>)>,
    bytes: usize,
    is_urgent: bool,
    close: Option<oneshot::Sender<()>>,
}

/// Where an addition comes from.
enum Origin {
    Append(Appending, oneshot::Sender<Result<Id, Error>>),
    /// A dead letter of this id that waits again.
    Dead(Id),
}

impl Batch {
    fn add(&mut self, record: Record, callback: Vec<u8>, origin: Origin) {
        self.bytes += callback.len();
        let addition = Addition {
            id: UNKNOWN,
            record: record.encode(),
            callback,
        };
        self.additions.push((addition, record, origin));
    }

    fn is_full(&self) -> bool {
        self.additions.len() >= MAX_BATCH || self.bytes >= MAX_BATCH_BYTES || self.close.is_some()
    }

    fn retries(&self, dead: Id) -> bool {
        let of_dead = |origin: &Origin| matches!(origin, Origin::Dead(id) if *id == dead);
        self.additions.iter().any(|(_, _, origin)| of_dead(origin))
    }
}

impl Writer {
    /// A writer of these files.
    pub(super) fn new(files: Files) -> Self {
        Self {
            shared: Arc::clone(files.shared()),
            files,
            pending: BTreeMap::new(),
            pending_since: None,
            written: Some(Instant::now()),
        }
    }

    /// Works until it is asked to close, or the store is dropped.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let mut batch = Batch::default();
            let is_over = match self.next_job(jobs) {
                Ok(job) => {
                    self.add(&mut batch, job);
                    while !batch.is_full() {
                        let Ok(job) = jobs.try_recv() else { break };
                        self.add(&mut batch, job);
                    }
                    batch.close.is_some()
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            batch.is_urgent |= is_over;
            let close = batch.close.take();
            self.files.take_over();
            self.files.retry_closed();
            self.write(batch);
            self.give_back_pages(is_over);
            if is_over {
                self.end(close);
                return;
            }
        }
    }

    fn end(self, close: Option<oneshot::Sender<()>>) {
        self.files.close();
        if let Some(close) = close {
            let _ = close.send(());
        }
    }

    /// Waits for a job, or until something is to be done without one.
    fn next_job(&self, jobs: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        let now = Instant::now();
        let not_before = self.files.disk.paused_until();
        let flush = self
            .pending_since
            .map(|since| (since + ENDING_DELAY).max(not_before.unwrap_or(since)));
        let take_over = self.files.has_others().then(|| now + TAKE_OVER_INTERVAL);
        let give_back = self.written.map(|written| written + GIVE_BACK_DELAY);
        let give_back = give_back.filter(|_| self.pending.is_empty());
        let reopen = not_before.filter(|_| self.files.has_closed());
        match [flush, take_over, give_back, reopen]
            .into_iter()
            .flatten()
            .min()
        {
            Some(until) => jobs.recv_timeout(until.saturating_duration_since(now)),
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn add(&mut self, batch: &mut Batch, job: Job) {
        match job {
            Job::Append {
                appending,
                callback,
                reply,
            } => {
                let record = appending.record.clone();
                let origin = Origin::Append(appending, reply);
                batch.add(record, callback, origin);
            }
            Job::Change(id) => self.change(id),
            Job::Retry { ids, now, reply } => {
                let count = ids.iter().filter(|id| self.retry(batch, **id, now)).count();
                batch.is_urgent = true;
                batch.counts.push((count, reply));
            }
            Job::Drop { ids, reply } => {
                let count = ids.iter().filter(|id| self.drop(**id)).count();
                self.shared.notify();
                batch.is_urgent = true;
                batch.counts.push((count, reply));
            }
            Job::Close { reply } => batch.close = Some(reply),
        }
    }

    /// Stores the record of a callback as it is in the index, with the next write.
    fn change(&mut self, id: Id) {
        let change = match self.shared.index().get(id) {
            Some(record) => Change::Record(record.encode()),
            None => Change::Erase,
        };
        self.put_pending(id, change);
    }

    fn put_pending(&mut self, id: Id, change: Change) {
        if !self.files.is_damaged(id.file()) {
            self.pending.insert(id, change);
            self.pending_since.get_or_insert_with(Instant::now);
        }
    }

    fn retry(&mut self, batch: &mut Batch, id: Id, now: SystemTime) -> bool {
        let Some(record) = self.shared.index().get(id).cloned() else {
            return false;
        };
        if !record.is_dead {
            self.shared.index().make_due(id, now);
            self.change(id);
            return true;
        }
        if batch.retries(id) {
            return false;
        }
        let Ok(callback) = self.shared.read(id) else {
            return false;
        };
        batch.add(record.wait_again(now), callback, Origin::Dead(id));
        true
    }

    fn drop(&mut self, id: Id) -> bool {
        let mut index = self.shared.index();
        if index.get(id).is_none_or(|record| record.is_claimed) {
            return false;
        }
        index.remove(id);
        drop(index);
        self.put_pending(id, Change::Erase);
        true
    }

    /// Writes what has to be written now.
    fn write(&mut self, mut batch: Batch) {
        let is_due = self
            .pending_since
            .is_some_and(|since| since.elapsed() >= ENDING_DELAY);
        if batch.additions.is_empty() && !batch.is_urgent && !is_due {
            return;
        }
        let refused = if batch.additions.is_empty() {
            None
        } else {
            self.files.check_disk(batch.bytes as u64).err()
        };
        // Only now: the own file may have been replaced because it is damaged.
        for (addition, ..) in &mut batch.additions {
            addition.id = self.files.next_id();
        }
        let written = match &refused {
            None => self.try_write(&batch),
            Some(error) => {
                let _ = self.write_changes();
                Err(error.clone())
            }
        };
        match written {
            Ok(()) => self.finish(batch),
            Err(error) => self.refuse(batch, &error, refused.is_none()),
        }
    }

    fn finish(&mut self, batch: Batch) {
        let has_additions = !batch.additions.is_empty();
        let mut appended = Vec::new();
        let mut index = self.shared.index();
        let mut retried = Vec::new();
        for (addition, record, origin) in batch.additions {
            index.insert(addition.id, record);
            match origin {
                Origin::Append(appending, reply) => appended.push((addition.id, appending, reply)),
                Origin::Dead(id) => {
                    index.remove(id);
                    retried.push(id);
                }
            }
        }
        drop(index);
        for id in retried {
            self.put_pending(id, Change::Erase);
        }
        for (id, appending, reply) in appended {
            drop(appending);
            let _ = reply.send(Ok(id));
        }
        for (count, reply) in batch.counts {
            let _ = reply.send(Ok(count));
        }
        if has_additions || batch.is_urgent {
            self.shared.notify();
        }
    }

    fn refuse(&mut self, batch: Batch, error: &Error, was_tried: bool) {
        for (addition, _, origin) in batch.additions {
            if was_tried {
                // If only the last step of the write failed, it may be in the file.
                self.put_pending(addition.id, Change::Erase);
            }
            if let Origin::Append(appending, reply) = origin {
                drop(appending);
                let _ = reply.send(Err(error.clone()));
            }
        }
        for (_, reply) in batch.counts {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// Writes a batch and all changes, file by file.
    fn try_write(&mut self, batch: &Batch) -> Result<(), Error> {
        if !batch.additions.is_empty() {
            self.write_additions(batch)?;
        }
        self.write_changes()
    }

    fn write_additions(&mut self, batch: &Batch) -> Result<(), Error> {
        let changes = self.take_pending(self.files.own);
        let additions = batch.additions.iter().map(|(addition, _, _)| addition);
        let written = self.files.write(self.files.own, additions, &changes);
        self.settle(self.files.own, changes, written)
    }

    /// Writes what is pending.
    fn write_changes(&mut self) -> Result<(), Error> {
        while let Some(number) = self.pending.keys().next().map(|id| id.file()) {
            self.files.wait_for_disk()?;
            if self.files.is_damaged(number) {
                self.take_pending(number);
                continue;
            }
            let changes = self.take_pending(number);
            let written = self.files.write(number, [].iter(), &changes);
            self.settle(number, changes, written)?;
            if number != self.files.own && self.shared.index().is_file_empty(number) {
                self.files.remove(number);
            }
        }
        self.pending_since = None;
        Ok(())
    }

    fn take_pending(&mut self, number: u32) -> BTreeMap<Id, Change> {
        let mut of_file = self.pending.split_off(&Id::new(number, 0));
        let mut later = of_file.split_off(&Id::new(number + 1, 0));
        self.pending.append(&mut later);
        of_file
    }

    /// Records how a write ended.
    fn settle(
        &mut self,
        number: u32,
        changes: BTreeMap<Id, Change>,
        written: Result<(), file::Error>,
    ) -> Result<(), Error> {
        let Err(error) = written else {
            self.written = Some(Instant::now());
            self.files.disk.record_success();
            return Ok(());
        };
        self.files.record_failure(number, &error);
        for (id, change) in changes {
            if !self.files.is_damaged(number) {
                self.pending.entry(id).or_insert(change);
            }
        }
        Err(Error::Io(error.to_string()))
    }

    /// Gives free pages back to the file system when nothing is to be written.
    fn give_back_pages(&mut self, is_over: bool) {
        let is_idle = |written: Instant| is_over || written.elapsed() >= GIVE_BACK_DELAY;
        if self.written.is_some_and(is_idle) && self.pending.is_empty() {
            self.written = None;
            self.files.give_back_pages();
        }
    }
}
