//! Two processes have the folder during an upgrade in place. Here they are two stores of one process: a lock is a file's, not a
//! process's.

use std::path::Path;

use understudy::queue::embedded::{Embedded, Settings};
use understudy::queue::{Ending, Store};

use super::embedded::settings;
use super::suite::{ROUTE, append, claim, text};

fn successor(folder: &Path) -> Embedded {
    let settings = Settings {
        is_successor: true,
        ..settings(folder)
    };
    Embedded::open(&settings).unwrap()
}

async fn deliver_all(store: &dyn Store) -> Vec<String> {
    let mut delivered = Vec::new();
    while let Some(claim) = claim(store, 1).await {
        delivered.push(text(&claim).to_owned());
        store.finish(claim, Ending::Delivered).await.unwrap();
    }
    delivered
}

#[tokio::test]
async fn the_new_process_queues_behind_what_the_old_one_has_and_takes_it_over() {
    let folder = tempfile::tempdir().unwrap();
    let old = Embedded::open(&settings(folder.path())).unwrap();
    append(&old, "CA1", "1").await;
    let new = successor(folder.path());
    assert!(new.is_waiting(ROUTE, "any").await.unwrap());
    let mut changes = new.changes();
    append(&new, "CA1", "3").await;
    append(&old, "CA1", "2").await;
    assert!(claim(&new, 1).await.is_none(), "older ones wait elsewhere");
    assert_eq!(new.next_due(ROUTE), None);
    let claimed = claim(&old, 1).await.unwrap();
    old.finish(claimed, Ending::Delivered).await.unwrap();
    drop(old);
    while new.is_waiting(ROUTE, "any").await.unwrap() {
        changes.changed().await.unwrap();
    }
    assert_eq!(deliver_all(&new).await, ["2", "3"]);
    new.close().await;
    drop(new);
    let names = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["1.redb", "owner"], "the empty file is removed");
    append(
        &Embedded::open(&settings(folder.path())).unwrap(),
        "CA1",
        "4",
    )
    .await;
}

#[tokio::test]
async fn one_upgrade_after_the_other_keeps_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let first = Embedded::open(&settings(folder.path())).unwrap();
    append(&first, "CA1", "1").await;
    let second = successor(folder.path());
    append(&second, "CA1", "2").await;
    let third = successor(folder.path());
    let mut changes = third.changes();
    append(&third, "CA1", "3").await;
    drop(second);
    drop(first);
    while third.is_waiting(ROUTE, "any").await.unwrap() {
        changes.changed().await.unwrap();
    }
    assert_eq!(deliver_all(&third).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn what_two_processes_left_is_one_queue_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let old = Embedded::open(&settings(folder.path())).unwrap();
    append(&old, "CA1", "1").await;
    let new = successor(folder.path());
    let id = append(&new, "CA1", "2").await;
    assert_eq!(id.to_string(), "1-1");
    drop(new);
    drop(old);
    let store = Embedded::open(&settings(folder.path())).unwrap();
    append(&store, "CA1", "3").await;
    assert_eq!(deliver_all(&store).await, ["1", "2", "3"]);
}
