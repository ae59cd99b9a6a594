//! A request of our own, on a connection of its own: whether the app is there, and what a fallback URL has to say.

use bytes::Bytes;
use http::header::HOST;
use http::{Request, response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

use super::connection::connected;
use super::wire::HEAD_LIMIT;
use super::{Error, Upstream, headers};

/// How long an app may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(2);

impl Upstream {
    /// Whether the app takes a connection and, if there is a path to ask at, answers GET there with success or a redirect.
    pub async fn is_there(&self, path: Option<&str>) -> bool {
        let Some(path) = path else {
            return connected(&self.settings).await.is_ok();
        };
        let Ok(request) = Request::get(path).body(Full::default()) else {
            return false;
        };
        match timeout(PATIENCE, self.ask(request, HEAD_LIMIT)).await {
            Ok(Ok((head, _))) => head.status.is_success() || head.status.is_redirection(),
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Sends this request and collects its answer, of which the body may have `limit` bytes. `Host` is written if it isn't there.
    ///
    /// # Errors
    ///
    /// Why there is no whole answer.
    pub async fn ask(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<(response::Parts, Bytes), Error> {
        let host = request.headers_mut().entry(HOST);
        host.or_insert_with(|| self.authority.clone());
        let stream = TokioIo::new(connected(&self.settings).await?);
        let handshake = http1::Builder::new()
            .title_case_headers(true)
            .max_buf_size(HEAD_LIMIT)
            .handshake(stream)
            .await;
        let (mut sender, driver) = handshake.map_err(Error::of_head)?;
        let mut answer = pin!(async {
            let answer = sender.send_request(request).await.map_err(Error::of_head)?;
            let (mut head, body) = answer.into_parts();
            headers::rewrite_response(&mut head)?;
            Ok((head, collected(body, limit).await?))
        });
        tokio::select! {
            answer = &mut answer => answer,
            // The connection may end before what came on it is taken.
            _ = driver => answer.await,
        }
    }
}

async fn collected(body: Incoming, limit: usize) -> Result<Bytes, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::BodyTooLarge(limit)),
        Err(_) => Err(Error::Truncated),
    }
}
