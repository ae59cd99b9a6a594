//! Why a document can't be a fallback: what is wrong, where, and what to write instead. The mistakes are those of the document's
//! author, found when the configuration is read; no caller's data is ever in them.

use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{self, Kind, Position};

/// What is wrong with a document. The message doesn't contain the position: see [`Error::position`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document is larger than Twilio takes. Its size in bytes.
    #[error(
        "the document has {0} bytes and Twilio takes at most {RESPONSE_LIMIT}; make it shorter"
    )]
    TooLarge(usize),
    /// The document is not UTF-8 from here on.
    #[error("this byte is not UTF-8; save the document as UTF-8")]
    NotUtf8(Position),
    /// The XML declaration names another charset than the one that the document is sent with.
    #[error(
        "declared as {0}, but a fallback document is sent as UTF-8; write encoding=\"UTF-8\", and save it so"
    )]
    Declared(twiml::Name, Position),
    /// A `{{` is not a valid placeholder.
    #[error("{0}")]
    Placeholder(PlaceholderError, Position),
    /// Twilio couldn't act on the document, or would warn about it.
    #[error("not valid {kind} TwiML: {error}", kind = .0, error = with_help(.1))]
    Twiml(Kind, Box<twiml::Error>),
    /// The same for a document with values for its placeholders.
    #[error("not valid {kind} TwiML with {value}: {}", with_help(.error))]
    Filled {
        /// The kind of the document.
        kind: Kind,
        /// The value for each placeholder.
        value: TestValue,
        /// What is wrong with the document then.
        error: Box<twiml::Error>,
        /// Where that is in the document as it was written.
        position: Position,
    },
    /// The document is valid for us, but the second XML parser doesn't accept it.
    #[error(
        "this is well-formed XML for understudy, but not for the second parser, quick-xml: {message}; write it in a simpler way"
    )]
    SecondParser {
        /// The parser's message.
        message: String,
        /// Where the parser stopped.
        position: Position,
    },
}

/// What is wrong with a `{{`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceholderError {
    /// There is no `}}` for it.
    #[error(
        "no `}}}}` closes this `{{{{`; write `{{{{From}}}}`, or `{{&#123;` for the two braces themselves"
    )]
    Unclosed,
    /// `{{{x}}}`, which in other template languages means a value that is not escaped.
    #[error(
        "`{{{{{{` is not a valid placeholder: what comes from a request is always escaped; write `{{{{From}}}}`"
    )]
    Unescaped,
    /// It contains something else than the name of a parameter.
    #[error(
        "this is not a valid placeholder: a fallback document has no logic, only parameters of the request; \
         write the name of one, `{{{{From}}}}`"
    )]
    NoName,
    /// It is where a value could change more than text.
    #[error(
        "a value can't stand here, only in text or in an attribute's value: not in a name, a comment or CDATA"
    )]
    Misplaced,
}

/// The value with which each placeholder of a template is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum TestValue {
    /// A value that is valid as text, a number, a URL or a phone number.
    #[strum(to_string = "`1` for each value")]
    One,
    /// Nothing, like a parameter that is missing.
    #[strum(to_string = "each value empty")]
    Empty,
}

impl Error {
    /// Where in the document the problem is, unless it is the document as a whole.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::TooLarge(_) => None,
            Self::NotUtf8(position)
            | Self::Declared(_, position)
            | Self::Placeholder(_, position)
            | Self::Filled { position, .. }
            | Self::SecondParser { position, .. } => Some(*position),
            Self::Twiml(_, error) => Some(error.position()),
        }
    }
}

impl TestValue {
    /// The value itself.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Empty => "",
        }
    }
}

fn with_help(error: &twiml::Error) -> String {
    match error.finding().help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

/// The position of an offset, which must be between two characters.
pub(super) fn position(document: &str, byte: usize) -> Position {
    let before = &document[..byte];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before[line_start..].trim_start_matches('\u{feff}');
    Position {
        byte,
        line: 1 + before.matches('\n').count() as u32,
        column: 1 + line.chars().count() as u32,
    }
}
