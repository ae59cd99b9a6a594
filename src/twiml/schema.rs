//! Every way in which a well-formed document can break Twilio's grammar.

use super::{grammar::Expected, kind::Kind, name::Name};

/// How a document breaks the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// An element that Twilio does not know. Twilio ignores it and acts on the rest.
    #[error("unknown element `<{name}>` in `<{parent}>`")]
    UnknownElement {
        /// The element.
        name: Name,
        /// The element that holds it.
        parent: Name,
        /// The known name that was probably meant.
        suggestion: Option<Name>,
    },
    /// An element that Twilio knows, but not here.
    #[error("`<{name}>` can't stand in `<{parent}>`")]
    MisplacedElement {
        /// The element.
        name: Name,
        /// The element that holds it.
        parent: Name,
        /// The elements that may hold it.
        allowed_in: Box<[Name]>,
    },
    /// An element of Voice TwiML in Messaging TwiML, or the other way round.
    #[error("`<{name}>` can't stand in `<{parent}>`: it is {kind} TwiML")]
    OtherKind {
        /// The element.
        name: Name,
        /// The element that holds it.
        parent: Name,
        /// The kind that the element is of.
        kind: Kind,
    },
    /// A child that the parent can't use, where Twilio has a code of its own besides that of schema validation.
    #[error("`<{parent}>` can do nothing with `<{name}>`")]
    UnusableElement {
        /// The element.
        name: Name,
        /// The element that holds it.
        parent: Name,
        /// What the parent may hold.
        allowed: Box<[Name]>,
    },
    /// No child in an element that needs one.
    #[error("`<{element}>` holds no element that it needs")]
    NoChild {
        /// The element without a child.
        element: Name,
        /// What it may hold.
        allowed: Box<[Name]>,
    },
    /// A second child of the same name.
    #[error("a second `<{name}>` in `<{parent}>`")]
    SecondChild {
        /// The child.
        name: Name,
        /// The element that holds it.
        parent: Name,
    },
    /// Siblings of a child that can't have any.
    #[error("`<{name}>` beside others in `<{parent}>`")]
    NotAlone {
        /// The child.
        name: Name,
        /// The element that holds it.
        parent: Name,
    },
    /// An attribute that the element does not take.
    #[error("unknown attribute `{name}` on `<{element}>`")]
    UnknownAttribute {
        /// The attribute.
        name: Name,
        /// The element.
        element: Name,
        /// The known name that was probably meant.
        suggestion: Option<Name>,
    },
    /// A value that the attribute does not take.
    #[error("bad value for `{attribute}` on `<{element}>`: expected {expected}")]
    BadValue {
        /// The attribute.
        attribute: Name,
        /// The element.
        element: Name,
        /// What the attribute takes.
        expected: Expected,
    },
    /// Text in an element that holds none.
    #[error("text in `<{0}>`, which holds elements only")]
    Text(Name),
    /// No text in an element that needs some.
    #[error("no text in `<{0}>`")]
    NoText(Name),
    /// More text than Twilio takes.
    #[error("over {max} characters in `<{element}>`")]
    LongText {
        /// The element.
        element: Name,
        /// How many characters it may hold.
        max: usize,
    },
    /// Text that is not what the element needs.
    #[error("bad text in `<{element}>`: expected {expected}")]
    BadText {
        /// The element.
        element: Name,
        /// What it needs.
        expected: Expected,
    },
    /// Plain text without a single tag, in the response to a message: Twilio sends nothing, and warns.
    #[error("plain text, not one tag in it")]
    NotMarkup,
}

impl SchemaError {
    /// What to write instead, where that can be said.
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::UnknownElement { suggestion, .. } => suggestion
                .as_ref()
                .map(|name| format!("did you mean `<{name}>`?")),
            Self::UnknownAttribute { suggestion, .. } => suggestion
                .as_ref()
                .map(|name| format!("did you mean `{name}`?")),
            Self::MisplacedElement {
                name, allowed_in, ..
            } => Some(format!("`<{name}>` may stand in {}", list(allowed_in))),
            Self::UnusableElement {
                parent, allowed, ..
            }
            | Self::NoChild {
                element: parent,
                allowed,
            } => Some(format!("`<{parent}>` may hold {}", list(allowed))),
            Self::SecondChild { .. } => Some("keep one".into()),
            Self::LongText { max, .. } => Some(format!("keep it to {max}, or divide it")),
            Self::NotMarkup => Some("to send nothing, answer `<Response/>`".into()),
            Self::OtherKind { .. }
            | Self::NotAlone { .. }
            | Self::BadValue { .. }
            | Self::Text(_)
            | Self::NoText(_)
            | Self::BadText { .. } => None,
        }
    }
}

fn list(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`<{name}>`")).collect();
    match &names[..] {
        [] => "nothing".into(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}
