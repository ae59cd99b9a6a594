//! Looks at files again and again, where the kernel can't notify of changes. Blocks on the disk.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::NamePattern;

/// Files as they looked last.
#[derive(Debug, Default)]
pub(super) struct Poll {
    files: HashMap<PathBuf, Look>,
}

/// What tells a file from what it was, and the names that a pattern matches from what they were.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    /// None if the file can't be opened.
    file: Option<[i64; 7]>,
    /// None if the path is not a pattern, or its folder can't be read.
    names: Option<Vec<OsString>>,
}

impl Poll {
    /// Looks at these files from now on, and at no others. Returns whether one of them is new.
    pub(super) fn set(&mut self, paths: impl IntoIterator<Item = PathBuf>) -> bool {
        let mut known = std::mem::take(&mut self.files);
        let mut is_new = false;
        for path in paths {
            let look = known.remove(&path).unwrap_or_else(|| {
                is_new = true;
                look_at(&path)
            });
            self.files.insert(path, look);
        }
        is_new
    }

    /// Whether there are no files to look at.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Looks at every file. Returns those that have changed since they were looked at.
    pub(super) fn changed(&mut self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (path, last) in &mut self.files {
            let look = look_at(path);
            if look != *last {
                *last = look;
                changed.push(path.clone());
            }
        }
        changed
    }
}

fn look_at(path: &Path) -> Look {
    Look {
        file: look_at_file(path),
        names: NamePattern::of_path(path).and_then(|pattern| pattern.list().ok()),
    }
}

/// A network file system sends for what a file is like when the file is opened; otherwise it may be a minute old.
fn look_at_file(path: &Path) -> Option<[i64; 7]> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let metadata = file.and_then(|file| file.metadata()).ok()?;
    Some([
        metadata.dev().cast_signed(),
        metadata.ino().cast_signed(),
        metadata.len().cast_signed(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ])
}

/// The devices of file systems on which other machines may change files, of which the kernel doesn't notify.
pub(super) fn network_devices() -> io::Result<Vec<u64>> {
    Ok(parse_mounts(&fs::read_to_string("/proc/self/mountinfo")?))
}

/// The devices of the network file systems in `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).
fn parse_mounts(mounts: &str) -> Vec<u64> {
    let device = |line: &str| {
        let (mount, file_system) = line.split_once(" - ")?;
        if !is_network(file_system.split(' ').next()?) {
            return None;
        }
        let (major, minor) = mount.split(' ').nth(2)?.split_once(':')?;
        Some(libc::makedev(major.parse().ok()?, minor.parse().ok()?))
    };
    mounts.lines().filter_map(device).collect()
}

fn is_network(file_system: &str) -> bool {
    const NAMES: [&str; 18] = [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    ];
    NAMES.contains(&file_system) || file_system.starts_with("fuse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_a_file_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let nothing: [PathBuf; 0] = [];
        let mut poll = Poll::default();
        assert!(poll.set([a.clone(), b.clone()]));
        assert_eq!(poll.changed(), nothing);
        fs::write(&a, "one").expect("written");
        assert_eq!(poll.changed(), [a.as_path()]);
        assert_eq!(poll.changed(), nothing);
        fs::write(&a, "three").expect("written");
        assert_eq!(poll.changed(), [a.as_path()]);
        fs::rename(&a, &b).expect("renamed");
        assert_eq!(poll.changed().len(), 2);
        assert!(!poll.set([b]), "it is known");
        fs::write(&a, "four").expect("written");
        assert_eq!(poll.changed(), nothing);
    }

    #[test]
    fn network_file_systems_are_known() {
        let mounts = "\
            22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
            40 22 0:51 / /srv/nfs rw,relatime shared:20 - nfs4 server:/srv rw,vers=4.2\n\
            41 22 0:52 /a\\040b /mnt rw - fuse.sshfs host:/ rw\n\
            42 22 0:5 / /dev rw - devtmpfs udev rw\n\
            not a mount\n";
        let devices = [libc::makedev(0, 51), libc::makedev(0, 52)];
        assert_eq!(parse_mounts(mounts), devices);
    }
}
