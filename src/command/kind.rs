//! The kinds of TwiML as values of `--kind`.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::twiml::Kind;

/// The kind's name in arguments and reports.
pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Voice => "voice",
        Kind::Messaging => "messaging",
    }
}

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Voice, Self::Messaging]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(name(*self)).help(match self {
            Self::Voice => "a call",
            Self::Messaging => "a message",
        }))
    }
}
