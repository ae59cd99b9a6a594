//! The body of a response that streams.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::error::Error;
use super::in_flight::InFlight;
use crate::body::concat;

/// A response's body that streams. At its end the connection is free for the next request.
#[derive(Default)]
pub struct UpstreamBody {
    /// What has come before the body was polled.
    first: Option<Bytes>,
    /// Why the body breaks off behind that.
    error: Option<Error>,
    rest: Option<InFlight>,
}

impl UpstreamBody {
    /// The body of this response. If the body has broken off before anything of it came, nothing of the response needs to go out,
    /// so what has come already is looked at.
    ///
    /// # Errors
    ///
    /// Why the body broke off.
    pub(super) fn new(mut in_flight: InFlight) -> Result<Self, Error> {
        let mut first = in_flight.take_collected();
        let mut ended = in_flight.is_at_end();
        let mut error = None;
        if !ended {
            match in_flight.poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Err(failure))) if first.is_empty() => return Err(failure),
                Poll::Ready(Some(Ok(bytes))) => first.push(bytes),
                Poll::Ready(None) => ended = true,
                // What came before the error goes out first.
                Poll::Ready(Some(Err(failure))) => error = Some(failure),
                Poll::Pending => {}
            }
        }
        let mut body = Self {
            first: Some(concat(&first)).filter(|first| !first.is_empty()),
            error,
            rest: Some(in_flight),
        };
        body.settle(ended);
        Ok(body)
    }

    /// Gives the connection back if there is nothing more to come: a body of known length is not polled beyond its end.
    fn settle(&mut self, ended: bool) {
        if let Some(done) = self.rest.take_if(|rest| ended || rest.is_at_end()) {
            done.release(Instant::now());
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let held = self
            .first
            .take()
            .map(Ok)
            .or_else(|| self.error.take().map(Err));
        let frame = match (held, &mut self.rest) {
            (Some(held), _) => Some(held),
            (None, Some(rest)) => ready!(rest.poll_frame(cx)),
            (None, None) => None,
        };
        self.settle(frame.is_none());
        Poll::Ready(frame.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.error.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, Bytes::len) as u64;
        match self.rest.as_ref().map_or(Some(0), InFlight::remaining) {
            Some(rest) => SizeHint::with_exact(first + rest),
            None => SizeHint::default(),
        }
    }
}
