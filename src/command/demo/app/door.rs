//! An address that stays the app's own, whether connections to it are taken, refused or left hanging.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A port on loopback that nobody else can get.
pub struct Address {
    address: SocketAddr,
    /// Bound but not listening: a connection to it is refused.
    _reserved: Socket,
}

/// A listener that accepts nobody, and the connection that takes its only place: the kernel drops what else knocks.
pub(super) struct Full {
    _listener: TcpListener,
    _waiting: TcpStream,
}

impl Address {
    /// A port that the kernel chooses.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub fn reserve() -> io::Result<Self> {
        let reserved = bound((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = reserved.local_addr()?.as_socket();
        Ok(Self {
            address: address.ok_or_else(|| io::Error::other("not an Internet address"))?,
            _reserved: reserved,
        })
    }

    /// The address itself.
    pub fn socket_address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        self.listen_with(BACKLOG)
    }

    pub(super) fn overflow(&self) -> io::Result<Full> {
        Ok(Full {
            _listener: self.listen_with(0)?,
            _waiting: TcpStream::connect(self.address)?,
        })
    }

    fn listen_with(&self, backlog: i32) -> io::Result<TcpListener> {
        let socket = bound(self.address)?;
        socket.listen(backlog)?;
        Ok(socket.into())
    }
}

/// A socket bound to an address that others of ours are bound to as well.
fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
