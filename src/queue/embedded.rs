//! Callbacks in a folder of this machine.
//!
//! The engine is redb. In a throwaway program with 64 appenders and an fsync of 4 ms, redb stored 33,600 callbacks of 1.1 KB a second
//! in 26 MB of memory, and fjall 43,900 in 179 MB. After all were erased, compacted and closed, redb's file took 36 KB (of 169,000
//! callbacks) and fjall's folder 157 MB (of 220,000). redb needs no crate besides `libc`; fjall needs forty.
//!
//! One thread writes. What arrives while it waits for the disk is written at once afterwards, so many share an fsync. Each process has
//! a file of its own, `N.redb`. During an upgrade in place two processes have the folder; the new one takes the older files over when
//! the old one has ended. Until then it can't know what waits there, so everything waits.
//!
//! What is erased stays in free pages of the file until these are used again, or given back to the file system: that happens when
//! nothing is left in it, and when most of it is free.

mod disk;
mod file;
mod files;
mod settings;
mod shared;
mod writer;

pub use settings::{OpenError, Settings};

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::callback::Callback;
use super::encoding::{Damaged, decode, encode};
use super::store::{Changes, Claim, Ending, Entry, Error, Filter, Future, Id, Store, Summary};

use files::Files;
use shared::Shared;
use writer::{Job, Writer};

/// So many bytes are added to the size of each callback, for its record.
const OVERHEAD: u64 = 256;

/// Callbacks in a folder.
pub struct Embedded {
    shared: Arc<Shared>,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    set_aside: Vec<PathBuf>,
}

impl Embedded {
    /// Opens a folder, and makes it if it does not exist. All of it is read, to find damage. A damaged file is set aside: see
    /// [`Self::set_aside`]. If the disk is full or broken, the folder is opened all the same; nothing is stored until it is
    /// well again.
    ///
    /// # Errors
    ///
    /// The folder can't be made or used, another process has it, or it is of a newer version.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let folder = &settings.folder;
        make_folder(folder).map_err(|error| OpenError::Folder {
            folder: folder.clone(),
            error,
        })?;
        let files = Files::open(settings)?;
        let shared = Arc::clone(files.shared());
        let set_aside = files.set_aside().to_vec();
        let writer = Writer::new(files);
        let (jobs, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("queue".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| OpenError::Folder {
                folder: folder.clone(),
                error,
            })?;
        Ok(Self {
            shared,
            jobs: Some(jobs),
            thread: Some(thread),
            set_aside,
        })
    }

    /// The files that were damaged when the folder was opened, by the names that they have now. They are kept, and not read again.
    pub fn set_aside(&self) -> &[PathBuf] {
        &self.set_aside
    }

    /// Sends a job to the writer, and waits for its result.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Error> {
        let (reply, response) = oneshot::channel();
        self.send(job(reply))?;
        response.await.map_err(|_| Error::Closed)
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        let jobs = self.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.send(job).map_err(|_| Error::Closed)
    }

    /// Reads a callback, on a thread that may block.
    async fn read(&self, id: Id) -> Result<Callback, Error> {
        let shared = Arc::clone(&self.shared);
        let bytes = tokio::task::spawn_blocking(move || shared.read(id)).await;
        let bytes = bytes.map_err(|_| Error::Closed)??;
        decode(&bytes).map_err(|Damaged| Error::Damaged(id))
    }
}

/// Writes what isn't durable yet, and unlocks the folder.
impl Drop for Embedded {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged.
            let _ = thread.join();
        }
    }
}

impl Store for Embedded {
    fn append(&self, callback: Callback) -> Future<'_, Result<Id, Error>> {
        Box::pin(async move {
            let bytes = encode(&callback);
            let size = bytes.len() as u64 + OVERHEAD;
            let appending = self.shared.begin_append(&callback, size)?;
            self.ask(|reply| Job::Append {
                appending,
                callback: bytes,
                reply,
            })
            .await?
        })
    }

    fn is_waiting<'a>(&'a self, route: &'a str, key: &'a str) -> Future<'a, Result<bool, Error>> {
        Box::pin(async move { Ok(self.shared.is_waiting(route, key)) })
    }

    fn claim<'a>(
        &'a self,
        route: &'a str,
        now: SystemTime,
    ) -> Future<'a, Result<Option<Claim>, Error>> {
        Box::pin(async move {
            while let Some(mut held) = Held::claim(&self.shared, route, now) {
                match self.read(held.id).await {
                    Ok(callback) => {
                        held.is_armed = false;
                        let (shared, id) = (Arc::clone(&self.shared), held.id);
                        let (attempts, since) = held.attempts_and_age();
                        return Ok(Some(Claim::new(id, callback, attempts, since, move || {
                            shared.release(id)
                        })));
                    }
                    Err(error @ Error::Damaged(_)) => {
                        held.is_armed = false;
                        self.shared.end_damaged(held.id, now, &error);
                        self.send(Job::Change(held.id))?;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        })
    }

    fn finish(&self, mut claim: Claim, ending: Ending) -> Future<'_, Result<(), Error>> {
        Box::pin(async move {
            claim.disarm();
            self.shared.finish(claim.id, &ending);
            self.send(Job::Change(claim.id))
        })
    }

    fn changes(&self) -> Changes {
        self.shared.changes()
    }

    fn next_due(&self, route: &str) -> Option<SystemTime> {
        self.shared.next_due(route)
    }

    fn summary(&self) -> Summary {
        self.shared.index().summary()
    }

    fn list<'a>(
        &'a self,
        filter: Filter<'a>,
        after: Option<Id>,
        limit: usize,
    ) -> Future<'a, Result<Vec<Entry>, Error>> {
        Box::pin(async move { Ok(self.shared.index().list(filter, after, limit)) })
    }

    fn find(&self, id: Id) -> Future<'_, Result<Option<(Entry, Callback)>, Error>> {
        Box::pin(async move {
            let entry = self
                .shared
                .index()
                .get(id)
                .map(|record| record.to_entry(id));
            match entry {
                Some(entry) => Ok(Some((entry, self.read(id).await?))),
                None => Ok(None),
            }
        })
    }

    fn retry<'a>(&'a self, ids: &'a [Id], now: SystemTime) -> Future<'a, Result<usize, Error>> {
        Box::pin(async move {
            let ids = ids.to_vec();
            self.ask(|reply| Job::Retry { ids, now, reply }).await?
        })
    }

    fn remove<'a>(&'a self, ids: &'a [Id]) -> Future<'a, Result<usize, Error>> {
        Box::pin(async move {
            let ids = ids.to_vec();
            self.ask(|reply| Job::Drop { ids, reply }).await?
        })
    }

    fn set_max_size(&self, max_size: u64) {
        self.shared.set_max_size(max_size);
    }

    fn close(&self) -> Future<'_, ()> {
        Box::pin(async move {
            let _ = self.ask(|reply| Job::Close { reply }).await;
        })
    }
}

/// A callback that is claimed until it has been read.
struct Held<'a> {
    shared: &'a Arc<Shared>,
    id: Id,
    is_armed: bool,
}

impl<'a> Held<'a> {
    fn claim(shared: &'a Arc<Shared>, route: &str, now: SystemTime) -> Option<Self> {
        let id = shared.claim(route, now)?;
        Some(Self {
            shared,
            id,
            is_armed: true,
        })
    }

    fn attempts_and_age(&self) -> (u32, SystemTime) {
        let index = self.shared.index();
        let entry = index.get(self.id).map(|record| record.to_entry(self.id));
        let entry = entry.expect("what is claimed stays");
        (entry.attempts, entry.since)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.shared.release(self.id);
        }
    }
}

/// Makes the folder, which only this user may read.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        // If the mode can't be changed, the files are private all the same.
        let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    }
    Ok(())
}
