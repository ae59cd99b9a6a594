//! Twilio's grammar, compiled from one table so that each question is one look into a hash table: "may this element hold that
//! child?" and "does it take that attribute?". Each rule has Twilio's code and level for a document that breaks it; a rule
//! without its own code has that of schema validation, warning 12200.
//!
//! Sources of the table ([`voice`], [`nouns`], [`ssml`], [`messaging`]): the six Twilio SDKs of summer 2026, which are generated
//! from Twilio's own schema; Twilio's documentation, where it has more; its error dictionary, for codes and levels; and its old
//! XSD (2011 to 2016), for legacy markup that is still in use. Sets that Twilio extends from week to week (voices, languages,
//! models) are open here.
//!
//! A rule is an error only where it is certain that Twilio could not act, whatever the dictionary says. The test for each rule:
//! if Twilio added an element, an attribute or a value tomorrow, would the rule reject a valid document? If so, it only warns.
//! An error needs known names that certainly don't belong: a verb where only nouns may be, a URL without a host, text over a
//! documented limit. An unknown name is a warning; and an element with an unknown child or attribute breaks no rule about the
//! whole element worse than that.
//!
//! How to add what Twilio has released: `docs/twiml.md`.

mod editable;
mod element;
mod extension;
mod index;
mod json;
mod messaging;
mod nouns;
mod ssml;
mod value;
mod voice;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use editable::EditableElement;
use element::{ChildRules, TextRules, tag};
use index::Index;

use super::{code::Code, kind::Kind, name::Name};

pub use extension::{Extension, ExtensionError};
pub use value::Expected;
pub(super) use value::ValueType;

/// The grammar of one kind of TwiML.
#[derive(Debug)]
pub(super) struct Grammar {
    kind: Kind,
    definitions: Vec<Definition>,
    children: Index<Child>,
    attributes: Index<AttributeRule>,
}

/// The rules of an element, besides the lists of its children and attributes.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) text: TextRules,
    pub(super) child_rules: ChildRules,
    /// The bits of the attributes, and those of the children, that an element may have in place of text.
    pub(super) text_alternatives: (u64, u64),
    /// The bit of the child that can't have siblings.
    pub(super) exclusive_child: u64,
    /// Whether there is a rule to check when the element is closed.
    pub(super) has_final_rules: bool,
    tag: String,
    children: Vec<String>,
    attributes: Vec<String>,
}

/// A child that an element may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    /// The index of its definition.
    pub(super) definition: u16,
    /// Its bit among its parent's children; 0 for those beyond the sixty-fourth.
    pub(super) bit: u64,
    /// Whether its attributes and content are unknown, so that nothing is checked.
    pub(super) unchecked: bool,
}

/// An attribute that an element takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttributeRule {
    pub(super) value_type: ValueType,
    pub(super) code: Code,
    /// Its bit among its element's attributes; 0 for those beyond the sixty-fourth.
    pub(super) bit: u64,
}

/// The index of the root's definition, which is the first of the table.
pub(super) const ROOT: u16 = 0;

impl Grammar {
    /// Twilio's own grammar.
    pub(super) fn of(kind: Kind) -> Arc<Self> {
        static VOICE: LazyLock<Arc<Grammar>> =
            LazyLock::new(|| Grammar::compile(Kind::Voice, elements(Kind::Voice)));
        static MESSAGING: LazyLock<Arc<Grammar>> =
            LazyLock::new(|| Grammar::compile(Kind::Messaging, elements(Kind::Messaging)));
        match kind {
            Kind::Voice => Arc::clone(&VOICE),
            Kind::Messaging => Arc::clone(&MESSAGING),
        }
    }

    /// Twilio's grammar with the extensions of a configuration.
    pub(super) fn with_extensions(
        kind: Kind,
        extensions: &[Extension],
    ) -> Result<Arc<Self>, Vec<ExtensionError>> {
        let mut elements = elements(kind);
        extension::apply(extensions, &mut elements)?;
        Ok(Self::compile(kind, elements))
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The child of this name, if the element may hold it.
    #[inline]
    pub(super) fn child(&self, parent: u16, name: &[u8]) -> Option<Child> {
        self.children.get(parent, name).copied()
    }

    /// The rule for an attribute, if the element takes it.
    #[inline]
    pub(super) fn attribute(&self, element: u16, name: &[u8]) -> Option<&AttributeRule> {
        self.attributes.get(element, name)
    }

    #[inline]
    pub(super) fn definition(&self, index: u16) -> &Definition {
        &self.definitions[usize::from(index)]
    }

    /// The names of all elements.
    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().map(|d| &*d.tag)
    }

    pub(super) fn has_element(&self, name: &str) -> bool {
        self.tags().any(|tag| tag == name)
    }

    /// Whether any element takes an attribute of this name.
    pub(super) fn has_attribute(&self, name: &str) -> bool {
        let mut attributes = self.definitions.iter().flat_map(|d| &d.attributes);
        attributes.any(|known| known == name)
    }

    /// The names of all elements and of all attributes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let attributes = self.definitions.iter().flat_map(|d| &d.attributes);
        self.tags().chain(attributes.map(|name| &**name))
    }

    /// The names of the elements that may hold a child of this name.
    pub(super) fn parents_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.definitions
            .iter()
            .filter(move |d| d.children.iter().any(|c| c == name))
            .map(|d| &*d.tag)
    }

    fn compile(kind: Kind, elements: Vec<EditableElement>) -> Arc<Self> {
        let by_key: HashMap<&str, (u16, bool)> = elements
            .iter()
            .zip(0..)
            .map(|(element, index)| (&*element.key, (index, element.unchecked)))
            .collect();
        let mut children = Vec::new();
        for (element, owner) in elements.iter().zip(0..) {
            for (i, key) in element.children.iter().enumerate() {
                let (definition, unchecked) = *by_key
                    .get(&**key)
                    .expect("the table defines every child that it names");
                let child = Child {
                    definition,
                    bit: bit(i),
                    unchecked,
                };
                children.push((owner, tag(key).to_owned(), child));
            }
        }
        Arc::new(Self {
            kind,
            children: Index::new(children),
            attributes: Index::new(attribute_rules(&elements)),
            definitions: elements.into_iter().map(Definition::from).collect(),
        })
    }
}

/// Every attribute, with the index of its element.
fn attribute_rules(elements: &[EditableElement]) -> Vec<(u16, String, AttributeRule)> {
    let rules = elements.iter().zip(0..).flat_map(|(element, owner)| {
        let attributes = element.attributes.iter().enumerate();
        attributes.map(move |(i, attribute)| {
            let rule = AttributeRule {
                value_type: attribute.value_type,
                code: attribute.code,
                bit: bit(i),
            };
            (owner, attribute.name.clone(), rule)
        })
    });
    rules.collect()
}

impl Extension {
    /// Whether Twilio's own grammar already contains all of this extension.
    pub fn is_redundant(&self, kind: Kind) -> bool {
        extension::is_redundant(self, elements(kind))
    }
}

impl Definition {
    /// The names of the elements that it may hold.
    pub(super) fn children(&self) -> &[String] {
        &self.children
    }

    /// The names of the attributes that it takes.
    pub(super) fn attributes(&self) -> &[String] {
        &self.attributes
    }

    /// The name of the element.
    pub(super) fn name(&self) -> Name {
        Name::known(&self.tag)
    }
}

impl From<EditableElement> for Definition {
    fn from(element: EditableElement) -> Self {
        let tags = element.children.iter().map(|key| tag(key).to_owned());
        let tags: Vec<String> = tags.collect();
        let names: Vec<String> = element.attributes.into_iter().map(|a| a.name).collect();
        let alternatives = element.text.unless;
        let exclusive = element.child_rules.exclusive.map_or("", |(child, _)| child);
        Self {
            text_alternatives: (bits(alternatives, &names), bits(alternatives, &tags)),
            exclusive_child: bits(exclusive, &tags),
            has_final_rules: element.text.has_rules() || element.child_rules.has_rules(),
            text: element.text,
            child_rules: element.child_rules,
            tag: tag(&element.key).to_owned(),
            children: tags,
            attributes: names,
        }
    }
}

/// The elements of Twilio's own grammar.
fn elements(kind: Kind) -> Vec<EditableElement> {
    let tables = match kind {
        Kind::Voice => &[voice::VERBS, nouns::NOUNS, ssml::ELEMENTS][..],
        Kind::Messaging => &[messaging::MESSAGING],
    };
    tables
        .iter()
        .copied()
        .flatten()
        .map(EditableElement::from)
        .collect()
}

fn bit(index: usize) -> u64 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u64.checked_shl(index))
        .unwrap_or(0)
}

/// The bits of these names, with spaces between, among all.
fn bits(names: &str, all: &[String]) -> u64 {
    let index = |name| all.iter().position(|other| other == name);
    names
        .split_ascii_whitespace()
        .filter_map(index)
        .map(bit)
        .fold(0, |bits, bit| bits | bit)
}
