//! Turns what the inspector meets into findings, with names, suggestions and the path. Nothing here runs for a valid document.

use super::frame::Frame;
use crate::twiml::{
    code::{Code, Level, SCHEMA},
    grammar::{AttributeRule, Definition, Expected, Grammar},
    kind::Kind,
    name::Name,
    schema::SchemaError,
    span::Span,
    suggest::suggest,
};

/// How many findings are kept per document. A document with more of them is hardly meant as TwiML.
pub const MAX_FINDINGS: usize = 256;

/// A finding whose position is not yet counted out.
pub(crate) struct SchemaFinding<'t> {
    pub(crate) span: Span<'t>,
    pub(crate) code: Code,
    pub(crate) error: SchemaError,
    pub(crate) path: Box<str>,
}

/// Collects findings. Its methods take the open elements, outermost first; the findings are about the innermost one.
pub(super) struct Reporter<'g, 't> {
    grammar: &'g Grammar,
    has_error: bool,
    pub(super) findings: Vec<SchemaFinding<'t>>,
}

impl<'g, 't> Reporter<'g, 't> {
    pub(super) fn new(grammar: &'g Grammar) -> Self {
        Self {
            grammar,
            has_error: false,
            findings: Vec::new(),
        }
    }

    /// Reports a child that the grammar doesn't have here.
    #[cold]
    pub(super) fn report_unlisted_child(&mut self, open: &[Frame<'t>], name: Span<'t>) {
        let Some(parent) = open.last() else { return };
        let rules = self.grammar.definition(parent.definition);
        if self.wants(SCHEMA) {
            let error = self.explain_unlisted(name, rules);
            self.push(name, SCHEMA, error, path(open, Some(name), None));
        }
        let Some(code) = rules.child_rules.unlisted else {
            return;
        };
        let code = if is_known_to_twilio(name) {
            code
        } else {
            code.as_warning()
        };
        if self.wants(code) {
            let error = SchemaError::UnusableElement {
                name: Name::new(name.raw),
                parent: rules.name(),
                allowed: known_names(rules.children()),
            };
            self.push(name, code, error, path(open, Some(name), None));
        }
    }

    /// Known and misplaced, or of the other kind, or unknown.
    fn explain_unlisted(&self, child: Span<'t>, rules: &Definition) -> SchemaError {
        let raw = String::from_utf8_lossy(child.raw);
        let (name, parent) = (Name::new(child.raw), rules.name());
        let mut allowed_in: Vec<Name> = self.grammar.parents_of(&raw).map(Name::known).collect();
        allowed_in.dedup();
        let kind = self.grammar.kind().other();
        if !allowed_in.is_empty() {
            SchemaError::MisplacedElement {
                name,
                parent,
                allowed_in: allowed_in.into(),
            }
        } else if Grammar::of(kind).has_element(&raw) {
            SchemaError::OtherKind { name, parent, kind }
        } else {
            let suggestion = self.suggest_element(&raw, rules);
            SchemaError::UnknownElement {
                name,
                parent,
                suggestion,
            }
        }
    }

    /// Prefers an element that is allowed here.
    fn suggest_element(&self, name: &str, rules: &Definition) -> Option<Name> {
        let here = rules.children().iter().map(|child| &**child);
        suggest(name, here)
            .or_else(|| suggest(name, self.grammar.tags()))
            .map(Name::known)
    }

    /// Suggests nothing for the name of an attribute that another element has: it is not misspelt.
    fn suggest_attribute(&self, name: &str, element: u16) -> Option<Name> {
        if self.grammar.has_attribute(name) {
            return None;
        }
        let known = self.grammar.definition(element).attributes().iter();
        suggest(name, known.map(|known| &**known)).map(Name::known)
    }

    /// Reports a second child of the same name.
    #[cold]
    pub(super) fn report_second_child(&mut self, open: &[Frame<'t>], name: Span<'t>, code: Code) {
        let Some(parent) = open.last().filter(|_| self.wants(code)) else {
            return;
        };
        let error = SchemaError::SecondChild {
            name: Name::new(name.raw),
            parent: parent.element(),
        };
        self.push(name, code, error, path(open, Some(name), None));
    }

    /// Reports an attribute that the element doesn't take.
    #[cold]
    pub(super) fn report_unknown_attribute(&mut self, open: &[Frame<'t>], name: Span<'t>) {
        let Some(frame) = open.last().filter(|_| self.wants(SCHEMA)) else {
            return;
        };
        let raw = String::from_utf8_lossy(name.raw);
        let error = SchemaError::UnknownAttribute {
            name: Name::new(name.raw),
            element: frame.element(),
            suggestion: self.suggest_attribute(&raw, frame.definition),
        };
        self.push(name, SCHEMA, error, path(open, None, Some(name)));
    }

    /// Reports a value that the attribute doesn't take.
    #[cold]
    pub(super) fn report_bad_value(
        &mut self,
        open: &[Frame<'t>],
        (name, value): (Span<'t>, Span<'t>),
        rule: AttributeRule,
        code: Code,
    ) {
        let Some(frame) = open.last().filter(|_| self.wants(code)) else {
            return;
        };
        let error = SchemaError::BadValue {
            attribute: Name::new(name.raw),
            element: frame.element(),
            expected: Expected(rule.value_type),
        };
        self.push(value, code, error, path(open, None, Some(name)));
    }

    /// Reports a broken rule on the whole element.
    #[cold]
    pub(super) fn report(
        &mut self,
        open: &[Frame<'t>],
        span: Span<'t>,
        code: Code,
        error: SchemaError,
    ) {
        let code = open.last().map_or(code, |frame| frame.code(code));
        if self.wants(code) {
            self.push(span, code, error, path(open, None, None));
        }
    }

    /// Whether there is room for one more finding. There is always room for the first error.
    fn wants(&self, code: Code) -> bool {
        self.findings.len() < MAX_FINDINGS || code.level == Level::Error && !self.has_error
    }

    fn push(&mut self, span: Span<'t>, code: Code, error: SchemaError, path: Box<str>) {
        self.has_error |= code.level == Level::Error;
        self.findings.push(SchemaFinding {
            span,
            code,
            error,
            path,
        });
    }
}

/// The path to the innermost open element, or to a child or attribute of it.
fn path(open: &[Frame<'_>], child: Option<Span<'_>>, attribute: Option<Span<'_>>) -> Box<str> {
    let mut path = String::new();
    for frame in open {
        path.push_str(if path.is_empty() { "" } else { "/" });
        path.push_str(&String::from_utf8_lossy(frame.name.raw));
    }
    for (separator, name) in [('/', child), ('@', attribute)] {
        if let Some(name) = name {
            path.push(separator);
            path.push_str(Name::new(name.raw).as_str());
        }
    }
    path.into()
}

/// These names of the grammar.
pub(super) fn known_names(names: &[String]) -> Box<[Name]> {
    names.iter().map(|name| Name::known(name)).collect()
}

/// Whether Twilio has an element of this name, in either kind. Extensions don't count: what a configuration says of them may
/// be incomplete.
fn is_known_to_twilio(name: Span<'_>) -> bool {
    let raw = String::from_utf8_lossy(name.raw);
    [Kind::Voice, Kind::Messaging]
        .iter()
        .any(|kind| Grammar::of(*kind).has_element(&raw))
}
