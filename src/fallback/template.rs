//! Pages with places for values, as TwiML Bins have them: `{{From}}`, `{{ Body }}`. No logic.
//!
//! That such a page is TwiML whatever a caller sends is made sure of twice. When it is read, each value is shown to stand
//! where an escaped one can't end what it stands in, and the page is judged with a harmless value and with none. When it is
//! filled, the whole is judged once more, because a value may still be one that Twilio's grammar refuses there (a method, a URL):
//! a page that it would spoil, or that would be too long, goes out with every value empty.

use bytes::Bytes;

use super::draft::{Draft, Part};
use super::error::{Error, Sample};
use super::injection::Injection;
use super::names::Names;
use super::page::{CHARSET, LARGEST};
use crate::twiml::{Rules, Strictness, Twiml};
use crate::webhook::Parameters;

/// A page with places for values.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Box<[Piece]>,
    names: Names,
    /// With every value empty.
    bare: Twiml,
    rules: Rules,
    pub(super) injections: Box<[Injection]>,
}

#[derive(Debug)]
enum Piece {
    Literal(Box<str>),
    /// The value of the parameter of this name.
    Value(Box<str>),
}

impl Template {
    /// Judges a page that has placeholders.
    pub(super) fn judged(draft: &Draft<'_>, rules: &Rules) -> Result<Self, Error> {
        draft.check_places(rules.kind())?;
        draft.judge(Sample::One, &rules.at(Strictness::Strict))?;
        let rules = rules.at(Strictness::Twilio);
        let bare = draft.judge(Sample::Empty, &rules)?;
        Ok(Self {
            pieces: draft.parts().iter().map(Piece::from).collect(),
            names: Names::new(draft.names()),
            bare,
            rules,
            injections: Injection::find(draft),
        })
    }

    /// The page with these parameters in it, or else with every value empty.
    pub(super) fn fill(&self, parameters: &Parameters<'_>) -> Twiml {
        let filled = self.filled(parameters);
        let judged = filled.and_then(|page| Twiml::parse(page, CHARSET, &self.rules).ok());
        judged.unwrap_or_else(|| self.bare.clone())
    }

    /// The page with these parameters in it, unjudged; none if it is longer than Twilio takes.
    pub(super) fn filled(&self, parameters: &Parameters<'_>) -> Option<Bytes> {
        let values = self.names.values(parameters);
        let mut page = String::with_capacity(2 * self.bare.bytes().len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => page.push_str(text),
                Piece::Value(name) => escape(values.get(name).unwrap_or_default(), &mut page),
            }
            if page.len() > LARGEST {
                return None;
            }
        }
        Some(page.into())
    }
}

impl From<&Part<'_>> for Piece {
    fn from(part: &Part<'_>) -> Self {
        match *part {
            Part::Literal(_, text) => Self::Literal(text.into()),
            Part::Value(_, name) => Self::Value(name.into()),
        }
    }
}

/// Writes a value so that it stands for itself both in text and in an attribute's value, whatever is around it.
fn escape(value: &str, page: &mut String) {
    for character in value.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&apos;"),
            // With a `>` of the page's own it could make `]]>`, which text may not hold.
            ']' => page.push_str("&#93;"),
            // As they are, a reader would take them for other space (XML 1.0 §2.11, §3.3.3).
            '\t' => page.push_str("&#9;"),
            '\n' => page.push_str("&#10;"),
            '\r' => page.push_str("&#13;"),
            // XML has no way to say these (`[2] Char`).
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            _ => page.push(character),
        }
    }
}
