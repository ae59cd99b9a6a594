//! The files that a configuration consists of, each read once. The hash of each is kept, so that a change can be noticed later. The
//! contents may be secrets: they are overwritten in memory as soon as the configuration is built.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::diagnostic::Diagnostic;
use super::pattern::NamePattern;
use super::reader::Reader;
use super::report::{Location, NamedPath};
use super::value::parse_text;
use crate::tls::{LoadError, Trust};

/// The size limit in bytes. Ten thousand routes take a few megabytes, every other file is far smaller.
const LARGEST: u64 = 16 << 20;

/// A file as it was when it was read, or the names in a folder that a pattern matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, as given or relative to the folder of the file that names it; for a pattern the folder's path and the pattern.
    pub path: PathBuf,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The hash of the file's contents, or why it couldn't be read.
    Content(Result<Hash, ReadError>),
    /// The names that the pattern matched.
    Names(Result<Vec<OsString>, ReadError>),
}

/// SHA-256.
type Hash = [u8; 32];

impl SourceFile {
    fn read(path: &Path) -> (Self, Result<Bytes, ReadError>) {
        let content = read(path);
        let file = Self {
            path: path.to_owned(),
            state: State::Content(content.as_ref().map(hash).map_err(|error| *error)),
        };
        (file, content)
    }

    fn list(pattern: &NamePattern) -> (Self, Result<Vec<OsString>, ReadError>) {
        let names = pattern.list().map_err(ReadError::from);
        let file = Self {
            path: pattern.path(),
            state: State::Names(names.clone()),
        };
        (file, names)
    }

    /// Whether this is a pattern, and not a file.
    pub fn is_pattern(&self) -> bool {
        matches!(self.state, State::Names(_))
    }

    /// Whether the file or the names have changed since they were read. Blocks on the disk.
    pub fn has_changed(&self) -> bool {
        let now = match (&self.state, NamePattern::of_path(&self.path)) {
            (State::Names(_), Some(pattern)) => Self::list(&pattern).0,
            (State::Names(_) | State::Content(_), _) => Self::read(&self.path).0,
        };
        now != *self
    }
}

fn hash(content: &Bytes) -> Hash {
    Sha256::digest(content).into()
}

/// Why a file couldn't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The file does not exist.
    #[error("there is no such file; name one that exists")]
    Missing,
    /// This process may not read it.
    #[error("may not be read: permission denied; let the user that understudy runs as read it")]
    Denied,
    /// It is a directory.
    #[error("is a directory; name a file in it")]
    Directory,
    /// It is a named pipe, a device or a socket, so reading it could wait for ever.
    #[error("is not a regular file; name one that is")]
    NotRegular,
    /// It is larger than any file that a configuration needs.
    #[error("is longer than {} MiB; name another file", LARGEST >> 20)]
    TooLong,
    /// Any other error of the operating system.
    #[error("can't be read: {0}")]
    Other(ErrorKind),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        // Opening a socket fails with ENXIO, and so does a device without a driver.
        if error.raw_os_error() == Some(libc::ENXIO) {
            return Self::NotRegular;
        }
        let known = [
            (ErrorKind::NotFound, Self::Missing),
            (ErrorKind::PermissionDenied, Self::Denied),
            (ErrorKind::IsADirectory, Self::Directory),
        ];
        let known = known.into_iter().find(|(kind, _)| *kind == error.kind());
        known.map_or_else(|| Self::Other(error.kind()), |(_, meaning)| meaning)
    }
}

/// Reads files, and keeps the list of them.
#[derive(Default)]
pub(super) struct Files {
    list: Vec<SourceFile>,
    contents: HashMap<PathBuf, Result<Bytes, ReadError>>,
    /// The roots that the machine trusts, once they have been read.
    roots: Option<Result<Trust, LoadError>>,
}

impl Files {
    /// The contents of a file; the disk is read only once.
    pub(super) fn read(&mut self, path: &Path) -> Result<Bytes, ReadError> {
        if let Some(content) = self.contents.get(path) {
            return content.clone();
        }
        let (file, content) = SourceFile::read(path);
        self.list.push(file);
        self.contents.insert(path.to_owned(), content.clone());
        content
    }

    /// The contents of a file that the configuration names.
    pub(super) fn read_named(&mut self, file: &NamedPath) -> Result<Bytes, Diagnostic> {
        self.read(&file.path)
            .map_err(|error| Diagnostic::in_file(&file.shown, error))
    }

    /// The files that a pattern matches, in order of name.
    pub(super) fn list(&mut self, pattern: &NamePattern) -> Result<Vec<PathBuf>, ReadError> {
        let (file, names) = SourceFile::list(pattern);
        self.list.push(file);
        let paths =
            |names: Vec<OsString>| names.iter().map(|name| pattern.in_folder(name)).collect();
        names.map(paths)
    }

    /// The roots that the machine trusts; they are read only once.
    pub(super) fn system_roots(&mut self) -> Result<Trust, LoadError> {
        self.roots.get_or_insert_with(Trust::of_system).clone()
    }

    pub(super) fn into_list(self) -> Vec<SourceFile> {
        self.list
    }
}

/// A file that a key names.
pub(super) struct NamedFile<'a> {
    pub(super) location: Location<'a>,
    /// Its path as the configuration has it, with the values of its variables.
    pub(super) written: &'a str,
    pub(super) path: NamedPath,
    pub(super) content: Bytes,
}

impl<'a> NamedFile<'a> {
    pub(super) fn read(
        table: &mut Reader<'a>,
        key: &'static str,
        files: &mut Files,
    ) -> Option<Self> {
        let written = table.read(key, parse_text)?;
        let location = table.at(key);
        let path = location.resolve(written);
        let content = location.take(files.read_named(&path))?;
        Some(Self {
            location,
            written,
            path,
            content,
        })
    }

    /// What was made of its content, or none after the error has been added.
    pub(super) fn take<T>(&self, result: Result<T, impl Display>) -> Option<T> {
        let result = result.map_err(|error| Diagnostic::in_file(&self.path.shown, error));
        self.location.take(result)
    }
}

/// The note on a file of secrets that others than its owner can read. Root's files may be readable by a group: that of the service,
/// or that of a pod, where root owns every file. systemd sets the permissions of credentials itself.
pub(super) fn permissions_note(file: &NamedPath) -> Option<Diagnostic> {
    let is_credential = env::var_os("CREDENTIALS_DIRECTORY")
        .is_some_and(|folder| !folder.is_empty() && file.path.starts_with(folder));
    let metadata = fs::metadata(&file.path).ok()?;
    let mode = metadata.permissions().mode() & 0o777;
    let others = if metadata.uid() == 0 { 0o004 } else { 0o044 };
    if is_credential || mode & others == 0 {
        return None;
    }
    let what = format!("others than its owner may read it (mode {mode:03o})");
    Some(Diagnostic::in_file(&file.shown, what).help(
        "give it to the user that understudy runs as, with mode 600, \
         or to root and that user's group, with mode 640",
    ))
}

/// Reads a file. Blocks on the disk, but never waits for a writer.
fn read(path: &Path) -> Result<Bytes, ReadError> {
    let file = File::options()
        .read(true)
        // Without O_NONBLOCK opening a named pipe waits for a writer; without O_NOCTTY a terminal could become our own.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(ReadError::Directory);
    }
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    // The file may grow while it is read, but a buffer that grows leaves copies of a secret behind.
    let length = metadata.len().min(LARGEST) as usize;
    let mut content = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(ReadError::TooLong);
    }
    Ok(Bytes::from_owner(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_and_its_changes_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("voice.xml");
        let mut files = Files::default();

        assert_eq!(files.read(&path), Err(ReadError::Missing));
        fs::write(&path, "one").expect("written");
        assert_eq!(files.read(&path), Err(ReadError::Missing), "remembered");

        let list = files.into_list();
        assert_eq!(list.len(), 1);
        assert!(list[0].has_changed(), "it is there now");
        let (now, _) = SourceFile::read(&path);
        assert!(!now.has_changed());
        fs::write(&path, "two").expect("written");
        assert!(now.has_changed());
    }
}
