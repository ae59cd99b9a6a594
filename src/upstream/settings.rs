//! Where an upstream is, and how we connect to it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;

use crate::tls;

/// Where an upstream is, and how we connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The `upstream` label.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// The `Host` that it gets instead of each request's own.
    pub host: Option<HeaderValue>,
    /// The TLS settings, if TLS is used.
    pub tls: Option<tls::Client>,
    /// How long resolving and connecting may take together, and TLS's handshake as long again.
    pub connect_timeout: Duration,
    /// For how long a connection that is refused is tried again.
    pub retry_connect: Duration,
    /// How long an idle connection is kept for the next request; zero: it is closed after each response. It should be shorter than
    /// the upstream's own keep-alive.
    pub idle_timeout: Duration,
    /// How old a connection may get before it is replaced.
    pub max_connection_age: Duration,
    /// How many requests at once, over all routes; one more gets its fallback.
    pub max_in_flight: usize,
}

impl Settings {
    /// Its URL, as the configuration has it.
    pub fn url(&self) -> String {
        match (&self.address, &self.tls) {
            (Address::Unix(_), _) => self.address.to_string(),
            (Address::Tcp(..), None) => format!("http://{}", self.address),
            (Address::Tcp(..), Some(_)) => format!("https://{}", self.address),
        }
    }
}

/// The address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host and a TCP port.
    Tcp(Host, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether a connection to it would come to a listener of this machine, as far as its text tells: other names than `localhost`
    /// are not resolved.
    pub fn leads_to(&self, listener: SocketAddr) -> bool {
        let address = match self {
            Self::Tcp(Host::Address(address), _) => address.to_canonical(),
            Self::Tcp(Host::Name(name), _) if name.trim_end_matches('.') == "localhost" => {
                IpAddr::from([127, 0, 0, 1])
            }
            Self::Tcp(Host::Name(_), _) | Self::Unix(_) => return false,
        };
        let ip = listener.ip().to_canonical();
        // The unspecified address leads to this machine, and a listener on it takes what comes to any of its addresses.
        let is_any = ip.is_unspecified() && (address.is_loopback() || address.is_unspecified());
        let is_local = address.is_unspecified() && ip.is_loopback();
        let has_port = matches!(self, Self::Tcp(_, port) if *port == listener.port());
        has_port && (ip == address || is_any || is_local)
    }

    /// The `Host` of a request that has none.
    pub(super) fn authority(&self) -> HeaderValue {
        let authority = match self {
            Self::Tcp(Host::Name(name), port) => format!("{}:{port}", name.trim_end_matches('.')),
            Self::Tcp(host, port) => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        };
        authority
            .try_into()
            .expect("a host of a URL is written in visible ASCII")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
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
