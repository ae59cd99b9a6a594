//! What only HTTP/2 has: many requests at once on one connection, each on a task of its own, and limits for them.
//!
//! Twilio doesn't speak HTTP/2; browsers and load balancers do.

use std::convert::Infallible;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::{Builder, Connection};
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;

use super::activity::TrackedBody;
use super::client_stream::ClientStream;
use super::http1::HEAD_LIMIT;

/// The most requests at once on one connection; RFC 9113 §6.5.2 recommends no fewer.
const MAX_STREAMS: u32 = 100;

/// How many requests a client may reset before we have looked at them. One more ends the connection (CVE-2023-44487).
const MAX_RESET_STREAMS: usize = 20;

/// How much of request bodies a client may send before we read it: in one request, and on a connection.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// How much of a response waits for the client to take it.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves HTTP/2 on this stream. Its time is limited elsewhere.
pub(super) fn serve<S>(
    stream: ClientStream,
    service: S,
) -> Connection<TokioIo<ClientStream>, S, LocalExecutor>
where
    S: HttpService<Incoming, ResBody = TrackedBody, Error = Infallible>,
    S::Future: 'static,
{
    Builder::new(LocalExecutor)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_header_list_size(HEAD_LIMIT as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(stream), service)
}

/// Runs each request on the worker's own thread.
#[derive(Clone, Copy)]
pub(super) struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, request: F) {
        tokio::task::spawn_local(request);
    }
}
