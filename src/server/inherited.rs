//! Sockets that systemd listens on and passes to us (`systemd.socket(5)`).

use std::fmt;
use std::io;
use std::net::TcpListener;

/// The sockets that systemd has passed, by `FileDescriptorName=`: one that is called `admin` is the admin listener's, all others are
/// public.
pub struct InheritedSockets {
    /// The public ones; none: listen on the configured addresses.
    pub public: Vec<TcpListener>,
    /// The admin listener's.
    pub admin: Option<TcpListener>,
}

/// A socket that can't be listened on, by its name.
#[derive(Debug)]
pub enum InheritError {
    /// It is of another type.
    NotTcp(String),
    /// It is a connection.
    Connected(String),
    /// The system won't have it.
    Unusable(String, io::Error),
}

impl fmt::Display for InheritError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTcp(name) => write!(
                f,
                "the socket {name:?} that systemd passes is not for TCP: write ListenStream= with an address and a port \
                 into its unit, such as ListenStream=127.0.0.1:8080"
            ),
            Self::Connected(name) => write!(
                f,
                "the socket {name:?} that systemd passes doesn't listen: write Accept=no into its unit"
            ),
            Self::Unusable(name, source) => write!(
                f,
                "the socket {name:?} that systemd passes can't be listened on: {source}"
            ),
        }
    }
}

impl std::error::Error for InheritError {}

impl InheritedSockets {
    /// Takes them. To be called once.
    ///
    /// # Errors
    ///
    /// If one of them isn't a listening TCP socket.
    pub fn take() -> Result<Self, InheritError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = listenfd::ListenFd::from_env();
        let mut passed = Self {
            public: Vec::new(),
            admin: None,
        };
        for place in 0..sockets.len() {
            let name = names.next().unwrap_or_default();
            let Ok(socket) = sockets.take_tcp_listener(place) else {
                return Err(InheritError::NotTcp(name.to_owned()));
            };
            let Some(socket) = socket else { continue };
            check(&socket, name)?;
            if name == "admin" {
                passed.admin = Some(socket);
            } else {
                passed.public.push(socket);
            }
        }
        Ok(passed)
    }
}

fn check(socket: &TcpListener, name: &str) -> Result<(), InheritError> {
    let unusable = |source| InheritError::Unusable(name.to_owned(), source);
    let listens = socket2::SockRef::from(socket).is_listener();
    if !listens.map_err(unusable)? {
        return Err(InheritError::Connected(name.to_owned()));
    }
    socket.set_nonblocking(true).map_err(unusable)
}
