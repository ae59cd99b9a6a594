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
    pub(super) found: Vec<Found<'t>>,
}

/// A finding, before its place is counted out.
pub(super) struct Found<'t> {
    pub(super) part: Part<'t>,
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
    fn element(&self) -> Name {
        Name::new(self.name.raw)
    }

    fn has_stand_in(&self, rules: &Definition) -> bool {
        let (attributes, children) = rules.stand_ins;
        self.strange || self.attributes & attributes != 0 || self.children & children != 0
    }

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
        let Some(parent) = self.open.last_mut() else {
            return self.root(name);
        };
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
        let Some(frame) = self.open.last_mut() else {
            return;
        };
        let Some(&taken) = self.grammar.attribute(frame.definition, name.raw) else {
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
            other_root: None,
            found,
        }
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
        let Some(frame) = self.open.last() else {
            return;
        };
        let on_text = self.on_text(frame, definition, end);
        let on_children = on_children(frame, definition);
        for (part, code, fact) in on_text.into_iter().chain(on_children) {
            self.report(part, code, fact);
        }
    }

    #[inline]
    fn on_text(&self, frame: &Frame<'t>, rules: &Definition, end: usize) -> Option<Broken<'t>> {
        if !frame.spoken {
            let code = rules.text.needed.filter(|_| !frame.has_stand_in(rules))?;
            return Some((
                frame.name,
                code,
                Schema::NoText {
                    element: frame.element(),
                },
            ));
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
        match form.check_part(text) {
            Verdict::Good => None,
            verdict => {
                let fact = Schema::BadText {
                    element: frame.element(),
                    expected: Expected(form),
                };
                Some((text.trimmed(), code.given(verdict), fact))
            }
        }
    }

    /// Counted only where there may be too many. The element is read once more, so references and markup are no matter.
    #[cold]
    fn characters(&self, frame: &Frame<'t>, end: usize) -> usize {
        struct Counter(usize);
        impl Sink<'_> for Counter {
            fn open(&mut self, _: Part<'_>) {}
            fn attribute(&mut self, _: Part<'_>, _: Part<'_>) {}
            fn text(&mut self, text: Part<'_>) {
                self.0 += text.characters();
            }
            fn close(&mut self, _: usize) {}
        }
        let mut counter = Counter(0);
        // Ends in a fault, because the end tag is left out.
        let _ = scan(&self.text[frame.name.at - 1..end], &mut counter);
        counter.0
    }

    #[cold]
    fn strange_child(&mut self, name: Part<'t>) {
        self.passed_over = 1;
        let Some(parent) = self.open.last_mut() else {
            return;
        };
        parent.strange = true;
        let (definition, parent) = (parent.definition, parent.element());
        let path = self.path(Some(name), None);
        let fact = self.strangeness(name, &parent, definition);
        self.note(name, SCHEMA, fact, path.clone());
        if let Some(code) = self.grammar.definition(definition).nesting.stray {
            let fact = Schema::StrayElement {
                name: Name::new(name.raw),
                parent,
                allowed: names(self.grammar.children_of(definition)),
            };
            self.note(name, code, fact, path);
        }
    }

    /// Known and misplaced, or known to the other grammar, or unknown altogether.
    fn strangeness(&self, name: Part<'t>, parent: &Name, definition: u16) -> Schema {
        let (raw, name, parent) = (
            String::from_utf8_lossy(name.raw),
            Name::new(name.raw),
            parent.clone(),
        );
        let homes: Box<[Name]> = self
            .grammar
            .homes_of(&raw)
            .map(|home| Name::new(home.as_bytes()))
            .collect();
        if !homes.is_empty() {
            return Schema::MisplacedElement {
                name,
                parent,
                homes,
            };
        }
        let kind = self.grammar.kind().other();
        if Grammar::of(kind).tags().any(|tag| tag == raw) {
            return Schema::OtherKind { name, parent, kind };
        }
        let here = self
            .grammar
            .children_of(definition)
            .iter()
            .map(|child| &**child);
        let nearest = nearest(&raw, here).or_else(|| nearest(&raw, self.grammar.tags()));
        let nearest = nearest.map(|known| Name::new(known.as_bytes()));
        Schema::UnknownElement {
            name,
            parent,
            nearest,
        }
    }

    #[cold]
    fn second_child(&mut self, name: Part<'t>) {
        let Some(parent) = self.open.last() else {
            return;
        };
        let Some(code) = self.grammar.definition(parent.definition).nesting.twice else {
            return;
        };
        let fact = Schema::SecondChild {
            name: Name::new(name.raw),
            parent: parent.element(),
        };
        let path = self.path(Some(name), None);
        self.note(name, code, fact, path);
    }

    #[cold]
    fn unknown_attribute(&mut self, name: Part<'t>) {
        let Some(frame) = self.open.last() else {
            return;
        };
        let known = self
            .grammar
            .attributes_of(frame.definition)
            .iter()
            .map(|known| &**known);
        let nearest = nearest(&String::from_utf8_lossy(name.raw), known)
            .map(|known| Name::new(known.as_bytes()));
        let fact = Schema::UnknownAttribute {
            name: Name::new(name.raw),
            element: frame.element(),
            nearest,
        };
        let path = self.path(None, Some(name));
        self.note(name, SCHEMA, fact, path);
    }

    #[cold]
    fn bad_value(&mut self, name: Part<'t>, value: Part<'t>, rule: Taken, verdict: Verdict) {
        let Some(frame) = self.open.last() else {
            return;
        };
        let (attribute, expected) = (Name::new(name.raw), Expected(rule.value));
        let fact = Schema::BadValue {
            attribute,
            element: frame.element(),
            expected,
        };
        let path = self.path(None, Some(name));
        self.note(value, rule.code.given(verdict), fact, path);
    }

    #[cold]
    fn unwanted_text(&mut self, text: Part<'t>) {
        let Some(frame) = self.open.last() else {
            return;
        };
        let fact = Schema::Text {
            element: frame.element(),
        };
        self.report(text.trimmed(), SCHEMA, fact);
    }

    /// Notes what the innermost element has broken.
    #[cold]
    fn report(&mut self, part: Part<'t>, code: Code, fact: Schema) {
        let path = self.path(None, None);
        self.note(part, code, fact, path);
    }

    fn note(&mut self, part: Part<'t>, code: Code, fact: Schema, path: Box<str>) {
        let is_first_error = || {
            self.found
                .iter()
                .all(|found| found.code.level < Level::Error)
        };
        if self.found.len() < MAX_FINDINGS || code.level == Level::Error && is_first_error() {
            self.found.push(Found {
                part,
                fact,
                code,
                path,
            });
        }
    }

    /// The way to the innermost element, or to its child or attribute.
    fn path(&self, child: Option<Part<'_>>, attribute: Option<Part<'_>>) -> Box<str> {
        if self.found.len() > MAX_FINDINGS {
            return Box::default();
        }
        let names = self.open.iter().map(|frame| frame.name).chain(child);
        let mut path = names
            .map(|name| Name::new(name.raw).to_string())
            .collect::<Vec<_>>()
            .join("/");
        if let Some(attribute) = attribute {
            path.push('@');
            path.push_str(Name::new(attribute.raw).as_str());
        }
        path.into()
    }
}

/// What a rule was broken by, the rule's code, and the fact.
type Broken<'t> = (Part<'t>, Code, Schema);

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
            name: Name::new(child.as_bytes()),
            parent: frame.element(),
        },
    ))
}

fn names(known: &[String]) -> Box<[Name]> {
    known
        .iter()
        .map(|name| Name::new(name.as_bytes()))
        .collect()
}
