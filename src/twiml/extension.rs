//! What a configuration adds to Twilio's grammar, because Twilio adds verbs and attributes before we do.

use std::{error, fmt};

use super::{
    chars::name_len,
    grammar::{Draft, DraftAttribute},
};

/// An element that Twilio's grammar lacks, or what it lacks of one that it has. Attributes that are added take any value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// The element.
    pub element: String,
    /// Elements that may hold it; for a new one none means `Response`.
    pub parents: Vec<String>,
    /// Elements that it may hold.
    pub children: Vec<String>,
    /// Attributes that it takes.
    pub attributes: Vec<String>,
    /// Whether it may hold text.
    pub text: bool,
}

/// Why an addition can't be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtensionError {
    /// An element or attribute that XML would not take for a name.
    NotAName(String),
    /// A parent or child that neither Twilio's grammar nor an addition has.
    NoSuchElement {
        /// The element that was to be added.
        element: String,
        /// The one it names.
        named: String,
    },
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAName(name) => write!(f, "`{name}` is not a name that XML allows"),
            Self::NoSuchElement { element, named } => {
                write!(
                    f,
                    "`{element}` names an element that is not known, `{named}`"
                )
            }
        }
    }
}

impl error::Error for ExtensionError {}

/// Adds to the table; every error at once.
pub(super) fn apply(
    additions: &[Extension],
    drafts: &mut Vec<Draft>,
) -> Result<(), Vec<ExtensionError>> {
    let errors = errors(additions, drafts);
    if !errors.is_empty() {
        return Err(errors);
    }
    let new: Vec<&Extension> = additions
        .iter()
        .filter(|a| !knows(drafts, &a.element))
        .collect();
    for addition in &new {
        if !knows(drafts, &addition.element) {
            drafts.push(Draft::open(&addition.element));
        }
    }
    for addition in additions {
        let is_new = new.iter().any(|n| n.element == addition.element);
        extend(drafts, addition);
        let home = ["Response".to_owned()];
        let parents = if is_new && addition.parents.is_empty() {
            &home
        } else {
            &*addition.parents
        };
        for parent in parents {
            nest(drafts, parent, &addition.element);
        }
        for child in &addition.children {
            nest(drafts, &addition.element, child);
        }
    }
    Ok(())
}

fn errors(additions: &[Extension], drafts: &[Draft]) -> Vec<ExtensionError> {
    let is_known = |name: &str| knows(drafts, name) || additions.iter().any(|a| a.element == name);
    let mut errors = Vec::new();
    for Extension {
        element,
        parents,
        children,
        attributes,
        ..
    } in additions
    {
        let names = [element].into_iter().chain(attributes);
        errors.extend(
            names
                .filter(|name| !is_name(name))
                .cloned()
                .map(ExtensionError::NotAName),
        );
        let named = parents
            .iter()
            .chain(children)
            .filter(|name| !is_known(name))
            .cloned();
        errors.extend(named.map(|named| ExtensionError::NoSuchElement {
            element: element.clone(),
            named,
        }));
    }
    errors
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name_len(name.as_bytes()) == name.len()
}

fn knows(drafts: &[Draft], name: &str) -> bool {
    drafts.iter().any(|draft| draft.tag() == name)
}

/// Adds text and attributes to every element of that name.
fn extend(drafts: &mut [Draft], addition: &Extension) {
    for draft in drafts
        .iter_mut()
        .filter(|draft| draft.tag() == addition.element)
    {
        draft.text.allowed |= addition.text;
        for name in &addition.attributes {
            if !draft.attributes.iter().any(|known| known.name == *name) {
                draft.attributes.push(DraftAttribute::open(name));
            }
        }
    }
}

/// Lets every element of the parent's name hold the child.
fn nest(drafts: &mut [Draft], parent: &str, child: &str) {
    let key = drafts
        .iter()
        .find(|draft| draft.tag() == child)
        .expect("was looked for before")
        .key
        .clone();
    for draft in drafts.iter_mut().filter(|draft| draft.tag() == parent) {
        if !draft
            .children
            .iter()
            .any(|known| known.rsplit('/').next() == Some(child))
        {
            draft.children.push(key.clone());
        }
    }
}
