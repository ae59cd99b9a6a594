//! Who has acknowledged which callback, and what the app has taken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use support::{FakeUpstream, Script, Webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const KEYS: usize = 8;

/// A key and a number.
pub(crate) type Name = (usize, usize);

/// What everybody knows of.
#[derive(Default)]
pub(crate) struct Account {
    /// The next number of each key.
    next: [AtomicUsize; KEYS],
    /// What was acknowledged with 204.
    acknowledged: Mutex<BTreeSet<Name>>,
    /// What the app has taken, in its order.
    taken: Mutex<Vec<Name>>,
    pub(crate) acknowledgements: AtomicUsize,
    pub(crate) is_down: AtomicBool,
}

impl Account {
    /// Sends the next callback of a key; the status of the response, none if there is none.
    pub(crate) async fn send_next(&self, key: usize, address: SocketAddr) -> Option<u16> {
        let number = self.next[key].fetch_add(1, Relaxed);
        let status = send(key, number, address).await;
        if status == Some(204) {
            self.acknowledge((key, number));
        }
        status
    }

    /// The sender of this one was told that the app has it or gets it.
    pub(crate) fn acknowledge(&self, name: Name) {
        self.acknowledged.lock().expect("no poison").insert(name);
        self.acknowledgements.fetch_add(1, Relaxed);
    }

    /// The app has taken this one.
    pub(crate) fn take(&self, name: Name) {
        self.taken.lock().expect("no poison").push(name);
    }

    /// What the app has taken, in its order.
    pub(crate) fn taken(&self) -> Vec<Name> {
        self.taken.lock().expect("no poison").clone()
    }

    /// What the app has taken and was acknowledged, in the app's order.
    #[allow(dead_code, reason = "the tests between real programs do")]
    pub(crate) fn taken_and_acknowledged(&self) -> Vec<Name> {
        let acknowledged = self.acknowledged.lock().expect("no poison");
        let taken = self.taken().into_iter();
        taken.filter(|name| acknowledged.contains(name)).collect()
    }

    /// Everything that was acknowledged has reached the app.
    pub(crate) fn check_none_lost(&self) {
        let acknowledged = self.acknowledged.lock().expect("no poison");
        let taken = self.taken();
        let reached: BTreeSet<_> = taken.iter().copied().collect();
        let lost: Vec<_> = acknowledged.difference(&reached).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        eprintln!(
            "{} acknowledged, {} deliveries of {} callbacks",
            acknowledged.len(),
            taken.len(),
            reached.len()
        );
    }

    /// Those of one key came in their order. One may be delivered twice; what counts is when it came first.
    pub(crate) fn check_order(&self, taken: &[Name]) {
        let mut first = BTreeMap::<usize, Vec<usize>>::new();
        let mut seen = BTreeSet::new();
        for (key, number) in taken.iter().filter(|name| seen.insert(**name)) {
            first.entry(*key).or_default().push(*number);
        }
        for (key, numbers) in first {
            assert!(numbers.is_sorted(), "key {key}: {numbers:?}");
        }
    }
}

/// An app that responds with 503 while it is down, and takes callbacks otherwise.
pub(crate) fn app_of(account: &Arc<Account>) -> FakeUpstream {
    let account = Arc::clone(account);
    FakeUpstream::start(move |request| {
        if account.is_down.load(Relaxed) {
            return Script::response("503 Busy", "text/plain", "busy");
        }
        if let Some(name) = name_of(request.target()) {
            account.take(name);
        }
        Script::response("204 No Content", "text/plain", "")
    })
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

pub(crate) fn target_of((key, number): Name) -> String {
    format!("/status/x?key={key}&number={number}")
}

pub(crate) fn name_of(target: &str) -> Option<Name> {
    let (_, names) = target.split_once("?key=")?;
    let (key, number) = names.split_once("&number=")?;
    Some((key.parse().ok()?, number.parse().ok()?))
}
