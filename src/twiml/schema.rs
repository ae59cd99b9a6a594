//! Every way in which a well-formed page can break Twilio's grammar.

use std::fmt;

use super::{Kind, Name, grammar::Expected};

/// What breaks the grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// An element that Twilio does not know; it leaves it out and does the rest.
    UnknownElement {
        /// The element.
        name: Name,
        /// What it stands in.
        parent: Name,
        /// The known name that is nearest.
        nearest: Option<Name>,
    },
    /// An element that Twilio knows, but not here.
    MisplacedElement {
        /// The element.
        name: Name,
        /// What it stands in.
        parent: Name,
        /// What it may stand in.
        homes: Box<[Name]>,
    },
    /// An element that answers a call, in the answer to a message, or the other way round.
    OtherKind {
        /// The element.
        name: Name,
        /// What it stands in.
        parent: Name,
        /// What it is for.
        kind: Kind,
    },
    /// A child that this parent can't do with, for which Twilio has a code besides that of schema validation.
    StrayElement {
        /// The element.
        name: Name,
        /// What it stands in.
        parent: Name,
        /// What the parent may hold.
        allowed: Box<[Name]>,
    },
    /// No child where there must be one.
    NoChild {
        /// The element without a child.
        element: Name,
        /// What it may hold.
        allowed: Box<[Name]>,
    },
    /// A child for the second time.
    SecondChild {
        /// The child.
        name: Name,
        /// What it stands in.
        parent: Name,
    },
    /// A child that can't stand beside others.
    NotAlone {
        /// The child.
        name: Name,
        /// What it stands in.
        parent: Name,
    },
    /// An attribute that the element does not take.
    UnknownAttribute {
        /// The attribute.
        name: Name,
        /// The element.
        element: Name,
        /// The known name that is nearest.
        nearest: Option<Name>,
    },
    /// A value that the attribute does not take.
    BadValue {
        /// The attribute.
        attribute: Name,
        /// The element.
        element: Name,
        /// What it takes.
        expected: Expected,
    },
    /// Text in this element, which holds none.
    Text(Name),
    /// No text in this element, which needs some.
    NoText(Name),
    /// More text than Twilio takes.
    LongText {
        /// The element.
        element: Name,
        /// How many characters it may hold.
        most: usize,
    },
    /// Text that is not what the element needs.
    BadText {
        /// The element.
        element: Name,
        /// What it needs.
        expected: Expected,
    },
    /// Plain text in answer to a message, not one tag in it: Twilio sends nothing, and warns.
    NotMarkup,
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownElement { name, parent, .. } => {
                write!(f, "unknown element `<{name}>` in `<{parent}>`")
            }
            Self::MisplacedElement { name, parent, .. } => {
                write!(f, "`<{name}>` can't stand in `<{parent}>`")
            }
            Self::OtherKind { name, parent, kind } => {
                write!(
                    f,
                    "`<{name}>` can't stand in `<{parent}>`: it is {kind} TwiML"
                )
            }
            Self::StrayElement { name, parent, .. } => {
                write!(f, "`<{parent}>` can do nothing with `<{name}>`")
            }
            Self::NoChild { element, .. } => {
                write!(f, "`<{element}>` holds no element that it needs")
            }
            Self::SecondChild { name, parent } => write!(f, "a second `<{name}>` in `<{parent}>`"),
            Self::NotAlone { name, parent } => {
                write!(f, "`<{name}>` beside others in `<{parent}>`")
            }
            Self::UnknownAttribute { name, element, .. } => {
                write!(f, "unknown attribute `{name}` on `<{element}>`")
            }
            Self::BadValue {
                attribute,
                element,
                expected,
            } => {
                write!(
                    f,
                    "bad value for `{attribute}` on `<{element}>`: expected {expected}"
                )
            }
            Self::Text(element) => write!(f, "text in `<{element}>`, which holds elements only"),
            Self::NoText(element) => write!(f, "no text in `<{element}>`"),
            Self::LongText { element, most } => {
                write!(f, "over {most} characters in `<{element}>`")
            }
            Self::BadText { element, expected } => {
                write!(f, "bad text in `<{element}>`: expected {expected}")
            }
            Self::NotMarkup => f.write_str("plain text, not one tag in it"),
        }
    }
}

impl Schema {
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::UnknownElement {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `<{nearest}>`?")),
            Self::UnknownAttribute {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `{nearest}`?")),
            Self::MisplacedElement { name, homes, .. } => {
                Some(format!("`<{name}>` may stand in {}", listed(homes)))
            }
            Self::StrayElement {
                parent, allowed, ..
            }
            | Self::NoChild {
                element: parent,
                allowed,
            } => Some(format!("`<{parent}>` may hold {}", listed(allowed))),
            Self::SecondChild { .. } => Some("keep one".into()),
            Self::LongText { most, .. } => Some(format!("keep it to {most}, or divide it")),
            Self::NotMarkup => Some("to send nothing, answer `<Response/>`".into()),
            Self::UnknownElement { nearest: None, .. }
            | Self::UnknownAttribute { nearest: None, .. }
            | Self::OtherKind { .. }
            | Self::NotAlone { .. }
            | Self::BadValue { .. }
            | Self::Text(_)
            | Self::NoText(_)
            | Self::BadText { .. } => None,
        }
    }
}

fn listed(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`<{name}>`")).collect();
    match &names[..] {
        [] => "nothing".into(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
