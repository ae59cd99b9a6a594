//! Why the server can't listen.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// An address or an inherited socket that can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process listens on the address.
    #[error(
        "{0} is in use: another process listens there (`ss -ltnp` names it); stop it or choose another port"
    )]
    AddressInUse(SocketAddr),
    /// The port is privileged.
    #[error("{0} may not be used: choose a port of 1024 or above")]
    PermissionDenied(SocketAddr),
    /// The address belongs to another machine.
    #[error("{0} is not an address of this machine; `ip address` lists them")]
    AddressNotAvailable(SocketAddr),
    /// Another reason of the system's.
    #[error("{0} can't be listened on: {1}")]
    Bind(SocketAddr, io::Error),
    /// The socket with this name that systemd passes isn't a TCP socket.
    #[error(
        "the socket {0:?} that systemd passes is not for TCP: write ListenStream= with an address and a port into its unit, \
         such as ListenStream=127.0.0.1:8080"
    )]
    NotTcp(String),
    /// The socket is a connection.
    #[error("the socket {0:?} that systemd passes doesn't listen: write Accept=no into its unit")]
    NotListening(String),
    /// The process before, which upgrades, doesn't pass its sockets.
    #[error("the process that is upgraded doesn't pass its sockets: {0}")]
    Predecessor(io::Error),
    /// The socket can't be set up.
    #[error("the socket {0:?} that systemd passes can't be listened on: {1}")]
    Inherited(String, io::Error),
}

impl Error {
    /// Whether the address may be free, or there, in a moment: a predecessor may be about to end, a floating address about to come,
    /// and an IPv6 address can't be used while the system looks for another machine that has it.
    pub(super) fn is_momentary(&self) -> bool {
        match self {
            Self::AddressInUse(_) | Self::AddressNotAvailable(_) => true,
            Self::PermissionDenied(_)
            | Self::Bind(..)
            | Self::NotTcp(_)
            | Self::NotListening(_)
            | Self::Inherited(..)
            | Self::Predecessor(_) => false,
        }
    }

    /// Whether a restart may help without anybody's help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::AddressInUse(_)
            | Self::AddressNotAvailable(_)
            | Self::Bind(..)
            | Self::Inherited(..) => true,
            Self::Predecessor(_) => true,
            Self::PermissionDenied(_) | Self::NotTcp(_) | Self::NotListening(_) => false,
        }
    }

    pub(super) fn bind(address: SocketAddr, error: io::Error) -> Self {
        let kind = error.kind();
        if kind == ErrorKind::AddrInUse {
            Self::AddressInUse(address)
        } else if kind == ErrorKind::PermissionDenied {
            Self::PermissionDenied(address)
        } else if kind == ErrorKind::AddrNotAvailable {
            Self::AddressNotAvailable(address)
        } else {
            Self::Bind(address, error)
        }
    }
}
