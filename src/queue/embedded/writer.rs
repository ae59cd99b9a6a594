//! The thread that writes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::log::describe_error;
use crate::queue::index::Record;
use crate::queue::store::{Error, Id};

use super::file::{self, Addition, Callbacks, Change, VERSION};
use super::settings::{OpenError, Settings};
use super::shared::{Appending, Shared};

/// Endings wait so long for others to share their write. After a crash, what ended within this time is delivered again.
const ENDING_DELAY: Duration = Duration::from_millis(100);

/// How often is looked whether another process has ended.
const TAKE_OVER_INTERVAL: Duration = Duration::from_millis(100);

/// Nothing has been written for so long before free pages are given back.
const GIVE_BACK_DELAY: Duration = Duration::from_secs(1);

/// After a failed write none is tried for so long; each further failure doubles it.
const MIN_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The most that is written at once, in callbacks and in bytes.
const MAX_BATCH: usize = 2048;
const MAX_BATCH_BYTES: usize = 8 << 20;

/// So much of the disk is left free, in bytes: erasing needs some.
const DISK_RESERVE: u64 = 4 << 20;

/// A file that is longer than this is compacted if less than a quarter of it is used; in bytes.
const MAX_FREE: u64 = 16 << 20;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Store a callback.
    Append {
        appending: Appending,
        callback: Vec<u8>,
        reply: oneshot::Sender<Result<Id, Error>>,
    },
    /// Store soon what the index knows of this one by now.
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
    folder: PathBuf,
    /// The number of the file that is appended to.
    own: u32,
    next: Id,
    /// Files that can't be opened yet.
    others: Vec<u32>,
    /// Files that couldn't be opened again after a failure.
    closed: Vec<u32>,
    /// Files that were found damaged, and are only read from now on.
    damaged: Vec<u32>,
    pending: BTreeMap<Id, Change>,
    pending_since: Option<Instant>,
    failure: Option<Failure>,
    /// When something was written that isn't compacted yet.
    written: Option<Instant>,
    set_aside: Vec<PathBuf>,
}

/// The disk refused.
struct Failure {
    error: String,
    until: Instant,
    backoff: Duration,
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
    /// It has been a dead letter of this id.
    Dead(Id),
}

impl Batch {
    fn is_full(&self) -> bool {
        self.additions.len() >= MAX_BATCH || self.bytes >= MAX_BATCH_BYTES || self.close.is_some()
    }

    fn retries(&self, dead: Id) -> bool {
        let of_dead = |origin: &Origin| matches!(origin, Origin::Dead(id) if *id == dead);
        self.additions.iter().any(|(_, _, origin)| of_dead(origin))
    }
}

impl Writer {
    /// Opens the folder's files.
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let mut writer = Self {
            shared: Arc::new(Shared::new(settings.max_size)),
            folder: settings.folder.clone(),
            own: 0,
            next: Id::new(0, 1),
            others: Vec::new(),
            closed: Vec::new(),
            damaged: Vec::new(),
            pending: BTreeMap::new(),
            pending_since: None,
            failure: None,
            written: Some(Instant::now()),
            set_aside: Vec::new(),
        };
        let numbers = writer.numbers().map_err(|error| writer.unusable(error))?;
        let mut opened = None;
        for number in &numbers {
            match writer.load(*number) {
                Ok(true) => opened = Some(*number),
                Ok(false) => {}
                Err(file::Error::Locked) if settings.is_successor => writer.others.push(*number),
                Err(file::Error::Io(error)) if is_temporary(&error) => writer.others.push(*number),
                Err(error) => return Err(writer.open_error(*number, error)),
            }
        }
        writer.own = match (&writer.others[..], opened) {
            ([], Some(number)) => number,
            _ => numbers.last().map_or(0, |last| last + 1),
        };
        writer.shared.set_partial(!writer.others.is_empty());
        loop {
            match writer.open_own() {
                Ok(()) => break,
                Err(file::Error::Locked) if settings.is_successor => writer.own += 1,
                Err(file::Error::Io(error)) if is_temporary(&error) => {
                    writer.closed.push(writer.own);
                    writer.record_failure(&error.to_string());
                    break;
                }
                Err(error) => return Err(writer.open_error(writer.own, error)),
            }
        }
        // It only helps to name this process to another one.
        let _ = fs::write(writer.folder.join("owner"), std::process::id().to_string());
        Ok(writer)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn set_aside(&self) -> &[PathBuf] {
        &self.set_aside
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
            self.take_over();
            self.retry_closed();
            self.write(batch);
            self.give_back_pages(is_over);
            if is_over {
                self.end(close);
                return;
            }
        }
    }

    fn end(self, close: Option<oneshot::Sender<()>>) {
        let files = &self.shared.files;
        files
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        if let Some(close) = close {
            let _ = close.send(());
        }
    }

    /// Waits for a job, or until something is to be done without one.
    fn next_job(&self, jobs: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        let now = Instant::now();
        let not_before = self.failure.as_ref().map(|failure| failure.until);
        let flush = self
            .pending_since
            .map(|since| (since + ENDING_DELAY).max(not_before.unwrap_or(since)));
        let take_over = (!self.others.is_empty()).then(|| now + TAKE_OVER_INTERVAL);
        let give_back = self.written.map(|written| written + GIVE_BACK_DELAY);
        let give_back = give_back.filter(|_| self.pending.is_empty());
        let reopen = not_before.filter(|_| !self.closed.is_empty());
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
                self.add_addition(batch, record, callback, origin);
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

    fn add_addition(
        &mut self,
        batch: &mut Batch,
        record: Record,
        callback: Vec<u8>,
        origin: Origin,
    ) {
        batch.bytes += callback.len();
        let addition = Addition {
            id: self.next,
            record: record.encode(),
            callback,
        };
        batch.additions.push((addition, record, origin));
        self.next.0 += 1;
    }

    /// What the index knows of it is stored with the next write.
    fn change(&mut self, id: Id) {
        let change = match self.shared.index().get(id) {
            Some(record) => Change::Record(record.encode()),
            None => Change::Erase,
        };
        self.put_pending(id, change);
    }

    fn put_pending(&mut self, id: Id, change: Change) {
        if !self.damaged.contains(&id.file()) {
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
        self.add_addition(batch, record.wait_again(now), callback, Origin::Dead(id));
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
    fn write(&mut self, batch: Batch) {
        let is_due = self
            .pending_since
            .is_some_and(|since| since.elapsed() >= ENDING_DELAY);
        if batch.additions.is_empty() && !batch.is_urgent && !is_due {
            return;
        }
        let refused = if batch.additions.is_empty() {
            None
        } else {
            self.check_disk(batch.bytes as u64).err()
        };
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
                // It may be in the file all the same, if only the last step failed.
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
        let changes = self.take_pending(self.own);
        let additions = batch.additions.iter().map(|(addition, _, _)| addition);
        let written = self.write_file(self.own, additions, &changes);
        self.settle(self.own, changes, written)
    }

    /// Writes what is pending.
    fn write_changes(&mut self) -> Result<(), Error> {
        while let Some(number) = self.pending.keys().next().map(|id| id.file()) {
            self.wait_for_disk()?;
            let changes = self.take_pending(number);
            let written = self.write_file(number, [].iter(), &changes);
            self.settle(number, changes, written)?;
            if number != self.own && self.shared.index().is_file_empty(number) {
                self.remove_file(number);
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

    fn write_file<'a>(
        &self,
        number: u32,
        additions: impl Iterator<Item = &'a Addition>,
        changes: &BTreeMap<Id, Change>,
    ) -> Result<(), file::Error> {
        let files = self.shared.files.read();
        let files = files.unwrap_or_else(PoisonError::into_inner);
        match files.get(&number) {
            Some(file) => file.write(additions, changes),
            None => Err(file::Error::Io(io::Error::other("its file is not open"))),
        }
    }

    /// Records how a write ended.
    fn settle(
        &mut self,
        number: u32,
        changes: BTreeMap<Id, Change>,
        written: Result<(), file::Error>,
    ) -> Result<(), Error> {
        let error = match written {
            Ok(()) => {
                self.written = Some(Instant::now());
                if self.failure.take().is_some() {
                    info!("queue written again");
                }
                return Ok(());
            }
            Err(error) => error,
        };
        let text = error.to_string();
        self.record_failure(&text);
        if matches!(error, file::Error::Damaged(_)) {
            self.stop_writing(number);
        } else {
            for (id, change) in changes {
                self.pending.entry(id).or_insert(change);
            }
            self.reopen(number);
        }
        Err(Error::Io(text))
    }

    /// A database that has failed once refuses everything until it is opened again.
    fn reopen(&mut self, number: u32) {
        let path = Callbacks::path(&self.folder, number);
        self.files_mut().remove(&number);
        match Callbacks::open(&path, number == self.own) {
            Ok(file) => {
                self.files_mut().insert(number, file);
            }
            Err(file::Error::Damaged(_)) => self.stop_writing(number),
            Err(_) => self.closed.push(number),
        }
    }

    /// A damaged file is read while that is possible, and never written again.
    fn stop_writing(&mut self, number: u32) {
        self.damaged.push(number);
        self.pending.retain(|id, _| id.file() != number);
        self.put_aside(number, "found when it was written");
        if number == self.own {
            self.own = self
                .numbers()
                .ok()
                .and_then(|all| all.last().copied())
                .map_or(0, |last| last.max(number))
                .max(number)
                + 1;
            self.next = Id::new(self.own, 1);
            if self.open_own().is_err() {
                self.closed.push(self.own);
            }
        }
    }

    fn put_aside(&mut self, number: u32, error: &str) {
        self.shared.index().count_damaged();
        match Callbacks::set_aside(&Callbacks::path(&self.folder, number)) {
            Ok(path) => {
                warn!(path = %path.display(), error, "damaged file of the queue set aside");
                self.set_aside.push(path);
            }
            Err(cause) => {
                let cause = describe_error(&cause);
                warn!(
                    file = number,
                    error, cause, "damaged file of the queue can't be set aside"
                );
            }
        }
    }

    fn record_failure(&mut self, error: &str) {
        let backoff = self.failure.as_ref().map_or(MIN_BACKOFF, |failure| {
            (failure.backoff * 2).min(MAX_BACKOFF)
        });
        if self.failure.is_none() {
            warn!(error, "queue can't be written");
        }
        self.failure = Some(Failure {
            error: error.to_owned(),
            until: Instant::now() + backoff,
            backoff,
        });
    }

    /// After a failure nothing is written for a while; then the file may have to be opened again.
    fn wait_for_disk(&mut self) -> Result<(), Error> {
        let Some(failure) = &self.failure else {
            return Ok(());
        };
        if Instant::now() < failure.until {
            return Err(Error::Io(failure.error.clone()));
        }
        for number in std::mem::take(&mut self.closed) {
            self.reopen(number);
        }
        Ok(())
    }

    /// Tries again to open the files that could not be opened after a failure, so that their callbacks can be read.
    fn retry_closed(&mut self) {
        if !self.closed.is_empty() && self.wait_for_disk().is_ok() {
            match self.closed.is_empty() {
                true => self.shared.notify(),
                false => self.record_failure("its file can't be opened"),
            }
        }
    }

    /// Whether so many bytes can be written: the disk is well, and has space for them and the reserve. It is better not to let the
    /// engine find out.
    fn check_disk(&mut self, bytes: u64) -> Result<(), Error> {
        self.wait_for_disk()?;
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else {
            return Ok(());
        };
        if disk.f_bavail.saturating_mul(disk.f_frsize) >= DISK_RESERVE + bytes * 2 {
            return Ok(());
        }
        Err(Error::Io("no space is left on the disk".to_owned()))
    }

    /// Opens the files of processes that have ended.
    fn take_over(&mut self) {
        if self.others.is_empty() {
            return;
        }
        for number in std::mem::take(&mut self.others) {
            match self.load(number) {
                Ok(_) => {}
                Err(file::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(file::Error::Newer(version)) => {
                    warn!(
                        file = number,
                        version, "file of the queue is of a newer version"
                    );
                }
                Err(_) => self.others.push(number),
            }
        }
        if self.others.is_empty() {
            self.shared.set_partial(false);
            self.shared.notify();
        }
    }

    /// Gives free pages back to the file system.
    fn give_back_pages(&mut self, is_over: bool) {
        let is_idle = |written: Instant| is_over || written.elapsed() >= GIVE_BACK_DELAY;
        if !self.written.is_some_and(is_idle) || !self.pending.is_empty() {
            return;
        }
        self.written = None;
        let used = self.shared.index().bytes();
        let is_empty = self.shared.index().is_file_empty(self.own);
        let mut files = self.files_mut();
        let Some(file) = files.get_mut(&self.own) else {
            return;
        };
        let length = file.length();
        if !is_empty && (length < MAX_FREE || length / 4 < used) {
            return;
        }
        let compacted = file.compact();
        drop(files);
        if let Err(error) = compacted {
            self.record_failure(&error.to_string());
            self.reopen(self.own);
        }
    }

    /// Opens a file and takes what is in it into the index; `false`: it was damaged, and is set aside.
    fn load(&mut self, number: u32) -> Result<bool, file::Error> {
        let path = Callbacks::path(&self.folder, number);
        let loaded = Callbacks::open(&path, false).and_then(|file| {
            let records = file.records()?;
            Ok((file, records))
        });
        let (file, records) = match loaded {
            Ok(loaded) => loaded,
            Err(file::Error::Damaged(error)) => {
                self.put_aside(number, &error);
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let mut index = self.shared.index();
        for (id, record) in records.whole {
            index.insert(id, record);
        }
        for id in records.damaged {
            warn!(%id, "damaged callback in the queue");
            index.count_damaged();
        }
        drop(index);
        self.files_mut().insert(number, file);
        Ok(true)
    }

    fn open_own(&mut self) -> Result<(), file::Error> {
        let is_open = self.files_mut().contains_key(&self.own);
        if !is_open {
            let file = Callbacks::open(&Callbacks::path(&self.folder, self.own), true)?;
            self.files_mut().insert(self.own, file);
        }
        self.next = self.shared.index().next_of_file(self.own);
        Ok(())
    }

    fn remove_file(&self, number: u32) {
        self.files_mut().remove(&number);
        let path = Callbacks::path(&self.folder, number);
        if let Err(error) = fs::remove_file(&path) {
            let error = describe_error(&error);
            warn!(path = %path.display(), error, "empty file of the queue can't be removed");
        }
    }

    fn files_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<u32, Callbacks>> {
        let files = self.shared.files.write();
        files.unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers of the files that are there, in their order.
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".redb"));
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn unusable(&self, error: io::Error) -> OpenError {
        OpenError::Folder {
            folder: self.folder.clone(),
            error,
        }
    }

    fn open_error(&self, number: u32, error: file::Error) -> OpenError {
        match error {
            file::Error::Locked => OpenError::Locked {
                folder: self.folder.clone(),
                process: owner(&self.folder),
            },
            file::Error::Newer(found) => OpenError::Newer {
                file: Callbacks::path(&self.folder, number),
                found,
                known: VERSION,
            },
            file::Error::Damaged(error) => self.unusable(io::Error::other(error)),
            file::Error::Io(error) => self.unusable(error),
        }
    }
}

/// The process that opened the folder last.
fn owner(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join("owner")).ok()?;
    text.trim().parse().ok()
}

/// Whether a disk may get well again by itself.
fn is_temporary(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
    )
}
