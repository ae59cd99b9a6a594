//! Notices that files may have changed. Their folders are watched, not the files: editors replace files, and Kubernetes swaps
//! symbolic links. Whether a file has really changed is for the caller to check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Config, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

use crate::config::SourceFile;

/// A change counts as done when nothing has happened for so long: editors write in several steps.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// A change counts as done after so long at the latest: something else may be written in the same folder all the time.
const DEBOUNCE_LIMIT: Duration = Duration::from_secs(2);

/// How often folders are read where the kernel can't notify of changes.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The most symbolic links that are followed from one file.
const MAX_LINKS: usize = 40;

/// Watches folders.
pub(super) struct FolderWatcher {
    watcher: Box<dyn Watcher + Send>,
    folders: BTreeSet<PathBuf>,
}

/// Tells when something has happened in a watched folder.
pub struct Changes(mpsc::Receiver<()>);

impl FolderWatcher {
    /// Watches no folder yet.
    pub(super) fn new() -> notify::Result<(Self, Changes)> {
        // Only whether something has happened is kept, not how often.
        let (sender, changes) = mpsc::channel(1);
        let on_event = move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        };
        let watcher: Box<dyn Watcher + Send> =
            match RecommendedWatcher::new(on_event.clone(), Config::default()) {
                Ok(watcher) => Box::new(watcher),
                Err(error) => {
                    warn!(%error, "files can't be watched; they are checked every two seconds");
                    let config = Config::default()
                        .with_poll_interval(POLL_INTERVAL)
                        .with_compare_contents(true);
                    Box::new(PollWatcher::new(on_event, config)?)
                }
            };
        let folders = BTreeSet::new();
        Ok((Self { watcher, folders }, Changes(changes)))
    }

    /// Watches the folders of these files and no others. Returns whether one of them is new.
    pub(super) fn watch_folders_of(&mut self, files: &[SourceFile]) -> bool {
        let folders: BTreeSet<_> = files.iter().flat_map(|f| folders_of(&f.path)).collect();
        for folder in self.folders.difference(&folders) {
            let _ = self.watcher.unwatch(folder);
        }
        for folder in &folders {
            // Also if it is watched already: another folder may have taken its name.
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                warn!(path = %folder.display(), %error, "folder can't be watched");
            }
        }
        let is_new = !folders.is_subset(&self.folders);
        self.folders = folders;
        is_new
    }
}

impl Changes {
    /// Waits until something has happened and is done.
    pub async fn changed(&mut self) {
        if self.0.recv().await.is_none() {
            // The watcher is gone, so nothing more will happen.
            std::future::pending::<()>().await;
        }
        let done = async { while timeout(DEBOUNCE, self.0.recv()).await.is_ok() {} };
        let _ = timeout(DEBOUNCE_LIMIT, done).await;
    }
}

/// Every folder in which a change may lead the path to another file: its own, and that of each symbolic link on the way.
fn folders_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut paths = vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())];
    // A loop of links ends here; such a path leads to no file.
    for _ in 0..MAX_LINKS {
        let Some(path) = paths.pop() else { break };
        let folder = path.parent().filter(|folder| folder.is_dir());
        folders.extend(folder.map(Path::to_owned));
        for link in path.ancestors() {
            let (Ok(target), Some(folder)) = (link.read_link(), link.parent()) else {
                continue;
            };
            folders.insert(folder.to_owned());
            let target = folder.join(target);
            paths.push(match path.strip_prefix(link) {
                Ok(rest) if !rest.as_os_str().is_empty() => target.join(rest),
                Ok(_) | Err(_) => target,
            });
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_folders_of_a_file_are_its_own_and_those_of_every_link_to_it() {
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
        let found = folders_of(&root.join("config/understudy.toml"));
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
        assert!(!folders_of(&root.path().join("a")).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_done_in_time_though_others_never_end() {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            while sender.send(()).await.is_ok() {
                tokio::time::sleep(DEBOUNCE / 2).await;
            }
        });
        let began = tokio::time::Instant::now();
        Changes(receiver).changed().await;
        assert_eq!(began.elapsed(), DEBOUNCE_LIMIT);
    }
}
