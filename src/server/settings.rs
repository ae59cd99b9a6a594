//! The settings of the listeners and of client connections.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::secret::Secret;
use crate::tls;

/// How the server listens, and how long it waits for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The public addresses.
    pub listen: Vec<SocketAddr>,
    /// TLS on the public addresses, if clients speak it to us.
    pub tls: Option<tls::Server>,
    /// The admin listener's address.
    pub admin: SocketAddr,
    /// The admin listener's token; required where its address isn't on loopback.
    pub admin_token: Option<Secret>,
    /// The number of worker threads.
    pub workers: NonZeroUsize,
    /// How long connections are still accepted at shutdown, while `/readyz` says already that the instance is not ready.
    pub shutdown_delay: Duration,
    /// How long requests under way may take to finish at shutdown.
    pub drain: Duration,
    /// The most client connections at once. For one more, an idle one is closed; if none is idle, it waits.
    pub max_connections: usize,
    /// Whether connections begin with a header of the PROXY protocol, which a trusted proxy writes.
    pub proxy_protocol: bool,
    /// The longest time from a request head's first byte to its last, of a PROXY header, and of a TLS handshake.
    pub header_timeout: Duration,
    /// How long an idle client connection is kept.
    pub keep_alive: Duration,
    /// How long a tunnel is kept without a byte either way.
    pub tunnel_idle_timeout: Duration,
}
