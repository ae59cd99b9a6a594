//! Request bodies. A body is kept while it streams to the upstream, so that it can be sent again and its parameters be read; or
//! it is collected whole before any of it is sent.
//!
//! What a body means is not known here. Trailers are dropped: nothing needs them, and what isn't forwarded can't be used for request
//! smuggling (RFC 9110 §6.5.1).

mod budget;
mod framing;

use std::cell::RefCell;
use std::error::Error as _;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use smallvec::{SmallVec, smallvec};
use tokio::time::Instant;

pub use budget::MemoryBudget;
pub use framing::FramingBytes;

use budget::Reservation;

/// How much of a request body is kept for its parameters and for sending it again, in bytes.
const REPLAY_LIMIT: usize = 64 * 1024;

/// How often a body is polled until it has surely said what has arrived: hyper reads only when it was asked to, and after a pause
/// of the whole machine timers come before sockets.
const POLLS_FOR_ARRIVED: usize = 3;

/// In how many frames a body may arrive that is kept: more than on any network, and few enough that their overhead is small.
const MAX_REPLAY_FRAMES: usize = 256;

/// The frames of a body. Nearly all bodies have one, which needs no allocation.
pub type Frames = SmallVec<[Bytes; 1]>;

/// A handle to a request body that arrives from the client. What has arrived is kept, so that it can be sent again and its
/// parameters be read.
#[derive(Clone)]
pub struct RequestBody(Rc<RefCell<State>>);

struct State {
    /// None if all of it was there from the start.
    incoming: Option<Incoming>,
    /// Set if the body is chunked.
    framing: Option<FramingBytes>,
    /// In bytes.
    limit: u64,
    /// How many bytes have arrived.
    received: u64,
    /// When bytes last arrived, other than in the first frame.
    last_received: Option<Instant>,
    /// The frames so far; empty if `is_discarded`.
    frames: Frames,
    /// More than [`REPLAY_LIMIT`] bytes or [`MAX_REPLAY_FRAMES`] arrived, so the frames were dropped; never if it was collected.
    is_discarded: bool,
    is_complete: bool,
    /// The last poll was pending, so it is the client that is waited for.
    is_pending: bool,
    error: Option<Error>,
}

/// Why a request body can't be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is larger than `limit` bytes.
    #[error("the request body is over {limit} bytes")]
    TooLarge {
        /// The route's `max_request_body`.
        limit: u64,
    },
    /// Its framing is not valid (RFC 9112 §7).
    #[error("the framing of the request body is not valid")]
    Malformed,
    /// The client closed the connection before the body was complete.
    #[error("the client disconnected before its request was complete")]
    Disconnected,
    /// The [`MemoryBudget`] is used up.
    #[error("too many bytes of requests whose signatures are not checked yet are held")]
    OverBudget,
}

impl RequestBody {
    /// A body of at most `limit` bytes.
    pub fn new(incoming: Incoming, limit: u64) -> Self {
        let is_complete = incoming.is_end_stream();
        Self(Rc::new(RefCell::new(State {
            incoming: Some(incoming),
            framing: None,
            limit,
            received: 0,
            last_received: None,
            frames: Frames::new(),
            is_discarded: false,
            is_complete,
            is_pending: false,
            error: None,
        })))
    }

    /// A body that is there already.
    pub fn of_bytes(bytes: Bytes) -> Self {
        let mut state = State {
            incoming: None,
            framing: None,
            limit: u64::MAX,
            received: bytes.len() as u64,
            last_received: None,
            frames: Frames::new(),
            is_discarded: false,
            is_complete: true,
            is_pending: false,
            error: None,
        };
        state.keep_whole(bytes);
        Self(Rc::new(RefCell::new(state)))
    }

    /// The same body, which subtracts its content from this count of framing bytes.
    #[must_use]
    pub fn with_framing(self, framing: Option<FramingBytes>) -> Self {
        self.0.borrow_mut().framing = framing;
        self
    }

    /// Checks the length that the client has declared.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if it is over the limit.
    pub fn check_declared_length(&self) -> Result<(), Error> {
        let state = self.0.borrow();
        let limit = state.limit;
        let declared = state.incoming.as_ref().map(Incoming::size_hint);
        if declared.is_some_and(|declared| declared.lower() > limit) {
            return Err(Error::TooLarge { limit });
        }
        Ok(())
    }

    /// The body as it is sent to the upstream, from its first byte.
    pub fn replay(&self) -> ReplayBody {
        ReplayBody {
            body: self.clone(),
            sent: 0,
        }
    }

    /// Whether its length is known: the client has declared it, or the body is complete.
    pub fn has_length(&self) -> bool {
        self.replay().size_hint().exact().is_some()
    }

    /// Receives and keeps what has arrived already, without waiting for the client. Must be called before anything else is received.
    pub async fn receive_available(&self) {
        let mut frames = Vec::new();
        for is_asked in [false, true] {
            if is_asked {
                // The client's connection delivers a body only after it was asked for, when the request's future waits.
                tokio::task::yield_now().await;
            }
            poll_fn(|cx| {
                let mut state = self.0.borrow_mut();
                while let Poll::Ready(Some(Ok(bytes))) = state.poll_receive(cx) {
                    frames.push(bytes);
                }
                Poll::Ready(())
            })
            .await;
        }
        let mut state = self.0.borrow_mut();
        if state.is_discarded {
            state.keep_whole(concat(&frames));
        }
    }

    /// Whether all of it has arrived.
    pub fn is_complete(&self) -> bool {
        self.0.borrow().is_complete
    }

    /// Whether all that has arrived is still kept.
    pub fn can_replay(&self) -> bool {
        !self.0.borrow().is_discarded
    }

    /// Whether it is incomplete because the client hasn't sent the rest, not because the upstream doesn't take it.
    pub fn is_waiting_for_client(&self) -> bool {
        let state = self.0.borrow();
        !state.is_complete && state.is_pending
    }

    /// When bytes last arrived; `None` if they all arrived in one frame.
    pub fn last_received(&self) -> Option<Instant> {
        self.0.borrow().last_received
    }

    /// Why it can't be received, if so.
    pub fn error(&self) -> Option<Error> {
        self.0.borrow().error
    }

    /// What has arrived so far; empty if it is more than 64 KiB.
    pub fn received(&self) -> Bytes {
        let state = self.0.borrow();
        if state.received > REPLAY_LIMIT as u64 {
            // A collected body is still there, but a long body is treated the same way whether its signature was checked or not.
            return Bytes::new();
        }
        concat(&state.frames)
    }

    /// All of it, if it has arrived and is still kept.
    pub fn whole(&self) -> Option<Bytes> {
        let state = self.0.borrow();
        let is_kept = state.is_complete && !state.is_discarded && state.error.is_none();
        is_kept.then(|| concat(&state.frames))
    }

    /// Waits for the whole body. It is kept from then on, and can be sent however long it is. Must be called before any of it is
    /// sent, and only for a body whose limit fits into memory. While the body arrives, it takes from the budget.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn collect(&self, budget: &MemoryBudget) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        let mut first = Bytes::new();
        let mut reservation = budget.reserve();
        loop {
            let kept = first.len().max(whole.capacity());
            let next = poll_fn(|cx| self.poll_within(cx, kept, &mut reservation));
            let Some(bytes) = next.await else { break };
            let bytes = bytes?;
            if first.is_empty() {
                first = bytes;
                continue;
            }
            // Copied into one buffer: a client that sends single bytes would otherwise make us keep a frame for each.
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&bytes);
        }
        let whole = if whole.is_empty() {
            first
        } else {
            whole.freeze()
        };
        self.0.borrow_mut().keep_whole(whole.clone());
        Ok(whole)
    }

    /// The next bytes. While none are here, those that are kept take from the budget.
    fn poll_within(
        &self,
        cx: &mut Context<'_>,
        kept: usize,
        reservation: &mut Reservation<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let mut state = self.0.borrow_mut();
        let next = state.poll_receive(cx);
        if next.is_pending() && !reservation.grow_to(kept) {
            return Poll::Ready(Some(Err(state.fail(Error::OverBudget))));
        }
        next
    }

    /// Reads what the upstream didn't. A response that is sent before the request was read may be destroyed by a TCP reset.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn read_rest(&self) -> Result<(), Error> {
        loop {
            match poll_fn(|cx| self.0.borrow_mut().poll_receive(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }

    /// Reads what has arrived already, without waiting for the client.
    pub async fn read_arrived(&self) {
        for _ in 0..POLLS_FOR_ARRIVED {
            let mut rest = pin!(self.read_rest());
            let is_read = poll_fn(|cx| Poll::Ready(rest.as_mut().poll(cx).is_ready()));
            if self.is_complete() || is_read.await {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes are personal data.
        f.debug_struct("RequestBody")
            .field("received", &self.0.borrow().received)
            .finish_non_exhaustive()
    }
}

impl State {
    /// The next bytes from the client.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(error) = self.error {
            return Poll::Ready(Some(Err(error)));
        }
        while !self.is_complete {
            let Some(incoming) = &mut self.incoming else {
                break;
            };
            let frame = Pin::new(&mut *incoming).poll_frame(cx);
            self.is_pending = frame.is_pending();
            match ready!(frame) {
                None => self.is_complete = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(self.fail((&error).into())))),
                Some(Ok(frame)) => {
                    self.is_complete = incoming.is_end_stream();
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(self.receive(bytes)));
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    fn receive(&mut self, bytes: Bytes) -> Result<Bytes, Error> {
        if let Some(framing) = &self.framing {
            framing.add_content(bytes.len());
        }
        if self.received > 0 {
            self.last_received = Some(Instant::now());
        }
        self.received += bytes.len() as u64;
        if self.received > self.limit {
            return Err(self.fail(Error::TooLarge { limit: self.limit }));
        }
        self.is_discarded |=
            self.received > REPLAY_LIMIT as u64 || self.frames.len() == MAX_REPLAY_FRAMES;
        if self.is_discarded {
            self.frames = Frames::new();
        } else {
            self.frames.push(bytes.clone());
        }
        Ok(bytes)
    }

    /// Keeps the whole body in the place of its frames.
    fn keep_whole(&mut self, whole: Bytes) {
        self.is_discarded = false;
        self.frames = if whole.is_empty() {
            Frames::new()
        } else {
            smallvec![whole]
        };
    }

    fn fail(&mut self, error: Error) -> Error {
        self.error = Some(error);
        error
    }
}

impl From<&hyper::Error> for Error {
    fn from(error: &hyper::Error) -> Self {
        match io_error_kind(error) {
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Self::Malformed,
            _ => Self::Disconnected,
        }
    }
}

/// The kind of the I/O error that caused this one, if one did.
pub fn io_error_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = inner.source();
    }
    None
}

/// A [`RequestBody`] as it is sent once: first what is kept of it, then what is still to arrive.
pub struct ReplayBody {
    body: RequestBody,
    /// How many of the kept frames have been sent.
    sent: usize,
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let sent = self.sent;
        let next = {
            let state = &mut *self.body.0.borrow_mut();
            match state.frames.get(sent) {
                Some(kept) => Some(Ok(kept.clone())),
                None => ready!(state.poll_receive(cx)),
            }
        };
        self.sent += 1;
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.body.0.borrow();
        state.is_complete && self.sent >= state.frames.len()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.body.0.borrow();
        let kept: usize = state.frames.iter().skip(self.sent).map(Bytes::len).sum();
        let to_come = if state.is_complete {
            Some(0)
        } else {
            let incoming = state.incoming.as_ref();
            incoming.and_then(|incoming| incoming.size_hint().exact())
        };
        match to_come {
            Some(to_come) => SizeHint::with_exact(to_come + kept as u64),
            None => SizeHint::default(),
        }
    }
}

/// The frames in one buffer; a single frame is not copied.
pub fn concat(frames: &[Bytes]) -> Bytes {
    match frames {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => {
            let mut all = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            many.iter().for_each(|frame| all.extend_from_slice(frame));
            all.freeze()
        }
    }
}
