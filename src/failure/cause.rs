//! A cause in words, what lies behind it, and the rooms' own errors that become one.

use std::error::Error as StdError;
use std::fmt;

use super::{Failure, HeadError};
use crate::{body, response, signature, twiml, upstream};

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(HeadError::Host) => f.write_str("the request needs exactly one Host field"),
            Self::Head(HeadError::Target) => f.write_str("the request's target names nothing here"),
            Self::Head(HeadError::ContentLength) => {
                f.write_str("the request has several Content-Length fields that differ")
            }
            Self::Head(HeadError::FieldValue) => {
                f.write_str("a header field's value begins or ends with a blank")
            }
            Self::Head(HeadError::TransferCoding) => {
                f.write_str("the only transfer coding is chunked")
            }
            Self::Head(HeadError::Method) => f.write_str("CONNECT is for forward proxies"),
            Self::Request(failure) => failure.fmt(f),
            Self::Signature(fault) => fault.fmt(f),
            Self::Unchecked => f.write_str("the request's signature could not be checked"),
            Self::SlowClient => f.write_str("the request was not whole in time"),
            Self::Overload => f.write_str("as many calls as allowed are under way"),
            Self::BreakerOpen => f.write_str("the app is known to be down: no try was made"),
            Self::Deadline => f.write_str("the deadline passed"),
            Self::Upstream(failure) => failure.fmt(f),
            Self::Answer(unfit) => unfit.fmt(f),
            Self::Page(fault) => fault.fmt(f),
            Self::Drill(fault) => write!(f, "a drill: {fault}"),
            Self::Panic => f.write_str("panic: please report it"),
        }
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Request(failure) => failure.source(),
            Self::Signature(fault) => fault.source(),
            Self::Upstream(failure) => failure.source(),
            Self::Answer(unfit) => unfit.source(),
            Self::Page(fault) => fault.source(),
            Self::Head(_)
            | Self::Unchecked
            | Self::SlowClient
            | Self::Overload
            | Self::BreakerOpen
            | Self::Deadline
            | Self::Drill(_)
            | Self::Panic => None,
        }
    }
}

impl From<HeadError> for Failure {
    fn from(fault: HeadError) -> Self {
        Self::Head(fault)
    }
}

impl From<body::Error> for Failure {
    fn from(failure: body::Error) -> Self {
        Self::Request(failure)
    }
}

impl From<signature::Error> for Failure {
    fn from(fault: signature::Error) -> Self {
        Self::Signature(fault)
    }
}

impl From<upstream::Error> for Failure {
    fn from(failure: upstream::Error) -> Self {
        Self::Upstream(failure)
    }
}

impl From<response::Error> for Failure {
    fn from(unfit: response::Error) -> Self {
        Self::Answer(unfit)
    }
}

impl From<twiml::Error> for Failure {
    fn from(fault: twiml::Error) -> Self {
        Self::Page(fault)
    }
}
