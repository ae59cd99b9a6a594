//! One worker: a thread with its own runtime, its share of the listeners and its own connections to the app.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use super::connection::{self, Client};
use super::counted::Counted;
use super::future_slots::FutureSlots;
use super::places::{Connections, Phase, Place, Places, WorkerPlaces};
use super::settings::Settings;
use crate::log::describe_error;
use crate::proxy::{Proxy, Snapshot};
use crate::tcp;
use crate::upstream::Pool;
use crate::upstream::headers::Peer;

/// How long an accept loop waits after an error such as "too many open files".
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long connections that already wait in the backlog are accepted at shutdown, and after how long without one that ends.
const BACKLOG_TIMEOUT: Duration = Duration::from_millis(50);
const BACKLOG_IDLE_TIMEOUT: Duration = Duration::from_millis(2);

/// How often an accept loop counts up its heartbeat, at least.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a process that was upgraded stays for what is open: as long as Twilio lets a call last.
const HANDOVER_LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// A request that takes less than this is short: at shutdown, those who wait for it in the backlog hardly notice.
const SHORT_REQUEST: Duration = Duration::from_secs(1);

/// How often a shutdown looks for requests in flight.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A counter that an accept loop counts up while it runs.
pub(super) type Heartbeat = Arc<AtomicU64>;

/// What a worker needs from outside.
pub(super) struct Context {
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) settings: Arc<ArcSwap<Settings>>,
    /// The places of client connections; shared by all workers.
    pub(super) places: Arc<Places>,
    /// Cancelled when the shutdown begins.
    pub(super) shutdown: CancellationToken,
    /// Whether others keep the listeners open: then connections that aren't accepted here wait for the next process.
    pub(super) listeners_outlive_us: bool,
    /// Set before the shutdown begins if another process accepts from the same listeners now.
    pub(super) is_handed_over: Arc<AtomicBool>,
}

/// Runs a worker until it has drained. Returns how many connections were cut off.
pub(super) fn run(
    listeners: Vec<(std::net::TcpListener, Heartbeat)>,
    context: Context,
    places: WorkerPlaces,
) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default());
    match runtime {
        Ok(runtime) => {
            runtime.block_on(async { Worker::new(context, places).run(listeners).await })
        }
        Err(error) => {
            error!(error = describe_error(&error), "worker could not start");
            0
        }
    }
}

struct Worker {
    context: Context,
    proxy: Rc<Proxy>,
    tasks: TaskTracker,
    connections: Rc<Connections>,
    future_slots: FutureSlots,
    /// Cancelled when no new connection is accepted any more.
    stop_accepting: CancellationToken,
}

impl Worker {
    /// To be called within the worker's runtime.
    fn new(context: Context, places: WorkerPlaces) -> Rc<Self> {
        let pool = Pool::new();
        let (connections, evict) = places.start();
        tokio::task::spawn_local(evict);
        Rc::new(Self {
            proxy: Rc::new(Proxy::new(Arc::clone(&context.snapshot), pool)),
            tasks: TaskTracker::new(),
            connections,
            future_slots: FutureSlots::default(),
            stop_accepting: CancellationToken::new(),
            context,
        })
    }

    async fn run(self: Rc<Self>, listeners: Vec<(std::net::TcpListener, Heartbeat)>) -> usize {
        let accept_loops = TaskTracker::new();
        for (listener, heartbeat) in listeners {
            accept_loops.spawn_local(Rc::clone(&self).accept(listener, heartbeat));
        }
        self.context.shutdown.cancelled().await;
        let is_handed_over = self.is_handed_over();
        let limit = match is_handed_over {
            true => HANDOVER_LIMIT,
            false => self.context.settings.load().drain,
        };
        let finish = async {
            if self.context.listeners_outlive_us && !is_handed_over {
                self.serve_on(limit.saturating_sub(self.proxy.snapshot().longest_deadline()))
                    .await;
            }
            self.stop_accepting.cancel();
            self.connections.set_phase(Phase::Draining);
            self.finish_requests(accept_loops).await;
        };
        let _ = timeout(limit, finish).await;
        self.tasks.len()
    }

    fn is_handed_over(&self) -> bool {
        self.context.is_handed_over.load(Relaxed)
    }

    /// Goes on accepting while requests are in flight that take long, so that nobody has to wait for them in the backlog.
    async fn serve_on(&self, limit: Duration) {
        self.connections.set_phase(Phase::Closing);
        let began = Instant::now();
        let has_slow_requests = || match began.elapsed() < SHORT_REQUEST {
            // Which of them are slow, nobody knows yet.
            true => self.connections.has_requests(),
            false => self.connections.has_requests_of(SHORT_REQUEST),
        };
        while began.elapsed() < limit && has_slow_requests() {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until every connection has ended, or only streams are left.
    async fn finish_requests(&self, accept_loops: TaskTracker) {
        let all = async {
            accept_loops.close();
            accept_loops.wait().await;
            self.tasks.close();
            self.tasks.wait().await;
        };
        let only_streams = async {
            if self.is_handed_over() {
                // They hold up nothing.
                std::future::pending::<()>().await;
            }
            // Until then connections come out of the backlog.
            sleep(BACKLOG_TIMEOUT).await;
            while self.connections.has_ending() {
                sleep(POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            () = all => {}
            () = only_streams => {}
        }
    }

    /// Accepts connections from one listener until the worker stops accepting, then those that already wait in its backlog:
    /// the kernel resets them when the listener is closed.
    async fn accept(self: Rc<Self>, listener: std::net::TcpListener, heartbeat: Heartbeat) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                error!(error = describe_error(&error), "listener could not start");
                return;
            }
        };
        let listener = Listener::new(listener);
        self.accept_until_stop(&listener, &heartbeat).await;
        if self.is_handed_over() {
            return;
        }
        let backlog = async {
            while let Ok(accepted) = timeout(BACKLOG_IDLE_TIMEOUT, listener.accept()).await {
                self.serve_accepted(accepted, false).await;
            }
        };
        let _ = timeout(BACKLOG_TIMEOUT, backlog).await;
    }

    async fn accept_until_stop(&self, listener: &Listener, heartbeat: &Heartbeat) {
        let mut stop = pin!(self.stop_accepting.cancelled());
        let mut ticks = interval(HEARTBEAT_INTERVAL);
        let mut is_failing = false;
        while !self.stop_accepting.is_cancelled() {
            heartbeat.fetch_add(1, Relaxed);
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => return,
                _ = ticks.tick() => continue,
            };
            let mut served = pin!(self.serve_accepted(accepted, is_failing));
            // While it waits for a place, the loop is not stuck.
            is_failing = loop {
                tokio::select! {
                    is_failing = &mut served => break is_failing,
                    _ = ticks.tick() => heartbeat.fetch_add(1, Relaxed),
                };
            };
        }
    }

    /// Serves a connection once there is a place for it; until then others wait in the backlog. If the system has no more
    /// sockets, that is logged once, and the next accept waits. Returns whether accepting is failing.
    async fn serve_accepted(&self, accepted: io::Result<NewConnection>, was_failing: bool) -> bool {
        match accepted {
            Ok(connection) => {
                let permit = self.context.places.take().await;
                self.serve(connection, permit);
                false
            }
            Err(error) if is_of_connection(&error) => was_failing,
            Err(error) => {
                if !was_failing {
                    warn!(
                        error = describe_error(&error),
                        "accept failed; trying again"
                    );
                }
                sleep(ACCEPT_BACKOFF).await;
                true
            }
        }
    }

    fn serve(&self, connection: NewConnection, permit: OwnedSemaphorePermit) {
        let NewConnection {
            stream,
            address,
            local,
        } = connection;
        let snapshot = self.proxy.snapshot();
        // A listener on `[::]` has clients with IPv4 addresses too, which come as IPv6 ones.
        let ip = address.ip().to_canonical();
        let address = SocketAddr::new(ip, address.port());
        let is_trusted = snapshot.is_trusted(ip);
        let open = Counted::new(&snapshot.shared.metrics.client_connections);
        let client = Client {
            address,
            peer: Peer::new(address, local, is_trusted),
            place: Place::new(&self.connections),
            proxy: Rc::clone(&self.proxy),
            settings: self.context.settings.load_full(),
            future_slots: self.future_slots.clone(),
        };
        // Boxed: tokio moves what it spawns several times, and this is large.
        self.tasks.spawn_local(Box::pin(async move {
            let _open = (open, permit);
            connection::serve(stream, client).await;
        }));
    }
}

/// A listener whose connections need no system calls for their options, and mostly none for their local address.
struct Listener {
    listener: TcpListener,
    /// Its address, which is that of its connections too, unless it listens on every address of the machine.
    address: Option<SocketAddr>,
}

/// A connection that was just accepted.
struct NewConnection {
    stream: TcpStream,
    /// The client's.
    address: SocketAddr,
    /// Ours.
    local: SocketAddr,
}

impl Listener {
    fn new(listener: TcpListener) -> Self {
        tcp::prepare_listener(&listener);
        let address = listener.local_addr().ok();
        Self {
            address: address.filter(|address| !address.ip().is_unspecified()),
            listener,
        }
    }

    async fn accept(&self) -> io::Result<NewConnection> {
        let (stream, address) = self.listener.accept().await?;
        let local = match self.address {
            Some(local) => local,
            None => stream.local_addr()?,
        };
        Ok(NewConnection {
            stream,
            address,
            local,
        })
    }
}

/// Whether an error of accept concerns only the connection that was about to be accepted.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
