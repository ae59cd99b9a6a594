//! A new connection to the upstream: its name is resolved, its addresses are tried in turn, and the first that answers does
//! the TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::either::Either;
use tracing::warn;

use super::error::Error;
use super::resolver::Resolver;
use super::settings::{Address, Host, Settings};
use super::stream::{Socket, Stream};
use crate::log::describe_error;
use crate::tcp;
use crate::tls;

/// The pause between tries of a Unix socket whose backlog is full.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// Makes connections to one upstream, for all workers.
#[derive(Debug)]
pub(super) struct Connector {
    resolver: Option<Resolver>,
    /// This machine's resources ran out when a connection was last made.
    is_out_of_resources: AtomicBool,
}

impl Connector {
    pub(super) fn new(address: &Address) -> Self {
        let resolver = match address {
            Address::Tcp(Host::Name(name), port) => Some(Resolver::new(name, *port)),
            Address::Tcp(Host::Address(_), _) | Address::Unix(_) => None,
        };
        Self {
            resolver,
            is_out_of_resources: AtomicBool::new(false),
        }
    }

    /// Makes a new connection. Resolving and connecting may take `connect_timeout` together, and TLS as long again.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn connect(&self, settings: &Settings) -> Result<Stream, Error> {
        let socket = self.open(settings).await;
        self.report_resources(socket.as_ref().err());
        let stream = Stream::new(socket?, settings.tls.as_ref());
        timeout(settings.connect_timeout, stream)
            .await
            .unwrap_or(Err(tls::Error::TimedOut))
            .map_err(Error::Tls)
    }

    async fn open(&self, settings: &Settings) -> Result<Socket, Error> {
        let deadline = Instant::now() + settings.connect_timeout;
        match &settings.address {
            Address::Unix(path) => open_unix(path, deadline).await,
            Address::Tcp(Host::Address(address), port) => {
                open_any(&[SocketAddr::new(*address, *port)], deadline).await
            }
            Address::Tcp(Host::Name(_), _) => {
                let resolver = self.resolver.as_ref().expect("a name has a resolver");
                let addresses = resolver.resolve(settings.connect_timeout).await;
                open_any(&addresses.map_err(Error::Resolve)?, deadline).await
            }
        }
    }

    /// Logs once that resources ran out, until a connection is made again.
    fn report_resources(&self, error: Option<&Error>) {
        match error {
            Some(Error::Resources(error)) if !self.is_out_of_resources.swap(true, Relaxed) => {
                warn!(
                    error = describe_error(error),
                    "no resources left for connections to the app; raise LimitNOFILE or the range of local ports"
                )
            }
            Some(_) => {}
            None => self.is_out_of_resources.store(false, Relaxed),
        }
    }
}

/// A connection to this path. While the app's backlog is full, the kernel says so at once instead of waiting as it does for TCP.
async fn open_unix(path: &Path, deadline: Instant) -> Result<Socket, Error> {
    let connected = async {
        loop {
            match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sleep(BACKLOG_PAUSE).await;
                }
                connected => return connected,
            }
        }
    };
    let connected = timeout_at(deadline, connected).await;
    let socket = connected.map_err(|_| Error::ConnectTimeout)?;
    socket.map(Either::Right).map_err(Error::of_connect)
}

/// A connection to the first of these addresses that takes one until the deadline.
async fn open_any(addresses: &[SocketAddr], deadline: Instant) -> Result<Socket, Error> {
    let connected = match addresses {
        [address] => timeout_at(deadline, TcpStream::connect(*address)).await,
        many => timeout_at(deadline, race(many, deadline)).await,
    };
    let socket = connected.map_err(|_| Error::ConnectTimeout)?;
    let socket = socket.map_err(Error::of_connect)?;
    socket.set_nodelay(true).map_err(Error::of_connect)?;
    tcp::set_keepalive(&socket);
    Ok(Either::Left(socket))
}

/// Tries the addresses in turn (RFC 8305 §5): the next one as soon as one fails, or has not replied within its share of the time.
/// Then the attempt on the first goes on beside it.
async fn race(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    let share = remaining / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut attempts = JoinSet::new();
    let mut addresses = addresses.iter().copied();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match addresses.next() {
            Some(address) => {
                attempts.spawn_local(TcpStream::connect(address));
            }
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let has_more = addresses.len() > 0;
        match first_of(&mut attempts, has_more.then_some(share)).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = error,
            // No reply within its share of the time: the next one begins.
            None => {}
        }
    }
}

/// What the first attempt that ends comes to; none after `wait`.
async fn first_of(
    attempts: &mut JoinSet<io::Result<TcpStream>>,
    wait: Option<Duration>,
) -> Option<io::Result<TcpStream>> {
    let ended = async {
        match attempts.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    };
    match wait {
        Some(wait) => tokio::select! {
            result = ended => Some(result),
            () = sleep(wait) => None,
        },
        None => Some(ended.await),
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket as RawSocket, Type};
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::*;

    /// The address that a connection is made to, within a time.
    async fn connected_to(addresses: &[SocketAddr], limit: Duration) -> Option<SocketAddr> {
        let local = LocalSet::new();
        let connected = open_any(addresses, Instant::now() + limit);
        match local.run_until(connected).await {
            Ok(Either::Left(stream)) => stream.peer_addr().ok(),
            Ok(Either::Right(_)) | Err(_) => None,
        }
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    /// A listener that takes no connection, and those that fill its backlog.
    fn silent() -> (Vec<RawSocket>, SocketAddr) {
        let socket = || RawSocket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let listener = socket();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).expect("a port");
        listener.listen(0).expect("it listens");
        let address = listener.local_addr().expect("an address");
        let address = address.as_socket().expect("an IP address");
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let client = socket();
            client.set_nonblocking(true).expect("a socket");
            // The first ones wait in the backlog, the others for ever.
            let _ = client.connect(&address.into());
            sockets.push(client);
        }
        (sockets, address)
    }

    #[tokio::test]
    async fn after_an_address_that_refuses_the_next_one_is_tried_at_once() {
        let (gone, refused) = listener().await;
        drop(gone);
        let (_listener, good) = listener().await;
        let minute = Duration::from_secs(60);
        assert_eq!(connected_to(&[refused, good], minute).await, Some(good));
        assert_eq!(connected_to(&[refused, refused], minute).await, None);
    }

    #[tokio::test]
    async fn a_silent_address_does_not_cost_the_next_one_its_chance() {
        let (_sockets, silent) = silent();
        let (_listener, good) = listener().await;
        let limit = Duration::from_secs(2);
        assert_eq!(connected_to(&[silent, good], limit).await, Some(good));
        let limit = Duration::from_millis(50);
        assert_eq!(connected_to(&[silent], limit).await, None);
    }

    #[test]
    fn resources_that_ran_out_here_say_nothing_of_the_upstream() {
        for code in [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::EADDRNOTAVAIL,
        ] {
            let error = Error::of_connect(io::Error::from_raw_os_error(code));
            assert!(matches!(error, Error::Resources(_)), "{error}");
            assert!(!error.is_refused() && !error.is_transient());
        }
        for code in [libc::ECONNREFUSED, libc::ENOENT] {
            let error = Error::of_connect(io::Error::from_raw_os_error(code));
            assert!(error.is_refused(), "{error}");
        }
    }
}
