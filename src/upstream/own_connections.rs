//! The two ends of each TCP connection from this process to its upstreams. A client's connection with the same ends is one of them:
//! the upstream is this process itself, and a request would go round for ever.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;

/// The ends of a connection: whoever opened it, and whoever accepted it.
pub(super) type Ends = (SocketAddr, SocketAddr);

static OPEN: LazyLock<Mutex<HashSet<Ends>>> = LazyLock::new(Mutex::default);

/// Whether a connection with these ends is one of ours to an upstream.
pub(super) fn is_own((from, to): Ends) -> bool {
    open().contains(&(canonical(from), canonical(to)))
}

/// One connection to an upstream, listed until it is dropped.
#[derive(Debug)]
pub(super) struct OwnConnection(Option<Ends>);

impl OwnConnection {
    /// Lists a connection.
    pub(super) fn new(socket: &TcpStream) -> Self {
        let ends = socket.local_addr().ok().zip(socket.peer_addr().ok());
        let ends = ends.map(|(from, to)| (canonical(from), canonical(to)));
        open().extend(ends);
        Self(ends)
    }
}

impl Drop for OwnConnection {
    fn drop(&mut self) {
        if let Some(ends) = self.0 {
            open().remove(&ends);
        }
    }
}

/// The same form for an IPv4 address however it is written: a listener on `[::]` sees it as an IPv6 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn open() -> MutexGuard<'static, HashSet<Ends>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
