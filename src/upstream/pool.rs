//! A worker's idle connections to all upstreams, the last used first.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::Connection;
use super::target::Upstream;
use crate::twilio::WEBHOOK_TIMEOUT;

/// How long the upstream may go on with a request whose response nobody waits for.
const LATE_RESPONSE_TIMEOUT: Duration = WEBHOOK_TIMEOUT;

/// The reading of a response that nobody waits for.
type LateResponse = Pin<Box<dyn Future<Output = ()>>>;

/// The idle connections of one worker. Never crosses threads.
pub struct Pool {
    idle: RefCell<Vec<Idle>>,
    /// When the next idle connection is due to be closed, as far as the closing task knows.
    next_due: Cell<Option<Instant>>,
    became_due_earlier: Notify,
    late: UnboundedSender<LateResponse>,
}

/// The idle connections to one upstream.
struct Idle {
    upstream: Arc<Upstream>,
    /// The one at the end was used last.
    connections: Vec<Connection>,
}

impl Pool {
    /// A pool without connections. To be called on the worker's own thread, within its runtime.
    pub fn new() -> Rc<Self> {
        let (late, responses) = unbounded_channel();
        let pool = Rc::new(Self {
            idle: RefCell::default(),
            next_due: Cell::new(None),
            became_due_earlier: Notify::new(),
            late,
        });
        tokio::task::spawn_local(finish_responses(responses));
        tokio::task::spawn_local(Rc::clone(&pool).close_due());
        pool
    }

    /// The idle connection that was used last and is still good.
    pub(super) fn take(&self, upstream: &Arc<Upstream>) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let connections = &mut idle
            .iter_mut()
            .find(|idle| idle.is_of(upstream))?
            .connections;
        let now = Instant::now();
        while let Some(mut connection) = connections.pop() {
            upstream.stats.left_idle(1);
            if connection.idle_until > now
                && upstream.is_current(connection.generation)
                && connection.is_usable()
            {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request until it is due to be closed.
    pub(super) fn give(
        &self,
        upstream: &Arc<Upstream>,
        mut connection: Connection,
        until: Instant,
    ) {
        if connection.has_ended() || until <= Instant::now() {
            return;
        }
        connection.idle_until = until;
        connection.is_reused = true;
        upstream.stats.became_idle();
        let mut idle = self.idle.borrow_mut();
        match idle.iter_mut().find(|idle| idle.is_of(upstream)) {
            Some(idle) => idle.connections.push(connection),
            None => idle.push(Idle {
                upstream: Arc::clone(upstream),
                connections: vec![connection],
            }),
        }
        if self.next_due.get().is_none_or(|due| until < due) {
            self.became_due_earlier.notify_one();
        }
    }

    /// Lets the upstream finish a response that nobody waits for.
    pub(super) fn finish_late(&self, response: LateResponse) {
        // The receiver ends with the worker, and so does the response.
        let _ = self.late.send(response);
    }

    /// Closes each idle connection when it is due, for ever.
    async fn close_due(self: Rc<Self>) {
        loop {
            let due = self.close_due_now();
            self.next_due.set(due);
            let earlier = self.became_due_earlier.notified();
            match due {
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = earlier => {}
                },
                None => earlier.await,
            }
        }
    }

    /// Closes what is due now, and returns when the next connection is.
    fn close_due_now(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        for Idle {
            upstream,
            connections,
        } in &mut *idle
        {
            let before = connections.len();
            connections.retain(|connection| connection.idle_until > now);
            upstream.stats.left_idle(before - connections.len());
        }
        idle.retain(|idle| !idle.connections.is_empty());
        let connections = idle.iter().flat_map(|idle| &idle.connections);
        connections.map(|connection| connection.idle_until).min()
    }
}

impl Idle {
    fn is_of(&self, upstream: &Arc<Upstream>) -> bool {
        Arc::ptr_eq(&self.upstream, upstream)
    }
}

async fn finish_responses(mut responses: UnboundedReceiver<LateResponse>) {
    while let Some(response) = responses.recv().await {
        tokio::task::spawn_local(timeout(LATE_RESPONSE_TIMEOUT, response));
    }
}
