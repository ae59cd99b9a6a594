//! The embedded store: its files, and what happens when they are damaged, locked, or the disk is full.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use understudy::queue::embedded::{Embedded, OpenError, Settings};
use understudy::queue::{Ending, Filter, Store};

use super::suite::{self, Fixture, ROUTE, append, at, callback, claim, text};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("queue")
    }

    fn settings(&self) -> Settings {
        settings(&self.path())
    }

    fn open_now(&self) -> Embedded {
        Embedded::open(&self.settings()).unwrap()
    }
}

impl Fixture for Folder {
    async fn open(&self) -> Box<dyn Store> {
        Box::new(self.open_now())
    }
}

pub(super) fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        max_size: 1 << 20,
        is_successor: false,
    }
}

suite::tests_of_a_store!(Some(Folder::new()));

#[tokio::test]
async fn nobody_else_may_read_its_files() {
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let store = folder.open_now();
    append(&store, "CA1", "1").await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path()), 0o700);
    assert_eq!(mode(&folder.path().join("0.redb")), 0o600);
}

#[tokio::test]
async fn a_second_instance_is_refused_and_told_who_has_the_folder() {
    let folder = Folder::new();
    let store = folder.open_now();
    let error = Embedded::open(&folder.settings()).err().unwrap();
    let OpenError::Locked { process, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*process, Some(std::process::id()));
    assert!(error.to_string().contains("needs a folder of its own"));
    append(&store, "CA1", "1").await;
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_refused() {
    let folder = Folder::new();
    fs::write(folder.path(), "").unwrap();
    let error = Embedded::open(&folder.settings()).err().unwrap();
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_refused() {
    let error = Embedded::open(&settings(Path::new("/proc/understudy/queue")));
    let error = error.err().unwrap();
    assert!(error.to_string().contains("/proc/understudy/queue"));
}

#[tokio::test]
async fn a_newer_version_is_refused_with_both_versions() {
    let folder = Folder::new();
    drop(folder.open_now());
    let database = redb::Database::open(folder.path().join("0.redb")).unwrap();
    let write = database.begin_write().unwrap();
    let about = redb::TableDefinition::<&str, u64>::new("about");
    write
        .open_table(about)
        .unwrap()
        .insert("version", 7)
        .unwrap();
    write.commit().unwrap();
    drop(database);
    let error = Embedded::open(&folder.settings()).err().unwrap();
    let words = error.to_string();
    assert!(words.contains("version 7") && words.contains("version 1"));
}

#[tokio::test]
async fn an_empty_file_is_a_queue_with_nothing_in_it() {
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    fs::write(folder.path().join("0.redb"), "").unwrap();
    let store = folder.open_now();
    assert!(store.set_aside().is_empty());
    append(&store, "CA1", "1").await;
}

/// A queue of 40 callbacks that was closed well, changed by `damage`, and opened again.
async fn after_damage(damage: impl Fn(&Path)) {
    let folder = Folder::new();
    let store = folder.open_now();
    for number in 0..40 {
        append(&store, "CA1", &number.to_string().repeat(2000)).await;
    }
    store.close().await;
    drop(store);
    let file = folder.path().join("0.redb");
    damage(&file);
    let store = folder.open_now();
    let aside = store.set_aside().to_vec();
    let waiting = store.list(Filter::default(), None, 100).await.unwrap();
    if aside.is_empty() {
        // What was changed is used by nothing.
        assert_eq!(waiting.len(), 40);
        for entry in waiting {
            store.find(entry.id).await.unwrap().unwrap();
        }
    } else {
        assert!(aside[0].exists(), "it is kept");
        assert!(waiting.is_empty());
        assert_eq!(store.summary().damaged, 1);
    }
    append(&store, "CA1", "new").await;
    store.close().await;
    drop(store);
    drop(folder.open_now());
}

#[tokio::test]
async fn a_shortened_file_is_set_aside() {
    for part in [1, 3, 5, 7] {
        after_damage(|file| {
            let length = fs::metadata(file).unwrap().len();
            let file = fs::OpenOptions::new().write(true).open(file).unwrap();
            file.set_len(length * part / 8).unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn changed_bytes_are_noticed_wherever_they_are() {
    for place in [0, 5, 9, 70, 130, 200, 5000, 9000, 20_000, 50_000, 90_000] {
        after_damage(|file| change_byte(file, place)).await;
    }
}

#[tokio::test]
async fn a_file_of_something_else_is_set_aside() {
    after_damage(|file| fs::write(file, "this is not a database\n".repeat(1000)).unwrap()).await;
}

fn change_byte(file: &Path, place: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], place).unwrap();
}

#[tokio::test]
async fn what_is_damaged_while_it_is_open_becomes_a_dead_letter_and_the_rest_is_delivered() {
    let folder = Folder::new();
    let store = folder.open_now();
    let marks: Vec<String> = (0..3)
        .map(|n| format!("callback-{n}-").repeat(600))
        .collect();
    for mark in &marks {
        append(&store, "CA1", mark).await;
    }
    store.close().await;
    drop(store);
    // What has been read when the file was opened is in memory, and too large for what redb keeps of it.
    let filler = "x".repeat(500_000);
    let mut large = folder.settings();
    large.max_size = 64 << 20;
    let store = Embedded::open(&large).unwrap();
    for number in 0..40 {
        append(&store, &format!("CB{number}"), &filler).await;
    }
    let file = folder.path().join("0.redb");
    let bytes = fs::read(&file).unwrap();
    let needle = &marks[0].as_bytes()[..200];
    let places = bytes.windows(200).enumerate();
    let places: Vec<_> = places.filter(|(_, part)| *part == needle).collect();
    for (place, _) in &places {
        change_byte(&file, *place as u64 + 100);
    }
    assert!(!places.is_empty());
    let mut delivered = Vec::new();
    while let Some(claim) = claim(&store, 1).await {
        delivered.push(text(&claim).to_owned());
        store.finish(claim, Ending::Delivered).await.unwrap();
    }
    assert!(delivered.contains(&marks[1]) && delivered.contains(&marks[2]));
    let summary = store.summary();
    if !delivered.contains(&marks[0]) {
        assert_eq!((summary.damaged, summary.routes[ROUTE].dead), (1, 1));
    }
}

#[tokio::test]
async fn little_is_left_in_the_file_when_all_is_delivered() {
    let folder = Folder::new();
    let store = folder.open_now();
    for number in 0..50 {
        append(&store, &format!("CA{number}"), &"secret".repeat(2000)).await;
    }
    let file = folder.path().join("0.redb");
    while let Some(claim) = claim(&store, 1).await {
        store.finish(claim, Ending::Delivered).await.unwrap();
    }
    store.close().await;
    let left = fs::read(&file).unwrap();
    let found = left.windows(6).filter(|part| part == b"secret").count();
    assert!(found < 4000, "{found} of 100,000 in {} bytes", left.len());
}

#[test]
fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    with_small_disk(async |disk| on_a_small_disk(disk).await);
}

/// Runs this with a disk of 16 MiB; where none can be mounted, says so.
fn with_small_disk(run: impl AsyncFnOnce(&Path) + Send + 'static) {
    // A thread of its own: what it mounts is seen by it alone, and by the threads that it starts.
    let test = std::thread::spawn(|| {
        let disk = tempfile::tempdir().unwrap();
        if let Err(error) = mount_small_disk(disk.path()) {
            eprintln!("SKIPPED: a small disk can't be mounted here: {error}");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(run(disk.path()));
    });
    test.join().unwrap();
}

fn mount_small_disk(path: &Path) -> nix::Result<()> {
    use nix::mount::{MsFlags, mount};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    mount(
        Some("tmpfs"),
        path,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=16m"),
    )
}

async fn on_a_small_disk(disk: &Path) {
    let mut large = settings(&disk.join("queue"));
    large.max_size = 1 << 30;
    let store = Embedded::open(&large).unwrap();
    let filler = disk.join("filler");
    fs::write(&filler, vec![1; 6 << 20]).unwrap();
    let body = "x".repeat(20_000);
    let mut count = 0;
    let error = loop {
        match store.append(callback("CA1", &body)).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), "io", "{error}");
    assert!(count > 0);
    let first = claim(&store, 1).await.unwrap();
    store.finish(first, Ending::Delivered).await.unwrap();

    // Somebody else takes what was left free, too.
    let rest = disk.join("rest");
    let _ = fs::write(&rest, vec![1; 16 << 20]);
    assert!(store.append(callback("CA1", &body)).await.is_err());
    let second = claim(&store, 1).await.unwrap();
    store.finish(second, Ending::Delivered).await.unwrap();

    fs::remove_file(&rest).unwrap();
    fs::remove_file(&filler).unwrap();
    // After a failed write none is tried for a moment.
    while store.append(callback("CA1", "last")).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    store.close().await;
    drop(store);
    let store = Embedded::open(&large).unwrap();
    let left = store.list(Filter::default(), None, 10_000).await.unwrap();
    assert_eq!(left.len(), count - 2 + 1);
    let claimed = claim(&store, 1).await.unwrap();
    assert_eq!(text(&claimed), body);
}

/// The engine itself meets the end of the disk: the reserve is taken away between the look at it and the write.
#[test]
fn an_engine_that_has_failed_works_again_when_there_is_room() {
    with_small_disk(async |disk| {
        let folder = disk.join("queue");
        let mut large = settings(&folder);
        large.max_size = 1 << 30;
        let store = Embedded::open(&large).unwrap();
        for number in 0..100 {
            append(&store, &format!("CA{number}"), &"x".repeat(1000)).await;
        }
        let filler = disk.join("filler");
        let _ = fs::write(&filler, vec![1; 16 << 20]);
        // Endings are written without a look at the disk. As long as the engine can't open its file, nothing can be read.
        let (mut delivered, mut put_off, mut refused) = (0, 0, 0);
        for number in 0..60 {
            match store.claim(ROUTE, at(1)).await {
                Ok(claim) if number % 2 == 0 => {
                    store
                        .finish(claim.unwrap(), Ending::Delivered)
                        .await
                        .unwrap();
                    delivered += 1;
                }
                Ok(claim) => {
                    let finished = store.finish(claim.unwrap(), suite::retry(100));
                    finished.await.unwrap();
                    put_off += 1;
                }
                Err(error) => {
                    assert_eq!(error.reason(), "io");
                    refused += 1;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(delivered > 0 && put_off > 0, "{refused} were refused");
        fs::remove_file(&filler).unwrap();
        while store.append(callback("CA1", "last")).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(claim(&store, 1).await.is_some(), "and is read again");
        store.close().await;
        drop(store);
        let store = Embedded::open(&large).unwrap();
        let left = store.list(Filter::default(), None, 1000).await.unwrap();
        assert_eq!(left.len(), 100 - delivered + 1);
        let attempted = left.iter().filter(|entry| entry.attempts == 1);
        assert_eq!(attempted.count(), put_off);
    });
}
