//! What was found, in words' raw material: names, what would be right, the path. None of this runs for a good page.

use super::{Broken, Found, Inspector, MAX_FINDINGS, names};
use crate::twiml::{
    Kind, Level, Name, Schema,
    grammar::{Code, Expected, Grammar, SCHEMA, Taken, Verdict},
    span::Span,
    suggest::nearest,
};

impl<'t> Inspector<'_, 't> {
    #[cold]
    pub(super) fn strange_child(&mut self, name: Span<'t>) {
        self.passed_over = 1;
        let Some(frame) = self.open.last_mut() else {
            return;
        };
        frame.strange = true;
        let parent = frame.definition;
        if self.wants(SCHEMA) {
            let fact = self.strangeness(name, parent);
            self.note(name, SCHEMA, fact, self.path(Some(name), None));
        }
        let Some(code) = self.grammar.definition(parent).nesting.stray else {
            return;
        };
        let code = if is_twilios(name) {
            code
        } else {
            code.as_warning()
        };
        if self.wants(code) {
            let fact = self.stray(name, parent);
            self.note(name, code, fact, self.path(Some(name), None));
        }
    }

    fn stray(&self, name: Span<'t>, parent: u16) -> Schema {
        let rules = self.grammar.definition(parent);
        let (name, parent) = (Name::new(name.raw), rules.name());
        Schema::StrayElement {
            name,
            parent,
            allowed: names(rules.children()),
        }
    }

    /// Known and misplaced, or known to the other grammar, or unknown altogether.
    fn strangeness(&self, child: Span<'t>, parent: u16) -> Schema {
        let raw = String::from_utf8_lossy(child.raw);
        let mut homes: Vec<Name> = self.grammar.homes_of(&raw).map(Name::of).collect();
        homes.dedup();
        let (name, parent_name) = (Name::new(child.raw), self.grammar.definition(parent).name());
        let kind = self.grammar.kind().other();
        if !homes.is_empty() {
            Schema::MisplacedElement {
                name,
                parent: parent_name,
                homes: homes.into(),
            }
        } else if Grammar::of(kind).tags().any(|tag| tag == raw) {
            Schema::OtherKind {
                name,
                parent: parent_name,
                kind,
            }
        } else {
            let nearest = self.nearest_element(&raw, parent);
            Schema::UnknownElement {
                name,
                parent: parent_name,
                nearest,
            }
        }
    }

    /// What may stand here comes before what may not.
    fn nearest_element(&self, name: &str, parent: u16) -> Option<Name> {
        let here = self
            .grammar
            .definition(parent)
            .children()
            .iter()
            .map(|child| &**child);
        nearest(name, here)
            .or_else(|| nearest(name, self.grammar.tags()))
            .map(Name::of)
    }

    /// None for a name that is right on another element: it is not misspelt.
    fn nearest_attribute(&self, name: &str, element: u16) -> Option<Name> {
        if self.grammar.has_attribute(name) {
            return None;
        }
        let known = self.grammar.definition(element).attributes().iter();
        nearest(name, known.map(|known| &**known)).map(Name::of)
    }

    #[cold]
    pub(super) fn second_child(&mut self, name: Span<'t>, code: Code) {
        let Some(frame) = self.open.last().filter(|_| self.wants(code)) else {
            return;
        };
        let (child, parent) = (Name::new(name.raw), frame.element());
        let fact = Schema::SecondChild {
            name: child,
            parent,
        };
        self.note(name, code, fact, self.path(Some(name), None));
    }

    #[cold]
    pub(super) fn unknown_attribute(&mut self, name: Span<'t>) {
        if is_of_xml_schema(name) {
            return;
        }
        if let Some(frame) = self.open.last_mut() {
            frame.unknown_attribute = true;
        }
        let Some(frame) = self.open.last().filter(|_| self.wants(SCHEMA)) else {
            return;
        };
        let nearest = self.nearest_attribute(&String::from_utf8_lossy(name.raw), frame.definition);
        let fact = Schema::UnknownAttribute {
            name: Name::new(name.raw),
            element: frame.element(),
            nearest,
        };
        self.note(name, SCHEMA, fact, self.path(None, Some(name)));
    }

    #[cold]
    pub(super) fn bad_value(
        &mut self,
        name: Span<'t>,
        value: Span<'t>,
        rule: Taken,
        verdict: Verdict,
    ) {
        let code = rule.code.given(verdict);
        let Some(frame) = self.open.last().filter(|_| self.wants(code)) else {
            return;
        };
        let (attribute, expected) = (Name::new(name.raw), Expected(rule.value));
        let fact = Schema::BadValue {
            attribute,
            element: frame.element(),
            expected,
        };
        self.note(value, code, fact, self.path(None, Some(name)));
    }

    #[cold]
    pub(super) fn unwanted_text(&mut self, text: Span<'t>) {
        let Some(frame) = self.open.last() else {
            return;
        };
        self.report((text.trimmed(), SCHEMA, Schema::Text(frame.element())));
    }

    /// Notes what the innermost element has broken.
    #[cold]
    pub(super) fn report(&mut self, (part, code, fact): Broken<'t>) {
        let code = self.open.last().map_or(code, |frame| frame.code(code));
        if self.wants(code) {
            self.note(part, code, fact, self.path(None, None));
        }
    }

    /// Whether one more finding of this level is worth the work: there is a bound, but no error may be lost to it.
    fn wants(&self, code: Code) -> bool {
        self.found.len() < MAX_FINDINGS || code.level == Level::Error && !self.failed
    }

    fn note(&mut self, part: Span<'t>, code: Code, fact: Schema, path: Box<str>) {
        self.failed |= code.level == Level::Error;
        self.found.push(Found {
            part,
            code,
            fact,
            path,
        });
    }

    /// The way to the innermost element, or to its child or attribute.
    fn path(&self, child: Option<Span<'_>>, attribute: Option<Span<'_>>) -> Box<str> {
        let mut path = String::new();
        for frame in &self.open {
            path.push_str(if path.is_empty() { "" } else { "/" });
            path.push_str(&String::from_utf8_lossy(frame.name.raw));
        }
        for (mark, name) in [('/', child), ('@', attribute)] {
            if let Some(name) = name {
                path.push(mark);
                path.push_str(Name::new(name.raw).as_str());
            }
        }
        path.into()
    }
}

/// Whether Twilio has an element of this name, in answer to a call or to a message. What a configuration adds is known only in
/// part, so it doesn't count.
fn is_twilios(name: Span<'_>) -> bool {
    let raw = String::from_utf8_lossy(name.raw);
    let mut kinds = [Kind::Voice, Kind::Messaging].into_iter();
    kinds.any(|kind| Grammar::of(kind).tags().any(|tag| tag == raw))
}

/// Whether an attribute is XML Schema's own, which validation by a schema takes for no attribute at all: .NET's XmlSerializer
/// declares its prefixes on every root.
fn is_of_xml_schema(name: Span<'_>) -> bool {
    name.raw.starts_with(b"xmlns:") || name.raw.starts_with(b"xsi:")
}
