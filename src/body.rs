//! Bodies: one that is remembered while it streams to the app, or is held whole before any of it goes there.
//!
//! Nothing here knows what a body means. Trailers are dropped: no one on this road reads them, and what isn't forwarded
//! can't be smuggled (RFC 9110 §6.5.1).

mod framing;

use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

pub use framing::FramingBytes;

/// How much of a request body is remembered, in bytes: for the request's parameters and a safe second try.
pub const REMEMBERED: usize = 64 * 1024;

/// Into how many pieces a body may fall that is remembered: more than on any network, and few enough that what each costs
/// beside its bytes is little.
const PIECES: usize = 256;

/// How much memory is taken by bodies whose senders aren't known yet and that are still arriving, over all connections. One that
/// comes at once takes nothing of it.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    taken: AtomicUsize,
}

impl Budget {
    /// So many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: AtomicUsize::new(0),
        }
    }
}

/// What one body has taken of a [`Budget`]; given back when dropped.
struct Share<'b> {
    budget: &'b Budget,
    bytes: usize,
}

impl Share<'_> {
    /// Takes as much more as a body of so many bytes needs; false if there isn't as much left.
    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        more == 0 || self.budget.taken.fetch_add(more, Relaxed) + more <= self.budget.limit
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Relaxed);
    }
}

/// A request body on its way from the client. What has arrived is remembered, so that it can be sent a second time,
/// and read for parameters.
#[derive(Clone)]
pub struct RequestBody(Rc<RefCell<State>>);

struct State {
    incoming: Incoming,
    /// Told of the content that was taken, if the body is chunked.
    framing: Option<FramingBytes>,
    limit: u64,
    /// How many bytes have arrived.
    arrived: u64,
    /// When bytes last came that did not come with the first.
    last_arrival: Option<Instant>,
    /// The frames so far; empty once `forgotten`.
    frames: Vec<Bytes>,
    /// More than [`REMEMBERED`] bytes or [`PIECES`] came, so the frames were let go; not if it is held whole.
    forgotten: bool,
    whole: bool,
    /// The last look found nothing: it is the client that we wait for.
    waiting: bool,
    failure: Option<Error>,
}

/// Why a request body can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is larger than `limit` bytes.
    TooLarge {
        /// The route's `max_request_body`.
        limit: u64,
    },
    /// Its framing is broken (RFC 9112 §7).
    Malformed,
    /// The client left in its midst.
    Left,
    /// The [`Budget`] is used up.
    OverBudget,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "the request body is over {limit} bytes"),
            Self::Malformed => f.write_str("the request body's framing is broken"),
            Self::Left => f.write_str("the client left before its request was whole"),
            Self::OverBudget => f.write_str(
                "too many bytes of requests whose signatures are not checked yet are held",
            ),
        }
    }
}

impl StdError for Error {}

impl RequestBody {
    /// A body of at most `limit` bytes.
    pub fn new(incoming: Incoming, limit: u64) -> Self {
        let whole = incoming.is_end_stream();
        Self(Rc::new(RefCell::new(State {
            incoming,
            framing: None,
            limit,
            arrived: 0,
            last_arrival: None,
            frames: Vec::new(),
            forgotten: false,
            whole,
            waiting: false,
            failure: None,
        })))
    }

    /// The same, telling this count of the content that was taken.
    #[must_use]
    pub fn counting(self, framing: Option<FramingBytes>) -> Self {
        self.0.borrow_mut().framing = framing;
        self
    }

    /// Whether the client has announced more than the limit.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`].
    pub fn announced(&self) -> Result<(), Error> {
        let state = self.0.borrow();
        let limit = state.limit;
        if state.incoming.size_hint().lower() > limit {
            return Err(Error::TooLarge { limit });
        }
        Ok(())
    }

    /// The body as it goes to the app, from its first byte.
    pub fn send(&self) -> Sending {
        Sending {
            upload: self.clone(),
            sent: 0,
        }
    }

    /// Whether its length is known: it was announced, or the whole body is here.
    pub fn has_length(&self) -> bool {
        self.send().size_hint().exact().is_some()
    }

    /// Takes what has arrived already, without waiting for the client.
    pub async fn take_arrived(&self) {
        // The client's connection is read only after the request's future has been polled.
        tokio::task::yield_now().await;
        let mut taken = Vec::new();
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            while let Poll::Ready(Some(Ok(bytes))) = state.poll_arrival(cx) {
                taken.push(bytes);
            }
            Poll::Ready(())
        })
        .await;
        let mut state = self.0.borrow_mut();
        if state.forgotten {
            state.hold(joined(&taken));
        }
    }

    /// Whether all of it has arrived.
    pub fn is_whole(&self) -> bool {
        self.0.borrow().whole
    }

    /// Whether all that has arrived is still remembered.
    pub fn can_be_sent_again(&self) -> bool {
        !self.0.borrow().forgotten
    }

    /// Whether it isn't whole because the client hasn't sent it, not because the app doesn't take it.
    pub fn waits_for_client(&self) -> bool {
        let state = self.0.borrow();
        !state.whole && state.waiting
    }

    /// How many bytes have arrived.
    pub fn arrived(&self) -> u64 {
        self.0.borrow().arrived
    }

    /// When bytes last came; none if they all came in one piece.
    pub fn last_arrival(&self) -> Option<Instant> {
        self.0.borrow().last_arrival
    }

    /// Why it can't be had, if so.
    pub fn failure(&self) -> Option<Error> {
        self.0.borrow().failure
    }

    /// What is remembered of it, in one piece; empty if it was too much.
    pub fn remembered(&self) -> Bytes {
        let state = self.0.borrow();
        if state.arrived > REMEMBERED as u64 {
            // Held whole perhaps, but a long body means the same whether its sender was checked or not.
            return Bytes::new();
        }
        joined(&state.frames)
    }

    /// All of it, once it has arrived; from then on it is held, and can be sent however long it is. To be asked for before any of
    /// it is sent, and only of a body whose limit is one of memory. While it arrives it takes from the budget.
    ///
    /// # Errors
    ///
    /// Why it can't be had.
    pub async fn whole(&self, budget: &Budget) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        let mut first = Bytes::new();
        let mut share = Share { budget, bytes: 0 };
        loop {
            let held = first.len().max(whole.capacity());
            let next = poll_fn(|cx| {
                let next = self.0.borrow_mut().poll_arrival(cx);
                if next.is_pending() && !share.grow_to(held) {
                    let failure = self.0.borrow_mut().fail(Error::OverBudget);
                    return Poll::Ready(Some(Err(failure)));
                }
                next
            });
            let Some(bytes) = next.await else { break };
            let bytes = bytes?;
            if first.is_empty() {
                first = bytes;
                continue;
            }
            // One piece, not many: a client that sends a byte at a time would make us hold its every packet.
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
        self.0.borrow_mut().hold(whole.clone());
        Ok(whole)
    }

    /// Reads what the app didn't. An answer that is sent before the request was read may be destroyed by a TCP reset.
    ///
    /// # Errors
    ///
    /// Why the rest can't be had.
    pub async fn read_rest(&self) -> Result<(), Error> {
        loop {
            match poll_fn(|cx| self.0.borrow_mut().poll_arrival(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(failure)) => return Err(failure),
                None => return Ok(()),
            }
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes are a caller's data.
        f.debug_struct("RequestBody")
            .field("arrived", &self.arrived())
            .finish_non_exhaustive()
    }
}

impl State {
    /// The next bytes from the client.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(failure) = self.failure {
            return Poll::Ready(Some(Err(failure)));
        }
        while !self.whole {
            let frame = Pin::new(&mut self.incoming).poll_frame(cx);
            self.waiting = frame.is_pending();
            match ready!(frame) {
                None => self.whole = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(self.fail(cause(&error))))),
                Some(Ok(frame)) => {
                    self.whole = self.incoming.is_end_stream();
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(self.arrive(bytes)));
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    fn arrive(&mut self, bytes: Bytes) -> Result<Bytes, Error> {
        if let Some(framing) = &self.framing {
            framing.add_content(bytes.len());
        }
        if self.arrived > 0 {
            self.last_arrival = Some(Instant::now());
        }
        self.arrived += bytes.len() as u64;
        if self.arrived > self.limit {
            return Err(self.fail(Error::TooLarge { limit: self.limit }));
        }
        self.forgotten |= self.arrived > REMEMBERED as u64 || self.frames.len() == PIECES;
        if self.forgotten {
            self.frames = Vec::new();
        } else {
            self.frames.push(bytes.clone());
        }
        Ok(bytes)
    }

    /// Remembers this for all that has arrived.
    fn hold(&mut self, whole: Bytes) {
        self.forgotten = false;
        self.frames = if whole.is_empty() {
            Vec::new()
        } else {
            vec![whole]
        };
    }

    fn fail(&mut self, failure: Error) -> Error {
        self.failure = Some(failure);
        failure
    }
}

/// Bad framing, or a client that left.
fn cause(error: &hyper::Error) -> Error {
    match io_kind(error) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Error::Malformed,
        _ => Error::Left,
    }
}

/// The kind of the I/O error that is at the bottom of this one, if any.
pub fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = inner.source();
    }
    None
}

/// One sending of an [`RequestBody`]: what is remembered first, then what is still to come.
pub struct Sending {
    upload: RequestBody,
    /// How many of the remembered frames have gone out.
    sent: usize,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let sent = self.sent;
        let next = {
            let state = &mut *self.upload.0.borrow_mut();
            match state.frames.get(sent) {
                Some(again) => Some(Ok(again.clone())),
                None => ready!(state.poll_arrival(cx)),
            }
        };
        self.sent += 1;
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.upload.0.borrow();
        state.whole && self.sent >= state.frames.len()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.upload.0.borrow();
        let remembered: usize = state.frames.iter().skip(self.sent).map(Bytes::len).sum();
        let to_come = if state.whole {
            Some(0)
        } else {
            state.incoming.size_hint().exact()
        };
        match to_come {
            Some(to_come) => SizeHint::with_exact(to_come + remembered as u64),
            None => SizeHint::default(),
        }
    }
}

/// Frames in one piece; a single frame is not copied.
pub fn joined(frames: &[Bytes]) -> Bytes {
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
