//! The files that a configuration is made of: each read once. Its hash is remembered, so that a change can be noticed later; what
//! stands in it is overwritten in memory as soon as the configuration is built, since it may be a secret.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::problem::Problem;
use super::tls::TlsProblem;
use crate::tls::{LoadError, Trust};

/// The longest file that is read: ten thousand routes take a few megabytes, every other file is far shorter.
const LARGEST: u64 = 16 << 20;

/// A file as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path: as given, or put after the configuration's folder.
    pub path: PathBuf,
    /// The hash of what stood in it, or why it couldn't be read.
    hash: Result<Hash, Unreadable>,
}

/// SHA-256.
type Hash = [u8; 32];

impl SourceFile {
    /// Reads a file as it is now. Blocks on the disk.
    fn read(path: &Path) -> (Self, Result<Bytes, Unreadable>) {
        let content = read(path);
        let hash = content.as_ref().map(hash_of).map_err(|why| *why);
        let path = path.to_owned();
        (Self { path, hash }, content)
    }

    /// Whether another look at the file would find something else. Blocks on the disk.
    pub fn has_changed(&self) -> bool {
        Self::read(&self.path).0 != *self
    }
}

fn hash_of(content: &Bytes) -> Hash {
    Sha256::digest(content).into()
}

/// Why a file couldn't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// There is none of this name.
    Missing,
    /// We are not permitted to.
    Denied,
    /// It is a directory.
    Directory,
    /// It is a named pipe, a device or a socket, so reading it could wait for ever.
    NotRegular,
    /// It is longer than anything that could be meant.
    TooLong,
    /// The system says so.
    Other(ErrorKind),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        // What opening a socket fails with, or a device without a driver.
        if error.raw_os_error() == Some(libc::ENXIO) {
            return Self::NotRegular;
        }
        let known = [
            (ErrorKind::NotFound, Self::Missing),
            (ErrorKind::PermissionDenied, Self::Denied),
            (ErrorKind::IsADirectory, Self::Directory),
        ];
        let meaning = known.into_iter().find(|(kind, _)| *kind == error.kind());
        meaning.map_or_else(|| Self::Other(error.kind()), |(_, meaning)| meaning)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file; name one that exists"),
            Self::Denied => f.write_str(
                "may not be read: permission denied; let the user that understudy runs as read it",
            ),
            Self::Directory => f.write_str("is a directory; name a file in it"),
            Self::NotRegular => f.write_str("is not a regular file; name one that is"),
            Self::TooLong => write!(f, "is longer than {} MiB; name another file", LARGEST >> 20),
            Self::Other(kind) => write!(f, "can't be read: {kind}"),
        }
    }
}

/// Every file that was asked for, in that order.
#[derive(Default)]
pub(super) struct Files {
    list: Vec<SourceFile>,
    contents: HashMap<PathBuf, Result<Bytes, Unreadable>>,
    /// The machine's own roots, once somebody has asked.
    roots: Option<Result<Trust, LoadError>>,
}

impl Files {
    /// What stands in a file; the disk is asked once, however often this is.
    pub(super) fn read(&mut self, path: &Path) -> Result<Bytes, Unreadable> {
        if let Some(content) = self.contents.get(path) {
            return content.clone();
        }
        let (file, content) = SourceFile::read(path);
        self.list.push(file);
        self.contents.insert(path.to_owned(), content.clone());
        content
    }

    /// The roots that the machine trusts; it is asked once, however often this is.
    pub(super) fn roots(&mut self) -> Result<Trust, TlsProblem> {
        let roots = self.roots.get_or_insert_with(Trust::of_system);
        roots.clone().map_err(|_| TlsProblem::NoRoots)
    }

    pub(super) fn into_list(self) -> Vec<SourceFile> {
        self.list
    }
}

/// The note on a file of secrets, if others than its owner can read it. Root may let a group: a service's own, or that of a pod,
/// in which all files are root's. systemd sees to the permissions of credentials.
pub(super) fn open_to_others(file: &Path) -> Option<Problem> {
    let is_credential = env::var_os("CREDENTIALS_DIRECTORY")
        .is_some_and(|folder| !folder.is_empty() && file.starts_with(folder));
    let metadata = fs::metadata(file).ok()?;
    let mode = metadata.permissions().mode() & 0o777;
    let others = if metadata.uid() == 0 { 0o004 } else { 0o044 };
    let is_open = !is_credential && mode & others != 0;
    is_open.then(|| Problem::OpenToOthers {
        file: file.to_owned(),
        mode,
    })
}

/// Reads a file that the configuration names; every such file is read here. Waits for the disk, but never for a writer.
fn read(path: &Path) -> Result<Bytes, Unreadable> {
    let file = File::options()
        .read(true)
        // Without O_NONBLOCK opening a named pipe waits for a writer; without O_NOCTTY a terminal could become our own.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Unreadable::Directory);
    }
    if !metadata.is_file() {
        return Err(Unreadable::NotRegular);
    }
    // The file may grow meanwhile, but a buffer that grows leaves copies of a secret behind.
    let length = metadata.len().min(LARGEST) as usize;
    let mut content = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(Unreadable::TooLong);
    }
    Ok(Bytes::from_owner(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_and_its_changes_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("page.xml");
        let mut files = Files::default();

        assert_eq!(files.read(&path), Err(Unreadable::Missing));
        fs::write(&path, "one").expect("written");
        assert_eq!(files.read(&path), Err(Unreadable::Missing), "remembered");

        let list = files.into_list();
        assert_eq!(list.len(), 1);
        assert!(list[0].has_changed(), "it is there now");
        let (now, _) = SourceFile::read(&path);
        assert!(!now.has_changed());
        fs::write(&path, "two").expect("written");
        assert!(now.has_changed());
    }

    #[test]
    fn what_is_no_file_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path()), Err(Unreadable::Directory));
        assert_eq!(read(Path::new("/dev/zero")), Err(Unreadable::NotRegular));
        assert_eq!(
            read(Path::new("/dev/null/x")),
            Err(Unreadable::Other(ErrorKind::NotADirectory))
        );
    }
}
