//! Callers who call all the time, and what became of each of their calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use tokio::task::JoinHandle;

use super::DOCUMENT;
use support::{Client, Response, Webhook, millis, wait_for};

/// Callers who call all the time.
pub(super) struct Load {
    callers: Vec<JoinHandle<Vec<Call>>>,
    common: Arc<Common>,
}

#[derive(Default)]
struct Common {
    begun: AtomicUsize,
    answered: AtomicUsize,
    over: AtomicBool,
}

/// What became of one call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) began: Instant,
    /// None: the connection ended instead.
    pub(super) status: Option<u16>,
    /// The app's own document came, whole.
    is_page: bool,
}

impl Call {
    fn of(response: Option<&Response>, began: Instant) -> Self {
        let is_page = |response: &Response| {
            response.whole && response.reason().is_none() && response.text() == DOCUMENT
        };
        Self {
            began,
            status: response.map(|response| response.status),
            is_page: response.is_some_and(is_page),
        }
    }

    pub(super) fn is_well(&self) -> bool {
        self.status == Some(200) && self.is_page
    }
}

impl Load {
    pub(super) fn begin(haproxy: SocketAddr, callers: usize) -> Self {
        let common = Arc::<Common>::default();
        let callers = (0..callers).map(|_| tokio::spawn(Arc::clone(&common).calls(haproxy)));
        let callers = callers.collect();
        Self { callers, common }
    }

    /// Waits until so many more calls have been answered.
    pub(super) async fn answered(&self, more: usize) {
        let until = self.common.answered.load(Relaxed) + more;
        wait_for("calls to be answered", async {
            while self.common.answered.load(Relaxed) < until {
                tokio::time::sleep(millis(5)).await;
            }
        })
        .await;
    }

    /// Every call, the last ones answered.
    pub(super) async fn end(self) -> Vec<Call> {
        self.common.over.store(true, Relaxed);
        let mut all = Vec::new();
        for caller in self.callers {
            all.extend(caller.await.expect("a caller"));
        }
        all
    }
}

impl Common {
    /// One caller: a connection is kept for as long as HAProxy keeps it.
    async fn calls(self: Arc<Self>, haproxy: SocketAddr) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut client = Client::connect(haproxy).await;
        while !self.over.load(Relaxed) {
            let began = Instant::now();
            let number = self.begun.fetch_add(1, Relaxed);
            client.send(webhook("/voice/x", number)).await;
            let response = client.response_or_end().await;
            calls.push(Call::of(response.as_ref(), began));
            self.answered.fetch_add(1, Relaxed);
            if !response.is_some_and(|response| response.keeps_alive) {
                client = Client::connect(haproxy).await;
            }
        }
        calls
    }
}

/// A request that can be distinguished from every other.
pub(super) fn webhook(path: &str, number: usize) -> Webhook {
    Webhook::voice(path).with("CallSid", &format!("CA{number:032x}"))
}
