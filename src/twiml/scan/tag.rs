//! Start tags with their attributes, and end tags.

use super::{Scanner, Sink};
use crate::twiml::{
    Construct, Name, Syntax,
    chars::{IN_VALUE, is},
    span::Span,
    syntax::{Stop, stop},
};

impl<'t, S: Sink<'t>> Scanner<'t, '_, S> {
    /// `[40] STag`, `[44] EmptyElemTag`
    #[inline]
    pub(super) fn start_tag(&mut self) -> Result<(), Stop> {
        self.at += 1;
        let name = self.take_name();
        if name.raw.is_empty() {
            return Err(self.unexpected(Construct::Tag, Syntax::TagName));
        }
        if self.open.is_full() {
            return Err(stop(name.at, Syntax::TooDeep));
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
    fn end_of_start_tag(&mut self, name: Span<'t>) -> Result<(), Stop> {
        if self.peek() == b'>' {
            self.at += 1;
            let range = name.at..name.at + name.raw.len();
            self.open.push(range);
            return Ok(());
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
    fn equals(&mut self, name: Span<'_>) -> Result<(), Stop> {
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
    fn value(&mut self, name: Span<'_>) -> Result<Span<'t>, Stop> {
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
        Ok(Span {
            raw: &self.text[start..self.at - 1],
            at: start,
            references,
        })
    }

    /// `[42] ETag`
    #[inline]
    pub(super) fn end_tag(&mut self) -> Result<(), Stop> {
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

    fn no_duplicate(&self) -> Result<(), Stop> {
        match self.attributes.duplicate(self.text) {
            None => Ok(()),
            Some(name) => Err(stop(
                name.start,
                Syntax::DuplicateAttribute(self.name(&name)),
            )),
        }
    }
}
