//! Requests, reloads and apps that close their connections, in any order: whatever happens, no connection serves two requests at once,
//! and none is used again that is too old, was renewed, or should not be.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::either::Either;

use super::connection::Connection;
use super::in_flight::InFlight;
use super::pool::Pool;
use super::stream::Stream;
use super::{Address, ConnectionStats, Settings, Upstream};
use crate::body::RequestBody;

const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_AGE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    /// The app responds to one of the requests.
    Respond(usize, End),
    /// Nobody waits for one of the requests any more.
    Abort(usize),
    /// The app closes one of those that wait for a request.
    Close(usize),
    /// A reload renews all connections.
    Renew,
    Wait(u64),
}

/// What the app says of the connection.
#[derive(Clone, Copy, Debug)]
enum End {
    Keep,
    /// It will keep it for so many seconds.
    KeepFor(u64),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        4 => Just(End::Keep),
        1 => (0..6_u64).prop_map(End::KeepFor),
        1 => Just(End::Close),
    ];
    prop_oneof![
        6 => Just(Step::Begin),
        6 => (0..4_usize, end).prop_map(|(at, end)| Step::Respond(at, end)),
        1 => (0..4_usize).prop_map(Step::Abort),
        1 => (0..4_usize).prop_map(Step::Close),
        1 => Just(Step::Renew),
        3 => (0..5000_u64).prop_map(Step::Wait),
    ]
}

/// The app's end of a connection.
struct Peer {
    /// None if the app has closed it.
    stream: Option<UnixStream>,
    opened_at: Instant,
    /// Reloads before it was opened.
    renewals: usize,
}

/// A connection that waits for a request, as it should.
struct Idle {
    peer: Peer,
    until: Instant,
}

struct Simulation {
    upstream: Arc<Upstream>,
    pool: Rc<Pool>,
    renewals: usize,
    in_flight: Vec<(InFlight, Peer)>,
    /// The one that was used last at the end.
    idle: Vec<Idle>,
}

impl Simulation {
    fn new() -> Self {
        let settings = Settings {
            name: "app".to_owned(),
            address: Address::Unix("/".into()),
            host: None,
            tls: None,
            connect_timeout: MAX_AGE,
            retry_connect: MAX_AGE,
            idle_timeout: IDLE_TIMEOUT,
            max_connection_age: MAX_AGE,
            max_in_flight: 1,
        };
        Self {
            upstream: Arc::new(Upstream::new(
                settings,
                Arc::new(ConnectionStats::default()),
            )),
            pool: Pool::new(),
            renewals: 0,
            in_flight: Vec::new(),
            idle: Vec::new(),
        }
    }

    async fn run(mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            match step {
                Step::Begin => self.begin().await?,
                Step::Respond(at, end) if at < self.in_flight.len() => {
                    self.respond(at, end).await?;
                }
                Step::Abort(at) if at < self.in_flight.len() => {
                    let (in_flight, peer) = self.in_flight.swap_remove(at);
                    drop(in_flight);
                    peer.expect_end().await?;
                }
                Step::Close(at) if at < self.idle.len() => {
                    self.idle[at].peer.stream = None;
                    // Time enough to notice it.
                    sleep(Duration::from_millis(1)).await;
                }
                Step::Renew => {
                    self.upstream.renew_connections();
                    self.renewals += 1;
                }
                Step::Wait(millis) => sleep(Duration::from_millis(millis)).await,
                Step::Respond(..) | Step::Abort(_) | Step::Close(_) => {}
            }
            self.check()?;
        }
        drop(self.in_flight);
        sleep(MAX_AGE).await;
        let stats = &self.upstream.stats;
        prop_assert_eq!((stats.idle(), stats.busy()), (0, 0), "a connection is left");
        Ok(())
    }

    /// Begins a request. Of a connection that the app has closed meanwhile, it comes back unsent.
    async fn begin(&mut self) -> Result<(), TestCaseError> {
        while !self.try_to_begin().await? {}
        Ok(())
    }

    /// Begins a request on the connection that was used last of those that are good, or on a new one.
    async fn try_to_begin(&mut self) -> Result<bool, TestCaseError> {
        let taken = self.pool.take(&self.upstream);
        let now = Instant::now();
        let renewals = self.renewals;
        let is_good = |idle: &Idle| idle.until > now && idle.peer.renewals == renewals;
        let expected = self.idle.iter().rposition(is_good);
        prop_assert_eq!(taken.is_some(), expected.is_some());
        let (connection, peer) = match (taken, expected) {
            (Some(connection), Some(at)) => {
                let peer = self.idle.swap_remove(at).peer;
                // Those that were used later were found to be of no use.
                self.idle.truncate(at);
                prop_assert!(now < peer.opened_at + MAX_AGE, "it is too old");
                (connection, peer)
            }
            _ => {
                self.idle.clear();
                self.open().await
            }
        };
        let body = empty_body().await;
        let request = Request::get("/").body(body.replay()).expect("a request");
        let (upstream, pool) = (&self.upstream, &self.pool);
        let mut in_flight = InFlight::start(upstream, pool, connection, request, &body);
        let mut peer = peer;
        let Some(stream) = &mut peer.stream else {
            prop_assert!(in_flight.receive_head().await.is_err());
            prop_assert!(in_flight.take_unsent().is_some(), "the request is lost");
            return Ok(false);
        };
        let mut head = [0; 1024];
        tokio::select! {
            biased;
            head = in_flight.receive_head() => prop_assert!(false, "somebody else's response: {head:?}"),
            // That it comes here shows that it is this very connection.
            read = stream.read(&mut head) => {
                let read = read.expect("the request");
                prop_assert!(head[..read].starts_with(b"GET / HTTP/1.1\r\n"));
            }
        }
        self.in_flight.push((in_flight, peer));
        Ok(true)
    }

    async fn open(&self) -> (Box<Connection>, Peer) {
        let (ours, stream) = UnixStream::pair().expect("two sockets");
        let ours = Stream::new(Either::Right(ours), None).await;
        let (ours, stats) = (ours.expect("no TLS"), &self.upstream.stats);
        let connection = Connection::new(ours, self.renewals as u64, stats).await;
        let peer = Peer {
            stream: Some(stream),
            opened_at: Instant::now(),
            renewals: self.renewals,
        };
        (connection.expect("a connection"), peer)
    }

    async fn respond(&mut self, at: usize, end: End) -> Result<(), TestCaseError> {
        let (mut in_flight, mut peer) = self.in_flight.swap_remove(at);
        let (header, keep_for) = match end {
            End::Keep => (String::new(), Some(IDLE_TIMEOUT)),
            End::Close => ("Connection: close\r\n".to_owned(), None),
            End::KeepFor(seconds) => {
                // A second before its end, or half of it.
                let announced = Duration::from_secs(seconds);
                let margin = Duration::from_secs(1).min(announced / 2);
                let keep_for = IDLE_TIMEOUT.min(announced - margin);
                (format!("Keep-Alive: timeout={seconds}\r\n"), Some(keep_for))
            }
        };
        let response = format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 0\r\n\r\n");
        let stream = peer.stream.as_mut().expect("the app closes only idle ones");
        let written = stream.write_all(response.as_bytes()).await;
        written.expect("it is open");
        let status = in_flight.receive_head().await;
        prop_assert_eq!(status.expect("a response").as_u16(), 200);
        prop_assert!(in_flight.is_at_end());
        let now = Instant::now();
        in_flight.release(now);
        let until = keep_for.map(|keep_for| (now + keep_for).min(peer.opened_at + MAX_AGE));
        match until.filter(|until| *until > now && peer.renewals == self.renewals) {
            Some(until) => self.idle.push(Idle { peer, until }),
            None => peer.expect_end().await?,
        }
        Ok(())
    }

    /// What is due is closed, and nothing else.
    fn check(&mut self) -> Result<(), TestCaseError> {
        // Timers have a resolution of a millisecond.
        let overdue = Instant::now() - Duration::from_millis(2);
        self.idle.retain(|idle| idle.until > overdue);
        let stats = &self.upstream.stats;
        prop_assert_eq!(stats.busy(), self.in_flight.len() as i64);
        let idle = usize::try_from(stats.idle()).expect("never less than none");
        prop_assert!(idle <= self.idle.len(), "one is overdue");
        Ok(())
    }
}

impl Peer {
    async fn expect_end(self) -> Result<(), TestCaseError> {
        let mut stream = self.stream.expect("the app has not closed it");
        let read = stream.read(&mut [0; 1024]).await;
        prop_assert_eq!(read.expect("its end"), 0);
        Ok(())
    }
}

/// A body of no bytes, as hyper has it.
async fn empty_body() -> RequestBody {
    let (mut client, server) = UnixStream::pair().expect("two sockets");
    let (sender, mut bodies) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        let _ = sender.send(request.into_body());
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("it is open");
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    tokio::select! {
        body = bodies.recv() => RequestBody::new(body.expect("a request"), 0),
        _ = served => unreachable!("it is kept open"),
    }
}

proptest! {
    #[test]
    fn in_any_schedule_a_connection_serves_one_request_at_a_time_while_it_is_good(steps in vec(step(), 0..80)) {
        support::run_on_paused_clock(async { Simulation::new().run(steps).await })?;
    }
}
