//! What Twilio knows: the words in which [`voice`], [`nouns`], [`ssml`] and [`messaging`] write the grammar down, one table
//! for all of it. Each rule has Twilio's code and level for a page that breaks it. A rule that names none is the general one of
//! schema validation, warning 12200.
//!
//! Sources: the six Twilio SDKs of summer 2026, which are generated from Twilio's own schema; Twilio's documentation, where
//! it knows more; its error dictionary, for codes and levels; and its old XSD (2011 to 2016), for what is legacy and still
//! on the wire. Sets that Twilio extends from week to week (voices, languages, models) are open here.
//!
//! A rule is an error only where it is certain that Twilio could not act, whatever the dictionary says. So every rule was
//! asked: if Twilio added an element, an attribute or a value tomorrow, would this rule reject a good document? If it would,
//! it warns. An error needs names that are known, and known not to fit: a verb where only nouns may stand, a URL without a
//! host, text over a documented limit. A name that nobody knows is a warning, and an element that holds one, or has an
//! attribute that nobody knows, breaks no rule about the whole of it worse than that.
//!
//! How to add what Twilio has released, and how to find out that it has: `docs/twiml.md`.

mod compiled;
mod json;
mod messaging;
mod nouns;
mod ssml;
mod value;
mod voice;

pub(super) use compiled::{Definition, Draft, DraftAttribute, Grammar, ROOT, Taken};
pub use value::Expected;
pub(super) use value::{Value, Verdict};

use super::Level;

/// An element, where it is defined by `key` and on the wire `tag`. The two differ where one tag means two things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) key: &'static str,
    /// Keys, with spaces between.
    children: &'static str,
    attributes: &'static [Attribute],
    shared: &'static [Attribute],
    pub(super) text: Text,
    pub(super) nesting: Nesting,
    /// Nothing is known of what it takes and holds, so nothing of it is checked.
    unchecked: bool,
}

/// What text an element may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) allowed: bool,
    /// What an element without text breaks.
    pub(super) needed: Option<Code>,
    /// Attributes and children that stand in for text.
    pub(super) unless: &'static str,
    /// The most characters, and what more of them break.
    pub(super) most: Option<(usize, Code)>,
    pub(super) form: Option<(Value, Code)>,
}

impl Text {
    fn is_watched(&self) -> bool {
        self.needed.is_some() || self.most.is_some() || self.form.is_some()
    }
}

/// Rules on children that are more than a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nesting {
    /// What a child that isn't on the list breaks, besides schema validation.
    pub(super) stray: Option<Code>,
    /// What an element without a child breaks.
    pub(super) needed: Option<Code>,
    /// What a second child of the same name breaks.
    pub(super) twice: Option<Code>,
    /// A child that can't stand beside others, and what it breaks if it does.
    pub(super) alone: Option<(&'static str, Code)>,
}

impl Nesting {
    fn is_watched(&self) -> bool {
        self.needed.is_some() || self.alone.is_some()
    }
}

/// An attribute, and what another value breaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) value: Value,
    pub(super) code: Code,
}

/// Twilio's code for a broken rule, and the level at which it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) number: u32,
    pub(super) level: Level,
}

impl Code {
    /// What is only doubtful is never an error.
    pub(super) fn given(self, verdict: Verdict) -> Self {
        match verdict {
            Verdict::Doubtful => self.as_warning(),
            Verdict::Good | Verdict::Bad => self,
        }
    }

    /// The same code, as a warning.
    pub(super) fn as_warning(self) -> Self {
        warning(self.number)
    }
}

/// Schema validation, for whatever has no code of its own.
pub(super) const SCHEMA: Code = warning(12200);

pub(super) const fn warning(number: u32) -> Code {
    Code {
        number,
        level: Level::Warning,
    }
}

const fn error(number: u32) -> Code {
    Code {
        number,
        level: Level::Error,
    }
}

/// The part of a definition's key that is its tag: `Refer/Sip` is a `Sip`.
fn tag(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, tag)| tag)
}

// The words of the table.

const fn element(key: &'static str) -> Element {
    let text = Text {
        allowed: false,
        needed: None,
        unless: "",
        most: None,
        form: None,
    };
    let nesting = Nesting {
        stray: None,
        needed: None,
        twice: None,
        alone: None,
    };
    Element {
        key,
        children: "",
        attributes: &[],
        shared: &[],
        text,
        nesting,
        unchecked: false,
    }
}

impl Element {
    /// May have any attributes and hold anything.
    const fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// May hold these elements.
    const fn holds(mut self, children: &'static str) -> Self {
        self.children = children;
        self
    }

    /// May have these attributes.
    const fn takes(mut self, attributes: &'static [Attribute]) -> Self {
        self.attributes = attributes;
        self
    }

    /// May have these too, as others do.
    const fn and(mut self, shared: &'static [Attribute]) -> Self {
        self.shared = shared;
        self
    }

    /// May hold text.
    const fn text(mut self) -> Self {
        self.text.allowed = true;
        self
    }

    /// Must hold text.
    const fn needs_text(mut self, code: Code) -> Self {
        self.text.allowed = true;
        self.text.needed = Some(code);
        self
    }

    /// Needs no text if it has one of these attributes or children.
    const fn unless(mut self, stand_ins: &'static str) -> Self {
        self.text.unless = stand_ins;
        self
    }

    /// May hold so many characters.
    const fn at_most(mut self, characters: usize, code: Code) -> Self {
        self.text.most = Some((characters, code));
        self
    }

    /// Its text, if any, must look like this.
    const fn form(mut self, form: Value, code: Code) -> Self {
        self.text.form = Some((form, code));
        self
    }

    /// What a child that isn't on the list breaks, besides schema validation.
    const fn stray(mut self, code: Code) -> Self {
        self.nesting.stray = Some(code);
        self
    }

    /// Must hold an element.
    const fn needs_child(mut self, code: Code) -> Self {
        self.nesting.needed = Some(code);
        self
    }

    /// May hold each of its elements once.
    const fn each_once(mut self, code: Code) -> Self {
        self.nesting.twice = Some(code);
        self
    }

    /// This child can't stand beside others.
    const fn alone(mut self, child: &'static str, code: Code) -> Self {
        self.nesting.alone = Some((child, code));
        self
    }
}

impl Attribute {
    /// Another value is logged, and a default taken.
    const fn warns(mut self, number: u32) -> Self {
        self.code = warning(number);
        self
    }

    /// With a value that is certainly not one of these Twilio can't act. Not for a set that Twilio may add to.
    const fn fails(mut self, number: u32) -> Self {
        self.code = error(number);
        self
    }
}

const fn attribute(name: &'static str, value: Value) -> Attribute {
    Attribute {
        name,
        value,
        code: SCHEMA,
    }
}

/// Any value at all: free text, or a set that is open.
const fn any(name: &'static str) -> Attribute {
    attribute(name, Value::Any)
}

/// A URL, absolute or relative; empty too.
const fn url(name: &'static str) -> Attribute {
    attribute(name, Value::Url)
}

/// `GET` or `POST`.
const fn method(name: &'static str) -> Attribute {
    attribute(name, Value::OneOf(&["GET", "POST"]))
}

/// `true` or `false`.
const fn boolean(name: &'static str) -> Attribute {
    attribute(name, Value::OneOf(&["true", "false"]))
}

/// A whole number, not negative.
const fn whole(name: &'static str) -> Attribute {
    attribute(name, Value::Whole)
}

/// One of a closed set.
const fn one_of(name: &'static str, set: &'static [&'static str]) -> Attribute {
    attribute(name, Value::OneOf(set))
}

/// Some of a closed set, with spaces between.
const fn some_of(name: &'static str, set: &'static [&'static str]) -> Attribute {
    attribute(name, Value::SomeOf(set))
}

const RECORDING_EVENTS: &[&str] = &["in-progress", "completed", "absent"];
const TRIM: &[&str] = &["trim-silence", "do-not-trim"];
/// With the values of the old XSD.
const TRIM_OR_BOOLEAN: &[&str] = &["trim-silence", "do-not-trim", "true", "false"];
/// `true` and `false` are aliases in the documentation.
const DIAL_RECORD: &[&str] = &[
    "do-not-record",
    "record-from-answer",
    "record-from-ringing",
    "record-from-answer-dual",
    "record-from-ringing-dual",
    "true",
    "false",
];
