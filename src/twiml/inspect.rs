//! Listens while a page is read, and holds it against the grammar. What an unknown or misplaced element holds is passed
//! over, as Twilio passes over the whole element.

mod report;

use arrayvec::ArrayVec;

use super::{
    MAX_DEPTH, Name, Schema,
    grammar::{Code, Definition, Expected, Grammar, ROOT, Verdict},
    scan::{Sink, scan},
    span::Span,
};

/// How many findings are kept of one page. Whoever has more has a page of another kind.
pub const MAX_FINDINGS: usize = 256;

/// The grammar, listening.
pub(super) struct Inspector<'g, 't> {
    grammar: &'g Grammar,
    text: &'t [u8],
    open: ArrayVec<Frame<'t>, MAX_DEPTH>,
    /// How many elements are open from the unknown one inwards.
    passed_over: usize,
    /// Whether one of the findings is an error.
    failed: bool,
    /// The root, where it isn't `Response`.
    pub(super) other_root: Option<Span<'t>>,
    pub(super) found: Vec<Found<'t>>,
}

/// A finding, before its place is counted out.
pub(super) struct Found<'t> {
    pub(super) part: Span<'t>,
    pub(super) code: Code,
    pub(super) fact: Schema,
    pub(super) path: Box<str>,
}

/// An open element that the grammar knows.
struct Frame<'t> {
    definition: u16,
    name: Span<'t>,
    /// The bits of the attributes it has.
    attributes: u64,
    /// The bits of the children it holds.
    children: u64,
    /// Whether it holds anything that the grammar doesn't know.
    strange: bool,
    /// Whether it has an attribute that the grammar doesn't know.
    unknown_attribute: bool,
    /// The bytes of its text and that of its children, space on its own aside; no character has less than one.
    bytes: usize,
    /// Whether it holds text itself.
    spoken: bool,
    /// Its only run of text.
    run: Run<'t>,
}

#[derive(Clone, Copy)]
enum Run<'t> {
    None,
    One(Span<'t>),
    Several,
}

impl<'t> Frame<'t> {
    fn element(&self) -> Name {
        Name::new(self.name.raw)
    }

    /// The code of a rule about the whole element. What nobody knows in it may be why it is as it is.
    fn code(&self, code: Code) -> Code {
        if self.strange || self.unknown_attribute {
            code.as_warning()
        } else {
            code
        }
    }

    fn has_stand_in(&self, rules: &Definition) -> bool {
        let (attributes, children) = rules.stand_ins;
        self.strange || self.attributes & attributes != 0 || self.children & children != 0
    }

    #[inline]
    fn new(definition: u16, name: Span<'t>) -> Self {
        Self {
            definition,
            name,
            attributes: 0,
            children: 0,
            strange: false,
            unknown_attribute: false,
            bytes: 0,
            spoken: false,
            run: Run::None,
        }
    }
}

impl<'t> Sink<'t> for Inspector<'_, 't> {
    #[inline]
    fn open(&mut self, name: Span<'t>) {
        if self.passed_over > 0 {
            self.passed_over += 1;
            return;
        }
        let Some(parent) = self.open.last_mut() else {
            return self.root(name);
        };
        let Some(child) = self.grammar.child(parent.definition, name.raw) else {
            return self.strange_child(name);
        };
        let again = parent.children & child.bit != 0;
        let twice = self.grammar.definition(parent.definition).nesting.twice;
        parent.children |= child.bit;
        if let (true, Some(code)) = (again, twice) {
            self.second_child(name, code);
        }
        if child.unchecked {
            self.passed_over = 1;
            return;
        }
        self.open.push(Frame::new(child.definition, name));
    }

    #[inline]
    fn attribute(&mut self, name: Span<'t>, value: Span<'t>) {
        if self.passed_over > 0 {
            return;
        }
        let Some(frame) = self.open.last_mut() else {
            return;
        };
        let Some(&taken) = self.grammar.attribute(frame.definition, name.raw) else {
            return self.unknown_attribute(name);
        };
        frame.attributes |= taken.bit;
        let verdict = taken.value.check_part(value);
        if verdict != Verdict::Good {
            self.bad_value(name, value, taken, verdict);
        }
    }

    #[inline]
    fn text(&mut self, text: Span<'t>) {
        if self.passed_over > 0 || text.is_space() {
            return;
        }
        let Some(frame) = self.open.last_mut() else {
            return;
        };
        let first = !frame.spoken;
        frame.spoken = true;
        frame.bytes += text.raw.len();
        frame.run = match frame.run {
            Run::None => Run::One(text),
            Run::One(_) | Run::Several => Run::Several,
        };
        if first && !self.grammar.definition(frame.definition).text.allowed {
            self.unwanted_text(text);
        }
    }

    #[inline]
    fn close(&mut self, at: usize) {
        if self.passed_over > 0 {
            self.passed_over -= 1;
            return;
        }
        let Some(frame) = self.open.last() else {
            return;
        };
        let (definition, bytes) = (self.grammar.definition(frame.definition), frame.bytes);
        if definition.watched {
            self.look_back(definition, at);
        }
        self.open.pop();
        if let Some(parent) = self.open.last_mut() {
            parent.bytes += bytes;
        }
    }
}

impl<'g, 't> Inspector<'g, 't> {
    pub(super) fn new(grammar: &'g Grammar, text: &'t [u8]) -> Self {
        let (open, found) = (ArrayVec::new(), Vec::new());
        Self {
            grammar,
            text,
            open,
            passed_over: 0,
            failed: false,
            other_root: None,
            found,
        }
    }

    fn root(&mut self, name: Span<'t>) {
        if name.raw == b"Response" {
            self.open.push(Frame::new(ROOT, name));
        } else {
            self.other_root = Some(name);
            self.passed_over = 1;
        }
    }

    /// Rules on an element as a whole, once it is closed.
    #[inline]
    fn look_back(&mut self, rules: &Definition, end: usize) {
        let Some(frame) = self.open.last() else {
            return;
        };
        let broken = [self.on_text(frame, rules, end), on_children(frame, rules)];
        for broken in broken.into_iter().flatten() {
            self.report(broken);
        }
    }

    #[inline]
    fn on_text(&self, frame: &Frame<'t>, rules: &Definition, end: usize) -> Option<Broken<'t>> {
        if frame.bytes == 0 {
            let code = rules.text.needed.filter(|_| !frame.has_stand_in(rules))?;
            return Some((frame.name, code, Schema::NoText(frame.element())));
        }
        if let Some((most, code)) = rules.text.most
            && frame.bytes > most
            && self.characters(frame, end) > most
        {
            return Some((
                frame.name,
                code,
                Schema::LongText {
                    element: frame.element(),
                    most,
                },
            ));
        }
        let (form, code) = rules.text.form?;
        let Run::One(text) = frame.run else {
            return None;
        };
        let verdict = form.check_part(text);
        if verdict == Verdict::Good {
            return None;
        }
        let fact = Schema::BadText {
            element: frame.element(),
            expected: Expected(form),
        };
        Some((text.trimmed(), code.given(verdict), fact))
    }

    /// Counted only where there may be too many. The element is read once more, so references and markup are no matter.
    #[cold]
    fn characters(&self, frame: &Frame<'t>, end: usize) -> usize {
        struct Counter(usize);
        impl Sink<'_> for Counter {
            fn open(&mut self, _: Span<'_>) {}
            fn attribute(&mut self, _: Span<'_>, _: Span<'_>) {}
            fn text(&mut self, text: Span<'_>) {
                self.0 += text.characters();
            }
            fn close(&mut self, _: usize) {}
        }
        let mut counter = Counter(0);
        // Ends in a fault, because the end tag is left out.
        let _ = scan(&self.text[frame.name.at - 1..end], &mut counter);
        counter.0
    }
}

/// What a rule was broken by, the rule's code, and the fact.
type Broken<'t> = (Span<'t>, Code, Schema);

fn on_children<'t>(frame: &Frame<'t>, rules: &Definition) -> Option<Broken<'t>> {
    if frame.children == 0
        && let Some(code) = rules.nesting.needed
    {
        let allowed = names(rules.children());
        return Some((
            frame.name,
            code,
            Schema::NoChild {
                element: frame.element(),
                allowed,
            },
        ));
    }
    let (child, code) = rules.nesting.alone?;
    if frame.children & rules.alone == 0 || frame.children == rules.alone {
        return None;
    }
    Some((
        frame.name,
        code,
        Schema::NotAlone {
            name: Name::of(child),
            parent: frame.element(),
        },
    ))
}

fn names(known: &[String]) -> Box<[Name]> {
    known.iter().map(|name| Name::of(name)).collect()
}
