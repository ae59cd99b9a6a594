//! The body of a request that changes something.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

/// How long a request's body may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body can't be read whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the request's body is over {0} bytes")]
    TooLarge(usize),
    #[error("the request's body did not arrive within {} s", TIMEOUT.as_secs())]
    TooSlow,
    #[error("the request is not valid HTTP")]
    Framing,
}

impl Error {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Framing => StatusCode::BAD_REQUEST,
        }
    }
}

/// Collects a body, which may have `limit` bytes.
pub(super) async fn read(body: Incoming, limit: usize) -> Result<Bytes, Error> {
    match timeout(TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Error::TooLarge(limit)),
        Ok(Err(_)) => Err(Error::Framing),
        Err(_) => Err(Error::TooSlow),
    }
}
