//! Sends one request on a connection of its own, without TLS: to an admin listener, or within the demo.

use std::io;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, ToSocketAddrs};

/// Why there is no whole response.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Connect(io::Error),
    #[error(transparent)]
    Head(hyper::Error),
    #[error("the response is over {0} bytes")]
    TooLarge(usize),
    #[error("the connection ended within the response")]
    Truncated,
}

/// Sends a request and collects the response, whose body may have `limit` bytes.
pub(super) async fn send(
    address: impl ToSocketAddrs,
    request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Response<Bytes>, Error> {
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Error::Head)?;
    // The sender reports the connection's errors, too.
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(Error::Head)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, limit).collect().await;
    connection.abort();
    match body {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge(limit)),
        Err(_) => Err(Error::Truncated),
    }
}
