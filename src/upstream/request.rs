//! A request to the upstream, and the further tries where they are safe.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header, request, response};
use http_body::Body;
use tokio::time::{Instant, sleep};

use super::body::UpstreamBody;
use super::connection::Connection;
use super::error::Error;
use super::in_flight::InFlight;
use super::pool::Pool;
use super::target::Upstream;
use super::tunnel::Tunnel;
use crate::body::RequestBody;
use crate::signature::VerifiedRequest;
use crate::twilio::RESPONSE_LIMIT;

/// The pauses between tries of a connection that is refused: the first one, and the longest.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// How many bytes of a response that nobody waits for are read, so that its connection can serve the next request.
const LATE_RESPONSE_LIMIT: usize = 4 * RESPONSE_LIMIT;

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
    /// Why the last try to connect failed, while another one is made.
    connect_error: Option<Box<Error>>,
}

/// Whether a connection that is refused may be tried again.
pub struct Retry<'r> {
    /// Not after this.
    pub until: Instant,
    /// Only while this holds.
    pub is_allowed: &'r dyn Fn() -> bool,
}

impl UpstreamRequest {
    /// Prepares a request to this upstream, over the connections of this pool.
    pub fn new(upstream: &Arc<Upstream>, pool: &Rc<Pool>, drains: bool) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            pool: Rc::clone(pool),
            drains,
            in_flight: None,
            status: None,
            has_retried: false,
            connect_error: None,
        }
    }

    /// Sends the request, waits for the response's head, and returns its status.
    ///
    /// A further try is made only where the upstream can't have seen the request: no connection was made, or one that was used
    /// before ended before it took a byte, or answered 408 (RFC 9110 §15.5.9); or, for GET and HEAD, one that was used before ended
    /// without one byte of response (RFC 9112 §9.3.1).
    ///
    /// # Errors
    ///
    /// Why there is no head.
    pub async fn send(
        &mut self,
        request: VerifiedRequest<RequestBody>,
        retry: &Retry<'_>,
    ) -> Result<StatusCode, Error> {
        let sent = self.try_send(request, retry).await;
        match &sent {
            Ok(status) => self.status = Some(*status),
            // Nothing is left that could finish.
            Err(_) => self.in_flight = None,
        }
        sent
    }

    async fn try_send(
        &mut self,
        request: VerifiedRequest<RequestBody>,
        retry: &Retry<'_>,
    ) -> Result<StatusCode, Error> {
        let (mut head, body) = request.into_parts();
        self.upstream.address_request(&mut head.headers);
        if !body.has_length() {
            // Old WSGI servers take a chunked body for an empty one.
            body.receive_available().await;
        }
        while let Some(connection) = self.pool.take(&self.upstream) {
            let sent = self.start_on(connection, head, &body);
            let result = sent.receive_head().await;
            if let Some(unsent) = sent.take_unsent() {
                // The connection had ended while it was idle.
                head = unsent;
                self.in_flight = None;
                continue;
            }
            let may_be_repeated = match &result {
                Err(Error::Reset) => sent.can_be_repeated(),
                Ok(status) => *status == StatusCode::REQUEST_TIMEOUT && sent.has_whole_copy(),
                Err(_) => false,
            };
            if !may_be_repeated {
                return result;
            }
            let Some(kept) = sent.copy_request_head() else {
                return result;
            };
            head = kept;
            self.has_retried = true;
            self.in_flight = None;
            break;
        }
        let connection = Box::pin(self.connect(retry)).await?;
        self.start_on(connection, head, &body).receive_head().await
    }

    /// A new connection. One that is refused is tried again and again: an app that restarts loses no request.
    async fn connect(&mut self, retry: &Retry<'_>) -> Result<Box<Connection>, Error> {
        let until = retry
            .until
            .min(Instant::now() + self.upstream.settings.retry_connect);
        let (mut pause, longest) = RETRY_PAUSES;
        loop {
            let connected = self.upstream.connect().await;
            self.connect_error = None;
            let error = match connected {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            if error.is_refused() {
                if Instant::now() + pause >= until || !(retry.is_allowed)() {
                    return Err(error);
                }
                self.connect_error = Some(Box::new(error));
                sleep(pause).await;
                pause = longest.min(2 * pause);
            } else if self.has_retried || !error.is_transient() {
                return Err(error);
            } else {
                self.connect_error = Some(Box::new(error));
            }
            self.has_retried = true;
        }
    }

    fn start_on(
        &mut self,
        connection: Box<Connection>,
        mut head: Box<request::Parts>,
        body: &RequestBody,
    ) -> &mut InFlight {
        let sending = body.replay();
        if sending.size_hint().exact().is_none() {
            // Without this header hyper takes a GET for a request without a body, and drops the body.
            let chunked = HeaderValue::from_static("chunked");
            head.headers.insert(header::TRANSFER_ENCODING, chunked);
        }
        let request = Request::from_parts(*head, sending);
        let (upstream, pool) = (&self.upstream, &self.pool);
        let in_flight = InFlight::start(upstream, pool, connection, request, body);
        self.in_flight.insert(in_flight)
    }

    /// The status of the response, once its head has come.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Why the last try to connect failed, if the time was over while another one was made.
    pub fn take_connect_error(&mut self) -> Option<Error> {
        self.connect_error.take().map(|error| *error)
    }

    /// Whether a further try was made.
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

    /// The response's head, from when it has come until it is taken, while the connection is good.
    ///
    /// # Panics
    ///
    /// At any other time.
    pub fn head(&mut self) -> &mut response::Parts {
        let head = self
            .in_flight
            .as_mut()
            .and_then(|sent| sent.head().as_mut());
        head.expect("the response's head has come, and was not taken")
    }

    /// Takes the response's head.
    ///
    /// # Panics
    ///
    /// As [`Self::head`].
    pub fn take_head(&mut self) -> response::Parts {
        let head = self.in_flight.as_mut().and_then(|sent| sent.head().take());
        head.expect("the response's head has come, and was not taken")
    }

    /// The response is whole at this instant: its connection is free for the next request.
    pub fn release(&mut self, now: Instant) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.release(now);
        }
    }

    /// The response's body as a stream.
    ///
    /// # Errors
    ///
    /// Why it has broken off, if nothing of it has come.
    pub fn take_body(&mut self) -> Result<UpstreamBody, Error> {
        UpstreamBody::new(self.in_flight.take().ok_or(Error::Reset)?)
    }

    /// The socket, after the upstream has switched protocols.
    ///
    /// # Errors
    ///
    /// [`Error::Reset`] if there is none any more.
    pub async fn switch_protocols(&mut self) -> Result<Tunnel, Error> {
        let in_flight = self.in_flight.take().ok_or(Error::Reset)?;
        in_flight.into_tunnel().await
    }

    /// Leaves the response to the pool, which lets the upstream finish, and calls `on_finish` if it did.
    pub fn finish_late(mut self, on_finish: impl FnOnce() + 'static) {
        self.leave(on_finish);
    }

    fn leave(&mut self, on_finish: impl FnOnce() + 'static) {
        if let Some(in_flight) = self.in_flight.take()
            && self.drains
            && in_flight.is_sent()
        {
            self.pool.finish_late(Box::pin(async {
                if in_flight.finish(LATE_RESPONSE_LIMIT).await.is_ok() {
                    on_finish();
                }
            }));
        }
    }
}

impl Drop for UpstreamRequest {
    fn drop(&mut self) {
        self.leave(|| {});
    }
}
