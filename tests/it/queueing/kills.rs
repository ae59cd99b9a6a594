//! The process is killed at any moment under load, again and again: every callback that was acknowledged reaches the app, and those of
//! one key in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use support::{FakeUpstream, Script, Sidecar, Webhook, wait_for, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{before_with, folder, wait_until_empty};

const KEYS: usize = 8;

/// How often it is killed, unless this variable says otherwise.
const KILLS: usize = 10;
const VARIABLE: &str = "UNDERSTUDY_TEST_KILLS";

/// A key and a number.
pub(super) type Name = (usize, usize);

/// What everybody knows of.
#[derive(Default)]
pub(super) struct Account {
    /// The next number of each key.
    next: [AtomicUsize; KEYS],
    /// What was acknowledged with 204.
    acknowledged: Mutex<BTreeSet<Name>>,
    /// What the app has taken, in its order.
    taken: Mutex<Vec<Name>>,
    pub(super) acknowledgements: AtomicUsize,
    is_down: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_at_any_moment_loses_no_acknowledged_callback() {
    let kills = std::env::var(VARIABLE).map_or(KILLS, |kills| kills.parse().expect("a number"));
    let account = Arc::new(Account::default());
    let own = Arc::clone(&account);
    let app = FakeUpstream::start(move |request| {
        if own.is_down.load(Relaxed) {
            return Script::response("503 Busy", "text/plain", "busy");
        }
        own.take(name_of(request.target()));
        Script::response("204 No Content", "text/plain", "")
    });
    let folder = folder();
    for round in 0..kills {
        account.is_down.store(true, Relaxed);
        let sidecar = before_with(&app, folder.path(), "", "1GiB").start().await;
        let before = account.acknowledgements.load(Relaxed);
        let mut clients = JoinSet::new();
        for key in 0..KEYS {
            clients.spawn(send_until_killed(
                key,
                sidecar.address,
                Arc::clone(&account),
            ));
        }
        let target = 10 + round * 37 % 80;
        let reach = async |more: usize| {
            wait_until("acknowledgements", async || {
                account.acknowledgements.load(Relaxed) >= before + more
            })
            .await;
        };
        reach(target / 2).await;
        account.is_down.store(round % 4 == 0, Relaxed);
        reach(target).await;
        // With SIGKILL.
        drop(sidecar);
        wait_for("the clients", clients.join_all()).await;
    }
    account.is_down.store(false, Relaxed);
    let sidecar = before_with(&app, folder.path(), "", "1GiB").start().await;
    wait_until_empty(&sidecar).await;
    account.check();
}

impl Account {
    /// The sender of this one was told that the app has it or gets it.
    pub(super) fn acknowledge(&self, name: Name) {
        self.acknowledged.lock().expect("no poison").insert(name);
        self.acknowledgements.fetch_add(1, Relaxed);
    }

    /// The app has taken this one.
    pub(super) fn take(&self, name: Name) {
        self.taken.lock().expect("no poison").push(name);
    }

    /// Whether the app has all that was acknowledged, and those of each key in their order.
    pub(super) fn check(&self) {
        let (acknowledged, taken) = (
            self.acknowledged.lock().expect("no poison"),
            self.taken.lock().expect("no poison"),
        );
        let reached: BTreeSet<_> = taken.iter().copied().collect();
        let lost: Vec<_> = acknowledged.difference(&reached).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        // One may be delivered twice; what counts is when it came first.
        let mut first = BTreeMap::<usize, Vec<usize>>::new();
        let mut seen = BTreeSet::new();
        for (key, number) in taken.iter().filter(|name| seen.insert(**name)) {
            first.entry(*key).or_default().push(*number);
        }
        for (key, numbers) in first {
            assert!(numbers.is_sorted(), "key {key}: {numbers:?}");
        }
        eprintln!(
            "{} acknowledged, {} deliveries of {} callbacks",
            acknowledged.len(),
            taken.len(),
            reached.len()
        );
    }
}

/// Sends callbacks of a key one after the other, until a connection fails.
async fn send_until_killed(key: usize, address: SocketAddr, account: Arc<Account>) {
    loop {
        let number = account.next[key].fetch_add(1, Relaxed);
        match send(key, number, address).await {
            Some(204) => account.acknowledge((key, number)),
            Some(_) => {}
            None => return,
        }
    }
}

/// The status of the response; none if there is none.
async fn send(key: usize, number: usize, address: SocketAddr) -> Option<u16> {
    let webhook =
        Webhook::status_callback(&target_of((key, number))).with("CallSid", &format!("CA{key}"));
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(&webhook.bytes()).await.ok()?;
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    text.split(' ').nth(1)?.parse().ok()
}

pub(super) fn target_of((key, number): Name) -> String {
    format!("/status/x?key={key}&number={number}")
}

pub(super) fn name_of(target: &str) -> Name {
    let names = target.split_once("?key=").expect("it has a name").1;
    let (key, number) = names.split_once("&number=").expect("and a number");
    (
        key.parse().expect("a number"),
        number.parse().expect("a number"),
    )
}

/// Ends the process that has taken over from this one.
pub(super) async fn end_successor(sidecar: &Sidecar) {
    let line = sidecar
        .wait_for_log(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("upgraded"))
        })
        .await;
    let pid = line["pid"].as_u64().expect("a process id");
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("kill -TERM {pid}")])
        .status();
    assert!(status.expect("a shell runs").success());
}
