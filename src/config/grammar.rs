//! `[grammar]`: elements and attributes that Twilio has added to TwiML since this version was built.
//!
//! An addition that Twilio's grammar already contains may be left from before an upgrade. It is noted, not refused.

use std::collections::HashMap;

use toml::de::DeValue;

use super::diagnostic::{Diagnostic, quote};
use super::reader::Reader;
use super::value::{parse_bool, parse_text, parse_word};
use crate::proxy::Grammar;
use crate::twiml::{Extension, Kind, Rules, Strictness};

/// Reads `[grammar]`: Twilio's rules for each kind of document, and the additions that are valid.
pub(super) fn read(file: &mut Reader<'_>) -> Grammar {
    let mut table = file.table("grammar");
    let elements = table.tables("element").into_iter();
    let elements: Vec<_> = elements.map(NewElement::read_name).collect();
    let attributes = table.tables("attribute").into_iter();
    table.finish();

    let known = KnownElements {
        added: elements.iter().filter_map(NewElement::named).collect(),
        is_incomplete: file.location.report.is_broken(),
    };
    let elements = elements.into_iter().filter_map(|new| new.read(&known));
    let attributes = attributes.filter_map(|table| read_attribute(table, &known));
    let entries: Vec<_> = elements.chain(attributes).collect();
    check_duplicates(&entries);
    for entry in entries.iter().filter(|entry| entry.is_redundant()) {
        let note = "Twilio's grammar already contains all of this, and its own rules apply";
        let note = Diagnostic::new(note).help("it can be left out");
        entry.table.location.note(note);
    }
    Grammar::new(
        rules(Kind::Voice, &entries),
        rules(Kind::Messaging, &entries),
    )
}

fn rules(kind: Kind, entries: &[Entry<'_>]) -> Rules {
    let of_kind = entries.iter().filter(|entry| entry.kinds.contains(&kind));
    let extensions: Vec<_> = of_kind.map(|entry| entry.extension.clone()).collect();
    // If an extension is not valid, an error has been reported.
    Rules::with_extensions(kind, Strictness::Twilio, &extensions)
        .unwrap_or_else(|_| Rules::new(kind, Strictness::Twilio))
}

/// One addition, and the table that makes it.
struct Entry<'a> {
    table: Reader<'a>,
    kinds: Vec<Kind>,
    /// Whether it adds an element, not only an attribute of one.
    is_element: bool,
    extension: Extension,
}

impl Entry<'_> {
    fn is_redundant(&self) -> bool {
        let mut kinds = self.kinds.iter();
        kinds.all(|kind| self.extension.is_redundant(*kind))
    }

    /// What only one entry may add: the element, and each of its attributes.
    fn additions(&self) -> impl Iterator<Item = (Kind, &str, Option<&str>)> {
        let element = self.extension.element.as_str();
        let attributes = self.extension.attributes.iter();
        let attributes = attributes.map(|name| Some(name.as_str()));
        let all = self.is_element.then_some(None).into_iter();
        all.chain(attributes)
            .flat_map(move |name| self.kinds.iter().map(move |kind| (*kind, element, name)))
    }
}

fn check_duplicates(entries: &[Entry<'_>]) {
    let mut seen: HashMap<_, &Entry<'_>> = HashMap::new();
    for entry in entries {
        let mut duplicate = None;
        for addition @ (_, element, attribute) in entry.additions() {
            let name = attribute.unwrap_or(element);
            if let Some(other) = seen.insert(addition, entry) {
                duplicate.get_or_insert((name, other));
            }
        }
        if let Some((name, other)) = duplicate {
            let position = other.table.location.position();
            let message = format!("{} is already added at {position}", quote(name));
            let location = &entry.table.location;
            location.error(message, "keep one of the two");
        }
    }
}

/// A `[[grammar.element]]` of which only the name has been read: other entries may name the element.
struct NewElement<'a> {
    table: Reader<'a>,
    kind: Option<Kind>,
    name: Option<String>,
}

impl<'a> NewElement<'a> {
    fn read_name(mut table: Reader<'a>) -> Self {
        let kind = table.require("kind", "kind = \"voice\"", parse_word(&KINDS));
        let name = table.require("name", "name = \"Teleport\"", parse_name);
        Self { table, kind, name }
    }

    fn named(&self) -> Option<(Option<Kind>, String)> {
        Some((self.kind, self.name.clone()?))
    }

    fn read(self, known: &KnownElements) -> Option<Entry<'a>> {
        let (mut table, kind) = (self.table, self.kind);
        let parents = table.list("parents", |value| known.parse(value, kind));
        let children = table.list("children", |value| known.parse(value, kind));
        let attributes = table.list("attributes", parse_name);
        let text = table.read("text", parse_bool);
        table.finish();
        Some(Entry {
            table,
            kinds: vec![kind?],
            is_element: true,
            extension: Extension {
                element: self.name?,
                parents: parents.unwrap_or_default(),
                children: children.unwrap_or_default(),
                attributes: attributes.unwrap_or_default(),
                text: text.unwrap_or_default(),
            },
        })
    }
}

/// A `[[grammar.attribute]]`, for every kind of document that has the element.
fn read_attribute<'a>(mut table: Reader<'a>, known: &KnownElements) -> Option<Entry<'a>> {
    let example = "element = \"Say\"";
    let element = table.require("element", example, |value| known.parse(value, None));
    let name = table.require("name", "name = \"mood\"", parse_name);
    table.finish();
    let element = element?;
    Some(Entry {
        table,
        kinds: known.kinds_of(&element),
        is_element: false,
        extension: Extension {
            attributes: vec![name?],
            element,
            ..Extension::default()
        },
    })
}

/// The elements that an addition may name: Twilio's and those that are added.
struct KnownElements {
    /// An element whose kind is not valid may be of either kind.
    added: Vec<(Option<Kind>, String)>,
    /// Whether syntax errors may hide some.
    is_incomplete: bool,
}

impl KnownElements {
    /// An element of documents of this kind, or of either kind if none is given.
    fn parse(&self, value: &DeValue<'_>, kind: Option<Kind>) -> Result<String, Diagnostic> {
        let name = parse_text(value)?;
        let kinds = self.kinds_of(name);
        let is_known = kind.map_or(!kinds.is_empty(), |kind| kinds.contains(&kind));
        if is_known || self.is_incomplete {
            return Ok(name.to_owned());
        }
        let (twiml, kinds) = match kind {
            Some(kind) => (format!("{kind} TwiML"), vec![kind]),
            None => ("TwiML".to_owned(), KINDS.map(|(_, kind)| kind).into()),
        };
        let suggest = |kind| twilios(kind).suggest_element(name).map(quote);
        let help = match kinds.into_iter().find_map(suggest) {
            Some(name) => format!("did you mean {name}?"),
            None => "add it as a [[grammar.element]] of its own".to_owned(),
        };
        let what = format!("is not an element of {twiml}");
        Err(Diagnostic::about(name, &what).help(help))
    }

    /// The kinds of document that have this element.
    fn kinds_of(&self, element: &str) -> Vec<Kind> {
        let is_added = |kind: Kind| {
            let mut added = self.added.iter();
            added.any(|(of, name)| name == element && of.is_none_or(|of| of == kind))
        };
        let kinds = KINDS.into_iter().map(|(_, kind)| kind);
        let has_element = |kind: &Kind| is_added(*kind) || twilios(*kind).has_element(element);
        kinds.filter(has_element).collect()
    }
}

fn twilios(kind: Kind) -> Rules {
    Rules::new(kind, Strictness::Twilio)
}

fn parse_name(value: &DeValue<'_>) -> Result<String, Diagnostic> {
    let name = parse_text(value)?;
    if Extension::is_valid_name(name) {
        return Ok(name.to_owned());
    }
    Err(Diagnostic::about(name, "is not a valid XML name")
        .help("write it as it stands in a document"))
}

const KINDS: [(&str, Kind); 2] = [("voice", Kind::Voice), ("messaging", Kind::Messaging)];
