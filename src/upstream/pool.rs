//! A worker's idle connections to the app, the last used first.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::forward::LateResponse;
use super::{ConnectionStats, Upstream};
use crate::twilio::{RESPONSE_LIMIT, WEBHOOK_TIMEOUT};

/// How long the upstream may go on with a request whose response nobody waits for.
const LATE_RESPONSE_TIMEOUT: Duration = WEBHOOK_TIMEOUT;

/// How many bytes of such a response are read, so that its connection can serve the next request.
const LATE_RESPONSE_LIMIT: usize = 4 * RESPONSE_LIMIT;

/// The idle connections of one worker, and the responses that nobody waits for. Never crosses threads.
pub struct Pool {
    idle: RefCell<Idle>,
    late: UnboundedSender<LateResponse>,
}

struct Idle {
    /// Which app they lead to; a reload may bring another.
    upstream: Option<Arc<Upstream>>,
    /// The one at the end was used last.
    connections: Vec<Connection>,
}

impl Pool {
    /// A pool without connections. To be called on the worker's own thread, within its runtime.
    pub fn new() -> Rc<Self> {
        let (late, responses) = unbounded_channel();
        tokio::task::spawn_local(finish_responses(responses));
        let idle = Idle {
            upstream: None,
            connections: Vec::new(),
        };
        Rc::new(Self {
            idle: RefCell::new(idle),
            late,
        })
    }

    /// Lets the upstream finish a response that nobody waits for.
    pub(super) fn finish_late(&self, response: LateResponse) {
        // The receiver ends with the worker, and so does the response.
        let _ = self.late.send(response);
    }

    /// The idle connection that was used last and is still good.
    pub(super) fn take(&self, upstream: &Arc<Upstream>) -> Option<Connection> {
        let idle = &mut *self.idle.borrow_mut();
        if !idle.leads_to(upstream) {
            return None;
        }
        let now = Instant::now();
        while let Some(mut connection) = idle.connections.pop() {
            upstream.stats.left_idle(1);
            if now.duration_since(connection.idle_since) > upstream.settings.idle_timeout {
                // The ones below have been idle for longer.
                idle.clear(&upstream.stats);
                return None;
            }
            if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next call.
    pub(super) fn give(&self, upstream: &Arc<Upstream>, mut connection: Connection) {
        let idle = &mut *self.idle.borrow_mut();
        if idle.upstream.is_none() {
            idle.upstream = Some(Arc::clone(upstream));
        }
        if idle.leads_to(upstream) && !connection.has_ended() {
            connection.idle_since = Instant::now();
            idle.connections.push(connection);
            upstream.stats.became_idle();
        }
    }

    /// Closes connections that have been idle too long, or that lead to an app that is no longer configured, for ever.
    pub async fn sweep(self: Rc<Self>, current: impl Fn() -> Arc<Upstream>) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let upstream = current();
            let idle = &mut *self.idle.borrow_mut();
            if !idle.leads_to(&upstream) {
                idle.clear(&upstream.stats);
                idle.upstream = Some(upstream);
                continue;
            }
            let now = Instant::now();
            let fresh = |connection: &Connection| {
                now.duration_since(connection.idle_since) <= upstream.settings.idle_timeout
            };
            let old = idle.connections.iter().take_while(|c| !fresh(c)).count();
            idle.connections.drain(..old);
            upstream.stats.left_idle(old);
        }
    }
}

async fn finish_responses(mut responses: UnboundedReceiver<LateResponse>) {
    while let Some(response) = responses.recv().await {
        tokio::task::spawn_local(timeout(
            LATE_RESPONSE_TIMEOUT,
            response.finish(LATE_RESPONSE_LIMIT),
        ));
    }
}

impl Idle {
    fn leads_to(&self, upstream: &Arc<Upstream>) -> bool {
        self.upstream
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, upstream))
    }

    fn clear(&mut self, census: &ConnectionStats) {
        census.left_idle(self.connections.len());
        self.connections.clear();
    }
}
