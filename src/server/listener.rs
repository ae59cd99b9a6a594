//! Listening sockets: each worker has one for each address.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::error::Error;
use super::handover::{PassedSocket, Purpose};

/// How many connections may wait to be accepted; the kernel's own limit caps it.
const BACKLOG: i32 = 4096;

/// How long an address that is in use, or not there, is tried again.
const RETRY_LIMIT: Duration = Duration::from_secs(10);

/// How long the next try waits.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The public listening sockets of all workers.
pub struct Listeners {
    /// The addresses, with the ports that the kernel chose where the configuration says 0.
    pub addresses: Vec<SocketAddr>,
    pub(super) per_worker: Vec<Vec<TcpListener>>,
    /// Whether systemd holds them open as well.
    pub(super) are_inherited: bool,
    /// The same sockets once more, to be passed to the next process.
    pub sockets: Vec<PassedSocket>,
}

impl Listeners {
    /// Listens on every address, with a socket for each worker. Where the process before had the same address in its
    /// configuration, its sockets are taken.
    ///
    /// # Errors
    ///
    /// The first address that can't be listened on.
    pub fn bind(
        addresses: &[SocketAddr],
        workers: NonZeroUsize,
        passed: &[(SocketAddr, TcpListener)],
    ) -> Result<Self, Error> {
        let mut passed: Vec<_> = passed.iter().collect();
        let mut all = Self {
            addresses: Vec::new(),
            per_worker: (0..workers.get()).map(|_| Vec::new()).collect(),
            are_inherited: false,
            sockets: Vec::new(),
        };
        let has_ipv4 = |port| {
            let mut ipv4 = addresses.iter().filter(|address| address.is_ipv4());
            port != 0 && ipv4.any(|address| address.port() == port)
        };
        for address in addresses {
            let family = if has_ipv4(address.port()) {
                Family::Own
            } else {
                Family::Both
            };
            let sockets = take_passed(&mut passed, *address);
            let sockets = sockets.map_err(|error| Error::bind(*address, error))?;
            let sockets = if sockets.is_empty() {
                bind_all(*address, family, workers)?
            } else {
                sockets
            };
            all.add(*address, sockets)
                .map_err(|error| Error::bind(*address, error))?;
        }
        Ok(all)
    }

    /// Adds the sockets of one address, which may be more or fewer than there are workers.
    fn add(&mut self, configured: SocketAddr, sockets: Vec<TcpListener>) -> io::Result<()> {
        let workers = self.per_worker.len();
        for index in 0..workers.max(sockets.len()) {
            // Each socket has a queue of its own, so each one needs a worker that accepts from it.
            let socket = sockets[index % sockets.len()].try_clone()?;
            self.per_worker[index % workers].push(socket);
        }
        self.addresses.push(sockets[0].local_addr()?);
        let purpose = Purpose::Public(configured);
        self.sockets
            .extend(sockets.into_iter().map(|socket| PassedSocket {
                purpose: purpose.clone(),
                socket,
            }));
        Ok(())
    }

    /// Gives each worker a share of sockets that already listen.
    ///
    /// # Errors
    ///
    /// If one can't be shared.
    pub fn share(sockets: Vec<TcpListener>, workers: NonZeroUsize) -> io::Result<Self> {
        let addresses = sockets.iter().map(TcpListener::local_addr);
        let share = |_| sockets.iter().map(TcpListener::try_clone).collect();
        Ok(Self {
            addresses: addresses.collect::<io::Result<_>>()?,
            per_worker: (0..workers.get()).map(share).collect::<io::Result<_>>()?,
            are_inherited: true,
            sockets: sockets.into_iter().map(of_systemd).collect(),
        })
    }
}

/// Which clients come to the unspecified IPv6 address, `[::]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Those with IPv6 addresses, since another listener has the IPv4 ones.
    Own,
    /// Those with IPv4 addresses too.
    Both,
}

/// Binds, and if an address is in use or not there, tries again for a while. That is logged once.
///
/// # Errors
///
/// Why an address can't be listened on.
pub async fn bind_with_retries<T>(bind: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    let began = Instant::now();
    let mut is_logged = false;
    loop {
        match bind() {
            Err(error) if error.is_momentary() && began.elapsed() < RETRY_LIMIT => {
                if !is_logged {
                    // No peer has a say in it.
                    warn!(
                        error = error.to_string(),
                        "listening failed; trying again for {RETRY_LIMIT:?}"
                    );
                    is_logged = true;
                }
                sleep(RETRY_PAUSE).await;
            }
            bound => return bound,
        }
    }
}

/// Listens on one address with one socket.
///
/// # Errors
///
/// Why the address can't be listened on.
pub fn bind_one(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(bind(address, Family::Both, false)?, address)
}

fn of_systemd(socket: TcpListener) -> PassedSocket {
    let purpose = Purpose::SystemdPublic;
    PassedSocket { purpose, socket }
}

/// The sockets that were passed for an address. An address with port 0 may be there several times; each has a port of its own.
fn take_passed(
    passed: &mut Vec<&(SocketAddr, TcpListener)>,
    address: SocketAddr,
) -> io::Result<Vec<TcpListener>> {
    let first = passed.iter().find(|(configured, _)| *configured == address);
    let Some(bound) = first.and_then(|(_, socket)| socket.local_addr().ok()) else {
        return Ok(Vec::new());
    };
    let is_same = |(configured, socket): &mut &(SocketAddr, TcpListener)| {
        *configured == address && socket.local_addr().is_ok_and(|own| own == bound)
    };
    passed
        .extract_if(.., is_same)
        .map(|(_, socket)| socket.try_clone())
        .collect()
}

/// A new socket for each worker.
fn bind_all(
    address: SocketAddr,
    family: Family,
    workers: NonZeroUsize,
) -> Result<Vec<TcpListener>, Error> {
    let address = free_address(address, family)?;
    let socket = |_| listen(bind(address, family, workers.get() > 1)?, address);
    (0..workers.get()).map(socket).collect()
}

/// Makes sure that nobody listens on the address: sockets that share a port would join another process's unnoticed. Returns it
/// with its port.
fn free_address(address: SocketAddr, family: Family) -> Result<SocketAddr, Error> {
    let own = bind(address, family, false)?.local_addr();
    own.and_then(|own| {
        own.as_socket()
            .ok_or_else(|| io::Error::other("not an Internet address"))
    })
    .map_err(|error| Error::bind(address, error))
}

fn bind(address: SocketAddr, family: Family, is_shared: bool) -> Result<Socket, Error> {
    let bind = || {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // So that a restart need not wait until the kernel has forgotten old connections.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(is_shared)?;
        if address.is_ipv6() {
            socket.set_only_v6(family == Family::Own)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn address() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 80))
    }

    async fn bind_until(tries: u32, error: fn() -> Error) -> (Result<u32, Error>, Duration) {
        let (began, tried) = (Instant::now(), Cell::new(0));
        let bound = bind_with_retries(|| {
            tried.set(tried.get() + 1);
            if tried.get() > tries {
                Ok(tried.get())
            } else {
                Err(error())
            }
        });
        (bound.await, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_comes_in_time_is_listened_on() {
        for error in [
            || Error::AddressInUse(address()),
            || Error::AddressNotAvailable(address()),
        ] as [fn() -> Error; 2]
        {
            let (bound, _) = bind_until(20, error).await;
            assert_eq!(bound.expect("it is bound"), 21);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_come_is_given_up() {
        let (bound, elapsed) = bind_until(u32::MAX, || Error::AddressInUse(address())).await;
        assert!(bound.expect_err("it is in use").may_pass());
        assert_eq!(elapsed, RETRY_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_may_not_be_used_is_not_tried_again() {
        let (bound, elapsed) = bind_until(1, || Error::PermissionDenied(address())).await;
        assert!(!bound.expect_err("it is denied").may_pass());
        assert_eq!(elapsed, Duration::ZERO);
    }

    #[test]
    fn the_unspecified_addresses_of_both_families_share_a_port() {
        let bind = |addresses: &[SocketAddr]| {
            let workers = NonZeroUsize::new(2).expect("not zero");
            Listeners::bind(addresses, workers, &[])
        };
        let any_ipv4 = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let any_ipv6 = |port| SocketAddr::from(([0u16; 8], port));
        // Another process may take a port that was free.
        let all_bound = || {
            let port = bind(&[any_ipv4(0)]).ok()?.addresses[0].port();
            bind(&[any_ipv4(port), any_ipv6(port)]).ok()?;
            bind(&[any_ipv6(port), any_ipv4(port)]).ok()?;
            let both = bind(&[any_ipv6(port)]).ok()?;
            // It takes IPv4 connections, so no other listener can.
            assert!(bind(&[any_ipv4(port)]).is_err());
            drop(both);
            Some(())
        };
        assert!((0..20).any(|_| all_bound().is_some()));
    }
}
