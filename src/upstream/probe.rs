//! A request of our own, on a connection of its own: a health probe, or one to a fallback URL.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode, response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::connection::http1;
use super::error::Error;
use super::headers;
use super::names::Names;
use super::stream::HEAD_LIMIT;
use super::target::Upstream;

/// How long an upstream may take to respond to a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is no response.
    #[error(transparent)]
    Upstream(#[from] Error),
    /// The response took longer than 2 s.
    #[error("the app did not respond within 2 s")]
    TimedOut,
    /// The status is neither a success nor a redirect.
    #[error("the app answered {}", .0.as_u16())]
    Status(StatusCode),
    /// The path can't be asked for.
    #[error("the health path can't be sent")]
    Path,
}

impl Upstream {
    /// Asks whether the upstream takes a connection and, if there is a path, whether it responds to GET there with success or a
    /// redirect. `host` is the `Host` that its requests have, if the upstream's settings do not name one.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn probe(
        &self,
        path: Option<&str>,
        host: Option<&HeaderValue>,
    ) -> Result<(), ProbeError> {
        let Some(path) = path else {
            return self.open().await.map(drop).map_err(ProbeError::Upstream);
        };
        let request = Request::get(path).body(Full::default());
        let mut request = request.map_err(|_| ProbeError::Path)?;
        if let Some(host) = host {
            request.headers_mut().insert(HOST, host.clone());
        }
        let asked = timeout(PROBE_TIMEOUT, self.ask(request, HEAD_LIMIT)).await;
        let (head, _) = asked.map_err(|_| ProbeError::TimedOut)??;
        if head.status.is_success() || head.status.is_redirection() {
            Ok(())
        } else {
            Err(ProbeError::Status(head.status))
        }
    }

    /// Sends this request and collects its response, of which the body may have `limit` bytes. `Host` is written if it isn't there.
    ///
    /// # Errors
    ///
    /// Why there is no whole response.
    pub async fn ask(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<(response::Parts, Bytes), Error> {
        self.address_request(request.headers_mut());
        let stream = TokioIo::new(self.open().await?);
        let (mut sender, driver) = http1().handshake(stream).await.map_err(Error::of_head)?;
        let mut response = pin!(async {
            let response = sender.send_request(request).await.map_err(Error::of_head)?;
            let (mut head, body) = response.into_parts();
            let names = Names::of(&head.headers);
            headers::rewrite_response(&mut head, names)?;
            Ok((head, collect_body(body, limit).await?))
        });
        tokio::select! {
            response = &mut response => response,
            // The connection may end before what came on it is taken.
            _ = driver => response.await,
        }
    }
}

async fn collect_body(body: Incoming, limit: usize) -> Result<Bytes, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::BodyTooLarge(limit)),
        Err(_) => Err(Error::Truncated),
    }
}
