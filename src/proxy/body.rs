//! The body of a response to the client: whole, or streaming from the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tracing::warn;

use super::permit::ConcurrencyPermit;
use super::route::Route;
use crate::failure::Outcome;
use crate::log::describe_error;
use crate::metrics::RequestRecord;
use crate::upstream::{self, UpstreamBody};

/// How long a streaming body may pause, as nginx's `proxy_read_timeout` has it.
const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The body of a response to the client.
pub enum ResponseBody {
    /// All of it; empty once it has been taken.
    Whole(Bytes),
    /// As it comes from the upstream.
    Stream(Box<Stream>),
}

impl ResponseBody {
    /// A body as it comes from the upstream; the request is counted at the body's end.
    pub(super) fn stream(
        body: UpstreamBody,
        record: Option<RequestRecord>,
        permit: ConcurrencyPermit,
        route: &Arc<Route>,
        outcome: Outcome,
    ) -> Self {
        Self::Stream(Box::new(Stream {
            body,
            record,
            _permit: permit,
            route: Arc::clone(route),
            outcome,
            idle_timeout: Box::pin(sleep(BODY_IDLE_TIMEOUT)),
            error: None,
        }))
    }
}

/// A body that streams from the upstream to the client.
pub struct Stream {
    body: UpstreamBody,
    /// Taken at the body's end. If hyper drops the body before, the client has left.
    record: Option<RequestRecord>,
    _permit: ConcurrencyPermit,
    route: Arc<Route>,
    /// How the request is counted if the body arrives whole.
    outcome: Outcome,
    idle_timeout: Pin<Box<Sleep>>,
    /// Why the body breaks off; reported after all that came before has been sent.
    error: Option<upstream::Error>,
}

impl Stream {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, upstream::Error>>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.idle_timeout.as_mut().poll(cx));
            self.fail(&upstream::Error::Truncated);
            return Poll::Ready(Some(Err(upstream::Error::Truncated)));
        };
        self.idle_timeout
            .as_mut()
            .reset(Instant::now() + BODY_IDLE_TIMEOUT);
        match frame {
            Some(Err(error)) => {
                self.fail(&error);
                // As soon as hyper sees an error, it drops what it hasn't sent yet, even the head; a pause makes it send first.
                self.error = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ if self.body.is_end_stream() => self.finish(self.outcome),
            Some(Ok(_)) | None => {}
        }
        Poll::Ready(frame)
    }

    /// The head has been sent, so all that is left is to break the body off.
    fn fail(&mut self, error: &upstream::Error) {
        warn!(
            target: "understudy::request",
            route = self.route.settings.name,
            outcome = Outcome::Error.label(),
            error = describe_error(error),
            "upstream response broke off"
        );
        self.finish(Outcome::Error);
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(record) = self.record.take() {
            record.finish(outcome);
        }
    }
}

impl Default for ResponseBody {
    /// An empty body.
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = upstream::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, upstream::Error>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => stream.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.body.size_hint(),
        }
    }
}
