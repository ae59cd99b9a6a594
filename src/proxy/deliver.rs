//! Delivers queued callbacks when their upstream is well again: at least once, those of one key in their order.
//!
//! One thread of its own does it, so that no request waits for a delivery. A route's breaker and limits hold for deliveries as for
//! requests. The store decides which callback is next, and that nothing overtakes an older one of its key.

mod attempt;
mod pace;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use super::catch_panic::catch_panic;
use super::permit::ConcurrencyPermit;
use super::probe::probe_in_background;
use super::route::Route;
use super::snapshot::Snapshot;
use crate::breaker::Permit;
use crate::failure::{Failure, UpstreamHealth};
use crate::log::describe_error;
use crate::queue::{Claim, Ending, Store, Summary};
use crate::upstream::Pool;
use attempt::{Attempt, is_expired};
use pace::Pace;

/// How soon a route that could not deliver is checked again: a breaker that closes or a limit that allows more gives no notice.
const RECHECK: Duration = Duration::from_millis(200);

/// How soon a store is asked again after an error.
const STORE_RECHECK: Duration = Duration::from_secs(1);

/// The shortest and the longest time until all routes are looked at again while callbacks wait. The upper bound is for a
/// clock that is set meanwhile.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How often a route that can't deliver is searched for callbacks that have become too old.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// The thread that delivers. Dropping this stops new deliveries, without waiting for those that run.
pub struct Deliverer {
    stop: CancellationToken,
    ended: mpsc::Receiver<()>,
}

impl Deliverer {
    /// Starts to deliver what this store has, as the configuration in force says.
    ///
    /// # Errors
    ///
    /// If the thread can't be started.
    pub fn start(snapshot: Arc<ArcSwap<Snapshot>>, store: Arc<dyn Store>) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let (end, ended) = mpsc::channel();
        let until = stop.clone();
        thread::Builder::new()
            .name("deliveries".to_owned())
            .spawn(move || {
                run(snapshot, store, until);
                // `wait` may not have been called.
                let _ = end.send(());
            })?;
        Ok(Self { stop, ended })
    }

    /// Stops new deliveries.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the running deliveries have ended, for at most `limit`. Those that have not will be made again. Blocks the thread.
    pub fn wait(self, limit: Duration) {
        self.stop.cancel();
        if self.ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            warn!("deliveries were cut off; they will be made again");
        }
    }
}

impl Drop for Deliverer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn run(snapshot: Arc<ArcSwap<Snapshot>>, store: Arc<dyn Store>, stop: CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default());
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            let dispatcher = Rc::new(Dispatcher {
                snapshot,
                store,
                pool: Pool::new(),
                paces: RefCell::default(),
                ended: Notify::new(),
                tasks: TaskTracker::new(),
            });
            dispatcher.run(&stop).await;
        }),
        Err(error) => error!(
            error = describe_error(&error),
            "deliveries could not start: queued callbacks wait"
        ),
    }
}

/// Claims callbacks, and has them delivered.
struct Dispatcher {
    snapshot: Arc<ArcSwap<Snapshot>>,
    store: Arc<dyn Store>,
    pool: Rc<Pool>,
    /// By the name of the route.
    paces: RefCell<BTreeMap<String, Pace>>,
    /// A delivery has ended.
    ended: Notify,
    tasks: TaskTracker,
}

/// What a delivery holds while it runs.
struct Permits {
    breaker: Permit,
    _concurrency: ConcurrencyPermit,
}

impl Dispatcher {
    async fn run(self: Rc<Self>, stop: &CancellationToken) {
        let mut changes = self.store.changes();
        while !stop.is_cancelled() {
            changes.borrow_and_update();
            let pause = Rc::clone(&self).dispatch().await;
            let pause = async {
                match pause {
                    Some(pause) => sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                changed = changes.changed() => if changed.is_err() {
                    break;
                },
                () = self.ended.notified() => {}
                () = pause => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Begins all deliveries that may begin now. Returns when to look again, even if nothing happens; none if nothing waits.
    async fn dispatch(self: Rc<Self>) -> Option<Duration> {
        let snapshot = self.snapshot.load_full();
        let summary = self.store.summary();
        let waiting = summary.routes.iter().filter(|(_, route)| route.waiting > 0);
        let waiting: BTreeSet<_> = waiting.map(|(name, _)| name.as_str()).collect();
        let mut pauses = Vec::new();
        for name in waiting {
            let pause = match snapshot.named(name) {
                Some(route) => {
                    Rc::clone(&self)
                        .dispatch_route(&snapshot, route, &summary)
                        .await
                }
                None => {
                    self.expire(name, &snapshot, &summary).await;
                    None
                }
            };
            pauses.push(pause.unwrap_or(PAUSES.1));
        }
        let first = pauses.into_iter().min()?;
        Some(first.clamp(PAUSES.0, PAUSES.1))
    }

    /// Begins all deliveries of a route that may begin now. Returns when to look again, if time alone allows more.
    async fn dispatch_route(
        self: Rc<Self>,
        snapshot: &Snapshot,
        route: &Arc<Route>,
        summary: &Summary,
    ) -> Option<Duration> {
        let name = &route.settings.name;
        loop {
            let (has_room, pause) =
                self.with_pace(name, |pace| (pace.has_room(), pace.pause(Instant::now())));
            if !has_room || pause.is_some() {
                return pause;
            }
            // Before a callback is claimed: ending the claim again would wake this loop at once.
            let Some(permits) = permits(route) else {
                self.expire(name, snapshot, summary).await;
                return Some(RECHECK);
            };
            let claim = match self.store.claim(name, SystemTime::now()).await {
                Ok(Some(claim)) => claim,
                Ok(None) => return self.time_until_due(name),
                Err(error) => {
                    let error = describe_error(&error);
                    debug!(route = name, error, "the queue can't be asked");
                    return Some(STORE_RECHECK);
                }
            };
            if let Some(claim) = self.expire_if_too_old(claim, snapshot).await {
                self.with_pace(name, Pace::begin);
                let delivery = Rc::clone(&self).deliver(Arc::clone(route), claim, permits);
                self.tasks.spawn_local(delivery);
            }
        }
    }

    fn time_until_due(&self, route: &str) -> Option<Duration> {
        let due = self.store.next_due(route)?;
        Some(due.duration_since(SystemTime::now()).unwrap_or_default())
    }

    fn with_pace<T>(&self, route: &str, change: impl FnOnce(&mut Pace) -> T) -> T {
        let mut paces = self.paces.borrow_mut();
        match paces.get_mut(route) {
            Some(pace) => change(pace),
            None => change(paces.entry(route.to_owned()).or_insert_with(Pace::new)),
        }
    }

    /// Makes dead letters of callbacks that are too old, on a route that can't deliver.
    async fn expire(&self, route: &str, snapshot: &Snapshot, summary: &Summary) {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let oldest = summary.routes.get(route).and_then(|route| route.oldest);
        let age = oldest.and_then(|oldest| clock.duration_since(oldest).ok());
        let max_age = max_age(snapshot);
        let is_checked =
            self.with_pace(route, |pace| pace.expires_after.is_some_and(|at| at > now));
        if is_checked || age.is_none_or(|age| age <= max_age) {
            return;
        }
        self.with_pace(route, |pace| {
            pace.expires_after = Some(now + EXPIRY_INTERVAL)
        });
        while let Ok(Some(claim)) = self.store.claim(route, clock).await {
            if self.expire_if_too_old(claim, snapshot).await.is_some() {
                return;
            }
        }
    }

    /// Makes a dead letter of a callback that is too old; otherwise gives it back.
    async fn expire_if_too_old(&self, claim: Claim, snapshot: &Snapshot) -> Option<Claim> {
        let now = SystemTime::now();
        if !is_expired(&claim, now, max_age(snapshot)) {
            return Some(claim);
        }
        let route = claim.callback.route.clone();
        warn!(
            route,
            id = claim.id.to_string(),
            attempts = claim.attempts,
            "queued callback is too old: it is a dead letter now"
        );
        snapshot.shared.metrics.route(&route).queue().expired();
        let error = "it was not delivered within max_age".to_owned();
        self.finish(claim, Ending::Dead { at: now, error }).await;
        None
    }

    async fn deliver(self: Rc<Self>, route: Arc<Route>, claim: Claim, permits: Permits) {
        let delivered = catch_panic(async {
            Ok::<_, Failure>(Box::pin(route.attempt(&claim, &self.pool)).await)
        });
        let attempt = match delivered.await {
            Ok(attempt) => attempt,
            Err(failure) => Attempt::Failure(failure),
        };
        self.record_health(&attempt, &route, permits);
        let ending = attempt.ending(claim.attempts, SystemTime::now());
        report(&route, &claim, &ending);
        self.with_pace(&route.settings.name, |pace| match &ending {
            Ending::Delivered => pace.succeed(),
            Ending::Retry { .. } => pace.fail(Instant::now()),
            Ending::Dead { .. } => pace.end(),
        });
        self.finish(claim, ending).await;
        self.ended.notify_one();
    }

    async fn finish(&self, claim: Claim, ending: Ending) {
        let id = claim.id.to_string();
        if let Err(error) = self.store.finish(claim, ending).await {
            let error = describe_error(&error);
            warn!(
                id,
                error, "the end of a delivery could not be stored: it will be made again"
            );
        }
    }

    fn record_health(&self, attempt: &Attempt, route: &Arc<Route>, permits: Permits) {
        match attempt.upstream_health() {
            UpstreamHealth::Up => permits.breaker.succeed(),
            UpstreamHealth::Down => {
                if let Some(opened) = permits.breaker.fail(&route.settings.breaker) {
                    probe_in_background(opened, &self.snapshot, route);
                }
            }
            UpstreamHealth::Unknown => {}
        }
    }
}

/// The rights to ask the upstream once; none if the breaker or a limit forbids it.
fn permits(route: &Arc<Route>) -> Option<Permits> {
    let concurrency = route.admit().ok()?;
    Some(Permits {
        breaker: route.breaker.try_acquire()?,
        _concurrency: concurrency,
    })
}

/// How long a callback may wait. Without a queue in the configuration nothing is delivered.
fn max_age(snapshot: &Snapshot) -> Duration {
    let queue = snapshot.queue.as_ref();
    queue.map_or(Duration::MAX, |queue| queue.max_age)
}

fn report(route: &Route, claim: &Claim, ending: &Ending) {
    let name = &route.settings.name;
    let (id, attempt) = (claim.id.to_string(), claim.attempts + 1);
    match ending {
        Ending::Delivered => {
            route.metrics.queue().delivered();
            debug!(route = name, id, attempt, "queued callback delivered");
        }
        Ending::Retry { error, .. } => info!(
            route = name,
            id, attempt, error, "queued callback not delivered; it will be tried again"
        ),
        Ending::Dead { error, .. } => warn!(
            route = name,
            id, attempt, error, "queued callback not delivered: it is a dead letter now"
        ),
    }
}
