//! A page on its way to a template: cut at its placeholders, and shown to be TwiML whatever is put in their place.

use super::error::{Error, PlaceholderFault, Sample, place};
use super::page::CHARSET;
use crate::twiml::{self, Fact, Kind, Rules, Syntax, Twiml, well_formed};

/// A page cut at its placeholders.
#[derive(Debug)]
pub(super) struct Draft<'p> {
    page: &'p str,
    parts: Vec<Part<'p>>,
}

/// A part of a page, and the offset at which it begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'p> {
    /// Stands there as it is.
    Literal(usize, &'p str),
    /// The value of the parameter of this name stands there.
    Value(usize, &'p str),
}

impl<'p> Draft<'p> {
    /// Cuts a page.
    pub(super) fn of(page: &'p str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut end = 0;
        while let Some(at) = page[end..].find("{{").map(|at| end + at) {
            parts.push(Part::Literal(end, &page[end..at]));
            let inner =
                inner(&page[at..]).map_err(|fault| Error::Placeholder(fault, place(page, at)))?;
            parts.push(Part::Value(at, inner.trim()));
            end = at + "{{".len() + inner.len() + "}}".len();
        }
        parts.push(Part::Literal(end, &page[end..]));
        Ok(Self { page, parts })
    }

    /// Whether there is no placeholder in it.
    pub(super) fn is_fixed(&self) -> bool {
        self.names().next().is_none()
    }

    pub(super) fn parts(&self) -> &[Part<'p>] {
        &self.parts
    }

    /// The whole, as it was written.
    pub(super) fn page(&self) -> &'p str {
        self.page
    }

    /// The name in each placeholder.
    pub(super) fn names(&self) -> impl Iterator<Item = &'p str> {
        self.values().map(|(_, name)| name)
    }

    /// Where each placeholder begins, and the name in it.
    pub(super) fn values(&self) -> impl Iterator<Item = (usize, &'p str)> {
        self.parts.iter().filter_map(|part| match *part {
            Part::Literal(..) => None,
            Part::Value(at, name) => Some((at, name)),
        })
    }

    /// Makes sure that each value stands in character data or in an attribute's value. There, and nowhere else, XML takes an
    /// `&` for the beginning of a reference; so one is put in the value's place, and reading must stop exactly there.
    pub(super) fn check_places(&self, kind: Kind) -> Result<(), Error> {
        for part in &self.parts {
            if let Part::Value(at, _) = *part {
                self.check_place(at, kind)?;
            }
        }
        Ok(())
    }

    fn check_place(&self, at: usize, kind: Kind) -> Result<(), Error> {
        let sample = Sample::One.as_str();
        let probed = self.with(|own| if own == at { "&" } else { sample });
        let fault = well_formed(probed.as_bytes(), CHARSET).err();
        // The probe is as long as the sample.
        let stopped = fault.map(|fault| (self.origin(fault.place().byte, Sample::One), fault));
        match stopped {
            Some((stop, fault)) if stop == at && is_lone_ampersand(&fault) => Ok(()),
            // The page is no XML even before this.
            Some((stop, fault)) if stop < at => Err(self.fault(kind, Sample::One, fault)),
            Some(_) | None => {
                let place = place(self.page, at);
                Err(Error::Placeholder(PlaceholderFault::Misplaced, place))
            }
        }
    }

    /// Judges the page with this for each value.
    pub(super) fn judge(&self, sample: Sample, rules: &Rules) -> Result<Twiml, Error> {
        let page = self.with(|_| sample.as_str());
        Twiml::parse(page.into(), CHARSET, rules)
            .map_err(|fault| self.fault(rules.kind(), sample, fault))
    }

    /// The page with these values, which are asked for by their offsets.
    fn with(&self, value: impl Fn(usize) -> &'static str) -> String {
        let parts = self.parts.iter().map(|part| match *part {
            Part::Literal(_, text) => text,
            Part::Value(at, _) => value(at),
        });
        parts.collect()
    }

    /// A fault of the page with this for each value.
    fn fault(&self, kind: Kind, with: Sample, fault: twiml::Error) -> Error {
        Error::Filled {
            kind,
            with,
            place: place(self.page, self.origin(fault.place().byte, with)),
            fault: fault.into(),
        }
    }

    /// The offset in the page of one in the page with this for each value. Within a value it is where its placeholder begins.
    fn origin(&self, byte: usize, with: Sample) -> usize {
        let mut begin = 0;
        for part in &self.parts {
            let (length, origin) = match *part {
                Part::Literal(at, text) => (text.len(), at + byte.saturating_sub(begin)),
                Part::Value(at, _) => (with.as_str().len(), at),
            };
            if byte < begin + length {
                return origin;
            }
            begin += length;
        }
        self.page.len()
    }
}

/// What stands between the braces at the beginning of this text: a parameter's name, and maybe space around it.
fn inner(text: &str) -> Result<&str, PlaceholderFault> {
    let inner = &text["{{".len()..];
    if inner.starts_with('{') {
        return Err(PlaceholderFault::Unescaped);
    }
    let (inner, _) = inner.split_once("}}").ok_or(PlaceholderFault::Unclosed)?;
    let name = inner.trim();
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(is_of_name) {
        return Err(PlaceholderFault::NoName);
    }
    Ok(inner)
}

fn is_lone_ampersand(fault: &twiml::Error) -> bool {
    *fault.fact() == Fact::Syntax(Syntax::Ampersand)
}
