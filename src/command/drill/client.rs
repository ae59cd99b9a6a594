//! A client of the admin listener's drills.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::super::{exit_status, http_client};
use crate::secret::Secret;

/// How long the proxy may take to respond.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a response: more than the longest list of drills.
const RESPONSE_LIMIT: usize = 16 << 20;

/// A client of one proxy's admin listener.
pub(super) struct Client<'a> {
    admin: &'a Authority,
    token: Option<&'a Secret>,
}

/// A successful response.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) document: Value,
}

/// Why the proxy did not do what was requested.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the request can't be sent: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(
        "the admin listener at {admin} can't be reached: {reason}; \
         is the proxy running, and is this its `server.admin`? name another with --admin ADDR"
    )]
    Unreachable { admin: Authority, reason: String },
    #[error(
        "what answers at {admin} ({}) is not the admin listener of this understudy; name it with --admin ADDR",
        .status.as_u16()
    )]
    NotAdmin {
        admin: Authority,
        status: StatusCode,
    },
    #[error("{error}")]
    Refused { status: StatusCode, error: String },
}

impl Error {
    /// [`exit_status::INVALID`] if the proxy understood the request and refused the drill.
    pub(super) fn exit_status(&self) -> u8 {
        match self {
            Self::Refused {
                status:
                    StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY,
                ..
            } => exit_status::INVALID,
            Self::Refused { .. }
            | Self::Runtime(_)
            | Self::Unreachable { .. }
            | Self::NotAdmin { .. } => exit_status::UNREADABLE,
        }
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(admin: &'a Authority, token: Option<&'a Secret>) -> Self {
        Self { admin, token }
    }

    /// Requests the drills that run.
    pub(super) async fn list(&self) -> Result<Reply, Error> {
        self.send(Method::GET, "/api/drills", None).await
    }

    /// Changes a route's drill.
    pub(super) async fn change(
        &self,
        method: Method,
        route: &str,
        drill: Option<&Value>,
    ) -> Result<Reply, Error> {
        let route = utf8_percent_encode(route, NON_ALPHANUMERIC);
        let path = format!("/api/drills/{route}");
        self.send(method, &path, drill).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, Error> {
        let request = self.request(method, path, body);
        let sent = http_client::send(self.admin.as_str(), request, RESPONSE_LIMIT);
        let response = match timeout(TIMEOUT, sent).await {
            Ok(result) => result.map_err(|error| self.unreachable(&error))?,
            Err(elapsed) => return Err(self.unreachable(&elapsed)),
        };
        let reply = Reply {
            status: response.status(),
            document: serde_json::from_slice(response.body()).unwrap_or_default(),
        };
        let status = reply.status;
        match reply.document.get("error").and_then(Value::as_str) {
            _ if status.is_success() => Ok(reply),
            Some(error) => {
                let error = error.to_owned();
                Err(Error::Refused { status, error })
            }
            None => Err(self.not_admin(&reply)),
        }
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.admin.as_str())
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        request
            .body(Full::from(body))
            .expect("paths are percent-encoded, and an authority is a valid Host")
    }

    /// A reply's document as a type.
    pub(super) fn parse<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, Error> {
        T::deserialize(&reply.document).map_err(|_| self.not_admin(reply))
    }

    fn not_admin(&self, reply: &Reply) -> Error {
        let (admin, status) = (self.admin.clone(), reply.status);
        Error::NotAdmin { admin, status }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Error {
        Error::Unreachable {
            admin: self.admin.clone(),
            reason: error.to_string(),
        }
    }
}
