//! The judge: a page of bytes in, and out comes either a [`Twiml`], the proof that Twilio can act on it, or a [`Error`]
//! with its place.
//!
//! Twilio itself knows two verdicts: what it logs as an ERROR it could not act on, what it logs as a WARNING it acted on all
//! the same. This room draws the same line. It does no I/O, reads no clock, knows nothing of HTTP beyond the `charset` that a
//! caller may have read from a `Content-Type`, and imports nothing of the proxy, so that it can be used alone:
//!
//! ```
//! use understudy::twiml::{Kind, Reason, Rules, Strictness, Twiml};
//!
//! let rules = Rules::new(Kind::Voice, Strictness::Twilio);
//! let page = Twiml::parse("<Response><Say>Hello</Say></Response>".into(), None, &rules).expect("it is good");
//! assert_eq!(page.bytes(), "<Response><Say>Hello</Say></Response>");
//!
//! let fault = Twiml::parse("<Response><Say>Hello</Response>".into(), None, &rules).unwrap_err();
//! assert_eq!((fault.reason(), fault.code(), fault.place().column), (Reason::Malformed, 12100, 21));
//! assert_eq!(fault.to_string(), "`</Response>` closes `<Say>`");
//! ```

mod chars;
mod charset;
mod context;
mod declaration;
mod error;
mod excerpt;
mod extension;
mod grammar;
mod guess;
mod inspect;
mod name;
mod position;
mod redact;
mod scan;
mod schema;
mod source_map;
mod span;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod validate;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use grammar::Grammar;

pub use charset::{Encoding, decoded};
pub use context::Context;
pub use error::{Error, Fact, Finding, Level, Reason};
pub use excerpt::Excerpt;
pub use extension::{Extension, ExtensionError};
pub use grammar::Expected;
pub use inspect::MAX_FINDINGS;
pub use name::Name;
pub use position::Position;
pub use redact::redacted;
pub use scan::{MAX_ATTRIBUTES, MAX_DEPTH};
pub use schema::Schema;
pub use syntax::{Construct, Syntax};
pub use validate::{Judgement, judge, well_formed};

/// A page that Twilio can act on. Only [`Twiml::parse`] makes one, and it goes back byte for byte as it came.
#[derive(Clone, Debug)]
pub struct Twiml {
    page: Bytes,
    warnings: Vec<Finding>,
}

impl Twiml {
    /// Judges a page. `charset` is that parameter of the answer's `Content-Type`, if it had one.
    pub fn parse(page: Bytes, charset: Option<&str>, rules: &Rules) -> Result<Self, Error> {
        let warnings = validate::decide(&page, charset, rules)?;
        Ok(Self { page, warnings })
    }

    /// The page, exactly as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.page
    }

    /// The page, exactly as it came.
    pub fn into_bytes(self) -> Bytes {
        self.page
    }

    /// Whether it is no markup at all but plain text: in answer to a message Twilio takes it for "send nothing", and warns.
    pub fn is_plain_text(&self) -> bool {
        self.warnings
            .iter()
            .any(|warning| *warning.fact() == Fact::Schema(Schema::NotMarkup))
    }

    /// What Twilio would log and yet act on.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}

/// What a page is judged by. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rules {
    kind: Kind,
    strictness: Strictness,
    grammar: Arc<Grammar>,
}

impl Rules {
    /// Twilio's own grammar for this kind of page.
    pub fn new(kind: Kind, strictness: Strictness) -> Self {
        Self {
            kind,
            strictness,
            grammar: Grammar::of(kind),
        }
    }

    /// Twilio's grammar, and what Twilio has since added to it.
    ///
    /// ```
    /// use understudy::twiml::{Extension, Kind, Rules, Strictness, Twiml};
    ///
    /// let teleport = Extension { element: "Teleport".into(), attributes: vec!["to".into()], ..Extension::default() };
    /// let rules = Rules::with(Kind::Voice, Strictness::Strict, &[teleport]).expect("they are new");
    /// assert!(Twiml::parse("<Response><Teleport to='Oslo'/></Response>".into(), None, &rules).is_ok());
    /// ```
    pub fn with(
        kind: Kind,
        strictness: Strictness,
        additions: &[Extension],
    ) -> Result<Self, Vec<ExtensionError>> {
        Ok(Self {
            kind,
            strictness,
            grammar: Grammar::with(kind, additions)?,
        })
    }

    /// The same grammar, judged more or less strictly.
    pub fn at(&self, strictness: Strictness) -> Self {
        Self {
            strictness,
            ..self.clone()
        }
    }

    /// Which grammar this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which findings are failures.
    pub fn strictness(&self) -> Strictness {
        self.strictness
    }

    fn grammar(&self) -> &Grammar {
        &self.grammar
    }
}

/// Twilio has one grammar for calls and one for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The answer to a call.
    Voice,
    /// The answer to a message.
    Messaging,
}

impl Kind {
    /// What a page seems to be, by its verbs; `None` if they say nothing or the page is none.
    pub fn guess(page: &[u8], charset: Option<&str>) -> Option<Self> {
        guess::kind(page, charset)
    }

    fn other(self) -> Self {
        match self {
            Self::Voice => Self::Messaging,
            Self::Messaging => Self::Voice,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Voice => "Voice",
            Self::Messaging => "Messaging",
        })
    }
}

/// Which findings make a page fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// What Twilio logs as an ERROR.
    Twilio,
    /// Every finding.
    Strict,
}
