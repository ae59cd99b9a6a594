//! The source of a fallback document, split at its placeholders, and the checks that it is TwiML whatever values replace them.

use super::error::{Error, PlaceholderError, TestValue, position};
use super::second_parser::check_with_second_parser;
use crate::twiml::{self, Kind, Problem, Rules, SyntaxError, Twiml, check_well_formed};

/// A fallback document is sent as UTF-8, whatever it declares, so it is validated as UTF-8.
pub(super) const CHARSET: Option<&str> = Some("utf-8");

/// A document, split at its placeholders.
#[derive(Debug)]
pub(super) struct Source<'d> {
    text: &'d str,
    segments: Vec<Segment<'d>>,
}

/// A part of a document, and the offset at which it begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Segment<'d> {
    /// Text that goes out as it is.
    Literal(usize, &'d str),
    /// A placeholder for the parameter of this name.
    Placeholder(usize, &'d str),
}

impl<'d> Source<'d> {
    /// Splits a document.
    pub(super) fn parse(text: &'d str) -> Result<Self, Error> {
        let mut segments = Vec::new();
        let mut end = 0;
        while let Some(at) = text[end..].find("{{").map(|at| end + at) {
            segments.push(Segment::Literal(end, &text[end..at]));
            let inner = parse_placeholder(&text[at..])
                .map_err(|error| Error::Placeholder(error, position(text, at)))?;
            segments.push(Segment::Placeholder(at, inner.trim()));
            end = at + "{{".len() + inner.len() + "}}".len();
        }
        segments.push(Segment::Literal(end, &text[end..]));
        Ok(Self { text, segments })
    }

    /// Whether it has no placeholders.
    pub(super) fn is_fixed(&self) -> bool {
        self.placeholders().next().is_none()
    }

    pub(super) fn segments(&self) -> &[Segment<'d>] {
        &self.segments
    }

    /// The document as it was written.
    pub(super) fn text(&self) -> &'d str {
        self.text
    }

    /// The offset of each placeholder, and the name in it.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = (usize, &'d str)> {
        self.segments.iter().filter_map(|segment| match *segment {
            Segment::Literal(..) => None,
            Segment::Placeholder(at, name) => Some((at, name)),
        })
    }

    /// Checks that each placeholder is in character data or in an attribute's value. Only there an `&` begins a reference. So
    /// the placeholder is replaced by an `&`, and the scanner must report it exactly there.
    pub(super) fn check_placeholders(&self, kind: Kind) -> Result<(), Error> {
        self.placeholders()
            .try_for_each(|(at, _)| self.check_placeholder(at, kind))
    }

    fn check_placeholder(&self, at: usize, kind: Kind) -> Result<(), Error> {
        let value = TestValue::One;
        let probe = self.fill(|own| if own == at { "&" } else { value.as_str() });
        // The `&` is as long as the test value, so offsets can be mapped back the same way.
        let error = check_well_formed(probe.as_bytes(), CHARSET).err();
        let error = error.map(|error| (self.to_source(error.position().byte, value), error));
        match error {
            Some((stop, error)) if stop == at && is_bare_ampersand(&error) => Ok(()),
            // The document is not well-formed even before the placeholder.
            Some((stop, error)) if stop < at => Err(self.filled_error(kind, value, error)),
            Some(_) | None => {
                let error = PlaceholderError::Misplaced;
                Err(Error::Placeholder(error, position(self.text, at)))
            }
        }
    }

    /// Validates the document with this value for each placeholder. Both XML parsers must accept it.
    pub(super) fn validate(&self, value: TestValue, rules: &Rules) -> Result<Twiml, Error> {
        let filled = self.fill(|_| value.as_str());
        let twiml = twiml::validate(filled.into(), CHARSET, rules)
            .map_err(|error| self.filled_error(rules.kind(), value, error))?;
        self.check_with_second_parser(&twiml, value)?;
        Ok(twiml)
    }

    /// Checks with the second parser what the first has accepted, which has this value for each placeholder.
    pub(super) fn check_with_second_parser(
        &self,
        twiml: &Twiml,
        value: TestValue,
    ) -> Result<(), Error> {
        let text = str::from_utf8(twiml.bytes()).expect("validated as UTF-8");
        check_with_second_parser(text).map_err(|error| Error::SecondParser {
            message: error.message,
            position: position(self.text, self.to_source(error.at, value)),
        })
    }

    /// The document with these values, which are asked for by the placeholders' offsets.
    fn fill(&self, value: impl Fn(usize) -> &'static str) -> String {
        let segments = self.segments.iter().map(|segment| match *segment {
            Segment::Literal(_, text) => text,
            Segment::Placeholder(at, _) => value(at),
        });
        segments.collect()
    }

    fn filled_error(&self, kind: Kind, value: TestValue, error: twiml::Error) -> Error {
        Error::Filled {
            kind,
            value,
            position: position(self.text, self.to_source(error.position().byte, value)),
            error: error.into(),
        }
    }

    /// Maps an offset in the document that has this value for each placeholder to one in the source. Within a value that is the
    /// offset of the placeholder.
    fn to_source(&self, byte: usize, value: TestValue) -> usize {
        let mut begin = 0;
        for segment in &self.segments {
            let (length, offset) = match *segment {
                Segment::Literal(at, text) => (text.len(), at + byte.saturating_sub(begin)),
                Segment::Placeholder(at, _) => (value.as_str().len(), at),
            };
            if byte < begin + length {
                return offset;
            }
            begin += length;
        }
        self.text.len()
    }
}

/// The text between the braces at the beginning of `text`: a parameter's name, and maybe space around it.
fn parse_placeholder(text: &str) -> Result<&str, PlaceholderError> {
    let inner = &text["{{".len()..];
    if inner.starts_with('{') {
        return Err(PlaceholderError::Unescaped);
    }
    let (inner, _) = inner.split_once("}}").ok_or(PlaceholderError::Unclosed)?;
    let name = inner.trim();
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(is_name_byte) {
        return Err(PlaceholderError::NoName);
    }
    Ok(inner)
}

fn is_bare_ampersand(error: &twiml::Error) -> bool {
    *error.problem() == Problem::Syntax(SyntaxError::Ampersand)
}
