//! Listens while a page is read, and holds it against the grammar. What an unknown or misplaced element holds is passed
//! over, as Twilio passes over the whole element.

use arrayvec::ArrayVec;

use super::{
    Level, MAX_DEPTH, Name, Schema,
    grammar::{Code, Definition, Expected, Grammar, ROOT, SCHEMA, Taken, Verdict},
    nearest::nearest,
    part::Part,
    scan::{Sink, scan},
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
    /// The root, where it isn't `Response`.
    pub(super) other_root: Option<Part<'t>>,
    pub(super) found: Vec<Found>,
}

/// A finding, before its place is counted out.
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) fact: Schema,
    pub(super) code: Code,
    pub(super) path: Box<str>,
}

/// An open element that the grammar knows.
struct Frame<'t> {
    definition: u16,
    name: Part<'t>,
    /// The bits of the attributes it has.
    attributes: u64,
    /// The bits of the children it holds.
    children: u64,
    /// Whether it holds anything that the grammar doesn't know.
    strange: bool,
    /// The bytes of its text, that of its children included, of which no character has less than one.
    bytes: usize,
    /// Whether any of it is more than space.
    spoken: bool,
    /// Its only run of text.
    run: Run<'t>,
}

#[derive(Clone, Copy)]
enum Run<'t> {
    None,
    One(Part<'t>),
    Several,
}

impl<'t> Frame<'t> {
    #[inline]
    fn new(definition: u16, name: Part<'t>) -> Self {
        Self {
            definition,
            name,
            attributes: 0,
            children: 0,
            strange: false,
            bytes: 0,
            spoken: false,
            run: Run::None,
        }
    }
}

impl<'t> Sink<'t> for Inspector<'_, 't> {
    #[inline]
    fn open(&mut self, name: Part<'t>) {
        if self.passed_over > 0 {
            self.passed_over += 1;
            return;
        }
        let Some(parent) = self.open.last_mut() else { return self.root(name) };
        let Some(child) = self.grammar.child(parent.definition, name.raw) else {
            return self.strange_child(name);
        };
        let again = parent.children & child.bit != 0;
        parent.children |= child.bit;
        if again {
            self.second_child(name);
        }
        self.open.push(Frame::new(child.definition, name));
    }

    #[inline]
    fn attribute(&mut self, name: Part<'t>, value: Part<'t>) {
        if self.passed_over > 0 {
            return;
        }
        let Some(frame) = self.open.last_mut() else { return };
        let Some(taken) = self.grammar.attribute(frame.definition, name.raw) else {
            return self.unknown_attribute(name);
        };
        frame.attributes |= taken.bit;
        match taken.value.check_part(value) {
            Verdict::Good => {}
            verdict => self.bad_value(name, value, taken, verdict),
        }
    }

    #[inline]
    fn text(&mut self, text: Part<'t>) {
        if self.passed_over > 0 || text.is_space() {
            return;
        }
        let Some(frame) = self.open.last_mut() else { return };
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
        let Some(frame) = self.open.last() else { return };
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
        Self { grammar, text, open, passed_over: 0, other_root: None, found }
    }

    fn root(&mut self, name: Part<'t>) {
        if name.raw == b"Response" {
            self.open.push(Frame::new(ROOT, name));
        } else {
            self.other_root = Some(name);
            self.passed_over = 1;
        }
    }

    /// Rules on an element as a whole, once it is closed.
    #[inline]
    fn look_back(&mut self, definition: &Definition, end: usize) {
        let Some(frame) = self.open.last() else { return };
        if !frame.spoken
            && let Some(code) = definition.text.needed
            && !frame.has_stand_in(definition)
        {
            self.report(frame.name, code, |element| Schema::NoText { element });
        } else if let Some((most, code)) = definition.text.most
            && frame.bytes > most
            && self.characters(frame, end) > most
        {
            self.report(frame.name, code, |element| Schema::LongText { element, most });
        } else if let (Run::One(text), Some((form, code))) = (frame.run, definition.text.form)
            && frame.children == 0
        {
            let verdict = form.check_part(text);
            if verdict != Verdict::Good {
                let expected = Expected(form);
                self.report(text, code.given(verdict), |element| Schema::BadText { element, expected });
            }
        }
        self.look_back_on_children(definition);
    }
}
