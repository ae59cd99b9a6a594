//! One request on one connection, until its response is whole; and the second try, where it is safe.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request, response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::{Error, Pool, Tunnel, Upstream, headers};
use crate::body::{RequestBody, joined};
use crate::signature::VerifiedRequest;

/// A request to the upstream, and as much of its response as has come.
///
/// Dropped before the response is whole, it leaves the response to its worker's [`Pool`], which lets the upstream finish, if
/// `drains` is set; otherwise its connection is closed.
pub struct UpstreamRequest {
    upstream: Arc<Upstream>,
    pool: Rc<Pool>,
    drains: bool,
    in_flight: Option<InFlight>,
    status: Option<StatusCode>,
    has_retried: bool,
}

impl Upstream {
    /// Prepares a request to the upstream, over the connections of this pool.
    pub fn start(self: &Arc<Self>, pool: &Rc<Pool>, drains: bool) -> UpstreamRequest {
        UpstreamRequest {
            upstream: Arc::clone(self),
            pool: Rc::clone(pool),
            drains,
            in_flight: None,
            status: None,
            has_retried: false,
        }
    }
}

impl UpstreamRequest {
    /// Sends the request, and waits for the response's head.
    ///
    /// A second try is made only where the upstream can't have seen the request, or where a connection that was used before ended
    /// without one byte of response and the request is a GET or HEAD (RFC 9112 §9.3.1).
    ///
    /// # Errors
    ///
    /// Why there is no head.
    pub async fn send(
        &mut self,
        request: VerifiedRequest<RequestBody>,
    ) -> Result<response::Parts, Error> {
        let sent = self.try_send(request).await;
        match &sent {
            Ok(head) => self.status = Some(head.status),
            // Nothing is left that could finish.
            Err(_) => self.in_flight = None,
        }
        sent
    }

    async fn try_send(
        &mut self,
        request: VerifiedRequest<RequestBody>,
    ) -> Result<response::Parts, Error> {
        let (mut head, body) = request.into_parts();
        let host = head.headers.entry(header::HOST);
        host.or_insert_with(|| self.upstream.authority.clone());
        if let Some(connection) = self.pool.take(&self.upstream) {
            let method = head.method.clone();
            let sent = self.start_on(connection, head.clone(), &body);
            match sent.head().await {
                Err(Error::Reset) if sent.can_be_repeated(&method) => self.has_retried = true,
                done => return done,
            }
            self.in_flight = None;
        }
        let connection = Box::pin(self.connect()).await?;
        self.start_on(connection, head, &body).head().await
    }

    async fn connect(&mut self) -> Result<Connection, Error> {
        let Upstream {
            settings, stats, ..
        } = &*self.upstream;
        match Connection::open(settings, stats).await {
            Err(error) if error.is_transient() && !self.has_retried => {
                self.has_retried = true;
                Connection::open(settings, stats).await
            }
            opened => opened,
        }
    }

    fn start_on(
        &mut self,
        mut connection: Connection,
        mut head: request::Parts,
        body: &RequestBody,
    ) -> &mut InFlight {
        connection.traffic.begin();
        let upgrade = head.headers.contains_key(header::UPGRADE);
        let sending = body.send();
        if sending.size_hint().exact().is_none() {
            // Without this header hyper takes a GET for a request without a body, and drops the body.
            let chunked = HeaderValue::from_static("chunked");
            head.headers.insert(header::TRANSFER_ENCODING, chunked);
        }
        let request = Request::from_parts(head, sending);
        self.in_flight.insert(InFlight {
            response: Box::pin(connection.sender.send_request(request)),
            connection,
            body: None,
            collected: Vec::new(),
            request_body: body.clone(),
            upgrade,
            upstream: Arc::clone(&self.upstream),
            pool: Rc::clone(&self.pool),
        })
    }

    /// The status of the response, once its head has come.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Whether a second try was made.
    pub fn has_retried(&self) -> bool {
        self.has_retried
    }

    /// Whether the response can still go back as a stream: its connection is good.
    pub fn can_stream(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Collects the response's body. What was collected precedes the rest if the body streams after all.
    ///
    /// # Errors
    ///
    /// Why it is not whole; [`Error::BodyTooLarge`] if it is over `limit` bytes.
    pub async fn collect_body(&mut self, limit: usize) -> Result<Bytes, Error> {
        let Some(in_flight) = &mut self.in_flight else {
            return Ok(Bytes::new());
        };
        let collected = in_flight.collect(limit).await;
        if !matches!(collected, Ok(_) | Err(Error::BodyTooLarge(_))) {
            self.in_flight = None;
        }
        collected
    }

    /// Whether the response has no body at all. Waits for the body's first byte if its framing doesn't tell.
    ///
    /// # Errors
    ///
    /// Why that can't be known.
    pub async fn has_empty_body(&mut self) -> Result<bool, Error> {
        match &mut self.in_flight {
            Some(in_flight) => in_flight.is_empty().await,
            None => Ok(true),
        }
    }

    /// The response is whole: its connection is free for the next request.
    pub fn release(mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.release();
        }
    }

    /// The response's body as a stream.
    ///
    /// # Errors
    ///
    /// Why it has broken off, if nothing of it has come.
    pub fn into_body(mut self) -> Result<UpstreamBody, Error> {
        self.in_flight.take().ok_or(Error::Reset)?.into_body()
    }

    /// The socket, after the upstream has switched protocols.
    ///
    /// # Errors
    ///
    /// [`Error::Reset`] if there is none any more.
    pub async fn switch_protocols(&mut self) -> Result<Tunnel, Error> {
        let in_flight = self.in_flight.take().ok_or(Error::Reset)?;
        Ok(in_flight.into_tunnel().await)
    }

    /// Leaves the response to the pool, which lets the upstream finish, and calls `on_finish` if it did.
    pub fn finish_late(mut self, on_finish: impl FnOnce() + 'static) {
        self.leave(Some(Box::new(on_finish)));
    }

    fn leave(&mut self, on_finish: Option<Box<dyn FnOnce()>>) {
        if let Some(in_flight) = self.in_flight.take()
            && self.drains
            && in_flight.request_body.is_whole()
        {
            self.pool.finish_late(LateResponse {
                in_flight,
                on_finish,
            });
        }
    }
}

impl Drop for UpstreamRequest {
    fn drop(&mut self) {
        self.leave(None);
    }
}

/// A response that nobody waits for any more.
pub(super) struct LateResponse {
    in_flight: InFlight,
    on_finish: Option<Box<dyn FnOnce()>>,
}

impl LateResponse {
    /// Reads the response, of which the body may have `limit` bytes; then its connection serves the next request.
    pub(super) async fn finish(self, limit: usize) {
        if self.in_flight.finish(limit).await.is_ok()
            && let Some(on_finish) = self.on_finish
        {
            on_finish();
        }
    }
}

type ResponseHead = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>;

/// A request on its connection. Dropped, it closes the connection.
struct InFlight {
    connection: Connection,
    response: ResponseHead,
    /// The response's body, once its head has come.
    body: Option<Incoming>,
    /// What of the body was collected.
    collected: Vec<Bytes>,
    request_body: RequestBody,
    upgrade: bool,
    upstream: Arc<Upstream>,
    pool: Rc<Pool>,
}

impl InFlight {
    /// The response's head, with the headers that may go on to the client.
    async fn head(&mut self) -> Result<response::Parts, Error> {
        let (mut head, body) = poll_fn(|cx| self.poll_head(cx)).await?.into_parts();
        self.connection.traffic.head_done();
        if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.upgrade {
            return Err(Error::UnaskedUpgrade);
        }
        headers::rewrite_response(&mut head)?;
        self.body = Some(body);
        Ok(head)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Incoming>, Error>> {
        self.connection.drive(cx);
        // The response is delivered only while the connection is driven, which happens here: no second wake-up is needed.
        match self
            .response
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(response) => Poll::Ready(response.map_err(Error::of_head)),
            Poll::Pending if self.connection.has_ended() => Poll::Ready(Err(Error::Reset)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether a second try is safe.
    fn can_be_repeated(&self, method: &Method) -> bool {
        let traffic = &self.connection.traffic;
        let unseen = !traffic.sent_any();
        let harmless = matches!(*method, Method::GET | Method::HEAD) && !traffic.received_any();
        (unseen || harmless)
            && self.request_body.can_be_sent_again()
            && self.request_body.failure().is_none()
    }

    async fn collect(&mut self, limit: usize) -> Result<Bytes, Error> {
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
        Ok(joined(&self.collected))
    }

    fn announced(&self) -> u64 {
        self.body
            .as_ref()
            .map_or(0, |body| body.size_hint().lower())
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
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

    /// Gives the connection back for the next request. To be called when the response is whole.
    fn release(self) {
        if self.request_body.is_whole() {
            self.pool.give(&self.upstream, self.connection);
        }
    }

    async fn finish(mut self, limit: usize) -> Result<(), Error> {
        if self.body.is_none() {
            self.head().await?;
        }
        let mut length = 0;
        while let Some(frame) = poll_fn(|cx| self.poll_frame(cx)).await {
            length += frame?.len();
            if length > limit {
                return Err(Error::BodyTooLarge(limit));
            }
        }
        self.release();
        Ok(())
    }

    /// The response's body as a stream. If the body has broken off before anything of it came, nothing of the response needs to
    /// go out, so what has come already is looked at.
    fn into_body(mut self) -> Result<UpstreamBody, Error> {
        let mut first = std::mem::take(&mut self.collected);
        let mut ended = self.is_at_end();
        let mut error = None;
        if !ended {
            match self.poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Err(failure))) if first.is_empty() => return Err(failure),
                Poll::Ready(Some(Ok(bytes))) => first.push(bytes),
                Poll::Ready(None) => ended = true,
                // What came before the error goes out first.
                Poll::Ready(Some(Err(failure))) => error = Some(failure),
                Poll::Pending => {}
            }
        }
        let mut body = UpstreamBody {
            first: Some(joined(&first)).filter(|first| !first.is_empty()),
            error,
            rest: Some(self),
        };
        body.settle(ended);
        Ok(body)
    }

    /// Whether the body has no more bytes, as far as its framing tells.
    fn is_at_end(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    async fn is_empty(&mut self) -> Result<bool, Error> {
        match self.announced() {
            0 if self.is_at_end() => Ok(true),
            0 => poll_fn(|cx| self.poll_frame(cx))
                .await
                .transpose()
                .map(|frame| frame.is_none()),
            _ => Ok(false),
        }
    }

    async fn into_tunnel(self) -> Tunnel {
        let (wire, early) = self.connection.into_raw().await;
        Tunnel::new(wire, early)
    }
}

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
    /// Gives the connection back if there is nothing more to come: a body of known length is not polled beyond its end.
    fn settle(&mut self, ended: bool) {
        if let Some(done) = self.rest.take_if(|rest| ended || rest.is_at_end()) {
            done.release();
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
        let body = self.rest.as_ref().and_then(|rest| rest.body.as_ref());
        match body.map_or(Some(0), |body| body.size_hint().exact()) {
            Some(rest) => SizeHint::with_exact(first + rest),
            None => SizeHint::default(),
        }
    }
}
