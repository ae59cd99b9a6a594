//! One thing that Twilio would log about a document: the problem, its position, the path to it, and Twilio's code for it.
//! Messages never repeat text or attribute values, which may hold phone numbers.

use super::{
    charset::EncodingError,
    code::Level,
    name::Name,
    position::Position,
    schema::SchemaError,
    syntax::{HTML_HELP, SyntaxError},
};

/// One thing that Twilio would log about a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Finding {
    pub(super) problem: Problem,
    pub(super) code: u32,
    pub(super) level: Level,
    pub(super) position: Position,
    pub(super) width: u32,
    pub(super) path: Box<str>,
}

impl Finding {
    /// An error outside of any element, one character wide.
    pub(super) fn error(code: u32, problem: impl Into<Problem>, position: Position) -> Self {
        Self {
            problem: problem.into(),
            code,
            level: Level::Error,
            position,
            width: 1,
            path: Box::default(),
        }
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Whether Twilio can still act on the document.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Twilio's code, from its error dictionary (<https://www.twilio.com/docs/api/errors>).
    pub fn code(&self) -> u32 {
        self.code
    }

    /// Where the problem begins.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many characters of the line the finding is about, at least one.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The path from the root, such as `Response/Gather/Say@voice`; empty outside the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What to write instead, where that can be said.
    pub fn help(&self) -> Option<String> {
        self.problem.help()
    }
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes are not text in the declared charset.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// The text is not well-formed XML 1.0.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The root element is not `Response` (error 12102).
    #[error(
        "{}the root element is `<{found}>`, not `<Response>`",
        if found.is_html() { "an HTML page, not TwiML: " } else { "" }
    )]
    Root {
        /// The root that was found.
        found: Name,
    },
    /// A rule of the grammar is broken.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl Problem {
    /// The class of the problem.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Encoding(_) => Reason::Encoding,
            Self::Syntax(_) | Self::Schema(SchemaError::NotMarkup) => Reason::Malformed,
            Self::Root { .. } => Reason::Root,
            Self::Schema(_) => Reason::Schema,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Encoding(_) => None,
            Self::Syntax(error) => error.help(),
            Self::Schema(error) => error.help(),
            Self::Root { found } if found.is_html() => Some(HTML_HELP.into()),
            Self::Root { .. } => {
                Some("the root must be `<Response>`, in this very spelling".into())
            }
        }
    }
}

/// The class of a problem, as metrics count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The bytes are not text in the declared charset.
    Encoding,
    /// The text is not well-formed XML 1.0, or has a DOCTYPE.
    Malformed,
    /// The root element is not `Response`.
    Root,
    /// A rule of the grammar is broken.
    Schema,
}
