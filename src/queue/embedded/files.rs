//! The files of the folder: opened, taken over from other processes, opened again after a failure, and set aside if they are damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLockWriteGuard};

use tracing::warn;

use crate::log::describe_error;
use crate::queue::store::{Error, Id};

use super::disk::Disk;
use super::file::{self, Addition, Callbacks, Change, VERSION};
use super::settings::{OpenError, Settings};
use super::shared::Shared;

/// A file that is longer than this is compacted if less than a quarter of it is used; in bytes.
const MAX_FREE: u64 = 16 << 20;

/// The files of the folder.
pub(super) struct Files {
    shared: Arc<Shared>,
    folder: PathBuf,
    /// The number of the file that is appended to.
    pub(super) own: u32,
    next: Id,
    /// Files that can't be opened yet.
    others: Vec<u32>,
    /// Files that couldn't be opened again after a failure.
    closed: Vec<u32>,
    /// Files that were found damaged, and are only read from now on.
    damaged: Vec<u32>,
    pub(super) disk: Disk,
    set_aside: Vec<PathBuf>,
}

impl Files {
    /// Opens the files of the folder, and makes one that is appended to if none is there.
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let mut files = Self {
            shared: Arc::new(Shared::new(settings.max_size)),
            folder: settings.folder.clone(),
            own: 0,
            next: Id::new(0, 1),
            others: Vec::new(),
            closed: Vec::new(),
            damaged: Vec::new(),
            disk: Disk::default(),
            set_aside: Vec::new(),
        };
        let numbers = files.numbers().map_err(|error| files.unusable(error))?;
        let mut opened = None;
        for number in &numbers {
            match files.load(*number) {
                Ok(true) => opened = Some(*number),
                Ok(false) => {}
                Err(file::Error::Locked) if settings.is_successor => files.others.push(*number),
                Err(file::Error::Io(error)) if is_temporary(&error) => files.others.push(*number),
                Err(error) => return Err(files.open_error(*number, error)),
            }
        }
        files.own = match (&files.others[..], opened) {
            ([], Some(number)) => number,
            _ => numbers.last().map_or(0, |last| last + 1),
        };
        files.shared.set_partial(!files.others.is_empty());
        loop {
            match files.open_own() {
                Ok(()) => break,
                Err(file::Error::Locked) if settings.is_successor => files.own += 1,
                Err(file::Error::Io(error)) if is_temporary(&error) => {
                    files.closed.push(files.own);
                    files.disk.record_failure(&error.to_string());
                    break;
                }
                Err(error) => return Err(files.open_error(files.own, error)),
            }
        }
        // Only for the error of a second process, which names this one.
        let _ = fs::write(files.folder.join("owner"), std::process::id().to_string());
        Ok(files)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn set_aside(&self) -> &[PathBuf] {
        &self.set_aside
    }

    pub(super) fn write<'a>(
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

    /// Gives the free pages of the own file back to the file system, if it is empty or most of it is free.
    pub(super) fn give_back_pages(&mut self) {
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
            self.record_failure(self.own, &error);
        }
    }

    /// Records that a write to a file has failed. It is opened again, or only read from now on if it is damaged.
    pub(super) fn record_failure(&mut self, number: u32, error: &file::Error) {
        self.disk.record_failure(&error.to_string());
        match error {
            file::Error::Damaged(_) => self.stop_writing(number),
            file::Error::Locked | file::Error::Newer(_) | file::Error::Io(_) => self.reopen(number),
        }
    }

    /// Closes all files.
    pub(super) fn close(&self) {
        self.files_mut().clear();
    }

    /// The id of the next callback that is stored.
    pub(super) fn next_id(&mut self) -> Id {
        let id = self.next;
        self.next.0 += 1;
        id
    }

    /// Whether a file is only read, since it is damaged.
    pub(super) fn is_damaged(&self, number: u32) -> bool {
        self.damaged.contains(&number)
    }

    pub(super) fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Opens the files again that could not be opened after a failure, if the disk may be tried again.
    ///
    /// # Errors
    ///
    /// The last failure, while no write is to be tried.
    pub(super) fn wait_for_disk(&mut self) -> Result<(), Error> {
        self.disk.check_pause()?;
        if self.disk.has_failed() {
            for number in std::mem::take(&mut self.closed) {
                self.reopen(number);
            }
        }
        Ok(())
    }

    /// Tries again to open the files that could not be opened after a failure, so that their callbacks can be read.
    pub(super) fn retry_closed(&mut self) {
        if !self.closed.is_empty() && self.wait_for_disk().is_ok() {
            match self.closed.is_empty() {
                true => self.shared.notify(),
                false => self.disk.record_failure("its file can't be opened"),
            }
        }
    }

    /// Whether so many bytes can be written.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn check_disk(&mut self, bytes: u64) -> Result<(), Error> {
        self.wait_for_disk()?;
        Disk::check_space(&self.folder, bytes)
    }

    /// Opens the files of processes that have ended.
    pub(super) fn take_over(&mut self) {
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
        self.put_aside(number, "found when it was written");
        if number == self.own {
            let last = self.numbers().ok().and_then(|all| all.last().copied());
            self.own = last.map_or(number, |last| last.max(number)) + 1;
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

    pub(super) fn remove(&self, number: u32) {
        self.files_mut().remove(&number);
        let path = Callbacks::path(&self.folder, number);
        if let Err(error) = fs::remove_file(&path) {
            let error = describe_error(&error);
            warn!(path = %path.display(), error, "empty file of the queue can't be removed");
        }
    }

    fn files_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<u32, Callbacks>> {
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

/// Whether an error of the disk may pass.
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
