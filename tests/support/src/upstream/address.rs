//! An address that stays the upstream's own, whether connections to it are accepted, refused or left hanging.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::path::Path;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

use crate::stream::Stream;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// An address that nobody else can get.
pub(super) enum Address {
    /// A port on loopback, with a socket that is bound to it but doesn't listen: a connection to it is refused.
    Tcp {
        address: SocketAddr,
        _reserved: Socket,
    },
    /// A socket in a folder of its own.
    Unix(TempDir),
}

/// What accepts connections.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A listener that accepts nothing, and the connection that takes the only place in its backlog: the kernel takes no further ones.
pub(super) struct FullListener {
    _listener: Socket,
    _waiting: Socket,
}

impl Address {
    /// A port; 0 is one that the kernel chooses.
    pub(super) fn reserve_port(address: SocketAddr) -> io::Result<Self> {
        let reserved = bind_port(address)?;
        let address = reserved.local_addr()?.as_socket();
        let address = address.expect("it is bound to an Internet address");
        Ok(Self::Tcp {
            address,
            _reserved: reserved,
        })
    }

    /// A path at which nothing is yet.
    pub(super) fn reserve_path() -> io::Result<Self> {
        tempfile::tempdir().map(Self::Unix)
    }

    pub(super) fn socket_address(&self) -> SocketAddr {
        match self {
            Self::Tcp { address, .. } => *address,
            Self::Unix(_) => panic!("{self} has no port"),
        }
    }

    pub(super) fn listen(&self) -> io::Result<Listener> {
        let socket = self.listen_with(BACKLOG)?;
        Ok(match self {
            Self::Tcp { .. } => Listener::Tcp(TcpListener::from_std(socket.into())?),
            Self::Unix(_) => Listener::Unix(UnixListener::from_std(socket.into())?),
        })
    }

    pub(super) fn overflow(&self) -> io::Result<FullListener> {
        let listener = self.listen_with(0)?;
        let (domain, address) = match self {
            Self::Tcp { address, .. } => (Domain::IPV4, (*address).into()),
            Self::Unix(folder) => (Domain::UNIX, SockAddr::unix(path_in(folder))?),
        };
        let waiting = Socket::new(domain, Type::STREAM, None)?;
        waiting.connect(&address)?;
        Ok(FullListener {
            _listener: listener,
            _waiting: waiting,
        })
    }

    pub(super) async fn connect(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp { address, .. } => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Either::Left(stream)
            }
            Self::Unix(folder) => Either::Right(UnixStream::connect(path_in(folder)).await?),
        })
    }

    /// A path stays when its listener is closed, as it does when an app is killed.
    fn listen_with(&self, backlog: i32) -> io::Result<Socket> {
        let socket = match self {
            Self::Tcp { address, .. } => bind_port(*address)?,
            Self::Unix(folder) => bind_path(&path_in(folder))?,
        };
        socket.listen(backlog)?;
        Ok(socket)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, .. } => write!(f, "http://{address}"),
            Self::Unix(folder) => write!(f, "unix:{}", path_in(folder).display()),
        }
    }
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Either::Left(stream)
            }
            Self::Unix(listener) => Either::Right(listener.accept().await?.0),
        })
    }

    /// Closes it also where a process that is just being started has a copy of it.
    pub(super) fn close(&self) {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix(listener) => SockRef::from(listener),
        };
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// A socket on an address that others of ours are bound to as well.
fn bind_port(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A socket at a path in the place of the one that was there.
fn bind_path(path: &Path) -> io::Result<Socket> {
    if path.exists() {
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

fn path_in(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("app.sock")
}
