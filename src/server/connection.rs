//! One client connection, on a task of its own: requests in, answers out, patience bounded.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::debug;

use super::watch::{Phase, Watch};
use super::wire::Wire;
use super::worker::{Drain, Drained};
use super::{Settings, handshake, http2};
use crate::log::describe_error;
use crate::proxy::{Proxy, ResponseBody};
use crate::tls::{Protocol, Stream};
use crate::upstream::headers::Peer;
use crate::upstream::{self, Tunnel};

/// The most that a request's head may take, in bytes.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// How long an idle connection is kept open at shutdown, for a request that is already on its way.
pub(super) const LAST_REQUEST: Duration = Duration::from_millis(250);

/// How long a connection may take to close.
pub(super) const CLOSING: Duration = Duration::from_secs(5);

const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

const VERSION_NOT_SUPPORTED: &[u8] =
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Serves every request of a connection until it ends.
pub(super) async fn serve(
    stream: TcpStream,
    peer: Peer,
    proxy: Rc<Proxy>,
    settings: Arc<Settings>,
    drain: Rc<Drain>,
) {
    let Some(tls) = &settings.tls else {
        return http1(Stream::Plain(stream), peer, proxy, &settings, &drain).await;
    };
    // Boxed, since its state is large, and gone when the connection has come to rest.
    let shaken = Box::pin(handshake::shaken(stream, tls, &settings, &drain)).await;
    let Some((stream, protocol)) = shaken else {
        return;
    };
    let peer = peer.within_tls();
    match protocol {
        Protocol::Http1 => http1(stream, peer, proxy, &settings, &drain).await,
        // Boxed, so that others don't pay for its size.
        Protocol::Http2 => {
            Box::pin(http2::serve(stream, peer, proxy, &settings, &drain)).await;
        }
    }
}

/// Serves HTTP/1.1.
async fn http1(
    stream: Stream<TcpStream>,
    peer: Peer,
    proxy: Rc<Proxy>,
    settings: &Settings,
    drain: &Drain,
) {
    let watch = Rc::new(Watch::new());
    let tunnel = RefCell::new(None);
    // Boxed, so that a connection without a call holds no room for one.
    let service = service_fn(|request| Box::pin(answer(request, &proxy, &peer, &watch, &tunnel)));
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_LIMIT)
        .max_header_size(HEAD_LIMIT)
        .writev(false)
        .serve_connection(TokioIo::new(Wire::new(stream, Rc::clone(&watch))), service);
    let mut serving = Serving {
        connection,
        watch: &watch,
        patience: Box::pin(sleep_until(Instant::now() + settings.keep_alive)),
        settings,
        drain,
        drained: drain.begun(),
        heeds_drain: false,
        closing: None,
    };
    match std::future::poll_fn(|cx| serving.poll(cx)).await {
        End::Closed(Ok(())) => {
            if let Some(tunnel) = tunnel.take() {
                serving.join(tunnel).await;
            }
        }
        End::Closed(Err(error)) => {
            debug!(error = describe_error(&error), "client connection failed");
            if error.is_parse() {
                proxy.count_refused();
            }
            if error.is_parse_version_h2() {
                serving.say(VERSION_NOT_SUPPORTED).await;
            }
        }
        End::SlowHead => {
            proxy.count_refused();
            serving.say(REQUEST_TIMEOUT).await;
        }
        End::Standstill => serving.connection.into_parts().io.into_inner().abort(),
    }
}

/// Answers one request, and tells the connection's watch what it is at.
async fn answer(
    mut request: Request<Incoming>,
    proxy: &Proxy,
    peer: &Peer,
    watch: &Rc<Watch>,
    tunnel: &RefCell<Option<Tunnel>>,
) -> Result<Response<Answering>, Infallible> {
    watch.call_begins();
    if request.headers().contains_key(TRANSFER_ENCODING) {
        request.extensions_mut().insert(watch.count_framing());
    }
    let answered = proxy.handle(request, peer).await;
    if answered.has_unread_body {
        watch.leaves_unread();
    }
    tunnel.replace(answered.tunnel);
    Ok(answered.response.map(|page| Answering {
        page,
        watch: Rc::clone(watch),
    }))
}

/// How a connection's HTTP came to its end.
enum End {
    /// By itself.
    Closed(hyper::Result<()>),
    /// A head took too long.
    SlowHead,
    /// It could not be closed, or the client takes nothing of its answer.
    Standstill,
}

/// A connection while hyper serves it, and the patience that hyper lacks.
struct Serving<'a, S: HttpService<Incoming>> {
    connection: http1::Connection<TokioIo<Wire>, S>,
    watch: &'a Watch,
    /// Fires no later than the phase is due. It is not set anew for each request, but when it fires too early.
    patience: Pin<Box<Sleep>>,
    settings: &'a Settings,
    drain: &'a Drain,
    drained: Pin<Box<Drained<'a>>>,
    heeds_drain: bool,
    /// When it was told to close.
    closing: Option<Instant>,
}

impl<S> Serving<'_, S>
where
    S: HttpService<Incoming, ResBody = Answering, Error = Infallible>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.heed_drain(cx);
        loop {
            if let Poll::Ready(result) = Pin::new(&mut self.connection).poll(cx) {
                return Poll::Ready(End::Closed(result));
            }
            match ready!(self.poll_patience(cx)) {
                Phase::Head => return Poll::Ready(End::SlowHead),
                Phase::Call => return Poll::Ready(End::Standstill),
                Phase::Idle if self.closing.is_some() => return Poll::Ready(End::Standstill),
                Phase::Idle => {
                    Pin::new(&mut self.connection).graceful_shutdown();
                    self.closing = Some(Instant::now());
                }
            }
        }
    }

    /// At shutdown the call under way is the last one. An idle connection has a moment for one that is on its way already.
    fn heed_drain(&mut self, cx: &mut Context<'_>) {
        if !self.heeds_drain {
            // Once is enough: it wakes this task, whose waker stays the same, and then the flag tells.
            self.heeds_drain = true;
            let _ = self.drained.as_mut().poll(cx);
        }
        if self.drain.is_on() && self.watch.phase() == Phase::Call {
            Pin::new(&mut self.connection).graceful_shutdown();
        }
    }

    /// Ready with the phase that has lasted too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        loop {
            let Some(due) = self.due() else {
                return Poll::Pending;
            };
            if self.patience.deadline() > due {
                self.patience.as_mut().reset(due);
            }
            ready!(self.patience.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(self.watch.phase());
            }
            self.patience.as_mut().reset(due);
        }
    }

    fn due(&self) -> Option<Instant> {
        if let Some(since) = self.closing {
            return Some(since + CLOSING);
        }
        let due = self
            .watch
            .due(self.settings.header_timeout, self.settings.keep_alive)?;
        match self.drain.since() {
            Some(since) if self.watch.phase() == Phase::Idle => Some(due.min(since + LAST_REQUEST)),
            Some(_) | None => Some(due),
        }
    }

    /// Says the last word where hyper says nothing: a head took too long (RFC 9110 §15.5.9), or HTTP/2 came unasked.
    async fn say(self, last: &'static [u8]) {
        let mut wire = self.connection.into_parts().io.into_inner();
        let say = async {
            wire.write_all(last).await?;
            wire.shutdown().await
        };
        // Whoever was too slow to ask may be too slow to listen.
        let _ = timeout(CLOSING, say).await;
    }

    /// HTTP has ended: bytes go both ways until both sides end.
    async fn join(self, tunnel: Tunnel) {
        let parts = self.connection.into_parts();
        if let Err(error) = tunnel.join(parts.io.into_inner(), parts.read_buf).await {
            debug!(error = describe_error(&error), "tunnel failed");
        }
    }
}

/// A page on its way out. When hyper lets go of it, the call has ended for the connection.
struct Answering {
    page: ResponseBody,
    watch: Rc<Watch>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.watch.call_ends();
    }
}

impl Body for Answering {
    type Data = Bytes;
    type Error = upstream::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, upstream::Error>>> {
        Pin::new(&mut self.page).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.page.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.page.size_hint()
    }
}
