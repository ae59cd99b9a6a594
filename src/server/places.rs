//! Places for client connections, `max_connections` in all. When all are taken, the connection that has been without a request
//! for longest gives its place to a new one; those that never had a request come first, those with a request in flight never.
//!
//! Each worker keeps its own connections in order, and publishes only since when its first ones have been idle. So requests cross
//! no thread for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

/// After how long a new connection looks again for one that is idle, if there was none.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How long a connection that gives way may take to close before another one is asked.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// A head that is not whole after this time makes its connection no less idle.
const HEAD_GRACE: Duration = Duration::from_secs(1);

/// The places of all workers.
pub(super) struct Places {
    permits: Arc<Semaphore>,
    workers: Vec<Arc<Front>>,
}

/// What a worker shows the others of its idle connections.
struct Front {
    /// Since when the first one that never had a request has been idle, and the first one of the others: nanoseconds since the
    /// start, or [`NEVER`].
    since: [AtomicU64; 2],
    /// Asks the worker to close one. It answers when it has chosen one, and drops the question if it has none.
    requests: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

const NEVER: u64 = u64::MAX;

impl Places {
    /// So many places, shared by so many workers, with the counter of evictions. Also gives each worker's own connections.
    pub(super) fn new(
        count: usize,
        workers: usize,
        evicted: IntCounter,
    ) -> (Arc<Self>, Vec<WorkerPlaces>) {
        let start = Instant::now();
        let evictions = Arc::new(Evictions {
            counter: evicted,
            is_logged: AtomicBool::new(false),
        });
        let (fronts, own) = (0..workers)
            .map(|_| {
                let (sender, requests) = mpsc::unbounded_channel();
                let front = Arc::new(Front {
                    since: [AtomicU64::new(NEVER), AtomicU64::new(NEVER)],
                    requests: sender,
                });
                let own = WorkerPlaces {
                    front: Arc::clone(&front),
                    requests,
                    evictions: Arc::clone(&evictions),
                    start,
                };
                (front, own)
            })
            .unzip();
        let places = Self {
            permits: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            workers: fronts,
        };
        (Arc::new(places), own)
    }

    /// A place for a new connection. If all are taken, an idle connection is closed for it; if none is idle, it waits.
    pub(super) async fn take(&self) -> OwnedSemaphorePermit {
        let permits = Arc::clone(&self.permits);
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            return permit;
        }
        let mut permit = pin!(permits.acquire_owned());
        loop {
            let evict = async {
                match self.ask_for_eviction().await {
                    true => sleep(CLOSE_TIMEOUT).await,
                    false => sleep(RETRY_INTERVAL).await,
                }
            };
            tokio::select! {
                biased;
                permit = &mut permit => return permit.expect("the semaphore is never closed"),
                () = evict => {}
            }
        }
    }

    /// Asks the worker with the connection that has been idle for longest to close it, and the next one if it can't. Returns
    /// whether one does.
    async fn ask_for_eviction(&self) -> bool {
        for worker in self.longest_idle_first() {
            let (sender, chosen) = oneshot::channel();
            let is_asked = worker.requests.send(sender).is_ok();
            if is_asked && matches!(timeout(CLOSE_TIMEOUT, chosen).await, Ok(Ok(()))) {
                return true;
            }
        }
        false
    }

    /// The workers that have idle connections.
    fn longest_idle_first(&self) -> Vec<&Front> {
        let idle_since = |front: &Arc<Front>| {
            let since = front.since.each_ref().map(|since| since.load(Relaxed));
            let kind = since.iter().position(|since| *since != NEVER)?;
            Some((kind, since[kind]))
        };
        let workers = self.workers.iter();
        let mut idle: Vec<_> = workers
            .filter_map(|front| Some((idle_since(front)?, &**front)))
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        idle.into_iter().map(|(_, front)| front).collect()
    }
}

/// Counts the connections that gave way.
struct Evictions {
    counter: IntCounter,
    is_logged: AtomicBool,
}

impl Evictions {
    /// Counts one, and logs the first.
    fn add(&self) {
        self.counter.inc();
        if !self.is_logged.swap(true, Relaxed) {
            warn!("all of max_connections are taken; idle connections are closed for new ones");
        }
    }
}

/// One worker's part of the places, before the worker runs.
pub(super) struct WorkerPlaces {
    front: Arc<Front>,
    requests: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    evictions: Arc<Evictions>,
    start: Instant,
}

impl WorkerPlaces {
    /// The worker's connections. The future closes one whenever a worker asks for it; it never ends while the server runs.
    pub(super) fn start(self) -> (Rc<IdleConnections>, impl Future<Output = ()>) {
        let connections = Rc::new(IdleConnections {
            lists: RefCell::default(),
            front: self.front,
            start: self.start,
        });
        let evict = evict_on_request(Rc::clone(&connections), self.requests, self.evictions);
        (connections, evict)
    }
}

async fn evict_on_request(
    connections: Rc<IdleConnections>,
    mut requests: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    evictions: Arc<Evictions>,
) {
    while let Some(request) = requests.recv().await {
        // What clients have sent already is read first, so that none of their requests is lost.
        yield_now().await;
        // Whoever asked may have found a place meanwhile.
        if !request.is_closed()
            && let Some(place) = connections.first()
        {
            place.evict();
            evictions.add();
            // Then it is closed all the same.
            let _ = request.send(());
        }
    }
}

/// The connections of one worker that have no request in flight, in the order in which they became so.
pub(super) struct IdleConnections {
    /// Those that never had a request, and the others.
    lists: RefCell<[List; 2]>,
    front: Arc<Front>,
    start: Instant,
}

/// Entries of connections that aren't idle any more stay in it for a while.
#[derive(Default)]
struct List {
    entries: VecDeque<Entry>,
    /// How many entries are of connections that are still idle.
    idle: usize,
}

struct Entry {
    place: Weak<Place>,
    turn: u64,
    since: u64,
}

impl Entry {
    /// The connection, if it has been idle since then.
    fn idle_place(&self) -> Option<Rc<Place>> {
        let place = self.place.upgrade()?;
        (place.idle_turn.get() == Some(self.turn)).then_some(place)
    }
}

impl List {
    fn push(&mut self, entry: Entry) {
        self.idle += 1;
        if self.entries.len() > 2 * self.idle + 64 {
            self.entries.retain(|entry| entry.idle_place().is_some());
        }
        self.entries.push_back(entry);
    }

    /// Since when its first connection has been idle.
    fn since(&mut self) -> u64 {
        while let Some(first) = self.entries.front() {
            if first.idle_place().is_some() {
                return first.since;
            }
            self.entries.pop_front();
        }
        NEVER
    }
}

impl IdleConnections {
    fn add(&self, place: Weak<Place>, turn: u64, kind: usize) {
        let since = Instant::now().duration_since(self.start).as_nanos();
        let entry = Entry {
            place,
            turn,
            since: u64::try_from(since).unwrap_or(NEVER - 1),
        };
        let list = &mut self.lists.borrow_mut()[kind];
        list.push(entry);
        self.front.since[kind].store(list.since(), Relaxed);
    }

    /// One that was idle isn't any more.
    fn remove_one(&self, kind: usize) {
        let list = &mut self.lists.borrow_mut()[kind];
        list.idle -= 1;
        self.front.since[kind].store(list.since(), Relaxed);
    }

    /// The first one that can be closed.
    fn first(&self) -> Option<Rc<Place>> {
        let lists = self.lists.borrow();
        let mut entries = lists.iter().flat_map(|list| &list.entries);
        entries.find_map(|entry| entry.idle_place().filter(|place| place.can_be_evicted()))
    }
}

/// The place of one connection. At first it is idle, and never had a request.
pub(super) struct Place {
    connections: Rc<IdleConnections>,
    /// Counts how often it became idle.
    turn: Cell<u64>,
    /// The current turn, if it is idle.
    idle_turn: Cell<Option<u64>>,
    had_request: Cell<bool>,
    /// Since when part of a request's head has been here.
    head_since: Cell<Option<Instant>>,
    /// Part of the last response is still to be written.
    is_write_blocked: Cell<bool>,
    is_evicted: Cell<bool>,
    /// The connection's task.
    waker: RefCell<Option<Waker>>,
}

impl Place {
    /// A new connection's place.
    pub(super) fn new(connections: &Rc<IdleConnections>) -> Rc<Self> {
        let place = Rc::new(Self {
            connections: Rc::clone(connections),
            turn: Cell::new(0),
            idle_turn: Cell::new(Some(0)),
            had_request: Cell::new(false),
            head_since: Cell::new(None),
            is_write_blocked: Cell::new(false),
            is_evicted: Cell::new(false),
            waker: RefCell::default(),
        });
        connections.add(Rc::downgrade(&place), 0, place.kind());
        place
    }

    /// Which list it is in.
    fn kind(&self) -> usize {
        self.had_request.get().into()
    }

    /// The first request is in flight.
    pub(super) fn set_busy(&self) {
        if self.idle_turn.take().is_some() {
            self.connections.remove_one(self.kind());
        }
        self.had_request.set(true);
        self.head_since.set(None);
    }

    /// The last request in flight has ended.
    pub(super) fn set_idle(self: &Rc<Self>) {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        if self.idle_turn.replace(Some(turn)).is_none() {
            let weak = Rc::downgrade(self);
            self.connections.add(weak, turn, self.kind());
        }
    }

    /// Part of a request's head has come.
    pub(super) fn set_reading_head(&self, since: Instant) {
        self.head_since.set(Some(since));
    }

    /// The client doesn't take what is written to it, or takes it again.
    pub(super) fn set_write_blocked(&self, is_blocked: bool) {
        self.is_write_blocked.set(is_blocked);
    }

    fn can_be_evicted(&self) -> bool {
        let head_since = self.head_since.get();
        !self.is_evicted.get()
            && !self.is_write_blocked.get()
            && head_since.is_none_or(|since| since.elapsed() >= HEAD_GRACE)
    }

    fn evict(&self) {
        self.is_evicted.set(true);
        if self.idle_turn.take().is_some() {
            self.connections.remove_one(self.kind());
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether it ever had a request.
    pub(super) fn had_request(&self) -> bool {
        self.had_request.get()
    }

    /// Whether the place is given to another connection.
    pub(super) fn is_evicted(&self) -> bool {
        self.is_evicted.get()
    }

    /// Ready when the place is given to another connection. Only the last task that polled it is woken.
    pub(super) fn poll_evicted(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_evicted.get() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|own| own.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.idle_turn.take().is_some() {
            self.connections.remove_one(self.kind());
        }
    }
}
