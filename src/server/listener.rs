//! Listening sockets: each worker has one for each address.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use socket2::{Domain, Protocol, Socket, Type};

use super::error::Error;

/// How many connections may wait to be accepted; the kernel's own limit caps it.
const BACKLOG: i32 = 4096;

/// The public listening sockets of all workers.
pub struct Listeners {
    /// The addresses, with the ports that the kernel chose where the configuration says 0.
    pub addresses: Vec<SocketAddr>,
    pub(super) per_worker: Vec<Vec<TcpListener>>,
}

impl Listeners {
    /// Listens on every address, with a socket for each worker.
    ///
    /// # Errors
    ///
    /// The first address that can't be listened on.
    pub fn bind(addresses: &[SocketAddr], workers: NonZeroUsize) -> Result<Self, Error> {
        let mut all = Self {
            addresses: Vec::new(),
            per_worker: (0..workers.get()).map(|_| Vec::new()).collect(),
        };
        for address in addresses {
            let address = free_address(*address)?;
            for listeners in &mut all.per_worker {
                listeners.push(listen(bind(address, workers.get() > 1)?, address)?);
            }
            all.addresses.push(address);
        }
        Ok(all)
    }

    /// Gives each worker a share of sockets that already listen.
    ///
    /// # Errors
    ///
    /// If one can't be shared.
    pub fn share(sockets: &[TcpListener], workers: NonZeroUsize) -> io::Result<Self> {
        let addresses = sockets.iter().map(TcpListener::local_addr);
        let share = |_| sockets.iter().map(TcpListener::try_clone).collect();
        Ok(Self {
            addresses: addresses.collect::<io::Result<_>>()?,
            per_worker: (0..workers.get()).map(share).collect::<io::Result<_>>()?,
        })
    }
}

/// Listens on one address with one socket.
///
/// # Errors
///
/// Why the address can't be listened on.
pub fn bind_one(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(bind(address, false)?, address)
}

/// Makes sure that nobody listens on the address: sockets that share a port would join another process's unnoticed. Returns it
/// with its port.
fn free_address(address: SocketAddr) -> Result<SocketAddr, Error> {
    let own = bind(address, false)?.local_addr();
    own.and_then(|own| {
        own.as_socket()
            .ok_or_else(|| io::Error::other("not an Internet address"))
    })
    .map_err(|error| Error::bind(address, error))
}

fn bind(address: SocketAddr, is_shared: bool) -> Result<Socket, Error> {
    let bind = || {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // So that a restart need not wait until the kernel has forgotten old connections.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(is_shared)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bind().map_err(|error| Error::bind(address, error))
}

fn listen(socket: Socket, address: SocketAddr) -> Result<TcpListener, Error> {
    socket
        .listen(BACKLOG)
        .map_err(|error| Error::bind(address, error))?;
    Ok(socket.into())
}
