//! Listening sockets: one share of each address per worker.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted; the kernel's own limit caps it.
const BACKLOG: i32 = 4096;

/// The public listening sockets, sorted by worker.
pub struct Listeners {
    /// The addresses, with the ports that the kernel chose where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    pub(super) per_worker: Vec<Vec<TcpListener>>,
}

/// An address that can't be listened on.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source } = self;
        let kind = source.kind();
        if kind == io::ErrorKind::AddrInUse {
            write!(
                f,
                "{address} is in use: another process listens there (`ss -ltnp` names it); stop it or choose another port"
            )
        } else if kind == io::ErrorKind::PermissionDenied {
            write!(
                f,
                "{address} may not be used: choose a port of 1024 or above"
            )
        } else if kind == io::ErrorKind::AddrNotAvailable {
            write!(
                f,
                "{address} is not an address of this machine; `ip address` lists them"
            )
        } else {
            write!(f, "{address} can't be listened on: {source}")
        }
    }
}

impl std::error::Error for BindError {}

impl Listeners {
    /// Listens on every address, with a socket of its own for each worker.
    ///
    /// # Errors
    ///
    /// The first address that can't be had.
    pub fn bind(addresses: &[SocketAddr], workers: NonZeroUsize) -> Result<Self, BindError> {
        let mut all = Self {
            addresses: Vec::new(),
            per_worker: (0..workers.get()).map(|_| Vec::new()).collect(),
        };
        for asked in addresses {
            // Sockets that share a port would join another process's unnoticed, so one that doesn't goes first.
            let alone = socket(*asked, false)?;
            let address = alone
                .local_addr()
                .and_then(named)
                .map_err(|source| error(*asked, source))?;
            drop(alone);
            for own in &mut all.per_worker {
                own.push(listening(socket(address, workers.get() > 1)?, address)?);
            }
            all.addresses.push(address);
        }
        Ok(all)
    }
}

impl Listeners {
    /// A share for each worker of sockets that listen already.
    ///
    /// # Errors
    ///
    /// If one can't be shared.
    pub fn shared(sockets: &[TcpListener], workers: NonZeroUsize) -> io::Result<Self> {
        let addresses = sockets
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<_>>()?;
        let share = || {
            sockets
                .iter()
                .map(TcpListener::try_clone)
                .collect::<io::Result<_>>()
        };
        let per_worker = (0..workers.get())
            .map(|_| share())
            .collect::<io::Result<_>>()?;
        Ok(Self {
            addresses,
            per_worker,
        })
    }
}

/// Listens on one address, alone.
///
/// # Errors
///
/// Why it can't be had.
pub fn bind_one(address: SocketAddr) -> Result<TcpListener, BindError> {
    listening(socket(address, false)?, address)
}

fn socket(address: SocketAddr, shared: bool) -> Result<Socket, BindError> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    );
    let bind = |socket: Socket| {
        socket.set_nonblocking(true)?;
        // A restart must not wait for the kernel to forget old connections.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    socket
        .and_then(bind)
        .map_err(|source| error(address, source))
}

fn listening(socket: Socket, address: SocketAddr) -> Result<TcpListener, BindError> {
    socket
        .listen(BACKLOG)
        .map_err(|source| error(address, source))?;
    Ok(socket.into())
}

fn named(address: socket2::SockAddr) -> io::Result<SocketAddr> {
    address
        .as_socket()
        .ok_or_else(|| io::Error::other("not an Internet address"))
}

fn error(address: SocketAddr, source: io::Error) -> BindError {
    BindError { address, source }
}
