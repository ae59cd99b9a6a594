//! The answers that stand in for the app's: judged when the configuration is read, filled with the request's own parameters
//! when they are sent.
//!
//! A [`Fallback`] holds proofs: only [`Page::parse`] makes a [`Page`], and whatever a caller sends, what a page gives is
//! TwiML. Where pages come from is no matter here, nor when one is needed.

mod choice;
mod draft;
mod error;
mod injection;
mod names;
mod page;
mod template;
#[cfg(test)]
mod tests;
mod url;

use std::time::Duration;

use bytes::Bytes;

pub use choice::{Choice, Is, StarWithin, Variant};
pub use error::{Error, PlaceholderFault, Sample};
pub use injection::Injection;
pub use page::{LARGEST, Page};
pub use url::FallbackUrl;

use crate::twiml::Kind;
use crate::webhook::Parameters;

/// The page for a voice call of a route that names none.
pub const BUILT_IN_VOICE: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    "<Response><Say>We are sorry, we can not take your call right now. Please call again later.</Say></Response>",
);

/// The page for a message to a route that names none.
pub const BUILT_IN_MESSAGING: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    "<Response><Message>We are sorry, we can not answer right now. Please try again later.</Message></Response>",
);

/// The page that says nothing and does nothing.
pub fn silence() -> Bytes {
    Bytes::from_static(br#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#)
}

/// What a route answers in the app's place.
#[derive(Clone, Debug)]
pub struct Fallback {
    voice: Choice,
    messaging: Choice,
}

impl Fallback {
    /// These pages, each for its own kind of caller.
    pub fn new(voice: impl Into<Choice>, messaging: impl Into<Choice>) -> Self {
        let (voice, messaging) = (voice.into(), messaging.into());
        debug_assert!(voice.is_all(Kind::Voice) && messaging.is_all(Kind::Messaging));
        Self { voice, messaging }
    }

    /// Who is asked for a page for callers of this kind.
    pub fn elsewhere(&self, kind: Kind) -> Option<&FallbackUrl> {
        match kind {
            Kind::Voice => self.voice.elsewhere.as_ref(),
            Kind::Messaging => self.messaging.elsewhere.as_ref(),
        }
    }

    /// How much of a deadline is kept for asking elsewhere.
    pub fn kept(&self) -> Duration {
        let both = [Kind::Voice, Kind::Messaging].map(|kind| self.elsewhere(kind));
        let budgets = both.into_iter().flatten().map(|elsewhere| elsewhere.budget);
        budgets.max().unwrap_or_default()
    }

    /// The page for a caller of this kind, who sent these parameters.
    pub fn page(&self, kind: Kind, parameters: &Parameters<'_>) -> Bytes {
        match kind {
            Kind::Voice => self.voice.page(parameters),
            Kind::Messaging => self.messaging.page(parameters),
        }
    }
}
