//! Twilio's side of a call: one webhook, and what Twilio makes of the answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::PATIENCE;
use crate::failure::Failure;
use crate::response::{self, Disposition, Expectations, decode_body, plan_response};
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{self, Kind, Rules, Strictness};
use crate::upstream::Error;

/// What is sent for a call, made up in its numbers.
const CALL: &str = "CallSid=CA00000000000000000000000000000001&AccountSid=AC00000000000000000000000000000002\
     &From=%2B12025550147&To=%2B14155550123&CallStatus=ringing&Direction=inbound";
/// What is sent for a message.
const MESSAGE: &str = "MessageSid=SM00000000000000000000000000000003&AccountSid=AC00000000000000000000000000000002\
     &From=%2B12025550147&To=%2B14155550123&Body=Hello&NumMedia=0";

/// What came back, and when.
pub(super) struct Heard {
    /// Valid TwiML, or why Twilio can't act on what came.
    pub(super) page: Result<Page, Failure>,
    pub(super) took: Duration,
}

/// Whose TwiML it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The app's.
    Own,
    /// The fallback's, for this reason.
    Fallback(String),
}

impl Heard {
    /// What Twilio hears at this address.
    pub(super) async fn at(address: SocketAddr, kind: Kind, path: &str) -> Self {
        let began = Instant::now();
        let page = match timeout(PATIENCE, call(address, kind, path)).await {
            Ok(page) => page,
            Err(_) => Err(Failure::Deadline),
        };
        let took = began.elapsed();
        Self { page, took }
    }
}

/// The form that Twilio sends.
pub(super) fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Voice => CALL,
        Kind::Messaging => MESSAGE,
    }
}

async fn call(address: SocketAddr, kind: Kind, path: &str) -> Result<Page, Failure> {
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(of_head)?;
    // Its errors come out at the sender's end as well.
    let connection = tokio::task::spawn_local(connection);
    let answer = sender.send_request(request(address, kind, path)).await;
    let heard = judged(answer.map_err(of_head)?, kind).await;
    connection.abort();
    heard
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
        .expect("the demo's paths and addresses are written in visible ASCII")
}

/// Judges an answer by the same rules as the proxy.
async fn judged(answer: Response<Incoming>, kind: Kind) -> Result<Page, Failure> {
    let (head, body) = answer.into_parts();
    let terms = Expectations {
        kind,
        strictness: Some(Strictness::Twilio),
        pass_status: &[],
        conditional: false,
    };
    let planned = plan_response(&head, terms)?;
    let page = Limited::new(body, RESPONSE_LIMIT).collect().await;
    let page = page.map_err(|error| of_body(error.as_ref()))?.to_bytes();
    if page.is_empty() {
        return Err(response::Error::Empty.into());
    }
    let (page, _) = decode_body(&head.headers, page, RESPONSE_LIMIT)?;
    let charset = match planned {
        Disposition::Validate { charset, .. } => charset,
        // Twilio might take it, but what the demo promises is TwiML.
        Disposition::Stream | Disposition::Pass | Disposition::PassBody(_) => None,
    };
    twiml::validate(
        page,
        charset.as_deref(),
        &Rules::new(kind, Strictness::Twilio),
    )?;
    let reason = head.headers.get("understudy-fallback");
    Ok(reason.map_or(Page::Own, |reason| {
        Page::Fallback(String::from_utf8_lossy(reason.as_bytes()).into_owned())
    }))
}

fn of_head(error: hyper::Error) -> Failure {
    if error.is_parse() {
        Error::NotHttp(error).into()
    } else {
        Error::Reset.into()
    }
}

fn of_body(error: &(dyn std::error::Error + 'static)) -> Failure {
    if error.is::<LengthLimitError>() {
        Error::BodyTooLarge(RESPONSE_LIMIT).into()
    } else {
        Error::Truncated.into()
    }
}
