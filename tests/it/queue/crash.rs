//! A process that is killed at any moment under load has nothing acknowledged that isn't there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use understudy::queue::embedded::{Embedded, Settings};
use understudy::queue::{Ending, Filter, Store};

use super::suite::{ROUTE, append, claim, text};

const FOLDER: &str = "UNDERSTUDY_TEST_QUEUE";
const ROUNDS: u32 = 12;
const KEYS: u32 = 8;

fn open(folder: &Path) -> Embedded {
    let settings = Settings {
        folder: folder.to_owned(),
        max_size: 1 << 30,
        is_successor: false,
    };
    Embedded::open(&settings).unwrap()
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\n{line}").unwrap();
    stdout.flush().unwrap();
}

/// Not a test: the process that is killed. It says what is acknowledged, and what it will deliver before it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a test starts it"]
async fn appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = Arc::new(open(folder.as_ref()));
    for key in 0..KEYS {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0.. {
                let body = format!("{key} {number} {}", "x".repeat(700));
                append(&*store, &key.to_string(), &body).await;
                say(&format!("appended {key} {number}"));
            }
        });
    }
    let mut changes = store.changes();
    loop {
        match claim(&*store, 1).await {
            Some(claim) => {
                let (words, _) = text(&claim).rsplit_once(' ').unwrap();
                say(&format!("delivered {words}"));
                store.finish(claim, Ending::Delivered).await.unwrap();
            }
            None => changes.changed().await.unwrap(),
        }
        // It is slower than those that append.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill_at_any_moment() {
    let mut seed = std::process::id();
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["queue::crash::appends_until_it_is_killed", "--exact"])
            .args(["--ignored", "--nocapture", "--quiet"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let lines_before_the_kill = 1 + (seed >> 16) % 400;
        let mut acknowledged: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut delivered: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut lines = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let words: Vec<_> = line.split(' ').collect();
            let [what, key, number] = words[..] else {
                continue;
            };
            let (Ok(key), Ok(number)) = (key.parse(), number.parse()) else {
                continue;
            };
            match what {
                "appended" => acknowledged.insert((key, number)),
                "delivered" => delivered.insert((key, number)),
                _ => continue,
            };
            lines += 1;
            if lines == lines_before_the_kill {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(lines >= lines_before_the_kill, "it was killed");

        let store = open(folder.path());
        assert!(store.set_aside().is_empty());
        let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in store
            .list(Filter::default(), None, usize::MAX)
            .await
            .unwrap()
        {
            let (_, callback) = store.find(entry.id).await.unwrap().unwrap();
            let body = String::from_utf8(callback.body.to_vec()).unwrap();
            let words: Vec<_> = body.split(' ').collect();
            let key: u32 = words[0].parse().unwrap();
            assert_eq!((&*entry.route, entry.key), (ROUTE, key.to_string()));
            found
                .entry(key)
                .or_default()
                .push(words[1].parse().unwrap());
        }
        for (key, numbers) in &found {
            assert!(numbers.is_sorted(), "round {round}, key {key}: {numbers:?}");
        }
        for (key, number) in acknowledged {
            let is_found = found.get(&key).is_some_and(|all| all.contains(&number));
            assert!(
                is_found || delivered.contains(&(key, number)),
                "round {round}: {key} {number} was acknowledged, and is lost"
            );
        }
    }
}
