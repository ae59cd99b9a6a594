//! Where callbacks are stored, and why they can't be.

use std::io;
use std::path::PathBuf;

/// Where callbacks are stored, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder. It is made if it does not exist.
    pub folder: PathBuf,
    /// The most that is stored, in bytes. The file may be larger by a quarter, and by what is free in it.
    pub max_size: u64,
    /// Whether this process was started as an upgrade: the old process may still use the folder.
    pub is_successor: bool,
}

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder does not exist and can't be made, or it can't be read or written.
    #[error("`{}` is not a folder that the queue can be stored in: {error}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process has it.
    #[error(
        "another process{} stores its queue in `{}`: each instance needs a folder of its own",
        process.as_ref().map_or_else(String::new, |id| format!(" ({id})")),
        folder.display()
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The number of that process, if it is known.
        process: Option<u32>,
    },
    /// A newer version has written it.
    #[error(
        "`{}` has version {found} of the queue, and this understudy knows version {known}: start the newer understudy again, or move the file away",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that is known.
        known: u64,
    },
}
