//! What only HTTP/1.1 has: responses that hyper doesn't send itself.

use std::convert::Infallible;
use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::activity::TrackedBody;
use super::client_stream::{ClientStream, WatchedStream};
use super::driver::CLOSE_TIMEOUT;

/// The most bytes that a request's head may have.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// For a head that takes too long (RFC 9110 §15.5.9).
pub(super) const REQUEST_TIMEOUT: &str =
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n";

/// For HTTP/2 without TLS.
pub(super) const VERSION_NOT_SUPPORTED: &str =
    "HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\nContent-Length: 0\r\n";

/// Serves HTTP/1.1 on this stream. Its time is limited elsewhere.
pub(super) fn serve<S>(
    stream: WatchedStream,
    is_tls: bool,
    service: S,
) -> Connection<TokioIo<WatchedStream>, S>
where
    S: HttpService<Incoming, ResBody = TrackedBody, Error = Infallible>,
{
    Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_LIMIT)
        .max_header_size(HEAD_LIMIT)
        .writev(false)
        // Then it doesn't watch for a client that leaves, which its driver does at less cost.
        .half_close(!is_tls)
        .serve_connection(TokioIo::new(stream), service)
}

/// Sends a response that hyper doesn't send, of which this is the head without its `Date`, and closes the connection.
pub(super) async fn send_last(mut stream: ClientStream, head: &str) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let response = format!("{head}Date: {date}\r\n\r\n");
    let send = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    };
    // The client may be too slow to take it, or gone.
    let _ = timeout(CLOSE_TIMEOUT, send).await;
}
