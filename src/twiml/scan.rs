//! Reads a page once, from its first byte to its last, checks that it is well-formed XML 1.0 (fifth edition) without
//! namespaces and without a DTD, and tells a [`Sink`] what it meets. It knows nothing of TwiML.
//!
//! It relies on what [`super::charset`] made sure of: the text is valid UTF-8 without illegal characters, so a byte of 0 can
//! stand for the end of the page.

use std::ops::Range;

use arrayvec::ArrayVec;
use memchr::{memchr3, memmem};

use super::{
    Construct, Name, Syntax,
    attributes::Attributes,
    chars::{IN_VALUE, SPACE, is, is_legal, name_len},
    declaration,
    part::Part,
    syntax::{Stop, stop},
};

/// How deep elements may nest. TwiML needs about eight levels.
pub const MAX_DEPTH: usize = 256;
/// How many attributes an element may have. TwiML's richest has 27.
pub const MAX_ATTRIBUTES: usize = 256;

/// Hears what a page is made of, in order.
pub(super) trait Sink<'t> {
    /// `<name`
    fn open(&mut self, name: Part<'t>);
    /// `name="value"`
    fn attribute(&mut self, name: Part<'t>, value: Part<'t>);
    /// Characters and references between tags, or within a CDATA section; an element may have several such runs.
    fn text(&mut self, text: Part<'t>);
    /// `</name>` or `/>`; `at` is where the end tag begins, or the tag's `/>`.
    fn close(&mut self, at: usize);
}

/// Nobody listens.
impl Sink<'_> for () {
    fn open(&mut self, _: Part<'_>) {}
    fn attribute(&mut self, _: Part<'_>, _: Part<'_>) {}
    fn text(&mut self, _: Part<'_>) {}
    fn close(&mut self, _: usize) {}
}

/// Where reading stopped, and the names of the elements that were open there.
pub(super) struct Stopped {
    pub(super) at: usize,
    pub(super) fact: Syntax,
    pub(super) open: Vec<Range<usize>>,
}

/// Reads a whole page.
pub(super) fn scan<'t>(text: &'t [u8], sink: &mut impl Sink<'t>) -> Result<(), Stopped> {
    let mut scanner = Scanner {
        text,
        at: 0,
        open: ArrayVec::new(),
        attributes: Attributes::new(),
        sink,
    };
    scanner.document().map_err(|stop| {
        let (at, fact) = *stop;
        Stopped {
            at,
            fact,
            open: scanner.open.to_vec(),
        }
    })
}

struct Scanner<'t, 's, S> {
    text: &'t [u8],
    at: usize,
    /// The names of the open elements, outermost first.
    open: ArrayVec<Range<usize>, MAX_DEPTH>,
    attributes: Attributes,
    sink: &'s mut S,
}

impl<'t, S: Sink<'t>> Scanner<'t, '_, S> {
    /// `[1] document`
    fn document(&mut self) -> Result<(), Stop> {
        self.at = declaration::read(self.text)?.end;
        self.misc()?;
        self.root()?;
        self.misc()?;
        match self.peek() {
            0 => Ok(()),
            _ => Err(self.after_root()),
        }
    }

    /// `[27] Misc*`
    fn misc(&mut self) -> Result<(), Stop> {
        loop {
            self.space();
            match self.text[self.at..] {
                [b'<', b'?', ..] => self.pi()?,
                [b'<', b'!', b'-', b'-', ..] => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// `[39] element`, the root, and everything in it
    fn root(&mut self) -> Result<(), Stop> {
        if self.peek() != b'<' || matches!(self.ahead(1), b'!' | b'/') {
            return Err(self.before_root());
        }
        self.start_tag()?;
        while let Some(innermost) = self.open.last() {
            match self.peek() {
                b'<' => self.markup()?,
                0 => return Err(stop(self.at, Syntax::UnclosedElement(self.name(innermost)))),
                _ => self.text()?,
            }
        }
        Ok(())
    }

    #[inline]
    fn markup(&mut self) -> Result<(), Stop> {
        match self.ahead(1) {
            b'/' => self.end_tag(),
            b'?' => self.pi(),
            b'!' => self.comment_or_cdata(),
            _ => self.start_tag(),
        }
    }

    /// `[40] STag`, `[44] EmptyElemTag`
    #[inline]
    fn start_tag(&mut self) -> Result<(), Stop> {
        self.at += 1;
        let name = self.take_name();
        if name.raw.is_empty() {
            return Err(self.unexpected(Construct::Tag, Syntax::TagName));
        }
        self.sink.open(name);
        let mut spaced = self.space();
        if !matches!(self.peek(), b'>' | b'/') {
            self.attributes.clear();
            while !matches!(self.peek(), b'>' | b'/') {
                self.attribute(spaced)?;
                spaced = self.space();
            }
            self.no_duplicate()?;
        }
        self.end_of_start_tag(name)
    }

    #[inline]
    fn end_of_start_tag(&mut self, name: Part<'t>) -> Result<(), Stop> {
        if self.peek() == b'>' {
            self.at += 1;
            let range = name.at..name.at + name.raw.len();
            return self
                .open
                .try_push(range)
                .map_err(|_| stop(name.at, Syntax::TooDeep));
        }
        if self.ahead(1) != b'>' {
            self.at += 1;
            return Err(self.unexpected(Construct::Tag, Syntax::AttributeName));
        }
        self.sink.close(self.at);
        self.at += 2;
        Ok(())
    }

    /// `[41] Attribute`
    #[inline]
    fn attribute(&mut self, spaced: bool) -> Result<(), Stop> {
        let name = self.take_name();
        if name.raw.is_empty() {
            return Err(self.unexpected(Construct::Tag, Syntax::AttributeName));
        }
        if !spaced {
            return Err(stop(name.at, Syntax::AttributeSpace));
        }
        if !self.attributes.note(name.raw, name.at) {
            return Err(stop(name.at, Syntax::TooManyAttributes));
        }
        self.equals(name)?;
        let value = self.value(name)?;
        self.sink.attribute(name, value);
        Ok(())
    }

    /// `[25] Eq`
    #[inline]
    fn equals(&mut self, name: Part<'_>) -> Result<(), Stop> {
        self.space();
        if self.peek() != b'=' {
            return Err(
                self.unexpected(Construct::Tag, Syntax::AttributeEquals(Name::new(name.raw)))
            );
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// `[10] AttValue`
    #[inline]
    fn value(&mut self, name: Part<'_>) -> Result<Part<'t>, Stop> {
        let quote = self.peek();
        if !matches!(quote, b'"' | b'\'') {
            return Err(
                self.unexpected(Construct::Tag, Syntax::AttributeQuote(Name::new(name.raw)))
            );
        }
        let start = self.at + 1;
        self.at = start;
        let mut references = false;
        loop {
            let rest = &self.text[self.at..];
            self.at += rest
                .iter()
                .position(|&b| is(b, IN_VALUE))
                .unwrap_or(rest.len());
            match self.peek() {
                b if b == quote => break,
                b'"' | b'\'' => self.at += 1,
                b'&' => {
                    references = true;
                    self.reference()?;
                }
                b'<' => return Err(stop(self.at, Syntax::AttributeLess(Name::new(name.raw)))),
                _ => return Err(stop(self.at, Syntax::Unclosed(Construct::Tag))),
            }
        }
        self.at += 1;
        Ok(Part {
            raw: &self.text[start..self.at - 1],
            at: start,
            references,
        })
    }

    /// `[42] ETag`
    #[inline]
    fn end_tag(&mut self) -> Result<(), Stop> {
        let innermost = self
            .open
            .last()
            .expect("end tags are only looked for within an element");
        let name = &self.text[innermost.clone()];
        let after = self.at + 2 + name.len();
        if !(self.text[self.at + 2..].starts_with(name) && self.text.get(after) == Some(&b'>')) {
            return self.odd_end_tag();
        }
        self.sink.close(self.at);
        self.open.pop();
        self.at = after + 1;
        Ok(())
    }

    /// An end tag with space in it, or one that doesn't fit.
    #[cold]
    fn odd_end_tag(&mut self) -> Result<(), Stop> {
        let start = self.at;
        self.at += 2;
        let name = self.take_name();
        let open = &self.text[self.open.last().cloned().unwrap_or_default()];
        if name.raw.is_empty() {
            return Err(self.unexpected(Construct::Tag, Syntax::EndTag));
        }
        if name.raw != open && self.peek() != 0 {
            return Err(stop(
                start,
                Syntax::Mismatched {
                    open: Name::new(open),
                    close: Name::new(name.raw),
                },
            ));
        }
        self.space();
        if self.peek() != b'>' {
            return Err(self.unexpected(Construct::Tag, Syntax::EndTag));
        }
        self.sink.close(start);
        self.open.pop();
        self.at += 1;
        Ok(())
    }

    /// `[14] CharData` and references
    #[inline]
    fn text(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let mut references = false;
        loop {
            self.at += memchr3(b'<', b'&', b']', &self.text[self.at..])
                .unwrap_or(self.text.len() - self.at);
            match self.peek() {
                b'&' => {
                    references = true;
                    self.reference()?;
                }
                b']' if self.text[self.at..].starts_with(b"]]>") => {
                    return Err(stop(self.at, Syntax::CdataEnd));
                }
                b']' => self.at += 1,
                _ => break,
            }
        }
        self.sink.text(Part {
            raw: &self.text[start..self.at],
            at: start,
            references,
        });
        Ok(())
    }

    /// `[67] Reference`
    fn reference(&mut self) -> Result<(), Stop> {
        let rest = &self.text[self.at + 1..];
        if rest.first() == Some(&b'#') {
            return self.character_reference();
        }
        let name = &rest[..name_len(rest)];
        match name {
            b"" => Err(stop(self.at, Syntax::Ampersand)),
            _ if rest.get(name.len()) != Some(&b';') => Err(stop(self.at, Syntax::Ampersand)),
            b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => {
                self.at += name.len() + 2;
                Ok(())
            }
            _ => Err(stop(self.at, Syntax::UnknownEntity(Name::new(name)))),
        }
    }

    /// `[66] CharRef`
    fn character_reference(&mut self) -> Result<(), Stop> {
        let rest = &self.text[self.at + 2..];
        let (digits, radix) = match rest.strip_prefix(b"x") {
            Some(hex) => (hex, 16),
            None => (rest, 10),
        };
        let mut number = 0_u32;
        let mut len = 0;
        while let Some(digit) = digits.get(len).and_then(|&b| char::from(b).to_digit(radix)) {
            number = number.saturating_mul(radix).saturating_add(digit);
            len += 1;
        }
        if len == 0 || digits.get(len) != Some(&b';') {
            return Err(stop(self.at, Syntax::CharacterReference));
        }
        if !char::from_u32(number).is_some_and(is_legal) {
            return Err(stop(self.at, Syntax::IllegalReference));
        }
        self.at = self.text.len() - digits.len() + len + 1;
        Ok(())
    }

    #[cold]
    fn comment_or_cdata(&mut self) -> Result<(), Stop> {
        match &self.text[self.at..] {
            rest if rest.starts_with(b"<!--") => self.comment(),
            rest if rest.starts_with(b"<![CDATA[") => self.cdata(),
            _ => Err(self.bad_markup()),
        }
    }

    /// `[15] Comment`
    fn comment(&mut self) -> Result<(), Stop> {
        let start = self.at + 4;
        let Some(dashes) = memmem::find(&self.text[start..], b"--").map(|i| start + i) else {
            return Err(stop(self.at, Syntax::Unclosed(Construct::Comment)));
        };
        if self.text.get(dashes + 2) != Some(&b'>') {
            return Err(stop(dashes, Syntax::CommentDashes));
        }
        self.at = dashes + 3;
        Ok(())
    }

    /// `[18] CDSect`
    fn cdata(&mut self) -> Result<(), Stop> {
        let start = self.at + 9;
        let Some(len) = memmem::find(&self.text[start..], b"]]>") else {
            return Err(stop(self.at, Syntax::Unclosed(Construct::Cdata)));
        };
        self.sink.text(Part {
            raw: &self.text[start..start + len],
            at: start,
            references: false,
        });
        self.at = start + len + 3;
        Ok(())
    }

    /// `[16] PI`
    #[cold]
    fn pi(&mut self) -> Result<(), Stop> {
        let start = self.at;
        self.at += 2;
        let target = self.take_name();
        if target.raw.eq_ignore_ascii_case(b"xml") {
            let fact = if target.raw == b"xml" {
                Syntax::DeclarationNotFirst
            } else {
                Syntax::PiReserved
            };
            return Err(stop(start, fact));
        }
        if target.raw.is_empty() {
            return Err(self.unexpected(Construct::Pi, Syntax::PiTarget));
        }
        let Some(len) = memmem::find(&self.text[self.at..], b"?>") else {
            return Err(stop(start, Syntax::Unclosed(Construct::Pi)));
        };
        if len > 0 && !is(self.peek(), SPACE) {
            return Err(stop(self.at, Syntax::PiSpace));
        }
        self.at += len + 2;
        Ok(())
    }

    fn no_duplicate(&self) -> Result<(), Stop> {
        match self.attributes.duplicate(self.text) {
            None => Ok(()),
            Some(name) => Err(stop(
                name.start,
                Syntax::DuplicateAttribute(self.name(&name)),
            )),
        }
    }

    #[inline]
    fn take_name(&mut self) -> Part<'t> {
        let at = self.at;
        let rest = &self.text[at..];
        let raw = &rest[..name_len(rest)];
        self.at += raw.len();
        Part {
            raw,
            at,
            references: false,
        }
    }

    /// `[3] S?`; true if there was any.
    #[inline]
    fn space(&mut self) -> bool {
        let start = self.at;
        while is(self.peek(), SPACE) {
            self.at += 1;
        }
        self.at > start
    }

    #[inline]
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn ahead(&self, by: usize) -> u8 {
        self.text.get(self.at + by).copied().unwrap_or(0)
    }

    fn name(&self, range: &Range<usize>) -> Name {
        Name::new(&self.text[range.clone()])
    }

    /// A fault here; or, at the end of the page, that it ended too early.
    #[cold]
    fn unexpected(&self, within: Construct, fact: Syntax) -> Stop {
        let fact = if self.peek() == 0 {
            Syntax::Unclosed(within)
        } else {
            fact
        };
        stop(self.at.min(self.text.len()), fact)
    }

    #[cold]
    fn before_root(&self) -> Stop {
        match self.peek() {
            0 => stop(self.at, Syntax::NoRoot),
            b'<' if self.ahead(1) == b'!' => self.bad_markup(),
            b'<' => stop(self.at, Syntax::EndTag),
            _ => stop(self.at, Syntax::BeforeRoot),
        }
    }

    #[cold]
    fn after_root(&self) -> Stop {
        let rest = &self.text[self.at..];
        match rest {
            [b'<', b'!', ..] => self.bad_markup(),
            [b'<', name @ ..] if name_len(name) > 0 => stop(
                self.at,
                Syntax::SecondRoot(Name::new(&name[..name_len(name)])),
            ),
            _ => stop(self.at, Syntax::AfterRoot),
        }
    }

    #[cold]
    fn bad_markup(&self) -> Stop {
        let doctype = self.text[self.at..]
            .get(2..9)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"DOCTYPE"));
        stop(
            self.at,
            if doctype {
                Syntax::Doctype
            } else {
                Syntax::Markup
            },
        )
    }
}
