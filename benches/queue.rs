//! What it costs to store a callback durably, beside a file to which the same bytes are appended with an fsync.
//! `cargo bench --bench queue`

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use understudy::queue::embedded::{Embedded, Settings};
use understudy::queue::{Callback, Store};

/// How many callbacks are to be stored at the same time.
const AT_ONCE: [usize; 3] = [1, 8, 64];

/// As long as a status callback of Twilio with its headers.
const BYTES: usize = 1100;

fn bench_append(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("append");
    for many in AT_ONCE {
        // Beside the build's own files: what is under /tmp may be in memory only.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        group.throughput(Throughput::Elements(many as u64));
        let store = Embedded::open(&Settings {
            folder: folder.path().join("queue"),
            max_size: u64::MAX,
            is_successor: false,
        });
        let store = Arc::new(store.expect("the folder is free"));
        group.bench_with_input(BenchmarkId::new("understudy", many), &many, |b, many| {
            b.iter(|| runtime.block_on(append(&store, *many)));
        });
        let path = folder.path().join("plain");
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(path);
        let mut file = file.expect("a file");
        group.bench_with_input(BenchmarkId::new("one-fsync", many), &many, |b, many| {
            b.iter(|| write(&mut file, *many));
        });
    }
    group.finish();
}

async fn append(store: &Arc<Embedded>, many: usize) {
    let mut appends = JoinSet::new();
    for number in 0..many {
        let store = Arc::clone(store);
        appends.spawn(async move { store.append(callback(number)).await });
    }
    while let Some(appended) = appends.join_next().await {
        appended.expect("no panic").expect("it is stored");
    }
}

fn callback(number: usize) -> Callback {
    let mut headers = HeaderMap::new();
    headers.insert("x-padding", HeaderValue::from_static("0123456789"));
    Callback {
        route: "status".to_owned(),
        key: format!("CA{number}"),
        reason: "connect".to_owned(),
        received: SystemTime::now(),
        client: [192, 0, 2, 7].into(),
        method: Method::POST,
        target: "/status".to_owned(),
        headers,
        body: vec![b'x'; BYTES].into(),
    }
}

/// What no store can be faster than: all bytes at once, and one fsync.
fn write(file: &mut File, many: usize) {
    file.write_all(&vec![b'x'; many * BYTES])
        .expect("there is room");
    file.sync_data().expect("the disk is well");
}

criterion_group!(benches, bench_append);
criterion_main!(benches);
