//! The responses that are sent in place of the app's: validated when the configuration is read, filled with the request's own
//! parameters when they are sent.
//!
//! Every document of a [`Fallback`] is valid: only [`Document::parse`] makes a [`Document`], and it renders to TwiML whatever a
//! caller sends.
//! This module does not know where documents come from, nor when one is needed.

mod document;
mod document_set;
mod error;
mod injection;
mod parameters;
mod second_parser;
mod source;
mod template;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

pub use document::Document;
pub use document_set::{DocumentSet, FallbackUrl, Pattern, PatternError, Variant};
pub use error::{Error, PlaceholderError, TestValue};
pub use injection::Injection;
pub use second_parser::{SecondParserError, check_with_second_parser};

use crate::breaker::State;
use crate::twiml::Kind;
use crate::webhook::Parameters;

/// The document for phone calls to a route that configures none.
pub const BUILT_IN_VOICE: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    "<Response><Say>We are sorry, we can not take your call right now. Please call again later.</Say></Response>",
);

/// The document for messages to a route that configures none.
pub const BUILT_IN_MESSAGING: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    "<Response><Message>We are sorry, we can not answer right now. Please try again later.</Message></Response>",
);

/// The document with which Twilio does nothing.
pub fn empty_response() -> Bytes {
    Bytes::from_static(br#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#)
}

/// What a route sends in place of the app's response.
#[derive(Clone, Debug)]
pub struct Fallback {
    voice: DocumentSet,
    messaging: DocumentSet,
}

impl Fallback {
    /// These documents, each for its own kind.
    pub fn new(voice: impl Into<DocumentSet>, messaging: impl Into<DocumentSet>) -> Self {
        let (voice, messaging) = (voice.into(), messaging.into());
        debug_assert!(voice.is_of_kind(Kind::Voice) && messaging.is_of_kind(Kind::Messaging));
        Self { voice, messaging }
    }

    /// The URL that is requested before a document of this kind is used.
    pub fn fallback_url(&self, kind: Kind) -> Option<&FallbackUrl> {
        self.documents(kind).fallback_url.as_ref()
    }

    /// Whether there is a fallback URL.
    pub fn has_url(&self) -> bool {
        self.urls().next().is_some()
    }

    /// How much of a deadline is reserved for fallback URLs that are not known to be down.
    pub fn reserved_time(&self) -> Duration {
        let urls = self.urls();
        let up = urls.filter(|url| url.breaker.state() != State::Open);
        up.map(|url| url.budget).max().unwrap_or_default()
    }

    /// The fallback URLs of both kinds.
    pub fn urls(&self) -> impl Iterator<Item = &FallbackUrl> {
        let kinds = [Kind::Voice, Kind::Messaging].into_iter();
        kinds.filter_map(|kind| self.fallback_url(kind))
    }

    /// The document of this kind for a request with these parameters.
    pub fn document(&self, kind: Kind, parameters: &Parameters<'_>) -> Bytes {
        self.documents(kind).render(parameters)
    }

    fn documents(&self, kind: Kind) -> &DocumentSet {
        match kind {
            Kind::Voice => &self.voice,
            Kind::Messaging => &self.messaging,
        }
    }
}
