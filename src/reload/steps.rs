//! Where a change may lead the path of a file to another one: the file, its folders up to the root, and every symbolic link on the
//! way with what it points to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The most symbolic links that are followed from one file.
const MAX_LINKS: usize = 40;

/// What matters within one folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The names of files, of links and of folders.
    pub(super) all: BTreeSet<OsString>,
    /// Whether one of them may be a file, whose contents matter.
    pub(super) have_files: bool,
}

/// The steps of several files. Blocks on the disk.
#[derive(Debug, Default)]
pub(super) struct Steps {
    folders: BTreeMap<PathBuf, Names>,
    /// What each path is, so that folders of many files are looked at once.
    known: HashMap<PathBuf, Kind>,
}

#[derive(Clone, Debug)]
enum Kind {
    Folder,
    Link(PathBuf),
    /// A file, or nothing.
    Other,
}

impl Steps {
    /// Adds the steps of a file. Returns the folders in which they are.
    pub(super) fn add(&mut self, file: &Path) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        let mut paths = vec![std::path::absolute(file).unwrap_or_else(|_| file.to_owned())];
        // A loop of links ends here; such a path leads to no file.
        for _ in 0..MAX_LINKS {
            let Some(path) = paths.pop() else { break };
            for step in path.ancestors() {
                let Some(folder) = step.parent() else { break };
                let kind = self.kind(step);
                let names = self.folders.entry(folder.to_owned()).or_default();
                names.have_files |= matches!(kind, Kind::Other);
                names
                    .all
                    .extend(step.file_name().map(std::ffi::OsStr::to_owned));
                folders.insert(folder.to_owned());
                if let Kind::Link(target) = kind {
                    let target = folder.join(target);
                    paths.push(match path.strip_prefix(step) {
                        Ok(rest) if !rest.as_os_str().is_empty() => target.join(rest),
                        Ok(_) | Err(_) => target,
                    });
                }
            }
        }
        folders
    }

    /// The folders, some of which may not exist, and what matters within each. One folder may be listed under several names.
    pub(super) fn into_folders(self) -> BTreeMap<PathBuf, Names> {
        self.folders
    }

    fn kind(&mut self, path: &Path) -> Kind {
        if let Some(kind) = self.known.get(path) {
            return kind.clone();
        }
        let kind = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => Kind::Folder,
            Ok(metadata) if metadata.is_symlink() => {
                fs::read_link(path).map_or(Kind::Other, Kind::Link)
            }
            Ok(_) | Err(_) => Kind::Other,
        };
        self.known.insert(path.to_owned(), kind.clone());
        kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn steps_of(file: &Path) -> BTreeMap<PathBuf, Names> {
        let mut steps = Steps::default();
        steps.add(file);
        steps.into_folders()
    }

    #[test]
    fn the_steps_of_a_file_are_its_folders_and_those_of_every_link_to_it() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("it exists");
        fs::create_dir_all(root.join("config/..1")).expect("a folder");
        fs::write(root.join("config/..1/understudy.toml"), "").expect("a file");
        symlink("..1", root.join("config/..data")).expect("a link");
        symlink(
            "..data/understudy.toml",
            root.join("config/understudy.toml"),
        )
        .expect("a link");
        let found = steps_of(&root.join("config/understudy.toml"));
        for (folder, name, have_files) in [
            ("config", "understudy.toml", false),
            ("config", "..data", false),
            ("config/..data", "understudy.toml", true),
            ("config", "..1", false),
            ("config/..1", "understudy.toml", true),
        ] {
            let names = &found[&root.join(folder)];
            assert!(names.all.contains(&OsString::from(name)), "{found:?}");
            assert_eq!(names.have_files, have_files, "{folder}");
        }
        let parent = root.parent().expect("it has one");
        for folder in [parent, Path::new("/")] {
            assert!(found.contains_key(folder), "{found:?}");
        }
    }

    #[test]
    fn a_link_to_a_folder_above_is_followed() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("it exists");
        fs::create_dir_all(root.join("live/name")).expect("a folder");
        fs::create_dir_all(root.join("archive/name")).expect("a folder");
        fs::write(root.join("archive/name/key1.pem"), "").expect("a file");
        symlink(
            "../../archive/name/key1.pem",
            root.join("live/name/key.pem"),
        )
        .expect("a link");
        let found = steps_of(&root.join("live/name/key.pem"));
        let names = &found[&root.join("live/name/../../archive/name")];
        assert!(names.all.contains(&OsString::from("key1.pem")) && names.have_files);
    }

    #[test]
    fn a_loop_of_links_ends() {
        let root = tempfile::tempdir().expect("a folder");
        symlink("b/x", root.path().join("a")).expect("a link");
        symlink("a/x", root.path().join("b")).expect("a link");
        assert!(!steps_of(&root.path().join("a")).is_empty());
    }

    #[test]
    fn the_folders_of_a_file_that_is_not_there_are_steps() {
        let root = tempfile::tempdir().expect("a folder");
        let found = steps_of(&root.path().join("none/nor/this"));
        for folder in ["", "none", "none/nor"] {
            assert!(found.contains_key(&root.path().join(folder)), "{found:?}");
        }
    }
}
