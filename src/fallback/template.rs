//! Documents with placeholders, like those of TwiML Bins: `{{From}}`, `{{ Body }}`. There is no logic.
//!
//! That such a document is TwiML whatever a caller sends is ensured twice. When it is read, each placeholder must be where an
//! escaped value can't end the surrounding construct, and the document must be valid with a harmless value and with none. When
//! it is rendered, the whole is validated once more, because Twilio's grammar may still reject the value there (a method, a
//! URL). If it does, or if the document gets too large, every value is left empty.

use bytes::Bytes;

use super::error::{Error, TestValue};
use super::injection::Injection;
use super::parameters::ParameterNames;
use super::source::{CHARSET, Segment, Source};
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{self, Rules, Strictness, Twiml};
use crate::webhook::Parameters;

/// A document with placeholders.
#[derive(Debug)]
pub(super) struct Template {
    segments: Box<[OwnedSegment]>,
    names: ParameterNames,
    /// The document with every value empty.
    empty: Twiml,
    rules: Rules,
    pub(super) injections: Box<[Injection]>,
}

#[derive(Debug)]
enum OwnedSegment {
    Literal(Box<str>),
    /// The value of the parameter of this name.
    Placeholder(Box<str>),
}

impl Template {
    /// Validates a document that has placeholders.
    pub(super) fn new(source: &Source<'_>, rules: &Rules) -> Result<Self, Error> {
        source.check_placeholders(rules.kind())?;
        source.validate(TestValue::One, &rules.with_strictness(Strictness::Strict))?;
        let rules = rules.with_strictness(Strictness::Twilio);
        let empty = source.validate(TestValue::Empty, &rules)?;
        Ok(Self {
            segments: source.segments().iter().map(OwnedSegment::from).collect(),
            names: ParameterNames::new(source.placeholders().map(|(_, name)| name)),
            empty,
            rules,
            injections: Injection::find(source),
        })
    }

    /// The document with these parameters in it, or else with every value empty.
    pub(super) fn render(&self, parameters: &Parameters<'_>) -> Twiml {
        let filled = self.fill(parameters);
        let valid = filled.and_then(|filled| twiml::validate(filled, CHARSET, &self.rules).ok());
        valid.unwrap_or_else(|| self.empty.clone())
    }

    /// The document with these parameters in it, not yet validated; `None` if it is larger than Twilio takes.
    pub(super) fn fill(&self, parameters: &Parameters<'_>) -> Option<Bytes> {
        let values = self.names.find_values(parameters);
        let mut document = String::with_capacity(2 * self.empty.bytes().len());
        for segment in &self.segments {
            match segment {
                OwnedSegment::Literal(text) => document.push_str(text),
                OwnedSegment::Placeholder(name) => {
                    push_escaped(&mut document, values.get(name).unwrap_or_default());
                }
            }
            if document.len() > RESPONSE_LIMIT {
                return None;
            }
        }
        Some(document.into())
    }
}

impl From<&Segment<'_>> for OwnedSegment {
    fn from(segment: &Segment<'_>) -> Self {
        match *segment {
            Segment::Literal(_, text) => Self::Literal(text.into()),
            Segment::Placeholder(_, name) => Self::Placeholder(name.into()),
        }
    }
}

/// Escapes a value so that it means itself both in text and in an attribute's value, whatever is around it.
fn push_escaped(document: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '&' => document.push_str("&amp;"),
            '<' => document.push_str("&lt;"),
            '>' => document.push_str("&gt;"),
            '"' => document.push_str("&quot;"),
            '\'' => document.push_str("&apos;"),
            // Before a literal `>` it could complete a `]]>`, which text must not contain.
            ']' => document.push_str("&#93;"),
            // A parser would normalize these to other white space (XML 1.0 §2.11, §3.3.3).
            '\t' => document.push_str("&#9;"),
            '\n' => document.push_str("&#10;"),
            '\r' => document.push_str("&#13;"),
            // XML can't express these (`[2] Char`).
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            _ => document.push(character),
        }
    }
}
