//! What was found in a page: one fact, its place, the path to it, Twilio's code for it. A [`Error`] is the finding that
//! decided against a page. Nothing that is printed here repeats text or attribute values: they may hold phone numbers.

use std::{error, fmt};

use super::{Encoding, Excerpt, Name, Position, Schema, Syntax, syntax::HTML_HELP};

/// Why a page was refused: the finding that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    finding: Box<Finding>,
    excerpt: Box<Excerpt>,
}

impl Error {
    pub(super) fn new(finding: Finding, excerpt: Excerpt) -> Self {
        Self {
            finding: finding.into(),
            excerpt: excerpt.into(),
        }
    }

    /// What was wrong.
    pub fn fact(&self) -> &Fact {
        &self.finding.fact
    }

    /// Which class of failure this is.
    pub fn reason(&self) -> Reason {
        self.finding.fact.reason()
    }

    /// Twilio's code for it.
    pub fn code(&self) -> u32 {
        self.finding.code()
    }

    /// Where.
    pub fn place(&self) -> Position {
        self.finding.place
    }

    /// The way from the root, such as `Response/Gather/Say@voice`; empty outside the root.
    pub fn path(&self) -> &str {
        &self.finding.path
    }

    /// The line that it is about, masked.
    pub fn excerpt(&self) -> &Excerpt {
        &self.excerpt
    }

    /// The whole finding.
    pub fn finding(&self) -> &Finding {
        &self.finding
    }

    /// The whole finding.
    pub fn into_finding(self) -> Finding {
        *self.finding
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.fmt(f)
    }
}

impl error::Error for Error {}

/// One thing that Twilio would log about a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(super) fact: Fact,
    pub(super) code: u32,
    pub(super) level: Level,
    pub(super) place: Position,
    pub(super) width: u32,
    pub(super) path: Box<str>,
}

impl Finding {
    /// What was found.
    pub fn fact(&self) -> &Fact {
        &self.fact
    }

    /// Whether Twilio can act on the page all the same.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Twilio's code, as its error dictionary (<https://www.twilio.com/docs/api/errors>) has it.
    pub fn code(&self) -> u32 {
        self.code
    }

    /// Where.
    pub fn place(&self) -> Position {
        self.place
    }

    /// How many characters of the line it is about, at least one.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The way from the root, such as `Response/Gather/Say@voice`; empty outside the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What would be right, where that can be said.
    pub fn help(&self) -> Option<String> {
        self.fact.help()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fact.fmt(f)
    }
}

/// Twilio's two levels: "Warnings mean Twilio encountered an issue but could still process the request. An error is more
/// severe and means that Twilio could not process the request at all."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Twilio acts on the page all the same.
    Warning,
    /// Twilio can't act on the page.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The classes of failure that a dashboard tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The bytes are no text in the declared charset.
    Encoding,
    /// The text is not well-formed XML 1.0, or has a DOCTYPE.
    Malformed,
    /// The root element is not `Response`.
    Root,
    /// A rule of the grammar is broken.
    Schema,
}

/// What was found in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The bytes are no text in the declared charset.
    Encoding(Encoding),
    /// The text is not well-formed XML 1.0.
    Syntax(Syntax),
    /// The root element is another one than `Response` (error 12102).
    Root {
        /// The root that was found.
        found: Name,
    },
    /// A rule of the grammar is broken.
    Schema(Schema),
}

impl Fact {
    /// Which class of failure this is.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Encoding(_) => Reason::Encoding,
            Self::Syntax(_) | Self::Schema(Schema::NotMarkup) => Reason::Malformed,
            Self::Root { .. } => Reason::Root,
            Self::Schema(_) => Reason::Schema,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Encoding(_) => None,
            Self::Syntax(syntax) => syntax.help(),
            Self::Schema(schema) => schema.help(),
            Self::Root { found } if found.is_html() => Some(HTML_HELP.into()),
            Self::Root { .. } => {
                Some("the root must be `<Response>`, in this very spelling".into())
            }
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding(encoding) => encoding.fmt(f),
            Self::Syntax(syntax) => syntax.fmt(f),
            Self::Schema(schema) => schema.fmt(f),
            Self::Root { found } if found.is_html() => write!(
                f,
                "an HTML page, not TwiML: the root element is `<{found}>`, not `<Response>`"
            ),
            Self::Root { found } => write!(f, "the root element is `<{found}>`, not `<Response>`"),
        }
    }
}
