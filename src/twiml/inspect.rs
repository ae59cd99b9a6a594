//! Checks a document against the grammar while it is scanned. The content of an unknown or misplaced element is skipped, as
//! Twilio skips the whole element.

mod frame;
mod reporter;

use arrayvec::ArrayVec;
use frame::{Frame, TextRuns};
use reporter::{Reporter, known_names};

use super::{
    code::{Code, SCHEMA, Validity},
    grammar::{Definition, Expected, Grammar, ROOT},
    name::Name,
    scan::{Handler, scan},
    schema::SchemaError,
    span::Span,
    syntax::MAX_DEPTH,
};

pub use reporter::MAX_FINDINGS;
pub(super) use reporter::SchemaFinding;

/// Checks a document against a grammar.
pub(super) struct Inspector<'g, 't> {
    grammar: &'g Grammar,
    text: &'t [u8],
    /// The open elements, outermost first.
    open: ArrayVec<Frame<'t>, MAX_DEPTH>,
    /// How many open elements are skipped, from the unknown one inwards.
    skip_depth: usize,
    /// The root, if it isn't `Response`.
    pub(super) wrong_root: Option<Span<'t>>,
    reporter: Reporter<'g, 't>,
}

impl<'t> Handler<'t> for Inspector<'_, 't> {
    #[inline]
    fn on_start(&mut self, name: Span<'t>) {
        if self.skip_depth > 0 {
            self.skip_depth += 1;
            return;
        }
        let Some(parent) = self.open.last_mut() else {
            return self.open_root(name);
        };
        let Some(child) = self.grammar.child(parent.definition, name.raw) else {
            parent.has_unknown_child = true;
            self.skip_depth = 1;
            return self.reporter.report_unlisted_child(&self.open, name);
        };
        let is_repeated = parent.children & child.bit != 0;
        let rules = &self.grammar.definition(parent.definition).child_rules;
        parent.children |= child.bit;
        if let (true, Some(code)) = (is_repeated, rules.repeated) {
            self.reporter.report_second_child(&self.open, name, code);
        }
        if child.unchecked {
            self.skip_depth = 1;
            return;
        }
        self.open.push(Frame::new(child.definition, name));
    }

    #[inline]
    fn on_attribute(&mut self, name: Span<'t>, value: Span<'t>) {
        if self.skip_depth > 0 {
            return;
        }
        let Some(frame) = self.open.last_mut() else {
            return;
        };
        let Some(&rule) = self.grammar.attribute(frame.definition, name.raw) else {
            return self.on_unknown_attribute(name);
        };
        frame.attributes |= rule.bit;
        let validity = rule.value_type.check_span(value);
        if validity != Validity::Valid {
            let code = rule.code.for_validity(validity);
            self.reporter
                .report_bad_value(&self.open, (name, value), rule, code);
        }
    }

    #[inline]
    fn on_text(&mut self, text: Span<'t>) {
        if self.skip_depth > 0 || text.is_space() {
            return;
        }
        let Some(frame) = self.open.last_mut() else {
            return;
        };
        frame.text_bytes += text.raw.len();
        let is_first = matches!(frame.text, TextRuns::None);
        frame.text = if is_first {
            TextRuns::One(text)
        } else {
            TextRuns::Several
        };
        if is_first && !self.grammar.definition(frame.definition).text.allowed {
            let error = SchemaError::Text(frame.element());
            self.reporter.report(&self.open, text.trim(), SCHEMA, error);
        }
    }

    #[inline]
    fn on_end(&mut self, at: usize) {
        if self.skip_depth > 0 {
            self.skip_depth -= 1;
            return;
        }
        let Some(frame) = self.open.last() else {
            return;
        };
        let (rules, text_bytes) = (self.grammar.definition(frame.definition), frame.text_bytes);
        if rules.has_final_rules {
            self.check_element(rules, at);
        }
        self.open.pop();
        if let Some(parent) = self.open.last_mut() {
            parent.text_bytes += text_bytes;
        }
    }
}

impl<'g, 't> Inspector<'g, 't> {
    pub(super) fn new(grammar: &'g Grammar, text: &'t [u8]) -> Self {
        Self {
            grammar,
            text,
            open: ArrayVec::new(),
            skip_depth: 0,
            wrong_root: None,
            reporter: Reporter::new(grammar),
        }
    }

    /// What was found, in no certain order.
    pub(super) fn into_findings(self) -> Vec<SchemaFinding<'t>> {
        self.reporter.findings
    }

    fn open_root(&mut self, name: Span<'t>) {
        if name.raw == b"Response" {
            self.open.push(Frame::new(ROOT, name));
        } else {
            self.wrong_root = Some(name);
            self.skip_depth = 1;
        }
    }

    #[cold]
    fn on_unknown_attribute(&mut self, name: Span<'t>) {
        if is_of_xml_schema(name) {
            return;
        }
        if let Some(frame) = self.open.last_mut() {
            frame.has_unknown_attribute = true;
        }
        self.reporter.report_unknown_attribute(&self.open, name);
    }

    /// Checks the rules on a whole element, once its end tag is read.
    #[inline]
    fn check_element(&mut self, rules: &Definition, end: usize) {
        let Some(frame) = self.open.last() else {
            return;
        };
        let violations = [
            self.check_text(frame, rules, end),
            check_children(frame, rules),
        ];
        for (span, code, error) in violations.into_iter().flatten() {
            self.reporter.report(&self.open, span, code, error);
        }
    }

    #[inline]
    fn check_text(
        &self,
        frame: &Frame<'t>,
        rules: &Definition,
        end: usize,
    ) -> Option<Violation<'t>> {
        if frame.text_bytes == 0 {
            let required = rules.text.required;
            let code = required.filter(|_| !frame.has_text_alternative(rules))?;
            return Some((frame.name, code, SchemaError::NoText(frame.element())));
        }
        if let Some((max, code)) = rules.text.max
            && frame.text_bytes > max
            && self.count_characters(frame, end) > max
        {
            let element = frame.element();
            return Some((frame.name, code, SchemaError::LongText { element, max }));
        }
        check_text_type(frame, rules)
    }

    /// The number of characters in an element. It is scanned once more for this, but only if its bytes are over the limit.
    #[cold]
    fn count_characters(&self, frame: &Frame<'t>, end: usize) -> usize {
        struct Counter(usize);
        impl Handler<'_> for Counter {
            fn on_text(&mut self, text: Span<'_>) {
                self.0 += text.count_characters();
            }
        }
        let mut counter = Counter(0);
        // The scan always fails, because the end tag is left out.
        let _ = scan(&self.text[frame.name.at - 1..end], &mut counter);
        counter.0
    }
}

/// What breaks a rule, the rule's code, and the error.
type Violation<'t> = (Span<'t>, Code, SchemaError);

#[inline]
fn check_text_type<'t>(frame: &Frame<'t>, rules: &Definition) -> Option<Violation<'t>> {
    let (value_type, code) = rules.text.value_type?;
    let TextRuns::One(text) = frame.text else {
        return None;
    };
    let validity = value_type.check_span(text);
    if validity == Validity::Valid {
        return None;
    }
    let error = SchemaError::BadText {
        element: frame.element(),
        expected: Expected(value_type),
    };
    Some((text.trim(), code.for_validity(validity), error))
}

fn check_children<'t>(frame: &Frame<'t>, rules: &Definition) -> Option<Violation<'t>> {
    if frame.children == 0
        && let Some(code) = rules.child_rules.required
    {
        let error = SchemaError::NoChild {
            element: frame.element(),
            allowed: known_names(rules.children()),
        };
        return Some((frame.name, code, error));
    }
    let (child, code) = rules.child_rules.exclusive?;
    let exclusive = rules.exclusive_child;
    if frame.children & exclusive == 0 || frame.children == exclusive {
        return None;
    }
    let error = SchemaError::NotAlone {
        name: Name::known(child),
        parent: frame.element(),
    };
    Some((frame.name, code, error))
}

/// Whether an attribute belongs to XML Schema itself, so that validation by a schema ignores it. .NET's XmlSerializer declares
/// such prefixes on every root.
fn is_of_xml_schema(name: Span<'_>) -> bool {
    name.raw.starts_with(b"xmlns:") || name.raw.starts_with(b"xsi:")
}
