//! The two kinds of TwiML.

/// Twilio has one grammar for phone calls and one for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display)]
pub enum Kind {
    /// The response to a phone call.
    Voice,
    /// The response to a message.
    Messaging,
}

impl Kind {
    /// The kind that this one is not.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Voice => Self::Messaging,
            Self::Messaging => Self::Voice,
        }
    }
}
