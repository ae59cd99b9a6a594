//! Extensions of Twilio's grammar by the configuration, because Twilio adds verbs and attributes before a release of ours knows
//! them.

use std::slice;

use super::editable::{EditableAttribute, EditableElement};
use crate::twiml::chars::name_len;

/// A new element, or what to add to one that Twilio's grammar has. New attributes take any value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// The element.
    pub element: String,
    /// Elements that may hold it. If no extension names one for a new element, `Response` may.
    pub parents: Vec<String>,
    /// Elements that it may hold.
    pub children: Vec<String>,
    /// Attributes that it takes.
    pub attributes: Vec<String>,
    /// Whether it may hold text.
    pub text: bool,
}

impl Extension {
    /// Whether XML allows this name for an element or attribute.
    pub fn is_valid_name(name: &str) -> bool {
        !name.is_empty() && name_len(name.as_bytes()) == name.len()
    }
}

/// Why an extension is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// An element or attribute whose name XML does not allow.
    #[error("`{0}` is not a name that XML allows")]
    NotAName(String),
    /// A parent or child that is neither in Twilio's grammar nor in an extension.
    #[error("`{element}` names an element that is not known, `{named}`")]
    NoSuchElement {
        /// The element of the extension.
        element: String,
        /// The unknown parent or child.
        named: String,
    },
}

/// Adds extensions to the elements of a grammar, or returns all that is wrong with them.
pub(super) fn apply(
    extensions: &[Extension],
    elements: &mut Vec<EditableElement>,
) -> Result<(), Vec<ExtensionError>> {
    let errors: Vec<_> = extensions
        .iter()
        .flat_map(|extension| check(extension, extensions, elements))
        .collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let known = elements.len();
    for Extension { element, .. } in extensions {
        if !has_element(elements, element) {
            elements.push(EditableElement::new(element));
        }
    }
    for extension in extensions {
        let mut others = extensions.iter();
        let is_placed = has_element(&elements[..known], &extension.element)
            || others.any(|e| e.element == extension.element && !e.parents.is_empty());
        add_content(elements, extension);
        add_children(elements, extension, is_placed);
    }
    Ok(())
}

/// Whether these elements already have all that the extension would add.
pub(super) fn is_redundant(extension: &Extension, mut elements: Vec<EditableElement>) -> bool {
    // Extensions only add, so one that changes nothing leaves the size as it is.
    let size = |elements: &[EditableElement]| -> usize {
        let sizes = elements.iter().map(|element| {
            let text = usize::from(element.text.allowed);
            1 + element.children.len() + element.attributes.len() + text
        });
        sizes.sum()
    };
    let before = size(&elements);
    apply(slice::from_ref(extension), &mut elements).is_ok() && size(&elements) == before
}

fn check(
    extension: &Extension,
    all: &[Extension],
    elements: &[EditableElement],
) -> Vec<ExtensionError> {
    let Extension {
        element,
        parents,
        children,
        attributes,
        ..
    } = extension;
    let is_known =
        |name: &str| has_element(elements, name) || all.iter().any(|e| e.element == name);
    let names = [element].into_iter().chain(attributes);
    let bad_names = names.filter(|name| !Extension::is_valid_name(name));
    let named = parents.iter().chain(children);
    let unknown = named.filter(|name| !is_known(name));
    let unknown = unknown.map(|named| ExtensionError::NoSuchElement {
        element: element.clone(),
        named: named.clone(),
    });
    bad_names
        .cloned()
        .map(ExtensionError::NotAName)
        .chain(unknown)
        .collect()
}

fn has_element(elements: &[EditableElement], name: &str) -> bool {
    elements.iter().any(|element| element.tag() == name)
}

/// The elements with this tag; there are several if the tag means several things.
fn with_tag<'e>(
    elements: &'e mut [EditableElement],
    tag: &'e str,
) -> impl Iterator<Item = &'e mut EditableElement> {
    elements
        .iter_mut()
        .filter(move |element| element.tag() == tag)
}

/// Adds text and attributes.
fn add_content(elements: &mut [EditableElement], extension: &Extension) {
    for element in with_tag(elements, &extension.element) {
        element.text.allowed |= extension.text;
        for name in &extension.attributes {
            if !element.attributes.iter().any(|known| known.name == *name) {
                element.attributes.push(EditableAttribute::new(name));
            }
        }
    }
}

/// Adds the element to its parents, or to the root if nothing else places it, and its children to the element.
fn add_children(elements: &mut [EditableElement], extension: &Extension, is_placed: bool) {
    if !is_placed {
        add_child(elements, "Response", &extension.element);
    }
    for parent in &extension.parents {
        add_child(elements, parent, &extension.element);
    }
    for child in &extension.children {
        add_child(elements, &extension.element, child);
    }
}

fn add_child(elements: &mut [EditableElement], parent: &str, child: &str) {
    let definition = elements.iter().find(|element| element.tag() == child);
    let key = definition
        .expect("unknown elements were rejected before")
        .key
        .clone();
    for element in with_tag(elements, parent) {
        let mut tags = element.children.iter().map(|key| super::element::tag(key));
        if !tags.any(|tag| tag == child) {
            element.children.push(key.clone());
        }
    }
}
