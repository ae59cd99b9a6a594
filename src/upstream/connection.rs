//! One connection to the upstream: hyper's two halves kept together, so that whoever has it also drives it.
//!
//! The connection is driven by the request that uses it, on that request's own task: no hand-over, no second wake-up.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::error::Error;
use super::stats::{ConnectionStats, OpenConnection};
use super::stream::{HEAD_LIMIT, Stream, Traffic};
use crate::body::ReplayBody;

/// A connection to the upstream, idle or in use. Boxed wherever it is, since it changes hands several times a request.
pub(super) struct Connection {
    pub(super) sender: SendRequest<ReplayBody>,
    /// None after it was dropped.
    driver: Option<http1::Connection<TokioIo<Stream>, ReplayBody>>,
    /// The driver has finished; polling it again would panic.
    has_ended: bool,
    pub(super) traffic: Rc<Traffic>,
    pub(super) opened_at: Instant,
    /// The reload after which it was opened.
    pub(super) generation: u64,
    /// Until when it may wait for the next request.
    pub(super) idle_until: Instant,
    /// It has served a request before.
    pub(super) is_reused: bool,
    _open: OpenConnection,
}

/// How leniently the upstream's responses are read: a header line that is not valid costs that line, not the response.
pub(super) fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(HEAD_LIMIT)
        .max_header_size(HEAD_LIMIT)
        .ignore_invalid_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true);
    builder
}

impl Connection {
    /// Speaks HTTP over a new stream.
    ///
    /// # Errors
    ///
    /// As [`Error::of_head`].
    pub(super) async fn new(
        stream: Stream,
        generation: u64,
        stats: &Arc<ConnectionStats>,
    ) -> Result<Box<Self>, Error> {
        let traffic = Rc::clone(stream.traffic());
        let handshake = http1().writev(false).handshake(TokioIo::new(stream));
        let (sender, driver) = handshake.await.map_err(Error::of_head)?;
        let now = Instant::now();
        Ok(Box::new(Self {
            sender,
            driver: Some(driver),
            has_ended: false,
            traffic,
            opened_at: now,
            generation,
            idle_until: now,
            is_reused: false,
            _open: OpenConnection::new(stats),
        }))
    }

    /// Moves bytes both ways as far as possible without waiting. Errors reach the request by its response's own future.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && !self.has_ended
        {
            self.has_ended = Pin::new(driver).poll(cx).is_ready();
        }
    }

    /// Closes the connection. hyper gives back a request that it has not taken only then.
    pub(super) fn close(&mut self) {
        self.driver = None;
        self.has_ended = true;
    }

    /// Whether it was closed here.
    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_none()
    }

    /// Whether no more bytes will come.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether it takes a request. Where the upstream has closed it meanwhile, or sent bytes that nobody asked for, hyper notices
    /// before it sends anything, and gives the request back.
    pub(super) fn is_ready(&mut self) -> bool {
        if !self.sender.is_ready() {
            self.drive(&mut Context::from_waker(Waker::noop()));
        }
        !self.has_ended && self.sender.is_ready()
    }

    /// Waits for the end of HTTP on it, and returns the stream with the bytes that were read beyond.
    ///
    /// # Errors
    ///
    /// [`Error::Reset`] if it was closed.
    pub(super) async fn into_stream(mut self: Box<Self>) -> Result<(Stream, Bytes), Error> {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            if self.has_ended {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let parts = self.driver.ok_or(Error::Reset)?.into_parts();
        Ok((parts.io.into_inner(), parts.read_buf))
    }
}
