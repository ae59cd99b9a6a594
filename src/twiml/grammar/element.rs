//! The types and functions with which the tables of elements are written.

use super::value::ValueType;
pub(super) use crate::twiml::code::{Code, SCHEMA, error, warning};

/// An element of a table. `key` identifies the definition; the element's tag is the part of it behind the `/`, if it has one.
/// Keys and tags differ where one tag means two things: `Refer/Sip` and `Sip`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) key: &'static str,
    /// Keys, with spaces between.
    pub(super) children: &'static str,
    pub(super) attributes: &'static [Attribute],
    pub(super) shared_attributes: &'static [Attribute],
    pub(super) text: TextRules,
    pub(super) child_rules: ChildRules,
    /// Whether nothing is known of its attributes and content, so that nothing is checked.
    pub(super) unchecked: bool,
}

/// What text an element may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextRules {
    pub(crate) allowed: bool,
    /// The rule that an element without text breaks.
    pub(crate) required: Option<Code>,
    /// Attributes and children that an element may have in place of text.
    pub(super) unless: &'static str,
    /// The most characters, and the rule that more of them break.
    pub(crate) max: Option<(usize, Code)>,
    /// What the text must be, and the rule that other text breaks.
    pub(crate) value_type: Option<(ValueType, Code)>,
}

impl TextRules {
    /// Whether there is a rule on the whole text.
    pub(super) fn has_rules(&self) -> bool {
        self.required.is_some() || self.max.is_some() || self.value_type.is_some()
    }
}

/// Rules on children beyond the list of those allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildRules {
    /// The rule that a child that is not on the list breaks, besides schema validation.
    pub(crate) unlisted: Option<Code>,
    /// The rule that an element without a child breaks.
    pub(crate) required: Option<Code>,
    /// The rule that a second child of the same name breaks.
    pub(crate) repeated: Option<Code>,
    /// A child that can't have siblings, and the rule that it breaks if it has.
    pub(crate) exclusive: Option<(&'static str, Code)>,
}

impl ChildRules {
    /// Whether there is a rule on all children together.
    pub(super) fn has_rules(&self) -> bool {
        self.required.is_some() || self.exclusive.is_some()
    }
}

/// An attribute, and the rule that a value of another type breaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) value_type: ValueType,
    pub(super) code: Code,
}

/// The tag of the element with this key.
pub(super) fn tag(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, tag)| tag)
}

pub(super) const fn element(key: &'static str) -> Element {
    Element {
        key,
        children: "",
        attributes: &[],
        shared_attributes: &[],
        text: TextRules {
            allowed: false,
            required: None,
            unless: "",
            max: None,
            value_type: None,
        },
        child_rules: ChildRules {
            unlisted: None,
            required: None,
            repeated: None,
            exclusive: None,
        },
        unchecked: false,
    }
}

impl Element {
    /// May have any attributes and any content.
    pub(super) const fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// May hold these elements. Keys, with spaces between.
    pub(super) const fn children(mut self, children: &'static str) -> Self {
        self.children = children;
        self
    }

    /// May have these attributes.
    pub(super) const fn attributes(mut self, attributes: &'static [Attribute]) -> Self {
        self.attributes = attributes;
        self
    }

    /// May have these attributes too, which it has in common with other elements.
    pub(super) const fn shared_attributes(mut self, shared: &'static [Attribute]) -> Self {
        self.shared_attributes = shared;
        self
    }

    /// May hold text.
    pub(super) const fn allows_text(mut self) -> Self {
        self.text.allowed = true;
        self
    }

    /// Must hold text.
    pub(super) const fn requires_text(mut self, code: Code) -> Self {
        self.text.allowed = true;
        self.text.required = Some(code);
        self
    }

    /// Requires no text if it has one of these attributes or children.
    pub(super) const fn unless(mut self, alternatives: &'static str) -> Self {
        self.text.unless = alternatives;
        self
    }

    /// May hold at most so many characters.
    pub(super) const fn max_characters(mut self, characters: usize, code: Code) -> Self {
        self.text.max = Some((characters, code));
        self
    }

    /// Its text, if any, must be of this type.
    pub(super) const fn text_type(mut self, value_type: ValueType, code: Code) -> Self {
        self.text.value_type = Some((value_type, code));
        self
    }

    /// A child that is not on the list breaks this too, besides schema validation.
    pub(super) const fn unlisted_child(mut self, code: Code) -> Self {
        self.child_rules.unlisted = Some(code);
        self
    }

    /// Must hold an element.
    pub(super) const fn requires_child(mut self, code: Code) -> Self {
        self.child_rules.required = Some(code);
        self
    }

    /// May hold each of its elements only once.
    pub(super) const fn unique_children(mut self, code: Code) -> Self {
        self.child_rules.repeated = Some(code);
        self
    }

    /// This child can't have siblings.
    pub(super) const fn exclusive_child(mut self, child: &'static str, code: Code) -> Self {
        self.child_rules.exclusive = Some((child, code));
        self
    }
}

impl Attribute {
    /// A value of another type is a warning: Twilio takes a default.
    pub(super) const fn warns(mut self, number: u32) -> Self {
        self.code = warning(number);
        self
    }

    /// A value that is certainly of another type is an error: Twilio can't act. Not for a set that Twilio may add to.
    pub(super) const fn fails(mut self, number: u32) -> Self {
        self.code = error(number);
        self
    }
}

pub(super) const fn attribute(name: &'static str, value_type: ValueType) -> Attribute {
    Attribute {
        name,
        value_type,
        code: SCHEMA,
    }
}

/// Any value: free text, or a set that Twilio adds to.
pub(super) const fn any(name: &'static str) -> Attribute {
    attribute(name, ValueType::Any)
}

/// A URL, absolute or relative; empty too.
pub(super) const fn url(name: &'static str) -> Attribute {
    attribute(name, ValueType::Url)
}

/// `GET` or `POST`.
pub(super) const fn method(name: &'static str) -> Attribute {
    attribute(name, ValueType::OneOf(&["GET", "POST"]))
}

/// `true` or `false`.
pub(super) const fn boolean(name: &'static str) -> Attribute {
    attribute(name, ValueType::OneOf(&["true", "false"]))
}

/// A whole number, not negative.
pub(super) const fn integer(name: &'static str) -> Attribute {
    attribute(name, ValueType::Integer)
}

/// One of a closed set.
pub(super) const fn one_of(name: &'static str, set: &'static [&'static str]) -> Attribute {
    attribute(name, ValueType::OneOf(set))
}

/// Values of a closed set, with spaces between.
pub(super) const fn some_of(name: &'static str, set: &'static [&'static str]) -> Attribute {
    attribute(name, ValueType::SomeOf(set))
}

pub(super) const RECORDING_EVENTS: &[&str] = &["in-progress", "completed", "absent"];
pub(super) const TRIM: &[&str] = &["trim-silence", "do-not-trim"];
/// `true` and `false` are in the old XSD.
pub(super) const TRIM_OR_BOOLEAN: &[&str] = &["trim-silence", "do-not-trim", "true", "false"];
/// `true` and `false` are aliases in the documentation.
pub(super) const DIAL_RECORD: &[&str] = &[
    "do-not-record",
    "record-from-answer",
    "record-from-ringing",
    "record-from-answer-dual",
    "record-from-ringing-dual",
    "true",
    "false",
];
