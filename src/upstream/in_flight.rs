//! One request on one connection, until its response is whole.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request, response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::connection::Connection;
use super::error::Error;
use super::headers;
use super::names::Names;
use super::pool::Pool;
use super::reuse::keep_alive;
use super::target::Upstream;
use super::tunnel::Tunnel;
use crate::body::{Frames, ReplayBody, RequestBody, concat};

type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<ReplayBody>>>>>>;

/// A request on its connection. Dropped, it closes the connection.
pub(super) struct InFlight {
    connection: Box<Connection>,
    response: ResponseFuture,
    /// The request's head, if hyper gave it back.
    unsent: Option<Box<request::Parts>>,
    /// The response's head and body, once the head has come.
    head: Option<response::Parts>,
    body: Option<Incoming>,
    /// What of the body was collected.
    collected: Frames,
    request_body: RequestBody,
    method: Method,
    asks_for_upgrade: bool,
    /// How long the connection may be kept behind the response; none: it is closed.
    keep_for: Option<Duration>,
    upstream: Arc<Upstream>,
    pool: Rc<Pool>,
}

impl InFlight {
    /// Sends a request on this connection.
    pub(super) fn start(
        upstream: &Arc<Upstream>,
        pool: &Rc<Pool>,
        mut connection: Box<Connection>,
        request: Request<ReplayBody>,
        request_body: &RequestBody,
    ) -> Self {
        connection.traffic.begin();
        Self {
            method: request.method().clone(),
            asks_for_upgrade: request.method() == Method::GET
                && request.headers().contains_key(header::UPGRADE),
            response: Box::pin(connection.sender.try_send_request(request)),
            connection,
            unsent: None,
            head: None,
            body: None,
            collected: Frames::new(),
            request_body: request_body.clone(),
            keep_for: None,
            upstream: Arc::clone(upstream),
            pool: Rc::clone(pool),
        }
    }

    /// Receives the response's head, with the headers that may go on to the client, and returns its status.
    pub(super) async fn receive_head(&mut self) -> Result<StatusCode, Error> {
        poll_fn(|cx| self.poll_head(cx)).await
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<StatusCode, Error>> {
        self.connection.drive(cx);
        // The response is delivered only while the connection is driven, which happens here: no second wake-up is needed.
        match self
            .response
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(Ok(response)) => Poll::Ready(self.take_head(response)),
            Poll::Ready(Err(mut error)) => {
                let unsent = error.take_message();
                self.unsent = unsent.map(|request| Box::new(request.into_parts().0));
                Poll::Ready(Err(Error::of_head(error.into_error())))
            }
            Poll::Pending if self.connection.has_ended() && !self.connection.is_closed() => {
                self.connection.close();
                self.poll_head(cx)
            }
            Poll::Pending if self.connection.has_ended() => Poll::Ready(Err(Error::Reset)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn take_head(&mut self, response: Response<Incoming>) -> Result<StatusCode, Error> {
        let (head, body) = response.into_parts();
        let head = self.head.insert(head);
        self.connection.traffic.head_done();
        if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.asks_for_upgrade {
            return Err(Error::UnaskedUpgrade);
        }
        let names = Names::of(&head.headers);
        let idle_timeout = self.upstream.settings.idle_timeout;
        self.keep_for = keep_alive(&self.method, head, names, idle_timeout);
        headers::rewrite_response(head, names)?;
        self.body = Some(body);
        Ok(head.status)
    }

    /// The response's head, once it has come; not after it was taken.
    pub(super) fn head(&mut self) -> &mut Option<response::Parts> {
        &mut self.head
    }

    /// Whether the request can be sent again on a fresh connection after this one ended: the upstream can't have seen it, or it is
    /// a GET or HEAD without a byte of response.
    pub(super) fn can_be_repeated(&self) -> bool {
        let traffic = &self.connection.traffic;
        let is_unseen = !traffic.sent_any();
        let is_safe = matches!(self.method, Method::GET | Method::HEAD) && !traffic.received_any();
        (is_unseen || is_safe) && self.has_whole_copy()
    }

    /// The request's head, if the connection had ended before it took any of it.
    pub(super) fn take_unsent(&mut self) -> Option<Box<request::Parts>> {
        self.unsent.take()
    }

    /// The request's head for another try, as it was written.
    pub(super) fn copy_request_head(&self) -> Option<Box<request::Parts>> {
        parse_request_head(&self.connection.traffic.request_head())
    }

    /// Whether all that has arrived of the request's body is still held.
    pub(super) fn has_whole_copy(&self) -> bool {
        self.request_body.can_replay() && self.request_body.error().is_none()
    }

    /// Whether the upstream has all of the request, so that it can finish alone.
    pub(super) fn is_sent(&self) -> bool {
        self.request_body.is_complete()
    }

    /// Collects the response's body, of at most `limit` bytes.
    pub(super) async fn collect(&mut self, limit: usize) -> Result<Bytes, Error> {
        if self.announced() > limit as u64 {
            return Err(Error::BodyTooLarge(limit));
        }
        let mut length = 0;
        while let Some(frame) = poll_fn(|cx| self.poll_frame(cx)).await {
            let frame = frame?;
            length += frame.len();
            self.collected.push(frame);
            if length > limit {
                return Err(Error::BodyTooLarge(limit));
            }
        }
        Ok(concat(&self.collected))
    }

    fn announced(&self) -> u64 {
        self.body
            .as_ref()
            .map_or(0, |body| body.size_hint().lower())
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let first = self.poll_delivered();
        if first.is_ready() || self.connection.has_ended() {
            return first;
        }
        self.connection.drive(cx);
        self.poll_delivered()
    }

    /// As much of the body as the connection has delivered already.
    fn poll_delivered(&mut self) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        loop {
            match Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending if self.connection.has_ended() => {
                    return Poll::Ready(Some(Err(Error::Truncated)));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(Error::of_body(error))));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.connection.traffic.content_taken(bytes.len());
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
            }
        }
    }

    /// Gives the connection back for the next request. To be called when the response is whole, at this instant.
    pub(super) fn release(self, now: Instant) {
        let Some(keep_for) = self.keep_for.filter(|_| self.request_body.is_complete()) else {
            return;
        };
        let connection = self.connection;
        let too_old = connection.opened_at + self.upstream.settings.max_connection_age;
        let until = too_old.min(now + keep_for);
        if until > now && self.upstream.is_current(connection.generation) {
            self.pool.give(&self.upstream, connection, until);
        }
    }

    /// Reads the rest of the response, of which the body may have `limit` bytes; then the connection is free.
    pub(super) async fn finish(mut self, limit: usize) -> Result<(), Error> {
        if self.body.is_none() {
            self.receive_head().await?;
        }
        let mut length = 0;
        while let Some(frame) = poll_fn(|cx| self.poll_frame(cx)).await {
            length += frame?.len();
            if length > limit {
                return Err(Error::BodyTooLarge(limit));
            }
        }
        self.release(Instant::now());
        Ok(())
    }

    /// What was collected of the body so far.
    pub(super) fn take_collected(&mut self) -> Frames {
        std::mem::take(&mut self.collected)
    }

    /// How many bytes the body still has, if its framing tells.
    pub(super) fn remaining(&self) -> Option<u64> {
        let body = self.body.as_ref();
        body.map_or(Some(0), |body| body.size_hint().exact())
    }

    /// Whether the body has no more bytes, as far as its framing tells.
    pub(super) fn is_at_end(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    /// Whether the body is empty. Waits for its first byte if the framing does not tell.
    pub(super) async fn is_empty(&mut self) -> Result<bool, Error> {
        match self.announced() {
            0 if self.is_at_end() => Ok(true),
            0 => poll_fn(|cx| self.poll_frame(cx))
                .await
                .transpose()
                .map(|frame| frame.is_none()),
            _ => Ok(false),
        }
    }

    /// The stream, after the upstream has switched protocols.
    ///
    /// # Errors
    ///
    /// [`Error::Reset`] if there is none any more.
    pub(super) async fn into_tunnel(self) -> Result<Tunnel, Error> {
        let (stream, early) = self.connection.into_stream().await?;
        Ok(Tunnel::new(stream, early))
    }
}

/// The head of a request as hyper wrote it.
fn parse_request_head(written: &[u8]) -> Option<Box<request::Parts>> {
    let lines = written.iter().filter(|byte| **byte == b'\n').count();
    let mut headers = vec![httparse::EMPTY_HEADER; lines];
    let mut head = httparse::Request::new(&mut headers);
    head.parse(written)
        .ok()
        .filter(httparse::Status::is_complete)?;
    let mut request = Request::builder().method(head.method?).uri(head.path?);
    for header in head.headers {
        request = request.header(header.name, header.value);
    }
    Some(Box::new(request.body(()).ok()?.into_parts().0))
}
