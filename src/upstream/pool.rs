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
    #[expect(clippy::vec_box, reason = "each is handed on in its box")]
    connections: Vec<Box<Connection>>,
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

    /// The idle connection that was used last and is still good, as far as can be told without a look at its socket.
    pub(super) fn take(&self, upstream: &Arc<Upstream>) -> Option<Box<Connection>> {
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
                && connection.is_ready()
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
        mut connection: Box<Connection>,
        until: Instant,
    ) {
        if connection.has_ended() {
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;
    use tokio::time::advance;

    use super::super::{Address, ConnectionStats, Host, Settings};
    use super::*;

    fn settings(listener: &TcpListener) -> Settings {
        let address = listener.local_addr().expect("an address");
        let minute = Duration::from_secs(60);
        Settings {
            name: "app".to_owned(),
            address: Address::Tcp(Host::Address(address.ip()), address.port()),
            host: None,
            tls: None,
            connect_timeout: minute,
            retry_connect: minute,
            idle_timeout: minute,
            max_connection_age: minute,
            max_in_flight: 1,
        }
    }

    /// Expects that the pool closes the first of two idle connections when it is due, and no sooner.
    async fn check_first_of(milliseconds: [u64; 2]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stats = Arc::new(ConnectionStats::default());
        let upstream = Arc::new(Upstream::new(settings(&listener), stats));
        let pool = Pool::new();
        let start = Instant::now();
        let mut peers = Vec::new();
        for after in milliseconds.map(Duration::from_millis) {
            let connection = upstream.connect().await.expect("a connection");
            peers.push((after, listener.accept().await.expect("it comes").0));
            pool.give(&upstream, connection, start + after);
        }
        // Timers have a resolution of a millisecond.
        let (after, peer) = peers
            .iter_mut()
            .min_by_key(|(after, _)| *after)
            .expect("two");
        advance(*after - Duration::from_millis(2)).await;
        tokio::task::yield_now().await;
        let nothing_yet = peer.try_read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(nothing_yet, Err(std::io::ErrorKind::WouldBlock));
        assert_eq!(peer.read(&mut [0]).await.expect("its end"), 0);
        assert!(start.elapsed() <= *after + Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_when_it_is_due() {
        let local = LocalSet::new();
        local.run_until(check_first_of([3000, 5000])).await;
        // The closing task waits for a later one already.
        local.run_until(check_first_of([5000, 3000])).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_not_used_from_the_very_instant_at_which_it_is_due() {
        let take_when_due_in = async |time: Duration| {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let stats = Arc::new(ConnectionStats::default());
            let upstream = Arc::new(Upstream::new(settings(&listener), stats));
            let pool = Pool::new();
            let connection = upstream.connect().await.expect("a connection");
            pool.give(&upstream, connection, Instant::now() + time);
            pool.take(&upstream).is_some()
        };
        let local = LocalSet::new();
        let is_used = local.run_until(take_when_due_in(Duration::from_millis(1)));
        assert!(is_used.await);
        assert!(!local.run_until(take_when_due_in(Duration::ZERO)).await);
    }
}
