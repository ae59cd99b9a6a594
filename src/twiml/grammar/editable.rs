//! An element of a table, copied so that a configuration can extend it before the grammar is compiled.

use super::{
    element::{Attribute, ChildRules, Code, Element, SCHEMA, TextRules, element, tag},
    value::ValueType,
};

/// An element of the grammar, open to extension.
#[derive(Clone, Debug)]
pub(super) struct EditableElement {
    pub(super) key: String,
    /// Keys of the elements that it may hold.
    pub(super) children: Vec<String>,
    pub(super) attributes: Vec<EditableAttribute>,
    pub(super) text: TextRules,
    pub(super) child_rules: ChildRules,
    pub(super) unchecked: bool,
}

/// An attribute of such an element.
#[derive(Clone, Debug)]
pub(super) struct EditableAttribute {
    pub(super) name: String,
    pub(super) value_type: ValueType,
    pub(super) code: Code,
}

impl EditableElement {
    /// An element without attributes, children and text.
    pub(super) fn new(name: &str) -> Self {
        Self {
            key: name.to_owned(),
            ..Self::from(&element(""))
        }
    }

    pub(super) fn tag(&self) -> &str {
        tag(&self.key)
    }
}

impl EditableAttribute {
    /// An attribute that takes any value.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value_type: ValueType::Any,
            code: SCHEMA,
        }
    }
}

impl From<&Element> for EditableElement {
    fn from(element: &Element) -> Self {
        let children = element.children.split_ascii_whitespace();
        let attributes = element.attributes.iter().chain(element.shared_attributes);
        Self {
            key: element.key.to_owned(),
            children: children.map(str::to_owned).collect(),
            attributes: attributes.map(EditableAttribute::from).collect(),
            text: element.text,
            child_rules: element.child_rules,
            unchecked: element.unchecked,
        }
    }
}

impl From<&Attribute> for EditableAttribute {
    fn from(attribute: &Attribute) -> Self {
        Self {
            name: attribute.name.to_owned(),
            value_type: attribute.value_type,
            code: attribute.code,
        }
    }
}
