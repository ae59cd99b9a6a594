//! One connection to the app: hyper's two halves kept together, so that whoever has it also drives it.
//!
//! The driver is polled by the call that uses the connection, on its own task: no hand-over, no second wake-up.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::wire::{HEAD_LIMIT, Traffic, Wire};
use super::{ConnectionStats, Error, Host, Settings};
use crate::body::Sending;
use crate::tls;

/// A connection to the app, idle or in use.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Sending>,
    /// Boxed, since a connection changes hands several times a call, and this half is large.
    driver: Box<http1::Connection<TokioIo<Wire>, Sending>>,
    /// The driver has finished; polling it again would panic.
    ended: bool,
    pub(super) traffic: Arc<Traffic>,
    /// When it was last given back.
    pub(super) idle_since: Instant,
    _counted: Counted,
}

/// Holds a place in the census for as long as the connection is open.
struct Counted(Arc<ConnectionStats>);

impl Counted {
    fn new(census: &Arc<ConnectionStats>) -> Self {
        census.connection_opened();
        Self(Arc::clone(census))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

impl Connection {
    /// Makes a new connection.
    ///
    /// # Errors
    ///
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::ConnectTimeout`] or [`Error::Tls`].
    pub(super) async fn open(
        settings: &Settings,
        census: &Arc<ConnectionStats>,
    ) -> Result<Self, Error> {
        Self::over(connected(settings).await?, census).await
    }

    async fn over(wire: Wire, census: &Arc<ConnectionStats>) -> Result<Self, Error> {
        let traffic = Arc::clone(wire.traffic());
        let (sender, driver) = http1::Builder::new()
            // As Twilio and most servers write them; some old handlers look names up letter by letter.
            .title_case_headers(true)
            .max_buf_size(HEAD_LIMIT)
            .max_header_size(HEAD_LIMIT)
            .writev(false)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(Error::of_head)?;
        Ok(Self {
            sender,
            driver: Box::new(driver),
            ended: false,
            traffic,
            idle_since: Instant::now(),
            _counted: Counted::new(census),
        })
    }

    /// Moves bytes both ways as far as possible without waiting. What became of them is told by the answer's own future.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = Pin::new(&mut *self.driver).poll(cx).is_ready();
        }
    }

    /// No more bytes will come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Looks once whether the app has closed it or sent what nobody asked for; if not, it takes a request.
    pub(super) fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }

    /// Waits for the end of HTTP on it, and gives the socket with what was read beyond.
    pub(super) async fn into_raw(mut self) -> (Wire, Bytes) {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            if self.ended {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let parts = self.driver.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}

/// A new wire to the app. Its two steps may take `connect_timeout` each: the connection of TCP, and the handshake of TLS.
pub(super) async fn connected(settings: &Settings) -> Result<Wire, Error> {
    let addresses = resolve(settings).await.map_err(Error::Resolve)?;
    let socket = timeout(settings.connect_timeout, first_of(&addresses))
        .await
        .map_err(|_| Error::ConnectTimeout)?
        .map_err(Error::Connect)?;
    socket.set_nodelay(true).map_err(Error::Connect)?;
    let wire = Wire::over(socket, settings.tls.as_ref());
    timeout(settings.connect_timeout, wire)
        .await
        .unwrap_or(Err(tls::Error::TimedOut))
        .map_err(Error::Tls)
}

async fn resolve(settings: &Settings) -> io::Result<Vec<SocketAddr>> {
    match &settings.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, settings.port)]),
        Host::Name(name) => {
            let found = tokio::net::lookup_host((name.as_str(), settings.port)).await?;
            Ok(found.collect())
        }
    }
}

/// A connection to the first address that takes one.
async fn first_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
