//! HTTP/2 with a client that asks for it within TLS: many calls at once on one connection, each on a task of its own.
//!
//! Twilio doesn't speak it; browsers and load balancers do. What hyper says of a request is made plain like any other's.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::Settings;
use super::connection::{CLOSING, HEAD_LIMIT};
use super::control_frames::ControlFrameBudget;
use super::watch::Watch;
use super::wire::Wire;
use super::worker::{Drain, Drained};
use crate::log::describe_error;
use crate::proxy::{Proxy, ResponseBody};
use crate::tls::Stream;
use crate::upstream;
use crate::upstream::headers::Peer;

/// How many calls at once on one connection; RFC 9113 §6.5.2 wants no fewer.
const MOST_CALLS: u32 = 100;

/// How many requests a client may take back before we have looked at them. Another one ends the connection (CVE-2023-44487).
const MOST_TAKEN_BACK: usize = 20;

/// How much of request bodies a client may send before we read it: on one call, and on all of a connection.
const CALL_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// How much of an answer waits for the client to take it.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves every request of a connection until it ends.
pub(super) async fn serve(
    stream: Stream<TcpStream>,
    peer: Peer,
    proxy: Rc<Proxy>,
    settings: &Settings,
    drain: &Drain,
) {
    let watch = Rc::new(Watch::new());
    // A client may always have sent something that we don't read when we close: frames about the connection itself.
    watch.leaves_unread();
    let calls = Rc::new(Calls::new());
    let peer = Rc::new(peer);
    let counted = Rc::clone(&calls);
    let service = service_fn(move |request| {
        let call = Call::begin(&counted);
        answer(request, Rc::clone(&proxy), Rc::clone(&peer), call)
    });
    let wire = Wire::new(stream, watch).bounding(&calls.control_frames);
    let connection = builder().serve_connection(TokioIo::new(wire), service);
    let mut connection = pin!(connection);
    let mut drained = drain.begun();
    let mut closing = None;
    loop {
        let patience = match closing {
            None => settings.keep_alive,
            Some(_) => CLOSING,
        };
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(error = describe_error(&error), "client connection failed");
                }
                return;
            }
            () = begun(drain, drained.as_mut()), if closing.is_none() => {}
            () = calls.none_for(patience, closing) => {
                if closing.is_some() {
                    return;
                }
            }
        }
        // It says so (GOAWAY), and takes what is on its way.
        connection.as_mut().graceful_shutdown();
        closing = Some(Instant::now());
    }
}

/// Waits until the drain has begun, if it hasn't.
async fn begun(drain: &Drain, drained: Pin<&mut Drained<'_>>) {
    if !drain.is_on() {
        drained.await;
    }
}

fn builder() -> Builder<OnThisThread> {
    let mut builder = Builder::new(OnThisThread);
    builder
        .max_concurrent_streams(MOST_CALLS)
        .max_pending_accept_reset_streams(MOST_TAKEN_BACK)
        .max_header_list_size(HEAD_LIMIT as u32)
        .initial_stream_window_size(CALL_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Answers one request; there is no upgrade in HTTP/2, so no tunnel.
async fn answer(
    request: Request<Incoming>,
    proxy: Rc<Proxy>,
    peer: Rc<Peer>,
    call: Call,
) -> Result<Response<Answering>, Infallible> {
    let answered = proxy.handle(request, &peer).await;
    call.waits_for(Whom::Client);
    Ok(answered.response.map(|page| Answering { page, call }))
}

/// Runs each call on the worker's own thread.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, call: F) {
        tokio::task::spawn_local(call);
    }
}

/// What the calls of one connection are at.
struct Calls {
    /// Those that wait for us or for the app, not for the client.
    busy: Cell<usize>,
    /// When something last happened.
    since: Cell<Instant>,
    idle: Notify,
    control_frames: Rc<ControlFrameBudget>,
}

impl Calls {
    fn new() -> Self {
        Self {
            busy: Cell::new(0),
            since: Cell::new(Instant::now()),
            idle: Notify::new(),
            control_frames: ControlFrameBudget::new(),
        }
    }

    /// Waits until no call has been under way for so long, since this moment at the earliest. A client that takes nothing of its
    /// answers is as idle as one that asks for nothing.
    async fn none_for(&self, time: Duration, earliest: Option<Instant>) {
        loop {
            if self.busy.get() > 0 {
                self.idle.notified().await;
                continue;
            }
            let since = self.since.get();
            let due = earliest.map_or(since, |at| at.max(since)) + time;
            if Instant::now() >= due {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// Whom a call waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    App,
    Client,
}

/// One call; it has ended when it is dropped.
struct Call {
    calls: Rc<Calls>,
    waits_for: Cell<Whom>,
}

impl Call {
    fn begin(calls: &Rc<Calls>) -> Self {
        calls.busy.set(calls.busy.get() + 1);
        Self {
            calls: Rc::clone(calls),
            waits_for: Cell::new(Whom::App),
        }
    }

    fn waits_for(&self, whom: Whom) {
        let calls = &self.calls;
        calls.since.set(Instant::now());
        match (self.waits_for.replace(whom), whom) {
            (Whom::App, Whom::Client) => calls.busy.set(calls.busy.get() - 1),
            (Whom::Client, Whom::App) => calls.busy.set(calls.busy.get() + 1),
            (Whom::App, Whom::App) | (Whom::Client, Whom::Client) => {}
        }
        if calls.busy.get() == 0 {
            calls.idle.notify_one();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.waits_for(Whom::Client);
    }
}

/// A page on its way out, asked for more only when the client takes more.
struct Answering {
    page: ResponseBody,
    call: Call,
}

impl Body for Answering {
    type Data = Bytes;
    type Error = upstream::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, upstream::Error>>> {
        let frame = Pin::new(&mut self.page).poll_frame(cx);
        let whom = if frame.is_pending() {
            Whom::App
        } else {
            Whom::Client
        };
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.call.calls.control_frames.add_sent(length);
        }
        self.call.waits_for(whom);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.page.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.page.size_hint()
    }
}
