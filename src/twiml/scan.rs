//! Reads a page once, from its first byte to its last, checks that it is well-formed XML 1.0 (fifth edition) without
//! namespaces and without a DTD, and tells a [`Sink`] what it meets. It knows nothing of TwiML.
//!
//! It relies on what [`super::charset`] made sure of: the text is valid UTF-8 without illegal characters, so a byte of 0 can
//! stand for the end of the page.

mod attributes;
mod misc;
mod tag;

use std::ops::Range;

use arrayvec::ArrayVec;
use attributes::Attributes;
use memchr::memchr3;

use super::{
    Construct, Name, Syntax,
    chars::{SPACE, is, name_len},
    declaration,
    span::Span,
    syntax::{Stop, stop},
};

/// How deep elements may nest. TwiML needs about eight levels.
pub const MAX_DEPTH: usize = 256;
/// How many attributes an element may have. TwiML's richest takes about thirty.
pub const MAX_ATTRIBUTES: usize = 256;

/// Hears what a page is made of, in order.
pub(super) trait Sink<'t> {
    /// `<name`
    fn open(&mut self, name: Span<'t>);
    /// `name="value"`
    fn attribute(&mut self, name: Span<'t>, value: Span<'t>);
    /// Characters and references between tags, or within a CDATA section; an element may have several such runs.
    fn text(&mut self, text: Span<'t>);
    /// `</name>` or `/>`; `at` is where the end tag begins, or the tag's `/>`.
    fn close(&mut self, at: usize);
}

/// Nobody listens.
impl Sink<'_> for () {
    fn open(&mut self, _: Span<'_>) {}
    fn attribute(&mut self, _: Span<'_>, _: Span<'_>) {}
    fn text(&mut self, _: Span<'_>) {}
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
        self.sink.text(Span {
            raw: &self.text[start..self.at],
            at: start,
            references,
        });
        Ok(())
    }

    #[inline]
    fn take_name(&mut self) -> Span<'t> {
        let at = self.at;
        let rest = &self.text[at..];
        let raw = &rest[..name_len(rest)];
        self.at += raw.len();
        Span {
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
