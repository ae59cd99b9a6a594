//! Twilio's side: one webhook, and what Twilio makes of the response.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, timeout};

use super::super::http_client;
use crate::failure::Failure;
use crate::response::{self, Disposition, Expectations, decode_body, plan_response};
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{self, Kind, Rules, Strictness};
use crate::upstream;

/// Twilio waits for 15 s; the demo cuts its silence short.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// The form of a call, with made-up numbers.
const CALL: &str = "CallSid=CA00000000000000000000000000000001&AccountSid=AC00000000000000000000000000000002\
     &From=%2B12025550147&To=%2B14155550123&CallStatus=ringing&Direction=inbound";
/// The form of a message.
const MESSAGE: &str = "MessageSid=SM00000000000000000000000000000003&AccountSid=AC00000000000000000000000000000002\
     &From=%2B12025550147&To=%2B14155550123&Body=Hello&NumMedia=0";

/// What Twilio got for a webhook.
pub(super) struct Delivery {
    /// Where the valid TwiML came from, or why Twilio can't act on the response.
    pub(super) result: Result<Source, Failure>,
    pub(super) took: Duration,
}

/// Where a TwiML document came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    App,
    /// The fallback, for this reason.
    Fallback(String),
}

/// The form that Twilio sends.
pub(super) fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Voice => CALL,
        Kind::Messaging => MESSAGE,
    }
}

/// Sends a webhook to this address.
pub(super) async fn deliver(address: SocketAddr, kind: Kind, path: &str) -> Delivery {
    let began = Instant::now();
    let sent = http_client::send(address, request(address, kind, path), RESPONSE_LIMIT);
    let result = match timeout(TIMEOUT, sent).await {
        Ok(Ok(response)) => validate(response, kind),
        Ok(Err(error)) => Err(upstream_error(error).into()),
        Err(_) => Err(Failure::Deadline),
    };
    let took = began.elapsed();
    Delivery { result, took }
}

fn request(address: SocketAddr, kind: Kind, path: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, "TwilioProxy/1.1")
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=UTF-8",
        )
        .body(Full::from(form(kind)))
        .expect("the demo's paths and addresses are visible ASCII")
}

/// Validates a response by the same rules as the proxy.
fn validate(response: Response<Bytes>, kind: Kind) -> Result<Source, Failure> {
    let (head, body) = response.into_parts();
    let expectations = Expectations {
        kind,
        strictness: Some(Strictness::Twilio),
        pass_status: &[],
        conditional: false,
    };
    let disposition = plan_response(&head, expectations)?;
    if body.is_empty() {
        return Err(response::Error::Empty.into());
    }
    let (document, _) = decode_body(&head.headers, body, RESPONSE_LIMIT)?;
    let charset = match disposition {
        Disposition::Validate { charset, .. } => charset,
        // Twilio might accept it, but the demo promises TwiML.
        Disposition::Stream | Disposition::Pass | Disposition::PassBody(_) => None,
    };
    let rules = Rules::new(kind, Strictness::Twilio);
    twiml::validate(document, charset.as_deref(), &rules)?;
    Ok(match head.headers.get("understudy-fallback") {
        None => Source::App,
        Some(reason) => Source::Fallback(String::from_utf8_lossy(reason.as_bytes()).into_owned()),
    })
}

/// The error as the proxy names it, for its Twilio code.
fn upstream_error(error: http_client::Error) -> upstream::Error {
    use http_client::Error;
    match error {
        Error::Connect(error) => upstream::Error::Connect(error),
        Error::Head(error) if error.is_parse() => upstream::Error::NotHttp(error),
        Error::Head(_) => upstream::Error::Reset,
        Error::TooLarge(limit) => upstream::Error::BodyTooLarge(limit),
        Error::Truncated => upstream::Error::Truncated,
    }
}
