//! Why a request has no good response, and how requests end: closed lists, with the label that metrics and logs have for each,
//! Twilio's code, and what goes back.

use http::StatusCode;
use strum::{Display, EnumCount, IntoStaticStr, VariantArray};
use thiserror::Error;

use crate::{body, drill, response, signature, tls, twiml, upstream};

/// How a request ended, as `requests_total` counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The upstream's response went back.
    Upstream,
    /// The fallback went back.
    Fallback,
    /// The upstream's response went back although it is not valid.
    Observed,
    /// The upstream failed on a route without TwiML.
    Error,
    /// The upstream couldn't take the callback, which is queued.
    Queued,
    /// The request was refused: its sender's fault.
    Rejected,
    /// The client left before it had a response.
    Abandoned,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS
        .first_chunk()
        .expect("a list has all its variants");

    /// Its position in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The value of the `outcome` label.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// Why the fallback was sent in place of the upstream's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumCount, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// Refused, unreachable, no such host.
    Connect,
    /// No connection in `connect_timeout`.
    ConnectTimeout,
    /// The TLS handshake with the upstream, or its certificate, failed.
    Tls,
    /// The deadline passed.
    Deadline,
    /// The connection ended before the response's head was whole.
    Reset,
    /// The connection ended within the body.
    Truncated,
    /// Not HTTP, contradictory framing, an oversized head, an upgrade that nobody asked for.
    Protocol,
    /// A status from 400 to 499.
    #[strum(serialize = "status_4xx")]
    Status4xx,
    /// A status of 500 and over.
    #[strum(serialize = "status_5xx")]
    Status5xx,
    /// A redirect that Twilio doesn't follow.
    Redirect,
    /// Success without a body.
    Empty,
    /// The body is over 64 KiB.
    TooLarge,
    /// No content type, or not one that Twilio takes.
    ContentType,
    /// Bytes not valid in the declared charset, or a content coding that can't be undone.
    Encoding,
    /// Not well-formed XML.
    Malformed,
    /// The root element isn't `Response`.
    Root,
    /// An error by TwiML's grammar.
    Schema,
    /// The breaker is open.
    BreakerOpen,
    /// Too many requests at once.
    Overload,
    /// A drill.
    Drill,
    /// A bug of ours.
    Internal,
}

impl Reason {
    /// Every reason, in the order of [`Reason::index`].
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS
        .first_chunk()
        .expect("a list has all its variants");

    /// Its position in [`Reason::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The value of the `reason` label and of the `Understudy-Fallback` header.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// Why a request has no good response.
#[derive(Debug, Error)]
pub enum Failure {
    /// The request's head can't be forwarded.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The request's body can't be read.
    #[error(transparent)]
    Request(#[from] body::Error),
    /// The deadline passed while the client was still sending.
    #[error("the request was not whole in time")]
    SlowClient,
    /// The request isn't known to be Twilio's.
    #[error(transparent)]
    Signature(#[from] signature::Error),
    /// Whether the request is Twilio's could not be found out.
    #[error("the request's signature could not be checked")]
    Unchecked,
    /// As many requests as allowed are in flight.
    #[error("as many requests as allowed are in flight")]
    Overload,
    /// The upstream is known to be down.
    #[error("the app is known to be down: no try was made")]
    BreakerOpen,
    /// The deadline passed.
    #[error("the deadline passed")]
    Deadline,
    /// The upstream gave no whole response.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// Twilio would not act on the response, by its head or its emptiness.
    #[error(transparent)]
    Response(#[from] response::Error),
    /// The response's document is not TwiML that Twilio acts on.
    #[error(transparent)]
    Document(#[from] twiml::Error),
    /// A drill injected this fault.
    #[error("a drill: {0}")]
    Drill(drill::Fault),
    /// A panic.
    #[error("panic: please report it")]
    Panic,
}

/// What is wrong with a request's head (RFC 9112).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeadError {
    /// HTTP/1.1 without `Host`, or several (§3.2).
    #[error("the request needs exactly one Host header")]
    Host,
    /// A target that names no resource here (§3.2).
    #[error("the request's target is not a path on this server")]
    Target,
    /// Several lengths that differ (RFC 9110 §8.6).
    #[error("the request has several Content-Length headers that differ")]
    ContentLength,
    /// HTTP/2 with a field value that begins or ends with a blank (RFC 9113 §8.2.1).
    #[error("a header's value begins or ends with a blank")]
    FieldValue,
    /// A transfer coding other than `chunked` alone (§6.1).
    #[error("the only transfer coding is chunked")]
    TransferCoding,
    /// The request comes from this process itself.
    #[error(
        "the request came from understudy itself: an upstream or a fallback URL is one of its own listeners"
    )]
    Loop,
    /// A method that a gateway doesn't serve.
    #[error("CONNECT is for forward proxies")]
    Method,
}

/// What a failure says about the upstream as a whole, for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHealth {
    /// It responds.
    Up,
    /// It doesn't, or only with an error.
    Down,
    /// The failure says nothing about it.
    Unknown,
}

/// What goes back for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponsePolicy {
    /// The sender's fault: this status, never a fallback.
    Refuse(StatusCode),
    /// The upstream's fault, or ours: the route's fallback, or `status` on a route without TwiML.
    FallBack {
        /// Why.
        reason: Reason,
        /// For a route without TwiML.
        status: StatusCode,
    },
}

impl Failure {
    /// What goes back.
    pub fn policy(&self) -> ResponsePolicy {
        match self {
            Self::Head(
                HeadError::Host
                | HeadError::Target
                | HeadError::ContentLength
                | HeadError::FieldValue,
            ) => ResponsePolicy::Refuse(StatusCode::BAD_REQUEST),
            Self::Head(HeadError::Loop) => ResponsePolicy::Refuse(StatusCode::LOOP_DETECTED),
            Self::Head(HeadError::TransferCoding | HeadError::Method) => {
                ResponsePolicy::Refuse(StatusCode::NOT_IMPLEMENTED)
            }
            Self::Request(body::Error::TooLarge { .. }) => {
                ResponsePolicy::Refuse(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::Request(body::Error::Malformed | body::Error::Disconnected) => {
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
            Self::Upstream(error) => fall_back(error.into(), StatusCode::BAD_GATEWAY),
            Self::Response(error) => fall_back(error.into(), StatusCode::BAD_GATEWAY),
            Self::Document(error) => fall_back(error.into(), StatusCode::BAD_GATEWAY),
            Self::Drill(fault) => fall_back(Reason::Drill, status_of_drill(*fault)),
            Self::Panic => fall_back(Reason::Internal, StatusCode::BAD_GATEWAY),
        }
    }

    /// The same failure, marked as injected by a drill. Failures that the sender or we have caused are unchanged.
    #[must_use]
    pub fn injected(self, fault: drill::Fault) -> Self {
        match self {
            Self::Deadline | Self::Upstream(_) | Self::Response(_) | Self::Document(_) => {
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
        matches!(self.policy(), ResponsePolicy::Refuse(_))
    }

    /// The same, of a request that isn't known to be Twilio's where it must be: its sender gets no fallback.
    #[must_use]
    pub fn unverified(self) -> Self {
        match (self.policy(), self) {
            (ResponsePolicy::Refuse(_), failure) => failure,
            (ResponsePolicy::FallBack { .. }, Self::Deadline) => Self::SlowClient,
            (ResponsePolicy::FallBack { .. }, _) => Self::Unchecked,
        }
    }

    /// What it says about the upstream, for the breaker.
    pub fn upstream_health(&self) -> UpstreamHealth {
        match self {
            Self::Deadline
            | Self::Upstream(
                upstream::Error::Resolve(_)
                | upstream::Error::Connect(_)
                | upstream::Error::ConnectTimeout
                | upstream::Error::Tls(_)
                | upstream::Error::Reset,
            ) => UpstreamHealth::Down,
            Self::Response(response::Error::Status(status)) if !status.is_client_error() => {
                UpstreamHealth::Down
            }
            Self::Upstream(upstream::Error::Resources(_)) => UpstreamHealth::Unknown,
            // It responded; that a document is not valid says nothing about the others.
            Self::Upstream(_) | Self::Response(_) | Self::Document(_) => UpstreamHealth::Up,
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
            Self::Upstream(upstream::Error::Resources(_)) => None,
            Self::Upstream(error) => Some(match error {
                upstream::Error::Resolve(_) => 11210,
                upstream::Error::Connect(_) => 11202,
                upstream::Error::ConnectTimeout => 11201,
                upstream::Error::Tls(error) => code_of_tls(error),
                upstream::Error::Reset => 11200,
                upstream::Error::BodyTooLarge(_) => 11750,
                upstream::Error::Resources(_)
                | upstream::Error::Truncated
                | upstream::Error::NotHttp(_)
                | upstream::Error::HeadTooLarge
                | upstream::Error::Framing
                | upstream::Error::UnaskedUpgrade => 11206,
            }),
            Self::Deadline => Some(11203),
            Self::Response(error) => Some(match error {
                response::Error::Status(_) => 11217,
                response::Error::Redirect(_) => 11216,
                response::Error::Empty => 11770,
                response::Error::ContentType => 12300,
                response::Error::ContentCoding => 12100,
            }),
            Self::Document(error) => Some(error.code()),
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

    /// What is wrong with the response's document, if that is the failure.
    pub fn document_error(&self) -> Option<&twiml::Error> {
        match self {
            Self::Document(error) => Some(error),
            Self::Head(_)
            | Self::Request(_)
            | Self::SlowClient
            | Self::Signature(_)
            | Self::Unchecked
            | Self::Overload
            | Self::BreakerOpen
            | Self::Deadline
            | Self::Upstream(_)
            | Self::Response(_)
            | Self::Drill(_)
            | Self::Panic => None,
        }
    }
}

fn fall_back(reason: Reason, status: StatusCode) -> ResponsePolicy {
    ResponsePolicy::FallBack { reason, status }
}

impl From<&upstream::Error> for Reason {
    fn from(error: &upstream::Error) -> Self {
        match error {
            upstream::Error::Resolve(_) | upstream::Error::Connect(_) => Self::Connect,
            upstream::Error::ConnectTimeout => Self::ConnectTimeout,
            upstream::Error::Resources(_) => Self::Overload,
            upstream::Error::Tls(_) => Self::Tls,
            upstream::Error::Reset => Self::Reset,
            upstream::Error::Truncated => Self::Truncated,
            upstream::Error::BodyTooLarge(_) => Self::TooLarge,
            upstream::Error::NotHttp(_)
            | upstream::Error::HeadTooLarge
            | upstream::Error::Framing
            | upstream::Error::UnaskedUpgrade => Self::Protocol,
        }
    }
}

impl From<&response::Error> for Reason {
    fn from(error: &response::Error) -> Self {
        match error {
            response::Error::Status(status) if status.is_client_error() => Self::Status4xx,
            response::Error::Status(_) => Self::Status5xx,
            response::Error::Redirect(_) => Self::Redirect,
            response::Error::Empty => Self::Empty,
            response::Error::ContentType => Self::ContentType,
            response::Error::ContentCoding => Self::Encoding,
        }
    }
}

impl From<&twiml::Error> for Reason {
    fn from(error: &twiml::Error) -> Self {
        match error.reason() {
            twiml::Reason::Encoding => Self::Encoding,
            twiml::Reason::Malformed => Self::Malformed,
            twiml::Reason::Root => Self::Root,
            twiml::Reason::Schema => Self::Schema,
        }
    }
}

/// Twilio's code for a TLS failure.
fn code_of_tls(error: &tls::Error) -> u32 {
    match error {
        tls::Error::NameMismatch => 11235,
        tls::Error::Expired | tls::Error::NotYetValid => 11236,
        tls::Error::UnknownIssuer | tls::Error::NotPinned => 11237,
        tls::Error::Certificate(_)
        | tls::Error::CaUsedAsEndEntity
        | tls::Error::UnsupportedVersion
        | tls::Error::Incompatible(_)
        | tls::Error::Refused(_)
        | tls::Error::Handshake(_)
        | tls::Error::Io(_)
        | tls::Error::TimedOut => 11220,
    }
}

/// For a route without TwiML: the status of the injected fault.
fn status_of_drill(fault: drill::Fault) -> StatusCode {
    match fault {
        drill::Fault::Deadline => StatusCode::GATEWAY_TIMEOUT,
        drill::Fault::Status5xx | drill::Fault::Malformed | drill::Fault::Root => {
            StatusCode::BAD_GATEWAY
        }
    }
}

#[cfg(test)]
mod tests;
