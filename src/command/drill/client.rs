//! The other end of the admin listener.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::secret::Secret;

/// How long the proxy may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than the longest list of drills.
const LIMIT: usize = 16 << 20;

/// Who asks a proxy's admin listener.
pub(super) struct Client<'a> {
    admin: &'a Authority,
    token: Option<&'a Secret>,
}

/// What the listener told.
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) document: Value,
}

/// Why nothing came of it.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing can be asked from here.
    Runtime(io::Error),
    /// Nobody can be asked at this address.
    Unreachable {
        admin: Authority,
        error: Box<dyn Error>,
    },
    /// What answers at this address doesn't answer as it should.
    Stranger {
        admin: Authority,
        status: StatusCode,
    },
    /// The proxy says no, and why.
    Refused { status: StatusCode, error: String },
}

impl<'a> Client<'a> {
    pub(super) fn new(admin: &'a Authority, token: Option<&'a Secret>) -> Self {
        Self { admin, token }
    }

    /// Asks for the drills that are on.
    pub(super) async fn list(&self) -> Result<Told, Failure> {
        self.ask(Method::GET, "/api/drills", None).await
    }

    /// Asks for a change of a route's drill.
    pub(super) async fn of_route(
        &self,
        method: Method,
        route: &str,
        wish: Option<&Value>,
    ) -> Result<Told, Failure> {
        let route = utf8_percent_encode(route, NON_ALPHANUMERIC);
        let path = format!("/api/drills/{route}");
        self.ask(method, &path, wish).await
    }

    async fn ask(&self, method: Method, path: &str, wish: Option<&Value>) -> Result<Told, Failure> {
        let wish = wish.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.admin.as_str())
            .header(CONTENT_TYPE, "application/json");
        let request = match self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {}", token.reveal())),
            None => request,
        };
        let request = request
            .body(Full::from(wish))
            .expect("paths are percent-encoded, and an authority is a good Host");
        let answered = match timeout(PATIENCE, exchange(self.admin, request)).await {
            Ok(answered) => answered,
            Err(passed) => Err(passed.into()),
        };
        let (status, body) = answered.map_err(|error| Failure::Unreachable {
            admin: self.admin.clone(),
            error,
        })?;
        let document = serde_json::from_slice(&body).unwrap_or_default();
        let told = Told { status, document };
        match told.document.get("error").and_then(Value::as_str) {
            _ if status.is_success() => Ok(told),
            Some(error) => {
                let error = error.to_owned();
                Err(Failure::Refused { status, error })
            }
            None => Err(self.stranger(&told)),
        }
    }

    /// What was told, in its own form.
    pub(super) fn read<T: DeserializeOwned>(&self, told: &Told) -> Result<T, Failure> {
        T::deserialize(&told.document).map_err(|_| self.stranger(told))
    }

    pub(super) fn stranger(&self, told: &Told) -> Failure {
        let (admin, status) = (self.admin.clone(), told.status);
        Failure::Stranger { admin, status }
    }
}

async fn exchange(
    admin: &Authority,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn Error>> {
    let stream = TcpStream::connect(admin.as_str()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors come out at the sender's end as well.
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LIMIT).collect().await;
    connection.abort();
    Ok((
        status,
        body.map_err(|error| error as Box<dyn Error>)?.to_bytes(),
    ))
}

impl Failure {
    /// Whether the proxy was asked well, and judged.
    pub(super) fn is_verdict(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(
                *status,
                StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY
            ),
            Self::Runtime(_) | Self::Unreachable { .. } | Self::Stranger { .. } => false,
        }
    }
}

impl fmt::Display for Failure {
    /// What is wrong; what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => write!(f, "nothing can be asked from here: {error}"),
            Self::Unreachable { admin, error } => write!(
                f,
                "no admin listener can be asked at {admin}: {error}; \
                 is the proxy running, and is this its `server.admin`? name another with --admin ADDR"
            ),
            Self::Stranger { admin, status } => write!(
                f,
                "what answers at {admin} ({}) is not the admin listener of this understudy; \
                 name it with --admin ADDR",
                status.as_u16()
            ),
            Self::Refused { error, .. } => f.write_str(error),
        }
    }
}

impl Error for Failure {}
