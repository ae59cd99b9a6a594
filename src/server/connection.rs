//! Serves one client connection of either protocol: accepts TLS, hands requests to the proxy, and does what is left to do at the
//! end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1 as hyper_http1, http2 as hyper_http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::activity::{ActiveRequest, Activity, TrackedBody};
use super::client_stream::{ClientStream, WatchedStream};
use super::counted::Counted;
use super::driver::{End, drive};
use super::future_slots::FutureSlots;
use super::places::{Closed, Phase, Place};
use super::settings::Settings;
use super::{http1, http2, proxy_protocol};
use crate::log::describe_error;
use crate::proxy::{Proxy, ResponseBody};
use crate::tcp;
use crate::tls::{self, Protocol, Stream};
use crate::upstream::Tunnel;
use crate::upstream::headers::Peer;

/// How long a TLS handshake that is under way may take at shutdown, and the reading of a PROXY header: as long as two round trips
/// around the world.
const SETUP_GRACE: Duration = Duration::from_secs(1);

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A client that has connected, and what serves it.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) peer: Peer,
    pub(super) place: Rc<Place>,
    pub(super) proxy: Rc<Proxy>,
    pub(super) settings: Arc<Settings>,
    pub(super) future_slots: FutureSlots,
}

/// Serves every request of a connection until it ends.
pub(super) async fn serve(mut stream: TcpStream, mut client: Client) {
    if client.settings.proxy_protocol {
        // Boxed and freed, as the handshake is.
        match Box::pin(client.receive_proxy_header(&mut stream)).await {
            Ok(Some(address)) => client.set_address(address),
            Ok(None) => {}
            Err(error) => return client.report_proxy_header(&error),
        }
    }
    let (stream, protocol) = if let Some(tls) = &client.settings.tls {
        // Boxed, since its state is large, and freed after the handshake.
        let Some(accepted) = Box::pin(client.accept_tls(tls, stream)).await else {
            return;
        };
        client.peer = client.peer.within_tls();
        accepted
    } else {
        (Stream::Plain(stream), Protocol::Http1)
    };
    let activity = Activity::new(protocol, Rc::clone(&client.place));
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
    async fn accept_tls(
        &self,
        tls: &tls::Server,
        stream: TcpStream,
    ) -> Option<(Stream<TcpStream>, Protocol)> {
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            _ = self.setup_timeout() => Err(io::ErrorKind::TimedOut.into()),
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

    /// Reads the header with which the connection begins: the client's own address, if the header says it.
    async fn receive_proxy_header(
        &self,
        stream: &mut TcpStream,
    ) -> Result<Option<SocketAddr>, proxy_protocol::Error> {
        if !self.peer.is_trusted() {
            return Err(proxy_protocol::Error::Untrusted);
        }
        tokio::select! {
            received = proxy_protocol::receive(stream) => received,
            closed = self.setup_timeout() => Err(match closed {
                Some(_) => proxy_protocol::Error::Closed,
                None => proxy_protocol::Error::Timeout,
            }),
        }
    }

    /// The client is at this address, by what the proxy says. Whether it is trusted in turn depends on that address alone.
    fn set_address(&mut self, address: SocketAddr) {
        let is_trusted = self.proxy.snapshot().is_trusted(address.ip());
        self.address = address;
        self.peer.set_client(address.ip(), is_trusted);
    }

    /// Counts and logs why there is no valid PROXY header. The first one that is the peer's fault is a warning, since the balancer
    /// may not be set up for it, and then nothing works; the others are at debug level.
    fn report_proxy_header(&self, error: &proxy_protocol::Error) {
        static IS_WARNED: AtomicBool = AtomicBool::new(false);
        let client_addr = self.address.to_string();
        let is_first = error.is_of_peer() && {
            self.proxy.count_refused();
            !IS_WARNED.swap(true, Relaxed)
        };
        if is_first {
            warn!(
                client_addr,
                error = describe_error(error),
                "connection without a valid PROXY header refused; later ones are logged at debug level"
            );
        } else {
            debug!(
                client_addr,
                error = describe_error(error),
                "connection without a valid PROXY header refused"
            );
        }
    }

    async fn setup_timeout(&self) -> Option<Closed> {
        setup_timeout(&self.place, self.settings.header_timeout).await
    }
}

/// Waits until a connection on which no HTTP is spoken yet is to be closed. Returns None if it has taken too long.
async fn setup_timeout(place: &Place, limit: Duration) -> Option<Closed> {
    let closed = timeout(limit, place.closed()).await;
    if matches!(closed, Ok(Closed::Draining)) {
        sleep(SETUP_GRACE).await;
    }
    closed.ok()
}

/// A connection on which HTTP is spoken.
struct Connection {
    client: Client,
    activity: Rc<Activity>,
    /// The upstream's side, once the connection has switched protocols.
    tunnel: RefCell<Option<Box<Tunnel>>>,
}

impl Connection {
    async fn serve_http1(self: Rc<Self>, stream: ClientStream) {
        let slots = &self.client.future_slots;
        let handle = slots.place_futures_of(|request| Rc::clone(&self).handle(request));
        let service = service_fn(handle);
        let is_tls = stream.is_tls();
        let stream = WatchedStream::new(stream);
        let mut http = http1::serve(stream.clone(), is_tls, service);
        let shut_down = hyper_http1::Connection::graceful_shutdown;
        let end = self
            .drive(Pin::new(&mut http), shut_down, Some(stream))
            .await;
        match end {
            End::Closed(Ok(())) if self.tunnel.borrow().is_none() => {}
            End::Closed(Ok(())) => {
                let parts = http.into_parts();
                // Boxed like the others, so that no connection holds memory for them.
                Box::pin(self.join_tunnel(into_stream(parts.io), parts.read_buf)).await;
            }
            End::Closed(Err(error)) if error.is_parse_version_h2() => {
                let stream = into_stream(http.into_parts().io);
                Box::pin(http1::send_last(stream, http1::VERSION_NOT_SUPPORTED)).await;
            }
            End::Closed(Err(_)) | End::Evicted | End::ClientLeft => {}
            End::HeadTimeout => {
                let stream = into_stream(http.into_parts().io);
                Box::pin(http1::send_last(stream, http1::REQUEST_TIMEOUT)).await;
            }
            End::Stalled => into_stream(http.into_parts().io).abort(),
        }
    }

    async fn serve_http2(self: Rc<Self>, stream: ClientStream) {
        let connection = Rc::clone(&self);
        let service = service_fn(move |request| Rc::clone(&connection).handle(request));
        let http = pin!(http2::serve(stream, service));
        let shut_down = hyper_http2::Connection::graceful_shutdown;
        self.drive(http, shut_down, None).await;
    }

    /// Handles one request.
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<TrackedBody>, Infallible>> {
        let active = ActiveRequest::start(&self.activity);
        let (head, body) = request.into_parts();
        let mut head = Box::new(head);
        async move {
            let is_chunked =
                self.activity.protocol == Protocol::Http1 && body.size_hint().exact().is_none();
            if is_chunked {
                head.extensions.insert(self.activity.count_framing());
            }
            let alarm = match self.activity.protocol {
                Protocol::Http1 => Some(&self.activity.alarm),
                // Its requests are polled by tasks of their own.
                Protocol::Http2 => None,
            };
            let proxy = &self.client.proxy;
            let reply = proxy.handle(head, body, &self.client.peer, alarm).await;
            let mut response = reply.response;
            let mut is_last = self.is_last_request();
            if reply.has_unread_body {
                self.activity.set_unread();
                // hyper closes the connection behind it, and the client has to know, or its next request would be lost.
                let is_whole = matches!(response.body(), ResponseBody::Whole(_));
                is_last |= is_whole && self.activity.protocol == Protocol::Http1;
            }
            if reply.tunnel.is_none() && is_last {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            self.tunnel.replace(reply.tunnel);
            Ok(response.map(|body| TrackedBody::new(body, active)))
        }
    }

    /// Whether the connection is closed behind the response. HTTP/2 has no header for it.
    fn is_last_request(&self) -> bool {
        self.activity.protocol == Protocol::Http1 && self.client.place.phase() != Phase::Running
    }

    /// Serves HTTP within the limits of time. Logs and counts what the client did wrong.
    async fn drive<H>(
        &self,
        http: Pin<&mut H>,
        shut_down: fn(Pin<&mut H>),
        stream: Option<WatchedStream>,
    ) -> End
    where
        H: Future<Output = hyper::Result<()>>,
    {
        let settings = &self.client.settings;
        let end = drive(http, shut_down, &self.activity, settings, stream).await;
        let is_rejected = match &end {
            End::Closed(Ok(())) | End::Stalled | End::Evicted | End::ClientLeft => false,
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
        let Some(tunnel) = self.tunnel.take() else {
            return;
        };
        // A tunnel is busy, however little goes through it.
        let mut busy = ActiveRequest::start(&self.activity);
        busy.respond();
        let _open = Counted::new(&self.client.proxy.snapshot().shared.metrics.tunnels);
        tcp::set_user_timeout(stream.tcp());
        let idle_timeout = self.client.settings.tunnel_idle_timeout;
        if let Err(error) = tunnel.join(stream, early, idle_timeout).await {
            debug!(
                client_addr = self.client.address.to_string(),
                error = describe_error(&error),
                "tunnel failed"
            );
        }
    }
}

fn into_stream(io: TokioIo<WatchedStream>) -> ClientStream {
    io.into_inner().into_inner()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::places::Places;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handshake_under_way_has_a_moment_at_shutdown() {
        let evicted = prometheus::IntCounter::new("evicted", "Evicted.").expect("a counter");
        let (_, mut workers) = Places::new(1, 1, evicted);
        let (connections, _) = workers.remove(0).start();
        let place = Place::new(&connections);
        let minute = Duration::from_secs(60);
        let began = Instant::now();
        assert!(setup_timeout(&place, minute).await.is_none());
        assert_eq!(began.elapsed(), minute);
        connections.set_phase(Phase::Draining);
        let began = Instant::now();
        let closed = setup_timeout(&place, minute).await;
        assert!(matches!(closed, Some(Closed::Draining)));
        assert_eq!(began.elapsed(), SETUP_GRACE);
    }
}
