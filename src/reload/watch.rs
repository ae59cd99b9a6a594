//! Notices that files may have changed: by their folders, since editors replace files and Kubernetes swaps symbolic links.
//! Whether one has changed is for others to see.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Config, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::warn;

use crate::config::SourceFile;

/// How long it must have been quiet before a change counts as done: editors write in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// How often folders are looked at where the kernel can't tell.
const POLL: Duration = Duration::from_secs(2);

/// The folders that are watched.
pub(super) struct Watch {
    watcher: Box<dyn Watcher + Send>,
    folders: BTreeSet<PathBuf>,
}

/// Tells when something has happened in a folder that is watched.
pub struct Changes(mpsc::Receiver<()>);

impl Changes {
    /// Waits until something has happened, and then until it is quiet again.
    pub async fn settled(&mut self) {
        if self.0.recv().await.is_none() {
            // The watch is gone; there will be no more changes.
            std::future::pending::<()>().await;
        }
        while tokio::time::timeout(QUIET, self.0.recv()).await.is_ok() {}
    }
}

impl Watch {
    pub(super) fn begin() -> notify::Result<(Self, Changes)> {
        // One place is enough: what has happened is looked up, not counted.
        let (happened, changes) = mpsc::channel(1);
        let tell = move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = happened.try_send(());
            }
        };
        let watcher: Box<dyn Watcher + Send> =
            match RecommendedWatcher::new(tell.clone(), Config::default()) {
                Ok(watcher) => Box::new(watcher),
                Err(error) => {
                    warn!(%error, "files can't be watched; they are checked every two seconds");
                    let config = Config::default()
                        .with_poll_interval(POLL)
                        .with_compare_contents(true);
                    Box::new(PollWatcher::new(tell, config)?)
                }
            };
        Ok((
            Self {
                watcher,
                folders: BTreeSet::new(),
            },
            Changes(changes),
        ))
    }

    /// Watches the folders of these files and no others; whether one of them is new.
    pub(super) fn follow(&mut self, files: &[SourceFile]) -> bool {
        let wanted: BTreeSet<_> = files.iter().flat_map(|file| folders(&file.path)).collect();
        for gone in self.folders.difference(&wanted) {
            let _ = self.watcher.unwatch(gone);
        }
        for folder in &wanted {
            // Once more even if it is watched already: another folder may have taken its name.
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                warn!(folder = %folder.display(), %error, "a folder can't be watched");
            }
        }
        let is_new = !wanted.is_subset(&self.folders);
        self.folders = wanted;
        is_new
    }
}

/// Every folder in which a change may lead the path to another file: its own, and that of each symbolic link on the way.
fn folders(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut paths = vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())];
    // A loop of links ends here; such a path leads to no file.
    for _ in 0..40 {
        let Some(path) = paths.pop() else { break };
        found.extend(
            path.parent()
                .filter(|folder| folder.is_dir())
                .map(Path::to_owned),
        );
        for place in path.ancestors() {
            let Ok(target) = place.read_link() else {
                continue;
            };
            let Some(folder) = place.parent() else {
                continue;
            };
            found.insert(folder.to_owned());
            let rest = path.strip_prefix(place).unwrap_or_else(|_| Path::new(""));
            paths.push(if rest.as_os_str().is_empty() {
                folder.join(target)
            } else {
                folder.join(target).join(rest)
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_watched_by_its_folder_and_by_the_folder_of_every_link_to_it() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("it exists");
        std::fs::create_dir_all(root.join("config/..1")).expect("a folder");
        std::fs::write(root.join("config/..1/understudy.toml"), "").expect("a file");
        symlink("..1", root.join("config/..data")).expect("a link");
        symlink(
            "..data/understudy.toml",
            root.join("config/understudy.toml"),
        )
        .expect("a link");
        let found = folders(&root.join("config/understudy.toml"));
        for folder in ["config", "config/..data", "config/..1"] {
            assert!(
                found.contains(&root.join(folder)),
                "{folder} is not in {found:?}"
            );
        }
    }

    #[test]
    fn a_loop_of_links_ends() {
        let root = tempfile::tempdir().expect("a folder");
        symlink("b", root.path().join("a")).expect("a link");
        symlink("a", root.path().join("b")).expect("a link");
        assert!(!folders(&root.path().join("a")).is_empty());
    }
}
