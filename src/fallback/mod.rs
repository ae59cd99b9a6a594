//! The answers that stand in for the app's: judged when the configuration is read, ready to send.
//!
//! A [`Fallback`] holds proofs ([`Twiml`]), so a page that Twilio can't act on never gets this far.

use bytes::Bytes;

use crate::twiml::{Kind, Twiml};

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
    voice: Twiml,
    messaging: Twiml,
}

impl Fallback {
    /// These pages.
    pub fn new(voice: Twiml, messaging: Twiml) -> Self {
        Self { voice, messaging }
    }

    /// The page for a caller of this kind.
    pub fn page(&self, kind: Kind) -> Bytes {
        match kind {
            Kind::Voice => self.voice.bytes().clone(),
            Kind::Messaging => self.messaging.bytes().clone(),
        }
    }
}
