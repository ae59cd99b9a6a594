//! Reads a document once, from its first byte to its last, checks that it is well-formed XML 1.0 (fifth edition) without
//! namespaces and without a DTD, and reports its elements, attributes and text to a [`Handler`]. It knows nothing of TwiML.
//!
//! It relies on the checks of [`super::charset`]: the text is valid UTF-8, and a byte of 0 is reported as an illegal
//! character by the caller, so the scanner may take it for the end of the text.

mod attributes;
mod cursor;

use std::ops::Range;

use arrayvec::ArrayVec;
use attributes::AttributeNames;
use cursor::Cursor;
use memchr::memchr3;

use super::{
    chars::{IN_VALUE, is},
    declaration,
    name::Name,
    span::Span,
    syntax::{Construct, ErrorAt, MAX_DEPTH, SyntaxError, error_at},
};

/// Receives what a document consists of, in order.
pub(super) trait Handler<'t> {
    /// `<name`
    fn on_start(&mut self, _name: Span<'t>) {}
    /// `name="value"`
    fn on_attribute(&mut self, _name: Span<'t>, _value: Span<'t>) {}
    /// Characters and references between tags, or the content of a CDATA section. An element may have several such runs.
    fn on_text(&mut self, _text: Span<'t>) {}
    /// `</name>` or `/>`; `at` is where the end tag begins, or the tag's `/>`.
    fn on_end(&mut self, _at: usize) {}
}

/// Ignores everything: for checking well-formedness only.
impl Handler<'_> for () {}

/// Why a document is not well-formed, and where.
pub(super) struct ScanError {
    pub(super) at: usize,
    pub(super) error: SyntaxError,
    /// Where the names of the elements are that are open at the error, outermost first.
    pub(super) open: Vec<Range<usize>>,
}

/// Reads a whole document.
pub(super) fn scan<'t>(text: &'t [u8], handler: &mut impl Handler<'t>) -> Result<(), ScanError> {
    let mut scanner = Scanner {
        cursor: Cursor { text, at: 0 },
        open: ArrayVec::new(),
        attributes: AttributeNames::new(),
        handler,
    };
    scanner.scan_document().map_err(|located| {
        let (at, error) = *located;
        ScanError {
            at,
            error,
            open: scanner.open.to_vec(),
        }
    })
}

struct Scanner<'t, 'h, H> {
    cursor: Cursor<'t>,
    /// Where the names of the open elements are, outermost first.
    open: ArrayVec<Range<usize>, MAX_DEPTH>,
    attributes: AttributeNames,
    handler: &'h mut H,
}

impl<'t, H: Handler<'t>> Scanner<'t, '_, H> {
    /// `[1] document`
    fn scan_document(&mut self) -> Result<(), ErrorAt> {
        self.cursor.at = declaration::read(self.cursor.text)?.end;
        self.cursor.skip_misc()?;
        self.scan_root()?;
        self.cursor.skip_misc()?;
        match self.cursor.peek() {
            0 => Ok(()),
            _ => Err(self.cursor.error_after_root()),
        }
    }

    /// `[39] element`: the root, and everything in it.
    fn scan_root(&mut self) -> Result<(), ErrorAt> {
        if self.cursor.peek() != b'<' || matches!(self.cursor.peek_at(1), b'!' | b'/') {
            return Err(self.cursor.error_before_root());
        }
        self.scan_start_tag()?;
        while let Some(innermost) = self.open.last() {
            match self.cursor.peek() {
                b'<' => self.scan_markup()?,
                0 => {
                    let name = self.name(innermost);
                    return Err(error_at(self.cursor.at, SyntaxError::UnclosedElement(name)));
                }
                _ => self.scan_text()?,
            }
        }
        Ok(())
    }

    #[inline]
    fn scan_markup(&mut self) -> Result<(), ErrorAt> {
        match self.cursor.peek_at(1) {
            b'/' => self.scan_end_tag(),
            b'?' => self.cursor.skip_pi(),
            b'!' => self.scan_comment_or_cdata(),
            _ => self.scan_start_tag(),
        }
    }

    #[cold]
    fn scan_comment_or_cdata(&mut self) -> Result<(), ErrorAt> {
        let rest = self.cursor.rest();
        if rest.starts_with(b"<!--") {
            self.cursor.skip_comment()
        } else if rest.starts_with(b"<![CDATA[") {
            self.handler.on_text(self.cursor.take_cdata()?);
            Ok(())
        } else {
            Err(self.cursor.markup_error())
        }
    }

    /// `[14] CharData` and references
    #[inline]
    fn scan_text(&mut self) -> Result<(), ErrorAt> {
        let start = self.cursor.at;
        let mut references = false;
        loop {
            let rest = self.cursor.rest();
            self.cursor.at += memchr3(b'<', b'&', b']', rest).unwrap_or(rest.len());
            match self.cursor.peek() {
                b'&' => {
                    references = true;
                    self.cursor.skip_reference()?;
                }
                b']' if self.cursor.rest().starts_with(b"]]>") => {
                    return Err(error_at(self.cursor.at, SyntaxError::CdataEnd));
                }
                b']' => self.cursor.at += 1,
                _ => break,
            }
        }
        self.handler
            .on_text(self.cursor.span_from(start, references));
        Ok(())
    }

    /// `[40] STag`, `[44] EmptyElemTag`
    #[inline]
    fn scan_start_tag(&mut self) -> Result<(), ErrorAt> {
        self.cursor.at += 1;
        let name = self.cursor.take_name();
        if name.raw.is_empty() {
            return Err(self.cursor.error_here(Construct::Tag, SyntaxError::TagName));
        }
        if self.open.is_full() {
            return Err(error_at(name.at, SyntaxError::TooDeep));
        }
        self.handler.on_start(name);
        let has_space = self.cursor.skip_space();
        if !matches!(self.cursor.peek(), b'>' | b'/') {
            self.scan_attributes(has_space)?;
        }
        self.finish_start_tag(name)
    }

    #[inline]
    fn scan_attributes(&mut self, mut has_space: bool) -> Result<(), ErrorAt> {
        self.attributes.clear();
        while !matches!(self.cursor.peek(), b'>' | b'/') {
            self.scan_attribute(has_space)?;
            has_space = self.cursor.skip_space();
        }
        match self.attributes.find_duplicate(self.cursor.text) {
            None => Ok(()),
            Some(name) => Err(error_at(
                name.start,
                SyntaxError::DuplicateAttribute(self.name(&name)),
            )),
        }
    }

    #[inline]
    fn finish_start_tag(&mut self, name: Span<'t>) -> Result<(), ErrorAt> {
        if self.cursor.peek() == b'>' {
            self.cursor.at += 1;
            let range = name.at..name.at + name.raw.len();
            self.open.push(range);
            return Ok(());
        }
        if self.cursor.peek_at(1) != b'>' {
            self.cursor.at += 1;
            return Err(self
                .cursor
                .error_here(Construct::Tag, SyntaxError::AttributeName));
        }
        self.handler.on_end(self.cursor.at);
        self.cursor.at += 2;
        Ok(())
    }

    /// `[41] Attribute`
    #[inline]
    fn scan_attribute(&mut self, has_space: bool) -> Result<(), ErrorAt> {
        let name = self.cursor.take_name();
        if name.raw.is_empty() {
            return Err(self
                .cursor
                .error_here(Construct::Tag, SyntaxError::AttributeName));
        }
        if !has_space {
            return Err(error_at(name.at, SyntaxError::AttributeSpace));
        }
        if !self.attributes.add(name.raw, name.at) {
            return Err(error_at(name.at, SyntaxError::TooManyAttributes));
        }
        self.scan_equals(name)?;
        let value = self.scan_value(name)?;
        self.handler.on_attribute(name, value);
        Ok(())
    }

    /// `[25] Eq`
    #[inline]
    fn scan_equals(&mut self, name: Span<'_>) -> Result<(), ErrorAt> {
        self.cursor.skip_space();
        if self.cursor.peek() != b'=' {
            let error = SyntaxError::AttributeEquals(Name::new(name.raw));
            return Err(self.cursor.error_here(Construct::Tag, error));
        }
        self.cursor.at += 1;
        self.cursor.skip_space();
        Ok(())
    }

    /// `[10] AttValue`
    #[inline]
    fn scan_value(&mut self, name: Span<'_>) -> Result<Span<'t>, ErrorAt> {
        let quote = self.cursor.peek();
        if !matches!(quote, b'"' | b'\'') {
            let error = SyntaxError::AttributeQuote(Name::new(name.raw));
            return Err(self.cursor.error_here(Construct::Tag, error));
        }
        self.cursor.at += 1;
        let start = self.cursor.at;
        let mut references = false;
        loop {
            let rest = self.cursor.rest();
            let len = rest.iter().position(|&b| is(b, IN_VALUE));
            self.cursor.at += len.unwrap_or(rest.len());
            match self.cursor.peek() {
                b if b == quote => break,
                b'"' | b'\'' => self.cursor.at += 1,
                b'&' => {
                    references = true;
                    self.cursor.skip_reference()?;
                }
                b'<' => {
                    let error = SyntaxError::AttributeLess(Name::new(name.raw));
                    return Err(error_at(self.cursor.at, error));
                }
                _ => {
                    let error = SyntaxError::Unclosed(Construct::Tag);
                    return Err(error_at(self.cursor.at, error));
                }
            }
        }
        let value = self.cursor.span_from(start, references);
        self.cursor.at += 1;
        Ok(value)
    }

    /// `[42] ETag`
    #[inline]
    fn scan_end_tag(&mut self) -> Result<(), ErrorAt> {
        let name = self.innermost();
        let start = self.cursor.at;
        let after = start + 2 + name.len();
        let text = self.cursor.text;
        if !(text[start + 2..].starts_with(name) && text.get(after) == Some(&b'>')) {
            return self.scan_unusual_end_tag();
        }
        self.handler.on_end(start);
        self.open.pop();
        self.cursor.at = after + 1;
        Ok(())
    }

    /// An end tag that has space in it, or that is wrong.
    #[cold]
    fn scan_unusual_end_tag(&mut self) -> Result<(), ErrorAt> {
        let start = self.cursor.at;
        self.cursor.at += 2;
        let name = self.cursor.take_name();
        let open = self.innermost();
        if name.raw.is_empty() {
            return Err(self.cursor.error_here(Construct::Tag, SyntaxError::EndTag));
        }
        if name.raw != open && self.cursor.peek() != 0 {
            let (open, close) = (Name::new(open), Name::new(name.raw));
            return Err(error_at(start, SyntaxError::Mismatched { open, close }));
        }
        self.cursor.skip_space();
        if self.cursor.peek() != b'>' {
            return Err(self.cursor.error_here(Construct::Tag, SyntaxError::EndTag));
        }
        self.handler.on_end(start);
        self.open.pop();
        self.cursor.at += 1;
        Ok(())
    }

    /// The name of the innermost open element.
    #[inline]
    fn innermost(&self) -> &'t [u8] {
        let range = self.open.last();
        &self.cursor.text[range
            .expect("end tags are scanned only within an element")
            .clone()]
    }

    fn name(&self, range: &Range<usize>) -> Name {
        Name::new(&self.cursor.text[range.clone()])
    }
}
