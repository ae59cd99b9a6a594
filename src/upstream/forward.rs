//! One request on one connection, until its answer is whole; and the second try, where it is safe.

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

type Answer = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>;

/// A request that the app has, or is getting. Dropped, it closes its connection.
pub struct InFlight {
    connection: Connection,
    answer: Answer,
    /// The answer's body, once its head has come.
    body: Option<Incoming>,
    /// What of it was collected.
    held: Vec<Bytes>,
    upload: RequestBody,
    upgrade: bool,
    upstream: Arc<Upstream>,
    pool: Rc<Pool>,
}

impl Upstream {
    /// Sends a call to the app and waits for the answer's head. `in_flight` holds the request meanwhile and afterwards, so
    /// that who stops waiting can still let the app finish. Sets `retried` when a second try is made.
    ///
    /// A second try is made only where the app can't have seen the request, or where a connection that was used before ended
    /// without one byte of answer and the request is a GET or HEAD (RFC 9112 §9.3.1).
    ///
    /// # Errors
    ///
    /// Why there is no head.
    pub async fn forward(
        self: &Arc<Self>,
        pool: &Rc<Pool>,
        call: VerifiedRequest<RequestBody>,
        in_flight: &mut Option<InFlight>,
        retried: &mut bool,
    ) -> Result<response::Parts, Error> {
        let (mut head, body) = call.into_parts();
        let host = head.headers.entry(header::HOST);
        host.or_insert_with(|| self.authority.clone());
        if let Some(connection) = pool.take(self) {
            let again = head.method.clone();
            let sent = in_flight.insert(self.send(pool, connection, head.clone(), &body));
            match sent.head().await {
                Err(Error::Reset) if sent.can_be_repeated(&again) => *retried = true,
                done => return done,
            }
            *in_flight = None;
        }
        let connection = Box::pin(self.connect(retried)).await?;
        in_flight
            .insert(self.send(pool, connection, head, &body))
            .head()
            .await
    }

    async fn connect(&self, retried: &mut bool) -> Result<Connection, Error> {
        match Connection::open(&self.settings, &self.census).await {
            Err(failure) if failure.is_passing() && !*retried => {
                *retried = true;
                Connection::open(&self.settings, &self.census).await
            }
            opened => opened,
        }
    }

    fn send(
        self: &Arc<Self>,
        pool: &Rc<Pool>,
        mut connection: Connection,
        mut head: request::Parts,
        body: &RequestBody,
    ) -> InFlight {
        connection.traffic.begin();
        let upgrade = head.headers.contains_key(header::UPGRADE);
        let sending = body.send();
        if sending.size_hint().exact().is_none() {
            // Unless it is told, hyper takes a GET for one without a body, and drops what comes.
            let chunked = HeaderValue::from_static("chunked");
            head.headers.insert(header::TRANSFER_ENCODING, chunked);
        }
        let request = Request::from_parts(head, sending);
        InFlight {
            answer: Box::pin(connection.sender.send_request(request)),
            connection,
            body: None,
            held: Vec::new(),
            upload: body.clone(),
            upgrade,
            upstream: Arc::clone(self),
            pool: Rc::clone(pool),
        }
    }
}

impl InFlight {
    /// The answer's head; its fields are those that may go on.
    async fn head(&mut self) -> Result<response::Parts, Error> {
        let (mut head, body) = poll_fn(|cx| self.poll_head(cx)).await?.into_parts();
        self.connection.traffic.head_done();
        if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.upgrade {
            return Err(Error::UnaskedUpgrade);
        }
        headers::toward_client(&mut head)?;
        self.body = Some(body);
        Ok(head)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Incoming>, Error>> {
        self.connection.drive(cx);
        // The answer is delivered only while the connection is driven, which happens here: no second wake-up is needed.
        match self
            .answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(Error::of_head)),
            Poll::Pending if self.connection.has_ended() => Poll::Ready(Err(Error::Reset)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether a second try is safe.
    fn can_be_repeated(&self, method: &Method) -> bool {
        let traffic = &self.connection.traffic;
        let unseen = !traffic.sent_any();
        let harmless = matches!(*method, Method::GET | Method::HEAD) && !traffic.received_any();
        (unseen || harmless) && self.upload.can_be_sent_again() && self.upload.failure().is_none()
    }

    /// The answer's body, whole. What was collected of it goes before the rest if it is made a [`UpstreamBody`] after all.
    ///
    /// # Errors
    ///
    /// Why it isn't, [`Error::BodyTooLarge`] if it is over `limit` bytes.
    pub async fn page(&mut self, limit: usize) -> Result<Bytes, Error> {
        if self.announced() > limit as u64 {
            return Err(Error::BodyTooLarge(limit));
        }
        let mut length = 0;
        while let Some(frame) = poll_fn(|cx| self.poll_frame(cx)).await {
            let frame = frame?;
            length += frame.len();
            self.held.push(frame);
            if length > limit {
                return Err(Error::BodyTooLarge(limit));
            }
        }
        Ok(joined(&self.held))
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

    /// What of the body the connection has delivered already.
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

    /// Gives the connection back for the next call. To be called when the answer is whole.
    pub fn release(self) {
        if self.upload.is_whole() {
            self.pool.give(&self.upstream, self.connection);
        }
    }

    /// Lets the app finish, within `limit` bytes, though nobody waits for its answer; the connection serves the next call.
    ///
    /// # Errors
    ///
    /// Why it didn't.
    pub async fn finish(mut self, limit: usize) -> Result<(), Error> {
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

    /// Whether the app has all of the request, so that it can finish alone.
    pub fn is_sent(&self) -> bool {
        self.upload.is_whole()
    }

    /// The answer's body as a stream. What of it has come already is looked at: where it has broken off by now, nothing of
    /// the answer needs to go out.
    ///
    /// # Errors
    ///
    /// Why it broke off.
    pub fn into_download(mut self) -> Result<UpstreamBody, Error> {
        let mut first = std::mem::take(&mut self.held);
        let mut ended = self.is_at_end();
        let mut broken = None;
        if !ended {
            match self.poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Err(failure))) if first.is_empty() => return Err(failure),
                Poll::Ready(Some(Ok(bytes))) => first.push(bytes),
                Poll::Ready(None) => ended = true,
                // Bytes that are to go out came before it.
                Poll::Ready(Some(Err(failure))) => broken = Some(failure),
                Poll::Pending => {}
            }
        }
        let mut download = UpstreamBody {
            first: Some(joined(&first)).filter(|first| !first.is_empty()),
            broken,
            rest: Some(self),
        };
        download.settle(ended);
        Ok(download)
    }

    /// Whether the answer has no more bytes, as far as its framing tells.
    fn is_at_end(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    /// Whether the answer has no body at all. Waits for its first byte if its framing doesn't tell.
    ///
    /// # Errors
    ///
    /// Why that can't be known.
    pub async fn is_empty(&mut self) -> Result<bool, Error> {
        match self.announced() {
            0 if self.is_at_end() => Ok(true),
            0 => poll_fn(|cx| self.poll_frame(cx))
                .await
                .transpose()
                .map(|frame| frame.is_none()),
            _ => Ok(false),
        }
    }

    /// The socket, after the app has switched protocols.
    pub async fn into_tunnel(self) -> Tunnel {
        let (wire, early) = self.connection.into_raw().await;
        Tunnel::new(wire, early)
    }
}

/// An answer's body that goes on as it comes. At its end the connection is given back.
#[derive(Default)]
pub struct UpstreamBody {
    /// What had come before anybody asked, and why nothing comes behind it, if so.
    first: Option<Bytes>,
    broken: Option<Error>,
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
            .or_else(|| self.broken.take().map(Err));
        let frame = match (held, &mut self.rest) {
            (Some(held), _) => Some(held),
            (None, Some(rest)) => ready!(rest.poll_frame(cx)),
            (None, None) => None,
        };
        self.settle(frame.is_none());
        Poll::Ready(frame.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.broken.is_none() && self.rest.is_none()
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
