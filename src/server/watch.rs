//! What a client connection is at: hyper tells nobody, but the socket and the service see it.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::Instant;

use crate::body::FramingBytes;

/// Where a connection is between its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of a next request has come.
    Idle,
    /// A head has begun to come.
    Head,
    /// A call is being answered.
    Call,
}

/// The phase of one connection and since when.
#[derive(Debug)]
pub(super) struct Watch {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// An answer went out before the request was read.
    unread: Cell<bool>,
    /// Since when the client takes nothing of what is written to it, if it doesn't.
    stuck: Cell<Option<Instant>>,
    /// Counts the bytes of the last request's body that weren't content, if it was chunked.
    framing: RefCell<Option<FramingBytes>>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            unread: Cell::new(false),
            stuck: Cell::new(None),
            framing: RefCell::new(None),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// So many bytes came: whether the framing of a chunked body is still within bounds.
    pub(super) fn bytes_came(&self, many: usize) -> bool {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
        let framing = self.framing.borrow();
        framing.as_ref().is_none_or(|count| count.add_read(many))
    }

    /// A head is whole.
    pub(super) fn call_begins(&self) {
        self.phase.set(Phase::Call);
        self.framing.take();
    }

    /// Counts the bytes of the request's body that aren't content, until the next request: hyper may go on reading behind the
    /// answer.
    pub(super) fn count_framing(&self) -> FramingBytes {
        self.framing
            .borrow_mut()
            .insert(FramingBytes::default())
            .clone()
    }

    /// An answer has been handed to the kernel or to hyper's buffer.
    pub(super) fn call_ends(&self) {
        self.enter(Phase::Idle);
    }

    /// An answer goes out before the request was read.
    pub(super) fn leaves_unread(&self) {
        self.unread.set(true);
    }

    /// Whether closing now would destroy the answer: the kernel resets a connection with bytes that nobody read.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.get() || self.phase.get() == Phase::Head
    }

    /// The client took bytes, or takes none for now.
    pub(super) fn wrote(&self, took: bool) {
        let since = || Some(self.stuck.get().unwrap_or_else(Instant::now));
        self.stuck.set(if took { None } else { since() });
    }

    /// When the phase will have lasted too long; a call's own deadline is not ours, but a client that reads nothing of its answer
    /// is as idle as one that asks for nothing.
    pub(super) fn due(&self, header_timeout: Duration, keep_alive: Duration) -> Option<Instant> {
        match self.phase.get() {
            Phase::Idle => Some(self.since.get() + keep_alive),
            Phase::Head => Some(self.since.get() + header_timeout),
            Phase::Call => self.stuck.get().map(|since| since + keep_alive),
        }
    }
}
