//! Worker threads, listeners and client connections: how requests come in, and how those under way may finish at shutdown.
//!
//! Each worker is one OS thread with its own runtime, its own listeners and its own connections to the app, so that a request
//! crosses threads by atomics only.

mod activity;
mod client_stream;
mod connection;
mod control_frames;
mod counted;
mod driver;
mod error;
mod future_slots;
mod handover;
mod http1;
mod http2;
mod inherited;
mod listener;
mod places;
mod proxy_protocol;
mod settings;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use error::Error;
pub use handover::{PassedSocket, Predecessor, Purpose, Successor, start_if_starter};
pub use inherited::InheritedSockets;
pub use listener::{Listeners, bind_one, bind_with_retries};
pub use settings::Settings;

use crate::proxy::Snapshot;
use places::{Places, WorkerPlaces};
use worker::{Context, Heartbeat};

/// The running workers. If this is dropped, they drain, but nobody waits for them.
pub struct Server {
    threads: Vec<JoinHandle<usize>>,
    heartbeats: Vec<Heartbeat>,
    /// Whether another process accepts from the same listeners now.
    is_handed_over: Arc<AtomicBool>,
    /// Starts the shutdown when it is dropped.
    shutdown: DropGuard,
}

impl Server {
    /// Starts the workers, each on its own listeners. The settings are loaded for each connection, the snapshot for each request.
    ///
    /// # Errors
    ///
    /// If a thread can't be started.
    pub fn start(
        listeners: Listeners,
        settings: Arc<ArcSwap<Settings>>,
        snapshot: Arc<ArcSwap<Snapshot>>,
    ) -> io::Result<Self> {
        let shutdown = CancellationToken::new();
        let listeners_outlive_us = listeners.are_inherited;
        let is_handed_over = Arc::new(AtomicBool::new(false));
        let evicted = snapshot.load().shared.metrics.evicted_connections.clone();
        let (places, worker_places) = Places::new(
            settings.load().max_connections,
            listeners.per_worker.len(),
            evicted,
        );
        let mut server = Self {
            threads: Vec::new(),
            heartbeats: Vec::new(),
            is_handed_over: Arc::clone(&is_handed_over),
            shutdown: shutdown.clone().drop_guard(),
        };
        for (listeners, own_places) in listeners.per_worker.into_iter().zip(worker_places) {
            let context = Context {
                snapshot: Arc::clone(&snapshot),
                settings: Arc::clone(&settings),
                places: Arc::clone(&places),
                // Its own token, so that workers don't share a lock.
                shutdown: shutdown.child_token(),
                listeners_outlive_us,
                is_handed_over: Arc::clone(&is_handed_over),
            };
            server.start_worker(listeners, context, own_places)?;
        }
        Ok(server)
    }

    fn start_worker(
        &mut self,
        listeners: Vec<std::net::TcpListener>,
        context: Context,
        places: WorkerPlaces,
    ) -> io::Result<()> {
        let mut with_heartbeats = Vec::new();
        for listener in listeners {
            let heartbeat = Heartbeat::default();
            self.heartbeats.push(Arc::clone(&heartbeat));
            with_heartbeats.push((listener, heartbeat));
        }
        let thread = thread::Builder::new().name(format!("worker-{}", self.threads.len()));
        self.threads
            .push(thread.spawn(move || worker::run(with_heartbeats, context, places))?);
        Ok(())
    }

    /// A counter of each accept loop, which grows at least once a second. If one stands still for longer, its worker is stuck.
    pub fn heartbeats(&self) -> Vec<u64> {
        let heartbeats = self.heartbeats.iter();
        heartbeats
            .map(|heartbeat| heartbeat.load(Relaxed))
            .collect()
    }

    /// Stops accepting, since another process has the same listeners, and waits until everything that is open has ended, streams
    /// too, for four hours at most. Returns how many connections were cut off then.
    pub fn hand_over(self) -> usize {
        self.is_handed_over.store(true, Relaxed);
        self.drain()
    }

    /// Stops accepting and waits until every request has finished, at most for `drain`. Where the listeners are systemd's, it
    /// first goes on accepting until no request in flight is slow. Returns how many connections were cut off then: streams, and
    /// whatever takes longer than `drain`.
    pub fn drain(self) -> usize {
        drop(self.shutdown);
        // A worker that panicked has no connections left.
        self.threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .sum()
    }
}
