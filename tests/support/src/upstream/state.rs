//! What all connections of the upstream share.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::request::Request;
use super::script::{Script, Step};

/// Sees what happens to a request while it happens.
pub(super) type Observer = Box<dyn Fn(&Request, Event<'_>) + Send + Sync>;

/// What happens to a request at the upstream.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Its head has come, and a script is chosen.
    Head,
    /// The upstream begins a step of its script.
    Step(&'a Step),
    /// The script has ended, or the connection has, before it.
    End {
        /// No step is left.
        is_complete: bool,
    },
}

pub(super) struct State {
    /// Chooses a script for a request, by its head.
    pub(super) choose: Box<dyn Fn(&Request) -> Script + Send + Sync>,
    /// Sees every request. Then none is kept.
    pub(super) observer: Option<Observer>,
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
            observer: None,
            requests: Mutex::default(),
            complete: watch::Sender::new(0),
            accepted: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            open: watch::Sender::new(0),
            hang_up: watch::Sender::new(()),
        }
    }

    pub(super) fn observed(
        mut self,
        observer: impl Fn(&Request, Event<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    pub(super) fn observe(&self, request: &Request, event: Event<'_>) {
        if let Some(observer) = &self.observer {
            observer(request, event);
        }
    }

    pub(super) fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
