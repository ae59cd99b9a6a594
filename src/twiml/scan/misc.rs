//! What is not elements: references, comments, CDATA sections, processing instructions.

use memchr::memmem;

use super::{Scanner, Sink};
use crate::twiml::{
    Construct, Name, Syntax,
    chars::{SPACE, is, is_legal, name_len},
    span::Span,
    syntax::{Stop, stop},
};

impl<'t, S: Sink<'t>> Scanner<'t, '_, S> {
    /// `[67] Reference`
    pub(super) fn reference(&mut self) -> Result<(), Stop> {
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
    pub(super) fn comment_or_cdata(&mut self) -> Result<(), Stop> {
        match &self.text[self.at..] {
            rest if rest.starts_with(b"<!--") => self.comment(),
            rest if rest.starts_with(b"<![CDATA[") => self.cdata(),
            _ => Err(self.bad_markup()),
        }
    }

    /// `[15] Comment`
    pub(super) fn comment(&mut self) -> Result<(), Stop> {
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
        self.sink.text(Span {
            raw: &self.text[start..start + len],
            at: start,
            references: false,
        });
        self.at = start + len + 3;
        Ok(())
    }

    /// `[16] PI`
    #[cold]
    pub(super) fn pi(&mut self) -> Result<(), Stop> {
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
}
