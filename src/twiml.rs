//! Validates TwiML: a document in bytes becomes either a [`Twiml`], which proves that Twilio can act on it, or an [`Error`] with
//! its position.
//!
//! Twilio knows two levels: it could not act on what it logs as an ERROR, and it acted on what it logs as a WARNING. This module
//! makes the same distinction. It does no I/O, reads no clock and imports nothing of the proxy, so that it can be used alone:
//!
//! ```
//! use understudy::twiml::{Kind, Reason, Rules, Strictness, validate};
//!
//! let rules = Rules::new(Kind::Voice, Strictness::Twilio);
//! let twiml = validate("<Response><Say>Hello</Say></Response>".into(), None, &rules).expect("it is valid");
//! assert_eq!(twiml.bytes(), "<Response><Say>Hello</Say></Response>");
//!
//! let error = validate("<Response><Say>Hello</Response>".into(), None, &rules).unwrap_err();
//! assert_eq!((error.reason(), error.code(), error.position().column), (Reason::Malformed, 12100, 21));
//! assert_eq!(error.to_string(), "`</Response>` closes `<Say>`");
//! ```
//!
//! The XML scanner is our own. The usual crate, quick-xml, accepts XML that is not well-formed (its issues 641 and 848), so all
//! our checks would be needed beside it, and reading with it takes about twice the time. quick-xml is still the second parser
//! that has to accept each fallback document (see [`crate::fallback`]), and the fuzzer compares the two.

mod chars;
mod charset;
mod code;
mod context;
mod declaration;
mod document;
mod error;
mod excerpt;
mod finding;
mod grammar;
mod guess;
mod inspect;
mod kind;
mod known;
mod lint;
mod name;
mod position;
mod redact;
mod rules;
mod scan;
mod schema;
mod source_map;
mod span;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;

pub use charset::{EncodingError, decode_lossy, other_than_utf8};
pub use code::Level;
pub use context::Context;
pub use document::{Twiml, validate};
pub use error::Error;
pub use excerpt::Excerpt;
pub use finding::{Finding, Problem, Reason};
pub use grammar::{Expected, Extension, ExtensionError};
pub use guess::guess_kind;
pub use inspect::MAX_FINDINGS;
pub use kind::Kind;
pub use known::KnownDocuments;
pub use lint::{Report, check_well_formed, lint};
pub use name::Name;
pub use position::Position;
pub use redact::redact;
pub use rules::{Rules, Strictness};
pub use schema::SchemaError;
pub(crate) use suggest::suggest;
pub use syntax::{Construct, MAX_ATTRIBUTES, MAX_DEPTH, SyntaxError};
