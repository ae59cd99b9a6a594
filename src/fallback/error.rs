//! Why a page can't stand in for the app: what is wrong, where, and what would be right. These are mistakes of who wrote the
//! page, found when it is read; nothing of a caller's is ever in them.

use std::{error, fmt};

use super::LARGEST;
use crate::twiml::{self, Kind, Position};

/// What is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is longer than Twilio takes; its length in bytes.
    TooLarge(usize),
    /// It is not UTF-8 from here on.
    NotUtf8(Position),
    /// A `{{` that stands for no value.
    Placeholder(PlaceholderFault, Position),
    /// Twilio couldn't act on it, or would warn of it.
    Twiml(Kind, Box<twiml::Error>),
    /// The same of a page with values in it.
    Filled {
        /// Whom the page is for.
        kind: Kind,
        /// What stood for each value.
        with: Sample,
        /// What is wrong then.
        fault: Box<twiml::Error>,
        /// Where that is in the page as it was written.
        place: Position,
    },
}

/// What can be wrong with a `{{`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceholderFault {
    /// There is no `}}` to it.
    Unclosed,
    /// `{{{x}}}`, which elsewhere means a value that is not escaped.
    Unescaped,
    /// Something else than a parameter's name stands in it.
    NoName,
    /// It stands where a value could change more than a text.
    Misplaced,
}

/// What a template is judged with in the place of each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A value that is as good as any as a text, a number, a URL or a phone number.
    One,
    /// Nothing, as of a parameter that is missing.
    Empty,
}

impl Sample {
    /// What stands in the page.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Empty => "",
        }
    }
}

impl Error {
    /// Where in the page, if it isn't the page as a whole.
    pub fn place(&self) -> Option<Position> {
        match self {
            Self::TooLarge(_) => None,
            Self::NotUtf8(place) | Self::Placeholder(_, place) | Self::Filled { place, .. } => {
                Some(*place)
            }
            Self::Twiml(_, fault) => Some(fault.place()),
        }
    }
}

/// The place of an offset, which is on the boundary of a character.
pub(super) fn place(page: &str, byte: usize) -> Position {
    let before = &page[..byte];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before[line_start..].trim_start_matches('\u{feff}');
    Position {
        byte,
        line: 1 + before.matches('\n').count() as u32,
        column: 1 + line.chars().count() as u32,
    }
}

impl fmt::Display for Error {
    /// What is wrong; what would be right. Where, [`Error::place`] says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(bytes) => write!(
                f,
                "the page has {bytes} bytes and Twilio takes at most {LARGEST}; make it shorter"
            ),
            Self::NotUtf8(_) => f.write_str("this byte is not UTF-8; save the page as UTF-8"),
            Self::Placeholder(fault, _) => fault.fmt(f),
            Self::Twiml(kind, fault) => write!(f, "not valid {kind} TwiML: {}", in_words(fault)),
            Self::Filled {
                kind, with, fault, ..
            } => {
                let fault = in_words(fault);
                write!(f, "not valid {kind} TwiML with {with}: {fault}")
            }
        }
    }
}

fn in_words(fault: &twiml::Error) -> String {
    match fault.finding().help() {
        Some(help) => format!("{fault}; {help}"),
        None => fault.to_string(),
    }
}

impl fmt::Display for PlaceholderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unclosed => {
                "no `}}` closes this `{{`; write `{{From}}`, or `{&#123;` for the two braces themselves"
            }
            Self::Unescaped => {
                "`{{{` is not a valid placeholder: what comes from a request is always escaped; write `{{From}}`"
            }
            Self::NoName => {
                "this is not a valid placeholder: a fallback document has no logic, only parameters of the request; \
                 write the name of one, `{{From}}`"
            }
            Self::Misplaced => {
                "a value can't stand here, only in text or in an attribute's value: \
                 not in a name, a comment or CDATA"
            }
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "`1` for each value",
            Self::Empty => "each value empty",
        })
    }
}

impl error::Error for Error {}
