//! The app behind us: how a call reaches it and how its answer comes back.
//!
//! Connections are kept per worker and never cross threads. What a failure means for the caller is not decided here.

mod ask;
mod connection;
mod forward;
pub mod headers;
mod pool;

mod tunnel;
mod wire;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

pub use forward::{UpstreamBody, UpstreamRequest};
pub use pool::Pool;
pub use tunnel::Tunnel;

use http::HeaderValue;

use crate::body::io_kind;
use crate::tls;

/// Where the app is and how patient we are with its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The app's host.
    pub host: Host,
    /// The app's TCP port.
    pub port: u16,
    /// How TLS is spoken to it, if it is.
    pub tls: Option<tls::Client>,
    /// How long one connection may take to be made, once the name is resolved, and as long again for TLS's handshake.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept for the next call; below the app's own keep-alive.
    pub idle_timeout: Duration,
    /// How many calls at once, over all routes; one more gets its fallback.
    pub max_in_flight: usize,
}

/// A host as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address, used as it is.
    Address(IpAddr),
    /// A name, resolved for each new connection.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The app, as every worker shares it.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    pub settings: Settings,
    /// The connections to it, counted.
    pub stats: Arc<ConnectionStats>,
    /// Calls under way, over all routes and workers.
    pub in_flight: AtomicUsize,
    /// The `Host` for a request of HTTP/1.0 that has none.
    authority: HeaderValue,
}

impl Upstream {
    /// The app at this place.
    pub fn new(settings: Settings, stats: Arc<ConnectionStats>) -> Self {
        let authority = format!("{}:{}", settings.host, settings.port);
        Self {
            settings,
            stats,
            in_flight: AtomicUsize::new(0),
            authority: authority
                .try_into()
                .expect("a host of a URL is written in visible ASCII"),
        }
    }
}

/// How many connections there are, over all workers.
#[derive(Debug, Default)]
pub struct ConnectionStats {
    opened: AtomicU64,
    open: AtomicI64,
    idle: AtomicI64,
}

impl ConnectionStats {
    /// How many were ever opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// How many wait for a call.
    pub fn idle(&self) -> i64 {
        self.idle.load(Relaxed)
    }

    /// How many serve a call.
    pub fn busy(&self) -> i64 {
        (self.open.load(Relaxed) - self.idle()).max(0)
    }

    fn connection_opened(&self) {
        self.opened.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
    }

    fn connection_closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    fn became_idle(&self) {
        self.idle.fetch_add(1, Relaxed);
    }

    fn left_idle(&self, many: usize) {
        self.idle.fetch_sub(many as i64, Relaxed);
    }
}

/// Why the app gave no whole answer.
#[derive(Debug)]
pub enum Error {
    /// No such host.
    Resolve(io::Error),
    /// Refused or unreachable.
    Connect(io::Error),
    /// The connection wasn't made in `connect_timeout`.
    ConnectTimeout,
    /// There is no TLS with the app.
    Tls(tls::Error),
    /// The connection ended before the answer's head was whole.
    Reset,
    /// The connection ended within the body.
    Truncated,
    /// What came isn't HTTP.
    NotHttp(hyper::Error),
    /// The answer's head is over 64 KiB.
    HeadTooLarge,
    /// The framing contradicts itself (RFC 9112 §6.3), so where the answer ends is anybody's guess.
    Framing,
    /// 101 (Switching Protocols) that nobody asked for.
    UnaskedUpgrade,
    /// The body is over so many bytes.
    BodyTooLarge(usize),
}

impl Error {
    /// Whether there is no connection now, but may be one at the next try.
    fn is_transient(&self) -> bool {
        match self {
            Self::Connect(_) | Self::ConnectTimeout => true,
            Self::Tls(fault) => fault.is_transient(),
            Self::Resolve(_)
            | Self::Reset
            | Self::Truncated
            | Self::NotHttp(_)
            | Self::HeadTooLarge
            | Self::Framing
            | Self::UnaskedUpgrade
            | Self::BodyTooLarge(_) => false,
        }
    }

    /// What hyper's error means before the answer's head is whole.
    fn of_head(error: hyper::Error) -> Self {
        if let Some(fault) = of_tls(&error) {
            Self::Tls(fault)
        } else if error.is_parse_too_large() || io_kind(&error) == Some(io::ErrorKind::InvalidData)
        {
            Self::HeadTooLarge
        } else if error.is_parse() {
            Self::NotHttp(error)
        } else {
            Self::Reset
        }
    }

    /// What hyper's error means within the body.
    fn of_body(error: hyper::Error) -> Self {
        match io_kind(&error) {
            _ if of_tls(&error).is_some() => Self::Truncated,
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Self::NotHttp(error),
            _ => Self::Truncated,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(_) => f.write_str("the app's name can't be resolved"),
            Self::Connect(_) => f.write_str("the app can't be reached"),
            Self::ConnectTimeout => f.write_str("the app took no connection in time"),
            Self::Tls(fault) => fault.fmt(f),
            Self::Reset => f.write_str("the connection ended before the answer's head was whole"),
            Self::Truncated => f.write_str("the connection ended within the answer's body"),
            Self::NotHttp(_) => f.write_str("what the app sent isn't HTTP"),
            Self::HeadTooLarge => {
                f.write_str("the answer's head is over 64 KiB or has over 100 fields")
            }
            Self::Framing => f.write_str("the answer's framing contradicts itself"),
            Self::UnaskedUpgrade => f.write_str("the app switched protocols unasked"),
            Self::BodyTooLarge(limit) => write!(f, "the answer's body is over {limit} bytes"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve(error) | Self::Connect(error) => Some(error),
            Self::NotHttp(error) => Some(error),
            Self::Tls(fault) => fault.source(),
            Self::ConnectTimeout
            | Self::Reset
            | Self::Truncated
            | Self::HeadTooLarge
            | Self::Framing
            | Self::UnaskedUpgrade
            | Self::BodyTooLarge(_) => None,
        }
    }
}

/// What TLS has to say of an error of hyper's, if it is behind it.
fn of_tls(error: &hyper::Error) -> Option<tls::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref() {
            return tls::Error::of_stream(io);
        }
        source = inner.source();
    }
    None
}
