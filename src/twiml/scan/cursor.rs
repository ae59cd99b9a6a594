//! A cursor in the text of a document, and the constructs of XML that hold no elements: names, space, references, comments,
//! CDATA sections and processing instructions.

use memchr::memmem;

use crate::twiml::{
    chars::{SPACE, is, is_legal, name_len},
    name::Name,
    span::Span,
    syntax::{Construct, ErrorAt, SyntaxError, error_at},
};

/// How far a text was read.
pub(super) struct Cursor<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
}

impl<'t> Cursor<'t> {
    /// The next byte, or 0 at the end: no legal text contains a 0.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// The byte that is so many bytes ahead, or 0.
    #[inline]
    pub(super) fn peek_at(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn rest(&self) -> &'t [u8] {
        &self.text[self.at..]
    }

    /// The text from an offset up to the cursor.
    #[inline]
    pub(super) fn span_from(&self, start: usize, references: bool) -> Span<'t> {
        Span {
            raw: &self.text[start..self.at],
            at: start,
            references,
        }
    }

    /// `[3] S?`. Returns whether there was any.
    #[inline]
    pub(super) fn skip_space(&mut self) -> bool {
        let start = self.at;
        while is(self.peek(), SPACE) {
            self.at += 1;
        }
        self.at > start
    }

    /// `[5] Name`, or an empty span.
    #[inline]
    pub(super) fn take_name(&mut self) -> Span<'t> {
        let start = self.at;
        self.at += name_len(self.rest());
        self.span_from(start, false)
    }

    /// `[67] Reference`
    pub(super) fn skip_reference(&mut self) -> Result<(), ErrorAt> {
        let rest = &self.text[self.at + 1..];
        if rest.first() == Some(&b'#') {
            return self.skip_character_reference();
        }
        let name = &rest[..name_len(rest)];
        match name {
            b"" => Err(error_at(self.at, SyntaxError::Ampersand)),
            _ if rest.get(name.len()) != Some(&b';') => {
                Err(error_at(self.at, SyntaxError::Ampersand))
            }
            b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => {
                self.at += name.len() + 2;
                Ok(())
            }
            _ => Err(error_at(
                self.at,
                SyntaxError::UnknownEntity(Name::new(name)),
            )),
        }
    }

    /// `[66] CharRef`
    fn skip_character_reference(&mut self) -> Result<(), ErrorAt> {
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
            return Err(error_at(self.at, SyntaxError::CharacterReference));
        }
        if !char::from_u32(number).is_some_and(is_legal) {
            return Err(error_at(self.at, SyntaxError::IllegalReference));
        }
        self.at = self.text.len() - digits.len() + len + 1;
        Ok(())
    }

    /// `[27] Misc*`
    pub(super) fn skip_misc(&mut self) -> Result<(), ErrorAt> {
        loop {
            self.skip_space();
            match self.rest() {
                [b'<', b'?', ..] => self.skip_pi()?,
                [b'<', b'!', b'-', b'-', ..] => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// `[15] Comment`
    pub(super) fn skip_comment(&mut self) -> Result<(), ErrorAt> {
        let start = self.at + 4;
        let Some(dashes) = memmem::find(&self.text[start..], b"--").map(|i| start + i) else {
            return Err(error_at(self.at, SyntaxError::Unclosed(Construct::Comment)));
        };
        if self.text.get(dashes + 2) != Some(&b'>') {
            return Err(error_at(dashes, SyntaxError::CommentDashes));
        }
        self.at = dashes + 3;
        Ok(())
    }

    /// `[18] CDSect`. Returns its content.
    pub(super) fn take_cdata(&mut self) -> Result<Span<'t>, ErrorAt> {
        let start = self.at + 9;
        let Some(len) = memmem::find(&self.text[start..], b"]]>") else {
            return Err(error_at(self.at, SyntaxError::Unclosed(Construct::Cdata)));
        };
        self.at = start + len;
        let content = self.span_from(start, false);
        self.at += 3;
        Ok(content)
    }

    /// `[16] PI`
    #[cold]
    pub(super) fn skip_pi(&mut self) -> Result<(), ErrorAt> {
        let start = self.at;
        self.at += 2;
        let target = self.take_name();
        if target.raw.eq_ignore_ascii_case(b"xml") {
            let error = if target.raw == b"xml" {
                SyntaxError::DeclarationNotFirst
            } else {
                SyntaxError::PiReserved
            };
            return Err(error_at(start, error));
        }
        if target.raw.is_empty() {
            return Err(self.error_here(Construct::Pi, SyntaxError::PiTarget));
        }
        let Some(len) = memmem::find(self.rest(), b"?>") else {
            return Err(error_at(start, SyntaxError::Unclosed(Construct::Pi)));
        };
        if len > 0 && !is(self.peek(), SPACE) {
            return Err(error_at(self.at, SyntaxError::PiSpace));
        }
        self.at += len + 2;
        Ok(())
    }

    /// This error at the cursor; or, at the end of the text, that the construct is not closed.
    #[cold]
    pub(super) fn error_here(&self, within: Construct, error: SyntaxError) -> ErrorAt {
        let error = if self.peek() == 0 {
            SyntaxError::Unclosed(within)
        } else {
            error
        };
        error_at(self.at.min(self.text.len()), error)
    }

    /// The error for a `<!` that begins nothing allowed here.
    #[cold]
    pub(super) fn markup_error(&self) -> ErrorAt {
        let word = self.rest().get(2..9);
        let is_doctype = word.is_some_and(|word| word.eq_ignore_ascii_case(b"DOCTYPE"));
        let error = if is_doctype {
            SyntaxError::Doctype
        } else {
            SyntaxError::Markup
        };
        error_at(self.at, error)
    }

    /// The error for a document that doesn't go on with its root element.
    #[cold]
    pub(super) fn error_before_root(&self) -> ErrorAt {
        match self.peek() {
            0 => error_at(self.at, SyntaxError::NoRoot),
            b'<' if self.peek_at(1) == b'!' => self.markup_error(),
            b'<' => error_at(self.at, SyntaxError::EndTag),
            _ => error_at(self.at, SyntaxError::BeforeRoot),
        }
    }

    /// The error for a document that goes on after its root element.
    #[cold]
    pub(super) fn error_after_root(&self) -> ErrorAt {
        match self.rest() {
            [b'<', b'!', ..] => self.markup_error(),
            [b'<', name @ ..] if name_len(name) > 0 => error_at(
                self.at,
                SyntaxError::SecondRoot(Name::new(&name[..name_len(name)])),
            ),
            _ => error_at(self.at, SyntaxError::AfterRoot),
        }
    }
}
