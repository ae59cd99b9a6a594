//! One worker: a thread with its own runtime, its share of the listeners and its own connections to the app.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalRuntime;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, interval, sleep, timeout};
use tracing::{error, warn};

use super::{Common, connection};
use crate::log::describe_error;
use crate::proxy::Proxy;
use crate::upstream::Pool;
use crate::upstream::headers::Peer;

/// How long an accept loop rests when the machine has no more sockets to give.
const REST: Duration = Duration::from_millis(100);

/// How long a listener goes on at shutdown, and how quiet it must have been to end before.
const LAST_ACCEPTS: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_millis(2);

/// How often an accept loop shows that it goes round, at least.
const BEAT: Duration = Duration::from_secs(1);

/// A listening socket, and where its accept loop shows that it goes round.
pub(super) type Listener = (std::net::TcpListener, Arc<AtomicU64>);

/// The future that is ready when the drain has begun.
pub(super) type Drained<'a> = tokio::sync::futures::Notified<'a>;

/// Whether this worker is to finish what it has and take nothing new.
#[derive(Default)]
pub(super) struct Drain {
    since: Cell<Option<Instant>>,
    begun: Notify,
}

impl Drain {
    pub(super) fn is_on(&self) -> bool {
        self.since.get().is_some()
    }

    /// When it began, if it has.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.get()
    }

    /// Ready, or waking, when the drain begins.
    pub(super) fn begun(&self) -> Pin<Box<Drained<'_>>> {
        Box::pin(self.begun.notified())
    }

    fn begin(&self) {
        self.since.set(Some(Instant::now()));
        self.begun.notify_waiters();
    }
}

/// How many connections this worker has.
#[derive(Default)]
struct Open {
    count: Cell<usize>,
    none: Notify,
}

/// One open connection; counted until it is dropped.
struct Place {
    open: Rc<Open>,
    gauge: prometheus::IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(open: &Rc<Open>, gauge: prometheus::IntGauge, permit: OwnedSemaphorePermit) -> Self {
        open.count.set(open.count.get() + 1);
        gauge.inc();
        Self {
            open: Rc::clone(open),
            gauge,
            _permit: permit,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.dec();
        self.open.count.set(self.open.count.get() - 1);
        if self.open.count.get() == 0 {
            self.open.none.notify_waiters();
        }
    }
}

/// Runs until it is drained: how many connections with a call on them were cut off.
pub(super) fn run(listeners: Vec<Listener>, common: Common) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default());
    match runtime {
        Ok(runtime) => serve(&runtime, listeners, common),
        Err(error) => {
            error!(error = describe_error(&error), "worker could not start");
            0
        }
    }
}

fn serve(runtime: &LocalRuntime, listeners: Vec<Listener>, common: Common) -> usize {
    runtime.block_on(async move {
        let pool = Pool::new();
        let worker = Rc::new(Worker {
            proxy: Rc::new(Proxy::new(Arc::clone(&common.site), pool)),
            drain: Rc::default(),
            open: Rc::default(),
            common,
        });
        worker.run(listeners).await
    })
}

struct Worker {
    common: Common,
    proxy: Rc<Proxy>,
    drain: Rc<Drain>,
    open: Rc<Open>,
}

impl Worker {
    async fn run(self: Rc<Self>, listeners: Vec<Listener>) -> usize {
        let accepting = listeners
            .into_iter()
            .map(|listener| tokio::task::spawn_local(Rc::clone(&self).accept(listener)));
        let accepting: Vec<_> = accepting.collect();
        // An error means that the sender is gone, which ends the worker as well.
        let _ = self.common.drain.clone().wait_for(|drain| *drain).await;
        self.drain.begin();
        for listener in accepting {
            let _ = listener.await;
        }
        self.finish().await
    }

    /// Takes connections from one listener until the drain begins, then those that already wait in its backlog.
    async fn accept(self: Rc<Self>, (listener, rounds): Listener) {
        let Ok(listener) = TcpListener::from_std(listener)
            .inspect_err(|error| error!(error = describe_error(error), "listener could not start"))
        else {
            return;
        };
        let mut drained = self.drain.begun();
        let mut exhausted = false;
        let mut beat = interval(BEAT);
        while !self.drain.is_on() {
            rounds.fetch_add(1, Relaxed);
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut drained => break,
                _ = beat.tick() => continue,
            };
            let mut taken = pin!(self.take(accepted, exhausted));
            // It may wait for a place, which is no standstill.
            exhausted = loop {
                tokio::select! {
                    exhausted = &mut taken => break exhausted,
                    _ = beat.tick() => rounds.fetch_add(1, Relaxed),
                };
            };
        }
        // A connection that the kernel has accepted would be reset with the listener.
        let last = timeout(LAST_ACCEPTS, async {
            while let Ok(accepted) = timeout(QUIET, listener.accept()).await {
                self.take(accepted, false).await;
            }
        });
        let _ = last.await;
    }

    /// Serves a connection once there is a place for it; until then it waits, and with it the kernel's backlog. An error of
    /// accepting is weather: said once, waited out. Whether it lasts.
    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>, exhausted: bool) -> bool {
        match accepted {
            Ok((stream, address)) => {
                if let Ok(permit) = Arc::clone(&self.common.places).acquire_owned().await {
                    self.begin(stream, address, permit);
                }
                false
            }
            Err(error) if is_clients(&error) => exhausted,
            Err(error) => {
                if !exhausted {
                    warn!(
                        error = describe_error(&error),
                        "accept failed; trying again"
                    );
                }
                sleep(REST).await;
                true
            }
        }
    }

    fn begin(&self, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        let site = self.proxy.snapshot();
        let trusted = site
            .trusted_proxies
            .iter()
            .any(|block| block.contains(&address.ip().to_canonical()));
        let gauge = site.shared.metrics.client_connections.clone();
        let place = Place::new(&self.open, gauge, permit);
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let serving = connection::serve(
            stream,
            Peer::new(address.ip(), trusted),
            Rc::clone(&self.proxy),
            self.common.settings.load_full(),
            Rc::clone(&self.drain),
        );
        tokio::task::spawn_local(async move {
            let _place = place;
            serving.await;
        });
    }

    /// Waits for every connection to end, at most as long as the drain may take: how many didn't.
    async fn finish(&self) -> usize {
        let ended = async {
            while self.open.count.get() > 0 {
                self.open.none.notified().await;
            }
        };
        let patience = self.common.settings.load().drain;
        let _ = timeout(patience, ended).await;
        self.open.count.get()
    }
}

/// Whether an error of accepting concerns that one connection only.
fn is_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
