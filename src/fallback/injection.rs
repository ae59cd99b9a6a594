//! Placeholders by which a caller could decide what Twilio does. Every value is escaped, so the structure of the document is
//! safe. But where its text is a number or a URL, the value decides whom Twilio calls, or which server it requests.

use std::fmt;

use super::error::position;
use super::source::Source;
use crate::twiml::{Context, Position};

/// The parameters that contain what a caller says, types or sends, or the beginnings of their names.
const CALLER_CHOSEN: [&str; 4] = ["Body", "Digits", "SpeechResult", "SipHeader_"];

/// The elements whose text decides whom Twilio calls or which URL it requests. `Uri` is a part of `Sip`, `Identity` of `Client`.
const TARGET_ELEMENTS: [&str; 8] = [
    "Client", "Dial", "Identity", "Number", "Play", "Redirect", "Sip", "Uri",
];

/// A placeholder for a value that the caller chooses, where the value decides what Twilio does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The name of the parameter.
    pub name: Box<str>,
    /// Where the placeholder is.
    pub position: Position,
    /// What the placeholder is part of.
    pub context: Context,
}

impl Injection {
    /// All injections in a document, in its order.
    pub(super) fn find(source: &Source<'_>) -> Box<[Self]> {
        let chosen = source.placeholders().filter(|(_, name)| is_chosen(name));
        let (offsets, names): (Vec<_>, Vec<_>) = chosen.unzip();
        let contexts = Context::find(source.text(), &offsets).into_iter();
        let deciding = contexts.filter(|(_, context)| is_target(context));
        deciding
            .filter_map(|(at, context)| {
                let index = offsets.binary_search(&at).ok()?;
                Some(Self {
                    name: names[index].into(),
                    position: position(source.text(), at),
                    context,
                })
            })
            .collect()
    }
}

fn is_chosen(name: &str) -> bool {
    CALLER_CHOSEN
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

fn is_target(context: &Context) -> bool {
    match context {
        Context::Text { element } => TARGET_ELEMENTS.contains(&element.as_str()),
        Context::Value { attribute, .. } => {
            let name = attribute.as_str();
            matches!(name, "url" | "action" | "to")
                || name.ends_with("Url")
                || name.ends_with("Callback")
        }
    }
}

impl fmt::Display for Injection {
    /// What is wrong, and what to write instead. The position is in [`Injection::position`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{{{{{}}}}}` is a value that the caller chooses, and ",
            self.name
        )?;
        match &self.context {
            Context::Text { element } => write!(f, "the text of `<{element}>`")?,
            Context::Value { attribute, element } => {
                write!(f, "the attribute `{attribute}` of `<{element}>`")?;
            }
        }
        f.write_str(" decides whom Twilio reaches or which URL it requests; write a fixed value")
    }
}
