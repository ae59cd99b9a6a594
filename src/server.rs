//! Workers, listeners and connections: how calls get in, and how they are let finish.
//!
//! One OS thread per worker, each with its own runtime, listener and connections to the app: nothing on the way of a call
//! crosses threads but atomics.

mod connection;
mod control_frames;
mod handshake;
mod http2;
mod inherited;
mod listener;
mod watch;
mod wire;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

pub use inherited::{InheritError, InheritedSockets};
pub use listener::{BindError, Listeners, bind_one};

use crate::proxy::Snapshot;
use crate::secret::Secret;
use crate::tls;

/// How we listen, and how patient we are with clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The public addresses.
    pub listen: Vec<SocketAddr>,
    /// What is shown to clients, if they are spoken to within TLS.
    pub tls: Option<tls::Server>,
    /// The admin listener's address.
    pub admin: SocketAddr,
    /// What opens the admin listener; needed where it isn't on loopback.
    pub admin_token: Option<Secret>,
    /// How many worker threads.
    pub workers: NonZeroUsize,
    /// How long calls are still taken at shutdown, while `/readyz` says already that they are not.
    pub shutdown_delay: Duration,
    /// How long running calls may take to finish at shutdown.
    pub drain: Duration,
    /// How many client connections at once; more wait in the kernel's backlog.
    pub max_connections: usize,
    /// A request head must be whole within this, once it has begun.
    pub header_timeout: Duration,
    /// How long an idle client connection is kept.
    pub keep_alive: Duration,
}

/// The running workers.
pub struct Server {
    threads: Vec<JoinHandle<usize>>,
    /// How often each accept loop has gone round: it does so at least once a second.
    rounds: Vec<Arc<AtomicU64>>,
    drain: tokio::sync::watch::Sender<bool>,
}

/// What every worker shares.
#[derive(Clone)]
struct Common {
    site: Arc<ArcSwap<Snapshot>>,
    settings: Arc<ArcSwap<Settings>>,
    /// Places for client connections.
    places: Arc<Semaphore>,
    drain: tokio::sync::watch::Receiver<bool>,
}

impl Server {
    /// Starts the workers, each on its own listeners. Settings are read anew for each connection.
    ///
    /// # Errors
    ///
    /// If a thread or its runtime can't be had.
    pub fn start(
        listeners: Listeners,
        settings: Arc<ArcSwap<Settings>>,
        site: Arc<ArcSwap<Snapshot>>,
    ) -> io::Result<Self> {
        let (drain, draining) = tokio::sync::watch::channel(false);
        let places = settings.load().max_connections.min(Semaphore::MAX_PERMITS);
        let common = Common {
            site,
            settings,
            places: Arc::new(Semaphore::new(places)),
            drain: draining,
        };
        let mut rounds = Vec::new();
        let start = |(number, listeners): (_, Vec<_>)| {
            let common = common.clone();
            let with_rounds = |listener| (listener, Arc::<AtomicU64>::default());
            let listeners: Vec<_> = listeners.into_iter().map(with_rounds).collect();
            rounds.extend(listeners.iter().map(|(_, rounds)| Arc::clone(rounds)));
            let named = thread::Builder::new().name(format!("worker-{number}"));
            named.spawn(move || worker::run(listeners, common))
        };
        let threads = listeners
            .per_worker
            .into_iter()
            .enumerate()
            .map(start)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            threads,
            rounds,
            drain,
        })
    }

    /// How often each accept loop has gone round. One that stands still for seconds takes no connections.
    pub fn rounds(&self) -> Vec<u64> {
        let rounds = self.rounds.iter();
        rounds.map(|rounds| rounds.load(Relaxed)).collect()
    }

    /// Stops accepting and waits until every call has finished, or has been cut off at the end of `drain`: how many were.
    pub fn drain(self) -> usize {
        self.drain.send_replace(true);
        // A worker that panicked has no calls left to cut off.
        self.threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .sum()
    }
}
