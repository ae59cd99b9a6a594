//! How a call ended and why: closed lists, with the word that metrics and logs have for each and Twilio's code.
//!
//! [`Failure::verdict`] is the one place where a cause becomes an answer.

mod cause;

use std::fmt;

use http::StatusCode;

use crate::twiml;
use crate::{body, drill, response, signature, tls, upstream};

/// How a call ended, as `requests_total` counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The app's answer went back.
    Upstream,
    /// The fallback went back.
    Fallback,
    /// The app's answer went back although it was judged bad.
    Observed,
    /// The app failed on a route without TwiML.
    Error,
    /// The request was refused: its sender's fault.
    Rejected,
    /// The client left before it had an answer.
    Abandoned,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: [Self; 6] = [
        Self::Upstream,
        Self::Fallback,
        Self::Observed,
        Self::Error,
        Self::Rejected,
        Self::Abandoned,
    ];

    /// Its place in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The value of the `outcome` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Fallback => "fallback",
            Self::Observed => "observed",
            Self::Error => "error",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Why a fallback stands in for the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Refused, unreachable, no such host.
    Connect,
    /// No connection in `connect_timeout`.
    ConnectTimeout,
    /// The TLS handshake with the app, or its certificate, failed.
    Tls,
    /// The deadline passed.
    Deadline,
    /// The connection ended before the answer's head was whole.
    Reset,
    /// The connection ended within the body.
    Truncated,
    /// Not HTTP, contradictory framing, an oversized head, an unasked upgrade.
    Protocol,
    /// A status from 400 to 499.
    Status4xx,
    /// A status of 500 and over.
    Status5xx,
    /// A redirect that Twilio doesn't follow.
    Redirect,
    /// Success without a body.
    Empty,
    /// The body is over 64 KiB.
    TooLarge,
    /// No content type, or none that Twilio takes.
    ContentType,
    /// Bytes not valid in the declared charset, or a coding that can't be undone.
    Encoding,
    /// Not well-formed XML.
    Malformed,
    /// The root element isn't `Response`.
    Root,
    /// An error by TwiML's grammar.
    Schema,
    /// The breaker is open.
    BreakerOpen,
    /// Too many calls at once.
    Overload,
    /// A drill.
    Drill,
    /// A bug of ours.
    Internal,
}

impl Reason {
    /// Every reason, in the order of [`Reason::index`].
    pub const ALL: [Self; 21] = [
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Deadline,
        Self::Reset,
        Self::Truncated,
        Self::Protocol,
        Self::Status4xx,
        Self::Status5xx,
        Self::Redirect,
        Self::Empty,
        Self::TooLarge,
        Self::ContentType,
        Self::Encoding,
        Self::Malformed,
        Self::Root,
        Self::Schema,
        Self::BreakerOpen,
        Self::Overload,
        Self::Drill,
        Self::Internal,
    ];

    /// Its place in [`Reason::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The value of the `reason` label and of the `Understudy-Fallback` field.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Deadline => "deadline",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::Protocol => "protocol",
            Self::Status4xx => "status_4xx",
            Self::Status5xx => "status_5xx",
            Self::Redirect => "redirect",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::ContentType => "content_type",
            Self::Encoding => "encoding",
            Self::Malformed => "malformed",
            Self::Root => "root",
            Self::Schema => "schema",
            Self::BreakerOpen => "breaker_open",
            Self::Overload => "overload",
            Self::Drill => "drill",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Why a call can't have the app's answer.
#[derive(Debug)]
pub enum Failure {
    /// The request's head isn't one that can be forwarded.
    Head(HeadError),
    /// The request's body can't be had.
    Request(body::Error),
    /// The deadline passed while the client was still sending.
    SlowClient,
    /// The request isn't known to be Twilio's.
    Signature(signature::Error),
    /// Whether the request is Twilio's couldn't be found out.
    Unchecked,
    /// As many calls as allowed are under way.
    Overload,
    /// The app is known to be down.
    BreakerOpen,
    /// The deadline passed.
    Deadline,
    /// The app gave no whole answer.
    Upstream(upstream::Error),
    /// The answer isn't one that Twilio acts on, by its head or its emptiness.
    Answer(response::Error),
    /// The answer's page isn't TwiML that Twilio acts on.
    Page(twiml::Error),
    /// A drill has brought this about.
    Drill(drill::Fault),
    /// A panic.
    Panic,
}

/// What is wrong with a request's head (RFC 9112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// HTTP/1.1 without `Host`, or several (§3.2).
    Host,
    /// A target that names no resource here (§3.2).
    Target,
    /// Several lengths that differ (RFC 9110 §8.6).
    ContentLength,
    /// HTTP/2 with a field value that begins or ends with a blank (RFC 9113 §8.2.1).
    FieldValue,
    /// A transfer coding other than `chunked` alone (§6.1).
    TransferCoding,
    /// A method that a gateway doesn't serve.
    Method,
}

/// What a cause tells about the app as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHealth {
    /// It answers.
    Up,
    /// It doesn't, or only with an error.
    Down,
    /// Nothing was learnt.
    Unknown,
}

/// What a cause means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponsePolicy {
    /// The sender's fault: this status, never a fallback.
    Refuse(StatusCode),
    /// The app's fault, or ours: the route's fallback, or `status` on a route without TwiML.
    FallBack {
        /// Why.
        reason: Reason,
        /// For a route without TwiML.
        status: StatusCode,
    },
}

impl Failure {
    /// What it means for the caller.
    pub fn verdict(&self) -> ResponsePolicy {
        match self {
            Self::Head(
                HeadError::Host
                | HeadError::Target
                | HeadError::ContentLength
                | HeadError::FieldValue,
            ) => ResponsePolicy::Refuse(StatusCode::BAD_REQUEST),
            Self::Head(HeadError::TransferCoding | HeadError::Method) => {
                ResponsePolicy::Refuse(StatusCode::NOT_IMPLEMENTED)
            }
            Self::Request(body::Error::TooLarge { .. }) => {
                ResponsePolicy::Refuse(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::Request(body::Error::Malformed | body::Error::Left) => {
                ResponsePolicy::Refuse(StatusCode::BAD_REQUEST)
            }
            Self::Request(body::Error::OverBudget) => {
                ResponsePolicy::Refuse(StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::SlowClient => ResponsePolicy::Refuse(StatusCode::REQUEST_TIMEOUT),
            Self::Unchecked => ResponsePolicy::Refuse(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Signature(_) => ResponsePolicy::Refuse(StatusCode::FORBIDDEN),
            Self::Overload => fall_back(Reason::Overload, StatusCode::BAD_GATEWAY),
            Self::BreakerOpen => fall_back(Reason::BreakerOpen, StatusCode::BAD_GATEWAY),
            Self::Deadline => fall_back(Reason::Deadline, StatusCode::GATEWAY_TIMEOUT),
            Self::Upstream(failure) => fall_back(of_upstream(failure), StatusCode::BAD_GATEWAY),
            Self::Answer(unfit) => fall_back(of_answer(unfit), StatusCode::BAD_GATEWAY),
            Self::Page(fault) => fall_back(of_page(fault), StatusCode::BAD_GATEWAY),
            Self::Drill(fault) => fall_back(Reason::Drill, of_drill(*fault)),
            Self::Panic => fall_back(Reason::Internal, StatusCode::BAD_GATEWAY),
        }
    }

    /// The same, brought about by a drill. What the sender did wrong, or we, is none.
    #[must_use]
    pub fn injected(self, fault: drill::Fault) -> Self {
        match self {
            Self::Deadline | Self::Upstream(_) | Self::Answer(_) | Self::Page(_) => {
                Self::Drill(fault)
            }
            Self::Head(_)
            | Self::Request(_)
            | Self::SlowClient
            | Self::Signature(_)
            | Self::Unchecked
            | Self::Overload
            | Self::BreakerOpen
            | Self::Drill(_)
            | Self::Panic => self,
        }
    }

    /// Whether the request is refused: it is its sender's fault.
    pub fn is_refusal(&self) -> bool {
        matches!(self.verdict(), ResponsePolicy::Refuse(_))
    }

    /// The same, of a request that isn't known to be Twilio's where it must be: its sender gets no fallback.
    #[must_use]
    pub fn unverified(self) -> Self {
        match (self.verdict(), self) {
            (ResponsePolicy::Refuse(_), cause) => cause,
            (ResponsePolicy::FallBack { .. }, Self::Deadline) => Self::SlowClient,
            (ResponsePolicy::FallBack { .. }, _) => Self::Unchecked,
        }
    }

    /// What it tells about the app, for the breaker.
    pub fn tells_of_app(&self) -> UpstreamHealth {
        match self {
            Self::Deadline
            | Self::Upstream(
                upstream::Error::Resolve(_)
                | upstream::Error::Connect(_)
                | upstream::Error::ConnectTimeout
                | upstream::Error::Tls(_)
                | upstream::Error::Reset,
            ) => UpstreamHealth::Down,
            Self::Answer(response::Error::Status(status)) if !status.is_client_error() => {
                UpstreamHealth::Down
            }
            // It answered. A bad page is that page's fault.
            Self::Upstream(_) | Self::Answer(_) | Self::Page(_) => UpstreamHealth::Up,
            Self::Head(_)
            | Self::Request(_)
            | Self::SlowClient
            | Self::Signature(_)
            | Self::Unchecked
            | Self::Overload
            | Self::BreakerOpen
            | Self::Drill(_)
            | Self::Panic => UpstreamHealth::Unknown,
        }
    }

    /// The code under which Twilio's debugger would show it, if it has one.
    pub fn twilio_code(&self) -> Option<u32> {
        match self {
            Self::Upstream(failure) => Some(match failure {
                upstream::Error::Resolve(_) => 11210,
                upstream::Error::Connect(_) => 11202,
                upstream::Error::ConnectTimeout => 11201,
                upstream::Error::Tls(fault) => of_tls(fault),
                upstream::Error::Reset => 11200,
                upstream::Error::BodyTooLarge(_) => 11750,
                upstream::Error::Truncated
                | upstream::Error::NotHttp(_)
                | upstream::Error::HeadTooLarge
                | upstream::Error::Framing
                | upstream::Error::UnaskedUpgrade => 11206,
            }),
            Self::Deadline => Some(11203),
            Self::Answer(unfit) => Some(match unfit {
                response::Error::Status(_) => 11217,
                response::Error::Redirect(_) => 11216,
                response::Error::Empty => 11770,
                response::Error::ContentType => 12300,
                response::Error::ContentCoding => 12100,
            }),
            Self::Page(fault) => Some(fault.code()),
            Self::Head(_)
            | Self::Request(_)
            | Self::SlowClient
            | Self::Signature(_)
            | Self::Unchecked
            | Self::Overload
            | Self::BreakerOpen
            | Self::Drill(_)
            | Self::Panic => None,
        }
    }

    /// The place in the answer's page, if it is the page that is at fault: line and column, from 1.
    pub fn place(&self) -> Option<(u32, u32)> {
        let place = self.fault()?.place();
        Some((place.line, place.column))
    }

    /// What is wrong with the answer's page, if it is the page that is at fault.
    pub fn fault(&self) -> Option<&twiml::Error> {
        match self {
            Self::Page(fault) => Some(fault),
            Self::Head(_)
            | Self::Request(_)
            | Self::SlowClient
            | Self::Signature(_)
            | Self::Unchecked
            | Self::Overload
            | Self::BreakerOpen
            | Self::Deadline
            | Self::Upstream(_)
            | Self::Answer(_)
            | Self::Drill(_)
            | Self::Panic => None,
        }
    }
}

fn fall_back(reason: Reason, status: StatusCode) -> ResponsePolicy {
    ResponsePolicy::FallBack { reason, status }
}

fn of_upstream(failure: &upstream::Error) -> Reason {
    match failure {
        upstream::Error::Resolve(_) | upstream::Error::Connect(_) => Reason::Connect,
        upstream::Error::ConnectTimeout => Reason::ConnectTimeout,
        upstream::Error::Tls(_) => Reason::Tls,
        upstream::Error::Reset => Reason::Reset,
        upstream::Error::Truncated => Reason::Truncated,
        upstream::Error::BodyTooLarge(_) => Reason::TooLarge,
        upstream::Error::NotHttp(_)
        | upstream::Error::HeadTooLarge
        | upstream::Error::Framing
        | upstream::Error::UnaskedUpgrade => Reason::Protocol,
    }
}

/// The code for what went wrong with TLS.
fn of_tls(fault: &tls::Error) -> u32 {
    match fault {
        tls::Error::NameMismatch => 11235,
        tls::Error::Expired | tls::Error::NotYetValid => 11236,
        tls::Error::NoPath => 11237,
        tls::Error::Certificate(_)
        | tls::Error::Refused(_)
        | tls::Error::Handshake(_)
        | tls::Error::Broken(_)
        | tls::Error::TimedOut => 11220,
    }
}

fn of_answer(unfit: &response::Error) -> Reason {
    match unfit {
        response::Error::Status(status) if status.is_client_error() => Reason::Status4xx,
        response::Error::Status(_) => Reason::Status5xx,
        response::Error::Redirect(_) => Reason::Redirect,
        response::Error::Empty => Reason::Empty,
        response::Error::ContentType => Reason::ContentType,
        response::Error::ContentCoding => Reason::Encoding,
    }
}

/// For a route without TwiML: the status of the injected fault.
fn of_drill(fault: drill::Fault) -> StatusCode {
    match fault {
        drill::Fault::Deadline => StatusCode::GATEWAY_TIMEOUT,
        drill::Fault::Status5xx | drill::Fault::Malformed | drill::Fault::Root => {
            StatusCode::BAD_GATEWAY
        }
    }
}

fn of_page(fault: &twiml::Error) -> Reason {
    match fault.reason() {
        twiml::Reason::Encoding => Reason::Encoding,
        twiml::Reason::Malformed => Reason::Malformed,
        twiml::Reason::Root => Reason::Root,
        twiml::Reason::Schema => Reason::Schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_reason_stands_at_its_own_index() {
        for (at, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), at);
        }
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), at);
        }
    }
}
