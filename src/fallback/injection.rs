//! Placeholders by which a caller could choose what Twilio does. Every value is escaped, so the document stays as it is; but
//! where its text is a number or a URL, the value decides whom Twilio calls, or whom it tells of the call.

use std::fmt;

use super::draft::Draft;
use super::error::place;
use crate::twiml::{Context, Position};

/// The parameters that hold what a caller says, types or sends; also those that begin so.
const CHOSEN: [&str; 4] = ["Body", "Digits", "SpeechResult", "SipHeader_"];

/// The elements whose text says whom Twilio calls or which URL it requests. `Uri` is a part of `Sip`, `Identity` of `Client`.
const ACTING: [&str; 8] = [
    "Client", "Dial", "Identity", "Number", "Play", "Redirect", "Sip", "Uri",
];

/// A placeholder of a value that the caller chooses, where it decides what Twilio does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The parameter's name.
    pub name: Box<str>,
    /// Where it stands.
    pub place: Position,
    /// What it is part of.
    pub context: Context,
}

impl Injection {
    /// All of a document's, in the order in which they stand there.
    pub(super) fn find(draft: &Draft<'_>) -> Box<[Self]> {
        let chosen: Vec<_> = draft.values().filter(|(_, name)| is_chosen(name)).collect();
        let offsets: Vec<_> = chosen.iter().map(|(at, _)| *at).collect();
        let found = Context::find(draft.page(), &offsets).into_iter();
        let acting = found.filter(|(_, context)| is_acting(context));
        acting
            .filter_map(|(at, context)| {
                let (_, name) = chosen.iter().find(|(own, _)| *own == at)?;
                Some(Self {
                    name: (*name).into(),
                    place: place(draft.page(), at),
                    context,
                })
            })
            .collect()
    }
}

fn is_chosen(name: &str) -> bool {
    CHOSEN.iter().any(|beginning| name.starts_with(beginning))
}

fn is_acting(context: &Context) -> bool {
    match context {
        Context::Text { element } => ACTING.contains(&element.as_str()),
        Context::Value { attribute, .. } => {
            let name = attribute.as_str();
            matches!(name, "url" | "action" | "to")
                || name.ends_with("Url")
                || name.ends_with("Callback")
        }
    }
}

impl fmt::Display for Injection {
    /// What is wrong; what would be right. Where, [`Injection::place`] says.
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
