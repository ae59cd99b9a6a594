//! Places for client connections, `max_connections` in all. When all are taken, the connection that has been without a request
//! for longest gives its place to a new one; those that never had a request come first, those with a request in flight never.
//!
//! Each worker keeps its own connections in order, and publishes only since when its first ones have been idle. So requests cross
//! no thread for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
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

/// A response that isn't whole so long after its head is a stream: it holds up no shutdown.
const STREAM_GRACE: Duration = Duration::from_secs(2);

/// The places of all workers.
pub(super) struct Places {
    permits: Arc<Semaphore>,
    workers: Vec<Arc<WorkerHandle>>,
}

/// What the other workers know of a worker: since when its connections have been idle, and how to ask it to close one.
struct WorkerHandle {
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
        let (handles, own) = (0..workers)
            .map(|_| {
                let (sender, requests) = mpsc::unbounded_channel();
                let handle = Arc::new(WorkerHandle {
                    since: [AtomicU64::new(NEVER), AtomicU64::new(NEVER)],
                    requests: sender,
                });
                let own = WorkerPlaces {
                    handle: Arc::clone(&handle),
                    requests,
                    evictions: Arc::clone(&evictions),
                    start,
                };
                (handle, own)
            })
            .unzip();
        let places = Self {
            permits: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            workers: handles,
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
    fn longest_idle_first(&self) -> Vec<&WorkerHandle> {
        let idle_since = |handle: &Arc<WorkerHandle>| {
            let since = handle.since.each_ref().map(|since| since.load(Relaxed));
            let kind = since.iter().position(|since| *since != NEVER)?;
            Some((kind, since[kind]))
        };
        let workers = self.workers.iter();
        let mut idle: Vec<_> = workers
            .filter_map(|handle| Some((idle_since(handle)?, &**handle)))
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        idle.into_iter().map(|(_, handle)| handle).collect()
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
    handle: Arc<WorkerHandle>,
    requests: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    evictions: Arc<Evictions>,
    start: Instant,
}

impl WorkerPlaces {
    /// The worker's connections. The future closes one whenever a worker asks for it; it never ends while the server runs.
    pub(super) fn start(self) -> (Rc<Connections>, impl Future<Output = ()>) {
        let connections = Rc::new(Connections {
            phase: Cell::default(),
            all: RefCell::default(),
            open: Cell::new(0),
            lists: RefCell::default(),
            handle: self.handle,
            start: self.start,
        });
        let evict = evict_on_request(Rc::clone(&connections), self.requests, self.evictions);
        (connections, evict)
    }
}

async fn evict_on_request(
    connections: Rc<Connections>,
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

/// How far a worker's shutdown has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It has not begun.
    #[default]
    Running,
    /// New connections are accepted, and each connection's next request is its last one.
    Closing,
    /// No new connection is accepted.
    Draining,
}

/// The connections of one worker.
pub(super) struct Connections {
    phase: Cell<Phase>,
    /// All of them, and some that were closed.
    all: RefCell<Vec<Weak<Place>>>,
    open: Cell<usize>,
    /// Those without a request in flight, in the order in which they became so: first those that never had a request, then the
    /// others.
    lists: RefCell<[List; 2]>,
    handle: Arc<WorkerHandle>,
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

impl Connections {
    /// How far the shutdown has come.
    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The shutdown has come so far. Every connection looks at it.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
        for place in self.places() {
            place.wake();
        }
    }

    /// Whether a request is in flight, or its head arrives. Streams don't count.
    pub(super) fn has_requests(&self) -> bool {
        self.places().iter().any(|place| {
            let is_sending_head = place.head_since.get().is_some() && !place.has_slow_head();
            is_sending_head || place.in_flight_since().is_some()
        })
    }

    /// Whether a request has been in flight for so long. Streams don't count.
    pub(super) fn has_requests_of(&self, age: Duration) -> bool {
        let mut since = self
            .places()
            .into_iter()
            .filter_map(|place| place.in_flight_since());
        since.any(|since| since.elapsed() >= age)
    }

    /// Whether there is a connection that soon ends by itself: all but streams, and clients that keep us waiting.
    pub(super) fn has_ending(&self) -> bool {
        self.places().iter().any(|place| place.ends_soon())
    }

    fn places(&self) -> Vec<Rc<Place>> {
        self.all.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    fn add_place(&self, place: Weak<Place>) {
        self.open.set(self.open.get() + 1);
        let mut all = self.all.borrow_mut();
        if all.len() > 2 * self.open.get() + 64 {
            all.retain(|place| place.strong_count() > 0);
        }
        all.push(place);
    }

    fn add(&self, place: Weak<Place>, turn: u64, kind: usize, since: Instant) {
        let since = since.duration_since(self.start).as_nanos();
        let entry = Entry {
            place,
            turn,
            since: u64::try_from(since).unwrap_or(NEVER - 1),
        };
        let list = &mut self.lists.borrow_mut()[kind];
        list.push(entry);
        self.handle.since[kind].store(list.since(), Relaxed);
    }

    /// One of the idle connections is no longer idle.
    fn remove_one(&self, kind: usize) {
        let list = &mut self.lists.borrow_mut()[kind];
        list.idle -= 1;
        self.handle.since[kind].store(list.since(), Relaxed);
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
    connections: Rc<Connections>,
    /// Counts how often it became idle.
    turn: Cell<u64>,
    /// The current turn, if it is idle.
    idle_turn: Cell<Option<u64>>,
    had_request: Cell<bool>,
    /// Since when part of a request's head has been here.
    head_since: Cell<Option<Instant>>,
    /// How many requests have no response yet, and when the last one came.
    waiting: Cell<usize>,
    last_request: Cell<Option<Instant>>,
    /// When the head of the last response was there.
    last_response: Cell<Option<Instant>>,
    /// Part of the last response is still to be written.
    is_write_blocked: Cell<bool>,
    is_evicted: Cell<bool>,
    /// The connection's task.
    waker: RefCell<Option<Waker>>,
}

impl Place {
    /// A new connection's place.
    pub(super) fn new(connections: &Rc<Connections>) -> Rc<Self> {
        let place = Rc::new(Self {
            connections: Rc::clone(connections),
            turn: Cell::new(0),
            idle_turn: Cell::new(Some(0)),
            had_request: Cell::new(false),
            head_since: Cell::new(None),
            waiting: Cell::new(0),
            last_request: Cell::new(None),
            last_response: Cell::new(None),
            is_write_blocked: Cell::new(false),
            is_evicted: Cell::new(false),
            waker: RefCell::default(),
        });
        connections.add_place(Rc::downgrade(&place));
        connections.add(Rc::downgrade(&place), 0, place.kind(), Instant::now());
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
    pub(super) fn set_idle(self: &Rc<Self>, since: Instant) {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        if self.idle_turn.replace(Some(turn)).is_none() {
            let weak = Rc::downgrade(self);
            self.connections.add(weak, turn, self.kind(), since);
        }
    }

    /// A request has come.
    pub(super) fn add_request(&self, at: Instant) {
        self.waiting.set(self.waiting.get() + 1);
        self.last_request.set(Some(at));
    }

    /// The head of its response is there, or there will be none.
    pub(super) fn add_response(&self, at: Instant) {
        self.waiting.set(self.waiting.get() - 1);
        self.last_response.set(Some(at));
    }

    /// Since when a request is in flight; the last one, if there are several. Streams don't count.
    fn in_flight_since(&self) -> Option<Instant> {
        if self.waiting.get() > 0 {
            return self.last_request.get();
        }
        let is_sending = self.idle_turn.get().is_none() && !self.is_evicted.get();
        let last_response = self.last_response.get()?;
        let is_in_flight =
            (is_sending || self.is_write_blocked.get()) && last_response.elapsed() < STREAM_GRACE;
        is_in_flight.then_some(self.last_request.get()?)
    }

    /// Whether it ends by itself at shutdown, and soon.
    fn ends_soon(&self) -> bool {
        let is_closing = self.is_evicted.get()
            || self.idle_turn.get().is_some()
                && !self.is_write_blocked.get()
                && !self.has_slow_head();
        is_closing || self.in_flight_since().is_some()
    }

    fn has_slow_head(&self) -> bool {
        self.head_since
            .get()
            .is_some_and(|since| since.elapsed() >= HEAD_GRACE)
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
        !self.is_evicted.get()
            && !self.is_write_blocked.get()
            && (self.head_since.get().is_none() || self.has_slow_head())
    }

    fn evict(&self) {
        self.is_evicted.set(true);
        if self.idle_turn.take().is_some() {
            self.connections.remove_one(self.kind());
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// How far the worker's shutdown has come.
    pub(super) fn phase(&self) -> Phase {
        self.connections.phase()
    }

    /// Whether it ever had a request.
    pub(super) fn had_request(&self) -> bool {
        self.had_request.get()
    }

    /// Whether the place is given to another connection.
    pub(super) fn is_evicted(&self) -> bool {
        self.is_evicted.get()
    }

    /// Wakes this task when the place is given to another connection or the shutdown comes further. Only the last task is woken.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|own| own.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Waits until the place is given to another connection, or the shutdown is so far that no new connection is accepted.
    pub(super) async fn closed(&self) -> Closed {
        poll_fn(|cx| {
            self.watch(cx);
            if self.is_evicted.get() {
                return Poll::Ready(Closed::Evicted);
            }
            match self.phase() {
                Phase::Draining => Poll::Ready(Closed::Draining),
                Phase::Running | Phase::Closing => Poll::Pending,
            }
        })
        .await
    }
}

/// Why a connection that is not up yet is given up.
pub(super) enum Closed {
    /// Its place is given to another connection.
    Evicted,
    /// The worker shuts down.
    Draining,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open.set(self.connections.open.get() - 1);
        if self.idle_turn.take().is_some() {
            self.connections.remove_one(self.kind());
        }
    }
}
