//! One file of callbacks: a redb database.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};

use crate::queue::encoding::Damaged;
use crate::queue::index::Record;
use crate::queue::store::Id;

/// The version of what is in the file. A greater one is refused.
pub(super) const VERSION: u64 = 1;

/// What redb may keep of the file in memory, in bytes.
const CACHE_SIZE: usize = 8 << 20;

const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
const CALLBACKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("callbacks");

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Another process has it.
    #[error("another process has the file")]
    Locked,
    /// A newer understudy has written it.
    #[error("the file has version {0}")]
    Newer(u64),
    /// Its content is not what was written.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The disk is full, read-only or broken.
    #[error(transparent)]
    Io(io::Error),
}

impl From<redb::Error> for Error {
    fn from(error: redb::Error) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "redb adds to its errors")]
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Locked,
            redb::Error::Io(error) => Self::from(error),
            redb::Error::PreviousIo => Self::Io(io::Error::other("an earlier write failed")),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        // The kinds that redb returns for a file that is too short or not its own.
        let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
        if kinds.contains(&error.kind()) {
            Self::Damaged(error.to_string())
        } else {
            Self::Io(error)
        }
    }
}

/// Converts each error type of redb, through the one that includes all.
macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_redb!(
    DatabaseError,
    StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::CompactionError
);

/// What becomes of a stored callback.
#[derive(Debug)]
pub(super) enum Change {
    /// It is erased.
    Erase,
    /// Its record is replaced.
    Record(Vec<u8>),
}

/// A callback that is to be stored.
pub(super) struct Addition {
    pub(super) id: Id,
    pub(super) record: Vec<u8>,
    pub(super) callback: Vec<u8>,
}

/// The records of a file.
#[derive(Default)]
pub(super) struct Records {
    pub(super) whole: Vec<(Id, Record)>,
    /// Those that can't be read any more.
    pub(super) damaged: Vec<Id>,
}

/// An open file; it is locked as long as it is open.
pub(super) struct Callbacks {
    database: Database,
    path: PathBuf,
}

impl Callbacks {
    /// The path of a file's number.
    pub(super) fn path(folder: &Path, number: u32) -> PathBuf {
        folder.join(format!("{number}.redb"))
    }

    /// Opens a file. All of it is read, to see whether it is whole.
    pub(super) fn open(path: &Path, or_create: bool) -> Result<Self, Error> {
        let file = open_private(path, or_create)?;
        let database = guarded(|| {
            let mut builder = Database::builder();
            builder
                .set_cache_size(CACHE_SIZE)
                .set_check_integrity_on_open(true);
            Ok(builder.create_with_backend(FileBackend::new(file)?)?)
        })?;
        let path = path.to_owned();
        let callbacks = Self { database, path };
        guarded(|| callbacks.check_version())?;
        Ok(callbacks)
    }

    fn check_version(&self) -> Result<(), Error> {
        let read = self.database.begin_read()?;
        match read.open_table(ABOUT) {
            Ok(about) => {
                let version = about.get("version")?.map(|version| version.value());
                match version {
                    Some(VERSION) => return Ok(()),
                    Some(newer) => return Err(Error::Newer(newer)),
                    None => {}
                }
            }
            Err(redb::TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        drop(read);
        let write = self.database.begin_write()?;
        write.open_table(ABOUT)?.insert("version", VERSION)?;
        write.open_table(RECORDS)?;
        write.open_table(CALLBACKS)?;
        Ok(write.commit()?)
    }

    /// All records.
    pub(super) fn records(&self) -> Result<Records, Error> {
        guarded(|| {
            let mut records = Records::default();
            let read = self.database.begin_read()?;
            for row in read.open_table(RECORDS)?.iter()? {
                let (id, record) = row?;
                match Record::decode(record.value()) {
                    Ok(record) => records.whole.push((Id(id.value()), record)),
                    Err(Damaged) => records.damaged.push(Id(id.value())),
                }
            }
            Ok(records)
        })
    }

    /// A callback as it was stored; `None`: it does not exist.
    pub(super) fn read(&self, id: Id) -> Result<Option<Vec<u8>>, Error> {
        guarded(|| {
            let read = self.database.begin_read()?;
            let found = read.open_table(CALLBACKS)?.get(id.0)?;
            Ok(found.map(|bytes| bytes.value().to_vec()))
        })
    }

    /// Writes all of it or nothing, durably.
    pub(super) fn write<'a>(
        &self,
        additions: impl Iterator<Item = &'a Addition>,
        changes: &BTreeMap<Id, Change>,
    ) -> Result<(), Error> {
        guarded(|| {
            let write = self.database.begin_write()?;
            {
                let mut records = write.open_table(RECORDS)?;
                let mut callbacks = write.open_table(CALLBACKS)?;
                for (id, change) in changes {
                    match change {
                        Change::Erase => {
                            records.remove(id.0)?;
                            callbacks.remove(id.0)?;
                        }
                        Change::Record(record) => {
                            records.insert(id.0, &record[..])?;
                        }
                    }
                }
                for addition in additions {
                    records.insert(addition.id.0, &addition.record[..])?;
                    callbacks.insert(addition.id.0, &addition.callback[..])?;
                }
            }
            Ok(write.commit()?)
        })
    }

    /// Gives free pages back to the file system.
    pub(super) fn compact(&mut self) -> Result<(), Error> {
        guarded(|| {
            self.database.compact()?;
            Ok(())
        })
    }

    /// Moves the file out of the way, and gives back its new path. It can still be read.
    pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
        let mut number = 0;
        loop {
            let aside = path.with_extension(format!("damaged-{number}"));
            if !aside.try_exists()? {
                fs::rename(path, &aside)?;
                return Ok(aside);
            }
            number += 1;
        }
    }

    /// The length of the file, in bytes.
    pub(super) fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }
}

/// Opens a file that only this user may read.
fn open_private(path: &Path, or_create: bool) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(or_create)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(file)
}

/// Turns a panic into an error: redb panics on some damaged files.
fn guarded<T>(action: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    panic::catch_unwind(AssertUnwindSafe(action))
        .unwrap_or_else(|_| Err(Error::Damaged("its pages don't fit together".to_owned())))
}
