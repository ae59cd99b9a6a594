//! What pages are judged by: for each kind Twilio's grammar, and what the configuration adds to it. How strictly, each route
//! says for itself.

use crate::twiml::{Kind, Rules, Strictness};

/// The rules for both kinds of page.
#[derive(Clone, Debug)]
pub struct Grammar {
    voice: Rules,
    messaging: Rules,
}

impl Grammar {
    /// These rules, each for its own kind.
    pub fn new(voice: Rules, messaging: Rules) -> Self {
        debug_assert_eq!(
            (voice.kind(), messaging.kind()),
            (Kind::Voice, Kind::Messaging)
        );
        Self { voice, messaging }
    }

    /// The rules for one kind of page, at this strictness.
    pub fn rules(&self, kind: Kind, strictness: Strictness) -> Rules {
        match kind {
            Kind::Voice => self.voice.at(strictness),
            Kind::Messaging => self.messaging.at(strictness),
        }
    }
}

impl Default for Grammar {
    /// Twilio's own.
    fn default() -> Self {
        let own = |kind| Rules::new(kind, Strictness::Twilio);
        Self::new(own(Kind::Voice), own(Kind::Messaging))
    }
}
