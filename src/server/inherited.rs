//! Sockets that others listen on and pass to us: systemd (`systemd.socket(5)`), or the process before in an upgrade.

use std::net::{SocketAddr, TcpListener};

use super::error::Error;
use super::handover::{PassedSocket, Predecessor, Purpose};

/// The sockets that were passed. Of those of systemd, the one with `FileDescriptorName=admin` is the admin listener's; all others
/// are public.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    /// The public sockets of systemd. If there are any, the configured addresses don't matter.
    pub public: Vec<TcpListener>,
    /// The admin listener's socket of systemd.
    pub admin: Option<TcpListener>,
    /// The public sockets of the process before, each with its address in that one's configuration.
    pub own_public: Vec<(SocketAddr, TcpListener)>,
    /// The admin listener's socket of the process before, likewise.
    pub own_admin: Option<(SocketAddr, TcpListener)>,
}

impl InheritedSockets {
    /// Takes the sockets from the process before, or from the environment. To be called once.
    ///
    /// # Errors
    ///
    /// If one of them isn't a listening TCP socket.
    pub fn take(predecessor: Option<&Predecessor>) -> Result<Self, Error> {
        match predecessor {
            Some(predecessor) => {
                let passed = predecessor.receive().map_err(Error::Predecessor)?;
                Ok(Self::sort(passed))
            }
            None => Self::from_systemd(),
        }
    }

    fn sort(passed: Vec<PassedSocket>) -> Self {
        let mut sockets = Self::default();
        for PassedSocket { purpose, socket } in passed {
            match purpose {
                Purpose::SystemdPublic => sockets.public.push(socket),
                Purpose::SystemdAdmin => sockets.admin = Some(socket),
                Purpose::Public(address) => sockets.own_public.push((address, socket)),
                Purpose::Admin(address) => sockets.own_admin = Some((address, socket)),
            }
        }
        sockets
    }

    fn from_systemd() -> Result<Self, Error> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            let socket = passed.take_tcp_listener(index);
            let socket = socket.map_err(|_| Error::NotTcp(name.to_owned()))?;
            let Some(socket) = socket else { continue };
            prepare(&socket, name)?;
            if name == "admin" {
                sockets.admin = Some(socket);
            } else {
                sockets.public.push(socket);
            }
        }
        Ok(sockets)
    }
}

fn prepare(socket: &TcpListener, name: &str) -> Result<(), Error> {
    let unusable = |error| Error::Inherited(name.to_owned(), error);
    let is_listener = socket2::SockRef::from(socket).is_listener();
    if !is_listener.map_err(unusable)? {
        return Err(Error::NotListening(name.to_owned()));
    }
    socket.set_nonblocking(true).map_err(unusable)
}
