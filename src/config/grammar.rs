//! `[grammar]`: elements and attributes that Twilio has added to TwiML since this version was built.
//!
//! An addition that Twilio's grammar has already does no harm, and may well be left from before an upgrade: it is noted, not
//! refused.

mod known;

use std::collections::HashMap;
use std::fmt;

use toml::de::DeValue;

use self::known::Known;
use super::error::Place;
use super::problem::Problem;
use super::reader::Reader;
use super::report::{Report, Spot};
use super::value;
use super::words::Text;
use crate::proxy::Grammar;
use crate::twiml::{Extension, Kind, Rules, Strictness};

/// What can be said of an addition to the grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrammarProblem {
    /// A name that XML doesn't allow.
    Name {
        /// As it stands there.
        found: Text,
    },
    /// An element that is neither Twilio's nor added.
    NoElement {
        /// As it stands there.
        found: Text,
        /// Whose grammar lacks it; none: that of either kind does.
        kind: Option<Kind>,
        /// The one that was probably meant.
        nearest: Option<Text>,
    },
    /// The same addition once more.
    Twice {
        /// What is added.
        name: Text,
        /// Where it was added first.
        other: Place,
    },
    /// An addition that adds nothing.
    Needless,
}

/// Reads `[grammar]`: Twilio's rules for each kind of page, and whatever is good of what is added to them.
pub(super) fn read(file: &mut Reader<'_>, report: &Report<'_>) -> Grammar {
    let mut table = file.table("grammar");
    let elements = table.tables("element").into_iter();
    let elements: Vec<_> = elements.map(NewElement::begin).collect();
    let attributes = table.tables("attribute").into_iter();
    table.finish();

    let known = Known::with(elements.iter().filter_map(NewElement::named));
    let elements = elements.into_iter().filter_map(|new| new.finish(&known));
    let attributes = attributes.filter_map(|table| new_attribute(table, &known));
    let entries: Vec<_> = elements.chain(attributes).collect();
    check_twice(&entries, report);
    for entry in entries.iter().filter(|entry| entry.is_needless()) {
        report.note(entry.spot.clone(), GrammarProblem::Needless.into());
    }
    Grammar::new(
        rules(Kind::Voice, &entries),
        rules(Kind::Messaging, &entries),
    )
}

fn rules(kind: Kind, entries: &[Entry]) -> Rules {
    let of_kind = entries.iter().filter(|entry| entry.kinds.contains(&kind));
    let mut additions: Vec<Extension> = Vec::new();
    for Entry { addition, .. } in of_kind {
        let same = |known: &&mut Extension| known.element == addition.element;
        match additions.iter_mut().find(same) {
            // On its own, an attribute of a new element would put that into the root.
            Some(known) => known.attributes.extend(addition.attributes.clone()),
            None => additions.push(addition.clone()),
        }
    }
    // What can't be added has been reported by now.
    Rules::with_extensions(kind, Strictness::Twilio, &additions)
        .unwrap_or_else(|_| Rules::new(kind, Strictness::Twilio))
}

/// One addition, and where it stands.
struct Entry {
    spot: Spot,
    kinds: Vec<Kind>,
    /// Whether it speaks for the element as a whole, not of one attribute.
    is_whole: bool,
    addition: Extension,
}

impl Entry {
    fn is_needless(&self) -> bool {
        let mut kinds = self.kinds.iter();
        kinds.all(|kind| known::is_needless(*kind, &self.addition))
    }

    /// What no other may speak for: the element as a whole, and each attribute.
    fn claims(&self) -> impl Iterator<Item = (Kind, &str, Option<&str>)> {
        let element = self.addition.element.as_str();
        let whole = self.is_whole.then_some(None);
        let attributes = self.addition.attributes.iter();
        let claims = whole
            .into_iter()
            .chain(attributes.map(|name| Some(name.as_str())));
        claims.flat_map(move |name| self.kinds.iter().map(move |kind| (*kind, element, name)))
    }
}

fn check_twice(entries: &[Entry], report: &Report<'_>) {
    let mut taken: HashMap<_, &Spot> = HashMap::new();
    for entry in entries {
        let mut twice = None;
        for claim @ (_, element, attribute) in entry.claims() {
            let name = attribute.unwrap_or(element);
            if let Some(other) = taken.insert(claim, &entry.spot) {
                twice.get_or_insert((name, other));
            }
        }
        if let Some((name, other)) = twice {
            let (name, other) = (name.into(), report.place(other.at));
            let problem = GrammarProblem::Twice { name, other };
            report.add(entry.spot.clone(), problem.into());
        }
    }
}

/// A `[[grammar.element]]`, of which only the name has been read: others may speak of it.
struct NewElement<'a> {
    table: Reader<'a>,
    kind: Option<Kind>,
    name: Option<String>,
}

impl<'a> NewElement<'a> {
    fn begin(mut table: Reader<'a>) -> Self {
        table.expect("kind", "kind = \"voice\"");
        let kind = table.word("kind", &KINDS);
        let name = table.require("name", "name = \"Teleport\"", name);
        Self { table, kind, name }
    }

    fn named(&self) -> Option<(Option<Kind>, String)> {
        Some((self.kind, self.name.clone()?))
    }

    fn finish(self, known: &Known) -> Option<Entry> {
        let Self {
            mut table,
            kind,
            name: element,
        } = self;
        let parents = table.list("parents", |value| known.read(value, kind));
        let children = table.list("children", |value| known.read(value, kind));
        let attributes = table.list("attributes", name);
        let text = table.read("text", value::truth);
        let spot = table.here();
        table.finish();
        let addition = Extension {
            element: element?,
            parents: parents.unwrap_or_default(),
            children: children.unwrap_or_default(),
            attributes: attributes.unwrap_or_default(),
            text: text.unwrap_or(false),
        };
        Some(Entry {
            spot,
            kinds: vec![kind?],
            is_whole: true,
            addition,
        })
    }
}

/// A `[[grammar.attribute]]`: it holds wherever there is an element of that name.
fn new_attribute(mut table: Reader<'_>, known: &Known) -> Option<Entry> {
    let element = table.require("element", "element = \"Say\"", |value| {
        known.read(value, None)
    });
    let name = table.require("name", "name = \"mood\"", name);
    let spot = table.here();
    table.finish();
    let element = element?;
    Some(Entry {
        spot,
        kinds: known.kinds_of(&element),
        is_whole: false,
        addition: Extension {
            attributes: vec![name?],
            element,
            ..Extension::default()
        },
    })
}

fn name(value: &DeValue<'_>) -> Result<String, Problem> {
    let found = value::text(value)?;
    let bad_name = || GrammarProblem::Name {
        found: found.into(),
    };
    known::is_name(found)
        .then(|| found.to_owned())
        .ok_or_else(|| bad_name().into())
}

impl From<GrammarProblem> for Problem {
    fn from(problem: GrammarProblem) -> Self {
        Self::Grammar(problem)
    }
}

impl fmt::Display for GrammarProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { found } => write!(
                f,
                "{found} is not a name that XML allows; write it as it stands on a page"
            ),
            Self::NoElement {
                found,
                kind,
                nearest,
            } => {
                let kind = kind.map(|kind| format!("{kind} ")).unwrap_or_default();
                write!(f, "{found} is not an element of {kind}TwiML")?;
                match nearest {
                    Some(name) => write!(f, "; did you mean {name}?"),
                    None => f.write_str("; add it as a [[grammar.element]] of its own"),
                }
            }
            Self::Twice { name, other } => {
                write!(f, "{name} is added at {other} already; keep one of the two")
            }
            Self::Needless => f.write_str(
                "Twilio's grammar has all of this by now, and its own rules hold; it can be left out",
            ),
        }
    }
}

const KINDS: [(&str, Kind); 2] = [("voice", Kind::Voice), ("messaging", Kind::Messaging)];
