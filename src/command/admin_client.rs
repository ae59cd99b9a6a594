//! A client of a running proxy's admin listener, and the arguments that name it.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::{exit_status, http_client};
use crate::secret::Secret;

/// How long the proxy may take to respond.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a response: more than the longest list, and more than the largest callback.
const RESPONSE_LIMIT: usize = 16 << 20;

/// The proxy's admin listener.
#[derive(Debug, Args)]
pub struct Proxy {
    /// The proxy's admin listener, `server.admin` in its configuration.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464", value_parser = parse_address)]
    admin: Authority,
    /// The file with its token, if it isn't on loopback.
    #[arg(long, value_name = "FILE", value_parser = parse_token)]
    admin_token_file: Option<Secret>,
}

/// Reads a token from a file: on the command line every process could see it.
fn parse_token(file: &str) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Secret::new(&text).ok_or_else(|| "the file has no token: one word without blanks".to_owned())
}

fn parse_address(text: &str) -> Result<Authority, &'static str> {
    let address: Option<Authority> = text.parse().ok();
    address
        .filter(|address| address.port_u16().is_some() && !text.contains('@'))
        .ok_or("an address is HOST:PORT, such as 127.0.0.1:9464")
}

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
    /// [`exit_status::INVALID`] if the proxy understood the request and refused it.
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

/// What was done, in words.
pub(super) struct Done {
    pub(super) words: String,
    /// Whether all that was asked for was done.
    pub(super) is_complete: bool,
}

impl Done {
    pub(super) fn complete(words: String) -> Self {
        Self {
            words,
            is_complete: true,
        }
    }
}

/// Prints on `out` what was done, or on `err` why it was not; gives back the exit status.
pub(super) fn print(
    done: Result<Done, Error>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    match done {
        Ok(Done { words, is_complete }) => {
            // If the output can't be written, the exit status still says how it went.
            let _ = writeln!(out, "{words}").and_then(|()| out.flush());
            match is_complete {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(exit_status::INVALID),
            }
        }
        Err(error) => {
            let _ = writeln!(err, "{error}");
            ExitCode::from(error.exit_status())
        }
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(proxy: &'a Proxy) -> Self {
        Self {
            admin: &proxy.admin,
            token: proxy.admin_token_file.as_ref(),
        }
    }

    /// Sends a request. A path's parts must be percent-encoded.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Error> {
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
