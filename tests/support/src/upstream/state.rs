//! What all connections of the upstream share.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::request::Request;
use super::script::Script;

pub(super) struct State {
    /// Chooses a script for a request, by its head.
    pub(super) choose: Box<dyn Fn(&Request) -> Script + Send + Sync>,
    requests: Mutex<Vec<Request>>,
    /// How many requests have come with their body.
    pub(super) complete: watch::Sender<usize>,
    /// How many connections were ever accepted.
    pub(super) accepted: AtomicUsize,
    /// How many bytes were ever sent.
    pub(super) sent: AtomicUsize,
    /// How many connections are open.
    pub(super) open: watch::Sender<usize>,
    /// Every change ends all connections there are.
    pub(super) hang_up: watch::Sender<()>,
}

impl State {
    pub(super) fn new(choose: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Self {
        Self {
            choose: Box::new(choose),
            requests: Mutex::default(),
            complete: watch::Sender::new(0),
            accepted: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            open: watch::Sender::new(0),
            hang_up: watch::Sender::new(()),
        }
    }

    pub(super) fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
