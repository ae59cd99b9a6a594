//! Sockets that systemd listens on and passes to us (`systemd.socket(5)`).

use std::net::TcpListener;

use super::error::Error;

/// The sockets that systemd has passed. The one with `FileDescriptorName=admin` is the admin listener's; all others are public.
pub struct InheritedSockets {
    /// The public sockets. If there are none, the configured addresses are listened on.
    pub public: Vec<TcpListener>,
    /// The admin listener's socket.
    pub admin: Option<TcpListener>,
}

impl InheritedSockets {
    /// Takes the sockets from the environment. To be called once.
    ///
    /// # Errors
    ///
    /// If one of them isn't a listening TCP socket.
    pub fn take() -> Result<Self, Error> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Self {
            public: Vec::new(),
            admin: None,
        };
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
