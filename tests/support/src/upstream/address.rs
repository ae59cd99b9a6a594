//! An address that stays the upstream's own, whether connections to it are accepted, refused or left hanging.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A port on loopback that nobody else can get.
pub(super) struct Address {
    address: SocketAddr,
    /// Bound but not listening: a connection to it is refused.
    _reserved: Socket,
}

/// A listener that accepts nothing, and the connection that takes the only place in its backlog: the kernel drops further ones.
pub(super) struct FullListener {
    _listener: TcpListener,
    _waiting: TcpStream,
}

impl Address {
    /// A port that the kernel chooses.
    pub(super) fn reserve() -> io::Result<Self> {
        let reserved = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = reserved.local_addr()?.as_socket();
        Ok(Self {
            address: address.expect("it is bound to an Internet address"),
            _reserved: reserved,
        })
    }

    pub(super) fn socket_address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        self.listen_with(BACKLOG)
    }

    pub(super) fn overflow(&self) -> io::Result<FullListener> {
        Ok(FullListener {
            _listener: self.listen_with(0)?,
            _waiting: TcpStream::connect(self.address)?,
        })
    }

    fn listen_with(&self, backlog: i32) -> io::Result<TcpListener> {
        let socket = bind(self.address)?;
        socket.listen(backlog)?;
        Ok(socket.into())
    }
}

/// A socket on an address that others of ours are bound to as well.
fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
