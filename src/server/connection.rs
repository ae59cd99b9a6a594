//! Serves one client connection of either protocol: accepts TLS, hands requests to the proxy, and ends what lasts too long.
//!
//! | The connection | may last for | then |
//! |---|---|---|
//! | does the TLS handshake | `header_timeout` | it is dropped |
//! | reads a request's head | `header_timeout` | 408 |
//! | processes a request | the route's deadline | the proxy responds |
//! | is idle, or sends what the client doesn't take | `keep_alive` | it is closed gracefully |
//! | is being closed, and nothing happens | [`CLOSE_TIMEOUT`] | it is dropped |

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1 as hyper_http1, http2 as hyper_http2};
use hyper::service::service_fn;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::activity::{ActiveRequest, Activity, State, TrackedBody};
use super::client_stream::ClientStream;
use super::settings::Settings;
use super::{http1, http2};
use crate::log::describe_error;
use crate::proxy::Proxy;
use crate::tls::{Protocol, Stream};
use crate::upstream::Tunnel;
use crate::upstream::headers::Peer;

/// How long an idle connection of HTTP/1.1 is kept open at shutdown, for a request that is already on its way. HTTP/2 needs no
/// such time: it tells the client which request was the last.
const DRAIN_GRACE: Duration = Duration::from_millis(250);

/// How long a connection may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that has connected, and what serves it.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) peer: Peer,
    pub(super) proxy: Rc<Proxy>,
    pub(super) settings: Arc<Settings>,
    pub(super) drain: CancellationToken,
}

/// Serves every request of a connection until it ends.
pub(super) async fn serve(stream: TcpStream, mut client: Client) {
    let (stream, protocol) = if client.settings.tls.is_some() {
        // Boxed, since its state is large, and freed after the handshake.
        let Some(accepted) = Box::pin(client.accept_tls(stream)).await else {
            return;
        };
        client.peer = client.peer.within_tls();
        accepted
    } else {
        (Stream::Plain(stream), Protocol::Http1)
    };
    let activity = Activity::new(protocol);
    let stream = ClientStream::new(stream, Rc::clone(&activity));
    let connection = Rc::new(Connection {
        client,
        activity,
        tunnel: RefCell::new(None),
    });
    match protocol {
        Protocol::Http1 => connection.serve_http1(stream).await,
        // Boxed, so that connections of HTTP/1.1 don't pay for its size.
        Protocol::Http2 => Box::pin(connection.serve_http2(stream)).await,
    }
}

impl Client {
    /// Does the TLS handshake. Anybody can connect to a public listener, so a failure is logged at debug level only.
    async fn accept_tls(&self, stream: TcpStream) -> Option<(Stream<TcpStream>, Protocol)> {
        let tls = self.settings.tls.as_ref()?;
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            () = self.handshake_timeout() => Err(io::ErrorKind::TimedOut.into()),
        };
        accepted
            .inspect_err(|error| {
                debug!(
                    client_addr = self.address.to_string(),
                    error = describe_error(error),
                    "TLS handshake failed"
                );
            })
            .ok()
    }

    async fn handshake_timeout(&self) {
        let drained = timeout(self.settings.header_timeout, self.drain.cancelled());
        if drained.await.is_ok() {
            sleep(DRAIN_GRACE).await;
        }
    }
}

/// A connection on which HTTP is spoken.
struct Connection {
    client: Client,
    activity: Rc<Activity>,
    /// The upstream's side, once the connection has switched protocols.
    tunnel: RefCell<Option<Tunnel>>,
}

impl Connection {
    async fn serve_http1(self: Rc<Self>, stream: ClientStream) {
        // Boxed, so that a connection without a request holds no memory for one.
        let service = service_fn(|request| Box::pin(Rc::clone(&self).handle(request)));
        let mut http = http1::serve(stream, service);
        let end = self
            .drive(
                Pin::new(&mut http),
                hyper_http1::Connection::graceful_shutdown,
            )
            .await;
        let parts = http.into_parts();
        let stream = parts.io.into_inner();
        match end {
            End::Closed(Ok(())) => self.join_tunnel(stream, parts.read_buf).await,
            End::Closed(Err(error)) if error.is_parse_version_h2() => {
                send_last(stream, http1::VERSION_NOT_SUPPORTED).await;
            }
            End::Closed(Err(_)) => {}
            End::HeadTimeout => send_last(stream, http1::REQUEST_TIMEOUT).await,
            End::Stalled => stream.abort(),
        }
    }

    async fn serve_http2(self: Rc<Self>, stream: ClientStream) {
        let connection = Rc::clone(&self);
        let service = service_fn(move |request| Rc::clone(&connection).handle(request));
        let http = pin!(http2::serve(stream, service));
        self.drive(http, hyper_http2::Connection::graceful_shutdown)
            .await;
    }

    /// Handles one request.
    fn handle(
        self: Rc<Self>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<TrackedBody>, Infallible>> {
        let active = ActiveRequest::start(&self.activity);
        async move {
            if request.headers().contains_key(TRANSFER_ENCODING) {
                let framing = self.activity.count_framing();
                request.extensions_mut().insert(framing);
            }
            let reply = self.client.proxy.handle(request, &self.client.peer).await;
            if reply.has_unread_body {
                self.activity.set_unread();
            }
            self.tunnel.replace(reply.tunnel);
            Ok(reply.response.map(|body| TrackedBody::new(body, active)))
        }
    }

    /// Lets hyper serve the connection, and ends it when it lasts too long or when the drain begins. `shut_down` is hyper's
    /// graceful shutdown.
    async fn drive<H>(&self, http: Pin<&mut H>, shut_down: fn(Pin<&mut H>)) -> End
    where
        H: Future<Output = hyper::Result<()>>,
    {
        let mut driver = Driver {
            http,
            shut_down,
            settings: &self.client.settings,
            activity: &self.activity,
            timer: pin!(sleep(self.client.settings.keep_alive)),
            drain: pin!(self.client.drain.cancelled()),
            draining_since: None,
            closing_since: None,
        };
        let end = std::future::poll_fn(|cx| driver.poll(cx)).await;
        let is_rejected = match &end {
            End::Closed(Ok(())) | End::Stalled => false,
            End::Closed(Err(error)) => {
                debug!(
                    client_addr = self.client.address.to_string(),
                    error = describe_error(error),
                    "client connection failed"
                );
                error.is_parse()
            }
            End::HeadTimeout => true,
        };
        if is_rejected {
            self.client.proxy.count_refused();
        }
        end
    }

    /// HTTP has ended. If the connection has switched protocols, bytes go both ways until both sides end.
    async fn join_tunnel(&self, stream: ClientStream, early: Bytes) {
        if let Some(tunnel) = self.tunnel.take()
            && let Err(error) = tunnel.join(stream, early).await
        {
            debug!(
                client_addr = self.client.address.to_string(),
                error = describe_error(&error),
                "tunnel failed"
            );
        }
    }
}

/// Sends a response that hyper doesn't send, and closes the connection.
async fn send_last(mut stream: ClientStream, response: &'static [u8]) {
    let send = async {
        stream.write_all(response).await?;
        stream.shutdown().await
    };
    // The client may be too slow to take it, or gone.
    let _ = timeout(CLOSE_TIMEOUT, send).await;
}

/// How HTTP on a connection has ended.
enum End {
    /// hyper has closed it.
    Closed(hyper::Result<()>),
    /// A request's head took too long.
    HeadTimeout,
    /// The client takes nothing of its response, not even the close.
    Stalled,
}

/// A connection that hyper serves, with the time limits that hyper lacks.
struct Driver<'a, H> {
    http: Pin<&'a mut H>,
    shut_down: fn(Pin<&mut H>),
    settings: &'a Settings,
    activity: &'a Activity,
    /// Fires when the state is due or before. It is not reset for each request, only when it fires too early.
    timer: Pin<&'a mut Sleep>,
    /// Ready when the drain has begun.
    drain: Pin<&'a mut dyn Future<Output = ()>>,
    draining_since: Option<Instant>,
    /// When the graceful shutdown began.
    closing_since: Option<Instant>,
}

impl<H: Future<Output = hyper::Result<()>>> Driver<'_, H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.poll_drain(cx);
        loop {
            if let Poll::Ready(result) = self.http.as_mut().poll(cx) {
                return Poll::Ready(End::Closed(result));
            }
            ready!(self.poll_timer(cx));
            if self.activity.state() == State::ReadingHead {
                return Poll::Ready(End::HeadTimeout);
            }
            if self.closing_since.is_some() {
                return Poll::Ready(End::Stalled);
            }
            self.close();
        }
    }

    /// At shutdown the request under way is the last one.
    fn poll_drain(&mut self, cx: &mut Context<'_>) {
        if self.draining_since.is_none() && self.drain.as_mut().poll(cx).is_ready() {
            self.draining_since = Some(Instant::now());
        }
        if self.draining_since.is_none() || self.closing_since.is_some() {
            return;
        }
        let may_get_request = matches!(self.activity.state(), State::Idle | State::ReadingHead);
        if !may_get_request || self.activity.protocol == Protocol::Http2 {
            self.close();
        }
    }

    fn close(&mut self) {
        (self.shut_down)(self.http.as_mut());
        let now = Instant::now();
        self.closing_since = Some(now);
        self.timer.as_mut().reset(now + CLOSE_TIMEOUT);
    }

    /// Ready when the state has lasted too long.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.due();
            if let Some(due) = due.filter(|due| *due < self.timer.deadline()) {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(cx));
            match due {
                Some(due) if due <= Instant::now() => return Poll::Ready(()),
                Some(due) => self.timer.as_mut().reset(due),
                // Requests of HTTP/2 end without waking this task. So the timer fires before they could be due.
                None => {
                    let closing = self.closing_since.map(|_| CLOSE_TIMEOUT);
                    let limit = closing.unwrap_or(self.settings.keep_alive);
                    self.timer.as_mut().reset(Instant::now() + limit);
                }
            }
        }
    }

    /// When the state will have lasted too long. A request that is processed has a deadline of its own.
    fn due(&self) -> Option<Instant> {
        let (state, since) = (self.activity.state(), self.activity.since());
        if state == State::Processing {
            return None;
        }
        if let Some(closing_since) = self.closing_since {
            return Some(since.max(closing_since) + CLOSE_TIMEOUT);
        }
        let due = match state {
            State::ReadingHead => since + self.settings.header_timeout,
            State::Idle | State::Processing | State::Sending => since + self.settings.keep_alive,
        };
        match self.draining_since {
            Some(draining_since) if state == State::Idle => {
                Some(due.min(draining_since + DRAIN_GRACE))
            }
            Some(_) | None => Some(due),
        }
    }
}
