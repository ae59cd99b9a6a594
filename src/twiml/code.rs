//! Twilio's error codes and levels, and how certain it is that a value is wrong.

/// Twilio's two levels: "Warnings mean Twilio encountered an issue but could still process the request. An error is more
/// severe and means that Twilio could not process the request at all."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    /// Twilio acts on the document all the same.
    Warning,
    /// Twilio can't act on the document.
    Error,
}

/// Twilio's code for a broken rule, and the level at which Twilio logs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) number: u32,
    pub(super) level: Level,
}

/// The code of schema validation, for every rule without a code of its own.
pub(super) const SCHEMA: Code = warning(12200);

pub(super) const fn warning(number: u32) -> Code {
    Code {
        number,
        level: Level::Warning,
    }
}

pub(super) const fn error(number: u32) -> Code {
    Code {
        number,
        level: Level::Error,
    }
}

impl Code {
    /// The code for a value of this validity: an uncertain value is never an error.
    pub(super) fn for_validity(self, validity: Validity) -> Self {
        match validity {
            Validity::Uncertain => self.as_warning(),
            Validity::Valid | Validity::Invalid => self,
        }
    }

    /// The same code, as a warning.
    pub(super) fn as_warning(self) -> Self {
        warning(self.number)
    }
}

/// Whether Twilio takes a value. Twilio is known to be lenient, but not how lenient, so there are three answers: an unknown
/// value may be one that Twilio has added since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// The value is as documented.
    Valid,
    /// The value is not documented, but Twilio may take it now or later.
    Uncertain,
    /// The value is certainly wrong; where the rule only warns, also an unknown value.
    Invalid,
}
