//! Notices that files may have changed. Their folders are watched, not the files: editors replace files, Kubernetes swaps symbolic
//! links, and folders are moved away and come back. Files whose folders can't be watched are looked at again and again. Whether a
//! file has really changed is for the caller to check.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::config::NamePattern;

use super::debounce::{Change, Debounce};
use super::poll::{self, Poll};
use super::steps::{Names, Steps};

/// How often files are looked at that can't be watched.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often the folders are looked up again, at most, while new ones come.
const MAX_ROUNDS: usize = 5;

/// Watches folders, and looks at files that can't be watched.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    /// None if there is no instance of inotify.
    watches: Option<Watches>,
    poll: Poll,
    /// The folders that can't be watched, as the log has them.
    unwatched: BTreeSet<PathBuf>,
}

/// Says what to do next.
pub(super) struct Changes {
    shared: Arc<Shared>,
    /// None if nothing can be watched.
    events: Option<AsyncFd<Inotify>>,
    next_poll: Instant,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Files may have changed, and are complete.
    Reload,
    /// It is time to look at the files that can't be watched: [`Watcher::poll`].
    Poll,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    has_changed: Notify,
}

#[derive(Default)]
struct State {
    debounce: Debounce,
    folders: HashMap<WatchDescriptor, Folder>,
    has_polled_files: bool,
    has_lost_inotify: bool,
}

/// A watched folder.
struct Folder {
    path: PathBuf,
    names: BTreeSet<OsString>,
}

impl Folder {
    /// Whether something that has this name matters: a name that is watched may be a pattern.
    fn has(&self, name: &OsStr) -> bool {
        let mut patterns =
            (self.names.iter()).filter_map(|name| NamePattern::of_path(name.as_ref()));
        self.names.contains(name) || patterns.any(|pattern| pattern.matches(name))
    }
}

/// Watches nothing yet.
///
/// To be called within a runtime.
pub(super) fn start() -> (Watcher, Changes) {
    start_with(Inotify::init())
}

fn start_with(inotify: io::Result<Inotify>) -> (Watcher, Changes) {
    #[expect(
        deprecated,
        reason = "its successor is unsafe for types whose descriptor may change; that of Inotify, which is AsFd, does not"
    )]
    let events = inotify.and_then(|inotify| AsyncFd::with_interest(inotify, Interest::READABLE));
    let events = events.inspect_err(
        |error| warn!(%error, "inotify can't be used; files are looked at twice a second"),
    );
    let events = events.ok();
    let shared = Arc::<Shared>::default();
    let watcher = Watcher {
        shared: Arc::clone(&shared),
        watches: events.as_ref().map(|events| events.get_ref().watches()),
        poll: Poll::default(),
        unwatched: BTreeSet::new(),
    };
    let changes = Changes {
        shared,
        events,
        next_poll: Instant::now(),
    };
    (watcher, changes)
}

impl Watcher {
    /// Watches what may change these files, and the files that a pattern among them may match later, and nothing else. Returns
    /// whether there is something new to watch, where a change until now was not noticed. Blocks on the disk.
    pub(super) fn watch(&mut self, files: &[&Path]) -> bool {
        let mut is_new = false;
        // A folder may come while its parent isn't watched yet.
        for _ in 0..MAX_ROUNDS {
            if !self.watch_once(files) {
                break;
            }
            is_new = true;
        }
        is_new
    }

    fn watch_once(&mut self, files: &[&Path]) -> bool {
        if self.shared.lock().has_lost_inotify {
            self.watches = None;
        }
        let mut steps = Steps::default();
        let folders_of_files: Vec<_> = files.iter().map(|file| steps.add(file)).collect();
        let network = poll::network_devices().unwrap_or_default();
        let (mut folders, mut unwatched) = (HashMap::new(), BTreeSet::new());
        for (path, names) in steps.into_folders() {
            match self.add(&path, &names, &network) {
                Ok(None) => {}
                Ok(Some(descriptor)) => {
                    let folder = folders.entry(descriptor).or_insert_with(|| Folder {
                        path,
                        names: BTreeSet::new(),
                    });
                    folder.names.extend(names.all);
                }
                Err(error) => {
                    // A folder on the way may be closed to us, as systemd's is above that of credentials.
                    let is_closed =
                        error.kind() == ErrorKind::PermissionDenied && !names.have_files;
                    let is_known = is_closed || self.unwatched.contains(&path);
                    if self.watches.is_some() && !is_known {
                        warn!(path = %path.display(), %error, "folder can't be watched; its files are looked at twice a second");
                    }
                    unwatched.insert(path);
                }
            }
        }
        let polled = files.iter().zip(&folders_of_files);
        let polled = polled.filter(|(_, folders)| !folders.is_disjoint(&unwatched));
        let is_new_to_poll = self.poll.set(polled.map(|(file, _)| absolute(file)));
        self.unwatched = unwatched;

        let mut state = self.shared.lock();
        state.has_polled_files = !self.poll.is_empty();
        let old = std::mem::replace(&mut state.folders, folders);
        let is_new_to_watch = state.folders.iter().any(|(descriptor, folder)| {
            let old = old.get(descriptor);
            old.is_none_or(|old| !folder.names.is_subset(&old.names))
        });
        if let Some(watches) = &mut self.watches {
            for (descriptor, _) in old {
                if !state.folders.contains_key(&descriptor) {
                    // It fails if the folder is gone, and its watch with it.
                    let _ = watches.remove(descriptor);
                }
            }
        }
        drop(state);
        self.shared.has_changed.notify_one();
        is_new_to_watch || is_new_to_poll
    }

    /// Watches one folder. None if it does not exist: its parent is watched.
    fn add(
        &mut self,
        folder: &Path,
        names: &Names,
        network: &[u64],
    ) -> io::Result<Option<WatchDescriptor>> {
        let Some(watches) = &mut self.watches else {
            return Err(io::Error::other("inotify can't be used"));
        };
        if !network.is_empty()
            && fs::metadata(folder).is_ok_and(|metadata| network.contains(&metadata.dev()))
        {
            return Err(io::Error::other("it is on a network file system"));
        }
        let mut mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::ATTRIB
            | WatchMask::ONLYDIR
            // The folder may be watched already, by another name.
            | WatchMask::MASK_ADD;
        if names.have_files {
            mask |= WatchMask::MODIFY | WatchMask::CLOSE_WRITE;
        }
        match watches.add(folder, mask) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(error) => {
                let is_missing =
                    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
                        || error.raw_os_error() == Some(libc::ELOOP);
                if is_missing { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Looks at the files that can't be watched.
    pub(super) fn poll(&mut self) {
        for path in self.poll.changed() {
            self.shared.record(&path, Change::Unknown);
        }
    }

    /// Notes that this file has changed, though nobody knows whether its writer is done.
    pub(super) fn record(&self, file: &Path) {
        self.shared.record(&absolute(file), Change::Unknown);
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Changes {
    /// Waits until there is something to do.
    pub(super) async fn next(&mut self) -> Due {
        loop {
            let now = Instant::now();
            let (mut wake, has_polled_files) = {
                let mut state = self.shared.lock();
                if state.debounce.take(now.into_std()) {
                    return Due::Reload;
                }
                let due = state.debounce.due().map(Instant::from_std);
                (due, state.has_polled_files)
            };
            if has_polled_files {
                if self.next_poll <= now {
                    self.next_poll = now + POLL_INTERVAL;
                    return Due::Poll;
                }
                wake = Some(wake.map_or(self.next_poll, |wake| wake.min(self.next_poll)));
            }
            let due = async {
                match wake {
                    Some(wake) => sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = read_events(&mut self.events, &self.shared) => {}
                () = self.shared.has_changed.notified() => {}
                () = due => {}
            }
        }
    }
}

/// Waits for events and records them.
async fn read_events(events: &mut Option<AsyncFd<Inotify>>, shared: &Shared) {
    let Some(inotify) = events else {
        return std::future::pending().await;
    };
    let Ok(mut guard) = inotify.readable_mut().await else {
        return std::future::pending().await;
    };
    let mut buffer = [0; 4096];
    let read = guard.try_io(|inotify| {
        let events = inotify.get_mut().read_events(&mut buffer)?;
        events.for_each(|event| shared.record_event(&event));
        Ok(())
    });
    if let Ok(Err(error)) = read {
        warn!(%error, "inotify has failed; files are looked at twice a second");
        *events = None;
        shared.lose_inotify();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, path: &Path, change: Change) {
        let now = Instant::now().into_std();
        self.lock().debounce.record(path, change, now);
        self.has_changed.notify_one();
    }

    /// From now on nothing can be watched.
    fn lose_inotify(&self) {
        self.lock().has_lost_inotify = true;
        self.record(Path::new(""), Change::Unknown);
    }

    fn record_event(&self, event: &inotify::Event<&OsStr>) {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            self.record(Path::new(""), Change::Unknown);
            return;
        }
        let mut state = self.lock();
        let Some(folder) = state.folders.get(&event.wd) else {
            return;
        };
        let path = match event.name {
            // The folder itself is no longer watched, or its permissions have changed.
            None => folder.path.clone(),
            Some(name) if folder.has(name) => folder.path.join(name),
            Some(_) => return,
        };
        let change = change_of(event.mask, &path);
        let now = Instant::now().into_std();
        state.debounce.record(&path, change, now);
    }
}

fn change_of(event: EventMask, path: &Path) -> Change {
    if event.contains(EventMask::MODIFY) {
        Change::Writing
    } else if event.contains(EventMask::ATTRIB) {
        Change::Metadata
    } else if event.contains(EventMask::CREATE) && !event.contains(EventMask::ISDIR) {
        created(path)
    } else {
        Change::Complete
    }
}

/// What the creation of a file says about its writer. A link has none, so no closing will be noticed.
fn created(path: &Path) -> Change {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.nlink() == 1 => Change::Writing,
        Ok(_) | Err(_) => Change::Complete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    /// A watched file, in a folder within two others.
    struct Watched {
        watcher: Watcher,
        changes: Changes,
        file: PathBuf,
        root: tempfile::TempDir,
    }

    impl Watched {
        fn with(inotify: io::Result<Inotify>) -> Self {
            let root = tempfile::tempdir().expect("a folder");
            let file = root.path().join("a/b/file");
            fs::create_dir_all(root.path().join("a/b")).expect("folders");
            fs::write(&file, "one").expect("a file");
            let (mut watcher, changes) = start_with(inotify);
            assert!(watcher.watch(&[&file]), "it is new");
            assert!(!watcher.watch(&[&file]), "it is known");
            Self {
                watcher,
                changes,
                file,
                root,
            }
        }

        fn start() -> Self {
            Self::with(Inotify::init())
        }

        /// Waits until the changes are to be taken up, and looks where polling is due.
        async fn until_due(&mut self) {
            let due = async {
                while self.changes.next().await == Due::Poll {
                    self.watcher.poll();
                }
            };
            let due = tokio::time::timeout(Duration::from_secs(60), due).await;
            due.expect("the change is taken up");
        }

        /// Waits until this has happened to the file last.
        async fn until_last(&mut self, change: Change) {
            let Changes { events, shared, .. } = &mut self.changes;
            let seen = async {
                while shared.lock().debounce.last_change(&self.file) != Some(change) {
                    read_events(events, shared).await;
                }
            };
            let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
            seen.unwrap_or_else(|_| panic!("not seen: {change:?}"));
        }

        /// Follows a change of the folders, and then one of the file.
        async fn assert_is_followed(&mut self) {
            self.until_due().await;
            self.watcher.watch(&[&self.file]);
            fs::write(&self.file, "another").expect("a file");
            self.until_last(Change::Complete).await;
            self.until_due().await;
        }
    }

    #[tokio::test]
    async fn a_file_is_complete_when_its_writer_closes_it() {
        let mut watched = Watched::start();
        let mut file = File::create(&watched.file).expect("a file");
        file.write_all(b"ha").expect("written");
        watched.until_last(Change::Writing).await;
        file.write_all(b"lf").expect("written");
        drop(file);
        watched.until_last(Change::Complete).await;
        watched.until_due().await;
    }

    #[tokio::test]
    async fn a_file_that_is_created_is_complete_when_its_writer_closes_it() {
        let mut watched = Watched::start();
        fs::remove_file(&watched.file).expect("it was there");
        watched.until_last(Change::Complete).await;
        let file = File::create(&watched.file).expect("a file");
        watched.until_last(Change::Writing).await;
        drop(file);
        watched.until_last(Change::Complete).await;
    }

    #[tokio::test]
    async fn a_link_is_complete_at_once() {
        let mut watched = Watched::start();
        let other = watched.root.path().join("other");
        fs::write(&other, "two").expect("a file");
        fs::remove_file(&watched.file).expect("it was there");
        symlink(&other, &watched.file).expect("a link");
        watched.until_due().await;
        assert!(watched.watcher.watch(&[&watched.file]), "its target is new");
        fs::remove_file(&watched.file).expect("it was there");
        fs::hard_link(&other, &watched.file).expect("a link");
        watched.until_last(Change::Complete).await;
    }

    #[tokio::test]
    async fn what_an_editor_renames_is_complete() {
        let mut watched = Watched::start();
        let new = watched.file.with_file_name(".new");
        fs::write(&new, "two").expect("a file");
        fs::rename(&new, &watched.file).expect("renamed");
        watched.until_last(Change::Complete).await;
        watched.until_due().await;
    }

    #[tokio::test]
    async fn other_files_of_the_folder_do_not_count() {
        let mut watched = Watched::start();
        let mut log = File::create(watched.file.with_file_name("log")).expect("a file");
        for _ in 0..100 {
            log.write_all(b"a line\n").expect("written");
        }
        drop(log);
        fs::write(&watched.file, "two").expect("a file");
        watched.until_last(Change::Complete).await;
        let state = watched.changes.shared.lock();
        let log = watched.file.with_file_name("log");
        assert_eq!(state.debounce.last_change(&log), None);
    }

    #[tokio::test]
    async fn what_a_pattern_matches_may_come_and_go() {
        let mut watched = Watched::start();
        watched.file = watched.file.with_file_name("new.toml");
        let pattern = watched.file.with_file_name("*.toml");
        assert!(watched.watcher.watch(&[&pattern]), "it is new");
        fs::write(watched.file.with_file_name("new.log"), "").expect("a file");
        fs::write(&watched.file, "").expect("a file");
        watched.until_last(Change::Complete).await;
        let log = watched.file.with_file_name("new.log");
        let last_change = |path| watched.changes.shared.lock().debounce.last_change(path);
        assert_eq!(last_change(&log), None);
        watched.until_due().await;
        fs::remove_file(&watched.file).expect("it was there");
        watched.until_last(Change::Complete).await;
    }

    #[tokio::test]
    async fn a_folder_that_is_moved_away_and_back_is_followed() {
        let mut watched = Watched::start();
        for folder in ["a/b", "a"] {
            let (here, away) = (
                watched.root.path().join(folder),
                watched.root.path().join("c"),
            );
            fs::rename(&here, &away).expect("moved");
            watched.until_due().await;
            watched.watcher.watch(&[&watched.file]);
            fs::rename(&away, &here).expect("moved");
            watched.assert_is_followed().await;
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_removed_and_made_again_is_followed() {
        let mut watched = Watched::start();
        fs::remove_dir_all(watched.root.path().join("a")).expect("removed");
        watched.until_due().await;
        watched.watcher.watch(&[&watched.file]);
        fs::create_dir(watched.root.path().join("a")).expect("a folder");
        watched.until_due().await;
        watched.watcher.watch(&[&watched.file]);
        fs::create_dir(watched.root.path().join("a/b")).expect("a folder");
        watched.assert_is_followed().await;
    }

    #[tokio::test]
    async fn another_folder_in_place_of_the_watched_one_is_followed() {
        let mut watched = Watched::start();
        let root = watched.root.path();
        fs::create_dir_all(root.join("new/b")).expect("folders");
        fs::rename(root.join("a"), root.join("old")).expect("moved");
        fs::rename(root.join("new"), root.join("a")).expect("moved");
        watched.assert_is_followed().await;
        // What happens in the old folder does not count any more.
        fs::write(watched.root.path().join("old/b/file"), "").expect("a file");
        fs::write(&watched.file, "three").expect("a file");
        watched.until_last(Change::Complete).await;
        let old = watched.root.path().join("old/b/file");
        assert_eq!(
            watched.changes.shared.lock().debounce.last_change(&old),
            None
        );
    }

    #[tokio::test]
    async fn a_link_to_a_folder_that_is_swapped_is_followed() {
        let mut watched = Watched::start();
        let root = watched.root.path().to_owned();
        for version in ["..1", "..2"] {
            fs::create_dir(root.join(version)).expect("a folder");
            fs::write(root.join(version).join("file"), version).expect("a file");
        }
        symlink("..1", root.join("..data")).expect("a link");
        watched.file = root.join("..data/file");
        assert!(watched.watcher.watch(&[&watched.file]));
        symlink("..2", root.join("..new")).expect("a link");
        fs::rename(root.join("..new"), root.join("..data")).expect("swapped");
        watched.until_due().await;
        assert!(watched.watcher.watch(&[&watched.file]));
        fs::write(root.join("..2/file"), "three").expect("a file");
        watched.until_due().await;
    }

    #[tokio::test]
    async fn without_inotify_files_are_looked_at() {
        let mut watched = Watched::with(Err(io::Error::from_raw_os_error(libc::EMFILE)));
        fs::write(&watched.file, "two").expect("a file");
        watched.until_due().await;
        let (here, away) = (watched.root.path().join("a"), watched.root.path().join("c"));
        fs::rename(&here, &away).expect("moved");
        watched.until_due().await;
        fs::rename(&away, &here).expect("moved");
        watched.until_due().await;
    }

    #[tokio::test]
    async fn when_inotify_fails_later_files_are_looked_at() {
        let mut watched = Watched::start();
        watched.changes.events = None;
        watched.changes.shared.lose_inotify();
        watched.until_due().await;
        watched.watcher.watch(&[&watched.file]);
        fs::write(&watched.file, "two").expect("a file");
        watched.until_due().await;
    }

    #[tokio::test(start_paused = true)]
    async fn polling_takes_a_change_up_within_two_seconds() {
        let mut watched = Watched::with(Err(io::Error::from_raw_os_error(libc::EMFILE)));
        assert_eq!(watched.changes.next().await, Due::Poll);
        watched.watcher.poll();
        fs::write(&watched.file, "two").expect("a file");
        let began = Instant::now();
        watched.until_due().await;
        assert!(began.elapsed() <= Duration::from_secs(2));
    }
}
