//! What goes back to the client: a page that is whole, or a body that still streams.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tracing::warn;

use super::snapshot::{ConcurrencyPermit, Route};
use crate::failure::{Failure, Outcome, Reason};
use crate::log::describe_error;
use crate::metrics::RequestRecord;
use crate::upstream::{self, UpstreamBody};

/// How long a streaming body may stand still, as nginx's `proxy_read_timeout` has it.
const STANDSTILL: Duration = Duration::from_secs(60);

/// Says on a fallback why it was served; Twilio's request inspector shows it.
const UNDERSTUDY_FALLBACK: HeaderName = HeaderName::from_static("understudy-fallback");

/// The body of an answer.
pub enum ResponseBody {
    /// All of it; nothing once it has been taken.
    Whole(Bytes),
    /// As it comes from the app.
    Stream(Box<Stream>),
}

impl ResponseBody {
    /// A page in one piece.
    pub fn whole(page: Bytes) -> Self {
        Self::Whole(page)
    }

    /// A body as it comes from the app; the call is counted when it has gone through.
    pub(super) fn stream(
        download: UpstreamBody,
        tally: Option<RequestRecord>,
        slot: ConcurrencyPermit,
        route: Arc<Route>,
        outcome: Outcome,
    ) -> Self {
        let patience = Box::pin(sleep(STANDSTILL));
        Self::Stream(Box::new(Stream {
            download,
            tally,
            _slot: slot,
            route,
            outcome,
            patience,
            broken: None,
        }))
    }
}

/// A body that goes through as it comes.
pub struct Stream {
    download: UpstreamBody,
    /// Taken at the body's end. If hyper drops the body before, the client has left.
    tally: Option<RequestRecord>,
    _slot: ConcurrencyPermit,
    route: Arc<Route>,
    /// How the call is counted if its body goes through.
    outcome: Outcome,
    patience: Pin<Box<Sleep>>,
    /// Why it breaks off, once all that came before is out.
    broken: Option<upstream::Error>,
}

impl Stream {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, upstream::Error>>> {
        if let Some(failure) = self.broken.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.download).poll_frame(cx) else {
            ready!(self.patience.as_mut().poll(cx));
            self.fail(&upstream::Error::Truncated);
            return Poll::Ready(Some(Err(upstream::Error::Truncated)));
        };
        self.patience.as_mut().reset(Instant::now() + STANDSTILL);
        match frame {
            Some(Err(failure)) => {
                self.fail(&failure);
                // hyper drops what it hasn't sent yet, the head even, as soon as it sees an error; it sends when a body pauses.
                self.broken = Some(failure);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ if self.download.is_end_stream() => self.finish(self.outcome),
            Some(Ok(_)) | None => {}
        }
        Poll::Ready(frame)
    }

    /// The head is out: all that is left is to break the body off, and to say so.
    fn fail(&mut self, failure: &upstream::Error) {
        warn!(
            target: "understudy::call",
            route = self.route.settings.name,
            outcome = Outcome::Error.label(),
            detail = describe_error(failure),
            "upstream response broke off"
        );
        self.finish(Outcome::Error);
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(tally) = self.tally.take() {
            tally.finish(outcome);
        }
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
            Self::Whole(page) if page.is_empty() => Poll::Ready(None),
            Self::Whole(page) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(page))))),
            Self::Stream(stream) => stream.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(page) => page.is_empty(),
            Self::Stream(stream) => stream.download.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(page) => SizeHint::with_exact(page.len() as u64),
            Self::Stream(stream) => stream.download.size_hint(),
        }
    }
}

/// The fallback: what was got elsewhere, or else this page. Twilio takes it as it would the app's own answer.
pub(super) fn standing_in(
    elsewhere: Option<Response<ResponseBody>>,
    page: impl FnOnce() -> Bytes,
    reason: Reason,
) -> Response<ResponseBody> {
    let mut response = elsewhere.unwrap_or_else(|| {
        let mut response = Response::new(ResponseBody::whole(page()));
        let xml = HeaderValue::from_static("text/xml; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, xml);
        response
    });
    let reason = HeaderValue::from_static(reason.label());
    response.headers_mut().insert(UNDERSTUDY_FALLBACK, reason);
    response
}

/// An answer for those who get no TwiML: the status, and the cause in a line.
pub(super) fn plain(status: StatusCode, cause: &Failure) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(format!("{status}: {cause}\n").into()));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    if matches!(
        cause,
        Failure::Head(_) | Failure::Request(_) | Failure::SlowClient
    ) {
        // Who reads the request another way looks for the next one in another place.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}
