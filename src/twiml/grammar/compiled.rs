//! The table, made fast to ask: "may this element hold that child?" and "does it take that attribute?" is each one look
//! into a hash table. Built once per kind, and once more for a configuration that adds to it.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use super::{
    Attribute, Code, Element, Nesting, SCHEMA, Text, Value, messaging::MESSAGING, nouns::NOUNS,
    ssml, tag, voice::VERBS,
};
use crate::twiml::{Extension, ExtensionError, Kind, Name, extension};

/// A whole grammar.
#[derive(Debug)]
pub(in crate::twiml) struct Grammar {
    kind: Kind,
    definitions: Vec<Definition>,
    children: Index<Child>,
    attributes: Index<Taken>,
}

/// What is to be known of an element once it is found.
#[derive(Debug)]
pub(in crate::twiml) struct Definition {
    pub(in crate::twiml) text: Text,
    pub(in crate::twiml) nesting: Nesting,
    /// The bits of the attributes and the children that stand in for text.
    pub(in crate::twiml) stand_ins: (u64, u64),
    /// The bit of the child that can't stand beside others.
    pub(in crate::twiml) alone: u64,
    /// Whether there is anything to look at when the element is closed.
    pub(in crate::twiml) watched: bool,
    tag: String,
    children: Vec<String>,
    attributes: Vec<String>,
}

/// A child that an element may hold.
#[derive(Clone, Copy, Debug)]
pub(in crate::twiml) struct Child {
    pub(in crate::twiml) definition: u16,
    /// Its bit among its parent's children; none beyond the sixty-fourth.
    pub(in crate::twiml) bit: u64,
    /// Nothing of it is checked.
    pub(in crate::twiml) unchecked: bool,
}

/// An attribute that an element takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::twiml) struct Taken {
    pub(in crate::twiml) value: Value,
    pub(in crate::twiml) code: Code,
    /// Its bit among its element's attributes; none beyond the sixty-fourth.
    pub(in crate::twiml) bit: u64,
}

/// The root's definition: the table begins with it.
pub(in crate::twiml) const ROOT: u16 = 0;

impl Definition {
    /// The names of what it may hold.
    pub(in crate::twiml) fn children(&self) -> &[String] {
        &self.children
    }

    /// The names of the attributes that it takes.
    pub(in crate::twiml) fn attributes(&self) -> &[String] {
        &self.attributes
    }

    /// Its own name.
    pub(in crate::twiml) fn name(&self) -> Name {
        Name::of(&self.tag)
    }
}

impl Grammar {
    /// Twilio's own grammar.
    pub(in crate::twiml) fn of(kind: Kind) -> Arc<Self> {
        static VOICE: LazyLock<Arc<Grammar>> =
            LazyLock::new(|| Grammar::compile(Kind::Voice, drafts(Kind::Voice)));
        static MESSAGING: LazyLock<Arc<Grammar>> =
            LazyLock::new(|| Grammar::compile(Kind::Messaging, drafts(Kind::Messaging)));
        match kind {
            Kind::Voice => Arc::clone(&VOICE),
            Kind::Messaging => Arc::clone(&MESSAGING),
        }
    }

    /// Twilio's grammar, and what a configuration adds to it.
    pub(in crate::twiml) fn with(
        kind: Kind,
        additions: &[Extension],
    ) -> Result<Arc<Self>, Vec<ExtensionError>> {
        let mut drafts = drafts(kind);
        extension::apply(additions, &mut drafts)?;
        Ok(Self::compile(kind, drafts))
    }

    pub(in crate::twiml) fn kind(&self) -> Kind {
        self.kind
    }

    /// The definition of a child, if the element may hold it.
    #[inline]
    pub(in crate::twiml) fn child(&self, parent: u16, name: &[u8]) -> Option<Child> {
        self.children.get(parent, name).copied()
    }

    /// The rule for an attribute, if the element takes it.
    #[inline]
    pub(in crate::twiml) fn attribute(&self, element: u16, name: &[u8]) -> Option<&Taken> {
        self.attributes.get(element, name)
    }

    #[inline]
    pub(in crate::twiml) fn definition(&self, of: u16) -> &Definition {
        &self.definitions[usize::from(of)]
    }

    /// The names of all elements.
    pub(in crate::twiml) fn tags(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().map(|d| &*d.tag)
    }

    /// Whether any element takes an attribute of this name.
    pub(in crate::twiml) fn has_attribute(&self, name: &str) -> bool {
        let mut attributes = self.definitions.iter().flat_map(|d| &d.attributes);
        attributes.any(|known| known == name)
    }

    /// The names of all elements and of all attributes.
    pub(in crate::twiml) fn names(&self) -> impl Iterator<Item = &str> {
        let attributes = self.definitions.iter().flat_map(|d| &d.attributes);
        self.tags().chain(attributes.map(|name| &**name))
    }

    /// The names of the elements that may hold a child of this name.
    pub(in crate::twiml) fn homes_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.definitions
            .iter()
            .filter(move |d| d.children.iter().any(|c| c == name))
            .map(|d| &*d.tag)
    }

    fn compile(kind: Kind, drafts: Vec<Draft>) -> Arc<Self> {
        let ids: HashMap<String, (u16, bool)> = drafts
            .iter()
            .zip(0..)
            .map(|(d, id)| (d.key.clone(), (id, d.unchecked)))
            .collect();
        let mut children = Vec::new();
        let mut attributes = Vec::new();
        for (draft, owner) in drafts.iter().zip(0..) {
            for (place, key) in draft.children.iter().enumerate() {
                let (definition, unchecked) = *ids
                    .get(key)
                    .expect("the table defines every child that it names");
                children.push((
                    owner,
                    tag(key).to_owned(),
                    Child {
                        definition,
                        bit: bit(place),
                        unchecked,
                    },
                ));
            }
            for (place, taken) in draft.attributes.iter().enumerate() {
                let rule = Taken {
                    value: taken.value,
                    code: taken.code,
                    bit: bit(place),
                };
                attributes.push((owner, taken.name.clone(), rule));
            }
        }
        let definitions = drafts.into_iter().map(Draft::define).collect();
        Arc::new(Self {
            kind,
            definitions,
            children: Index::new(children),
            attributes: Index::new(attributes),
        })
    }
}

/// An element of the table on its way to a definition, open for additions.
#[derive(Clone, Debug)]
pub(in crate::twiml) struct Draft {
    pub(in crate::twiml) key: String,
    pub(in crate::twiml) children: Vec<String>,
    pub(in crate::twiml) attributes: Vec<DraftAttribute>,
    pub(in crate::twiml) text: Text,
    nesting: Nesting,
    unchecked: bool,
}

#[derive(Clone, Debug)]
pub(in crate::twiml) struct DraftAttribute {
    pub(in crate::twiml) name: String,
    value: Value,
    code: Code,
}

impl DraftAttribute {
    /// An attribute of which only the name is known.
    pub(in crate::twiml) fn open(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: Value::Any,
            code: SCHEMA,
        }
    }
}

impl Draft {
    /// An element of which no rule is known.
    pub(in crate::twiml) fn open(name: &str) -> Self {
        Self::from(&super::element("")).named(name)
    }

    fn named(mut self, name: &str) -> Self {
        self.key = name.to_owned();
        self
    }

    pub(in crate::twiml) fn tag(&self) -> &str {
        tag(&self.key)
    }

    fn define(self) -> Definition {
        let tags: Vec<String> = self
            .children
            .iter()
            .map(|key| tag(key).to_owned())
            .collect();
        let names: Vec<String> = self.attributes.into_iter().map(|a| a.name).collect();
        let stand_ins = self.text.unless;
        let alone = self.nesting.alone.map_or("", |(child, _)| child);
        Definition {
            stand_ins: (bits(stand_ins, &names), bits(stand_ins, &tags)),
            alone: bits(alone, &tags),
            watched: self.text.is_watched() || self.nesting.is_watched(),
            text: self.text,
            nesting: self.nesting,
            tag: tag(&self.key).to_owned(),
            children: tags,
            attributes: names,
        }
    }
}

impl From<&Element> for Draft {
    fn from(element: &Element) -> Self {
        let Element {
            key,
            children,
            attributes,
            shared,
            text,
            nesting,
            unchecked,
        } = *element;
        let attribute = |a: &Attribute| DraftAttribute {
            name: a.name.to_owned(),
            value: a.value,
            code: a.code,
        };
        Self {
            key: key.to_owned(),
            children: children
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            attributes: attributes.iter().chain(shared).map(attribute).collect(),
            text,
            nesting,
            unchecked,
        }
    }
}

fn drafts(kind: Kind) -> Vec<Draft> {
    match kind {
        Kind::Voice => [VERBS, NOUNS, ssml::ELEMENTS]
            .into_iter()
            .flatten()
            .map(Draft::from)
            .collect(),
        Kind::Messaging => MESSAGING.iter().map(Draft::from).collect(),
    }
}

fn bit(place: usize) -> u64 {
    u32::try_from(place)
        .ok()
        .and_then(|place| 1_u64.checked_shl(place))
        .unwrap_or(0)
}

/// The bits of these names, with spaces between, among all.
fn bits(names: &str, all: &[String]) -> u64 {
    let place = |name| all.iter().position(|other| other == name);
    names
        .split_ascii_whitespace()
        .filter_map(place)
        .map(bit)
        .fold(0, |bits, bit| bits | bit)
}

/// Values by owner and name: open addressing, and at most a quarter full.
#[derive(Debug)]
struct Index<T> {
    entries: Vec<(u16, String, T)>,
    /// Places in `entries`; a power of two of them, at least one of them free.
    slots: Box<[u16]>,
}

const FREE: u16 = u16::MAX;

impl<T> Index<T> {
    fn new(entries: Vec<(u16, String, T)>) -> Self {
        let mut slots =
            vec![FREE; (4 * entries.len()).next_power_of_two().max(4)].into_boxed_slice();
        for ((owner, name, _), place) in entries.iter().zip(0..FREE) {
            let mut slot = hash(*owner, name.as_bytes());
            while slots[slot & (slots.len() - 1)] != FREE {
                slot += 1;
            }
            slots[slot & (slots.len() - 1)] = place;
        }
        Self { entries, slots }
    }

    #[inline]
    fn get(&self, owner: u16, name: &[u8]) -> Option<&T> {
        let mut slot = hash(owner, name);
        loop {
            let place = self.slots[slot & (self.slots.len() - 1)];
            let (of, known, value) = self.entries.get(usize::from(place))?;
            if *of == owner && known.as_bytes() == name {
                return Some(value);
            }
            slot += 1;
        }
    }
}

/// From a name's length and three of its letters; names are never empty.
#[inline]
fn hash(owner: u16, name: &[u8]) -> usize {
    let letter = |at: usize| u32::from(name[at]);
    let letters = letter(0) ^ letter(name.len() / 2) << 6 ^ letter(name.len() - 1) << 12;
    let mixed =
        (letters ^ (name.len() as u32) << 18 ^ u32::from(owner) << 24).wrapping_mul(0x9E37_79B1);
    (mixed >> 15) as usize
}
