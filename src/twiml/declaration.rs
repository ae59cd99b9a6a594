//! `[23] XMLDecl`: `<?xml version="1.0" encoding="UTF-8" standalone="no"?>`. It is read twice: from the raw bytes, to learn the
//! charset, and from the text by the scanner. It is ASCII in every charset but UTF-16.

use std::ops::Range;

use super::{
    chars::{SPACE, is},
    syntax::{Construct, ErrorAt, SyntaxError, error_at},
};

/// What matters of a declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declaration {
    /// Where the encoding's name is.
    pub(super) encoding: Option<Range<usize>>,
    /// Where the declaration ends; 0 if there is none.
    pub(super) end: usize,
}

/// What all but one of Twilio's SDKs write.
const USUAL: &[u8] = br#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// Reads the declaration at the start of `text`, if there is one.
pub(super) fn read(text: &[u8]) -> Result<Declaration, ErrorAt> {
    if text.starts_with(USUAL) {
        return Ok(Declaration {
            encoding: None,
            end: USUAL.len(),
        });
    }
    if !text.starts_with(b"<?xml") || !text.get(5).is_some_and(|&b| is(b, SPACE) || b == b'?') {
        return Ok(Declaration::default());
    }
    Reader { text, at: 5 }.read_declaration()
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn read_declaration(&mut self) -> Result<Declaration, ErrorAt> {
        let version = self
            .read_pair(b"version")
            .ok_or_else(|| self.error(SyntaxError::DeclarationVersion))?;
        self.check(version, is_version, SyntaxError::DeclarationVersion)?;
        let encoding =
            self.read_optional(b"encoding", is_encoding, SyntaxError::DeclarationEncoding)?;
        self.read_optional(
            b"standalone",
            |v| matches!(v, b"yes" | b"no"),
            SyntaxError::DeclarationStandalone,
        )?;
        self.skip_space();
        if !self.text[self.at..].starts_with(b"?>") {
            return Err(self.error(SyntaxError::DeclarationEnd));
        }
        Ok(Declaration {
            encoding,
            end: self.at + 2,
        })
    }

    fn read_optional(
        &mut self,
        name: &[u8],
        is_valid: fn(&[u8]) -> bool,
        error: SyntaxError,
    ) -> Result<Option<Range<usize>>, ErrorAt> {
        let Some(value) = self.read_pair(name) else {
            return if self.is_next(name) {
                Err(self.error(error))
            } else {
                Ok(None)
            };
        };
        self.check(value.clone(), is_valid, error)?;
        Ok(Some(value))
    }

    /// Reads space, this name, `=` and a quoted value. If they don't follow, nothing is read.
    fn read_pair(&mut self, name: &[u8]) -> Option<Range<usize>> {
        let before = self.at;
        let value = self.try_read_pair(name);
        if value.is_none() {
            self.at = before;
        }
        value
    }

    fn try_read_pair(&mut self, name: &[u8]) -> Option<Range<usize>> {
        (self.skip_space() > 0).then_some(())?;
        self.take(name)?;
        self.skip_space();
        self.take(b"=")?;
        self.skip_space();
        let quote = *self
            .text
            .get(self.at)
            .filter(|b| matches!(b, b'"' | b'\''))?;
        let start = self.at + 1;
        let end = start + self.text[start..].iter().position(|&b| b == quote)?;
        self.at = end + 1;
        Some(start..end)
    }

    fn is_next(&self, name: &[u8]) -> bool {
        self.text[self.at..].trim_ascii_start().starts_with(name)
    }

    fn check(
        &self,
        value: Range<usize>,
        is_valid: fn(&[u8]) -> bool,
        error: SyntaxError,
    ) -> Result<(), ErrorAt> {
        if is_valid(&self.text[value.clone()]) {
            Ok(())
        } else {
            Err(error_at(value.start, error))
        }
    }

    fn take(&mut self, expected: &[u8]) -> Option<()> {
        self.text[self.at..]
            .starts_with(expected)
            .then(|| self.at += expected.len())
    }

    fn skip_space(&mut self) -> usize {
        let len = self.text[self.at..]
            .iter()
            .take_while(|&&b| is(b, SPACE))
            .count();
        self.at += len;
        len
    }

    /// This error at the next byte that is not space; or, at the end of the text, that the declaration is not closed.
    fn error(&mut self, error: SyntaxError) -> ErrorAt {
        self.skip_space();
        match self.at == self.text.len() {
            true => error_at(self.at, SyntaxError::Unclosed(Construct::Declaration)),
            false => error_at(self.at, error),
        }
    }
}

/// `[26] VersionNum`
fn is_version(value: &[u8]) -> bool {
    value
        .strip_prefix(b"1.")
        .is_some_and(|minor| !minor.is_empty() && minor.iter().all(u8::is_ascii_digit))
}

/// `[81] EncName`
fn is_encoding(value: &[u8]) -> bool {
    value.first().is_some_and(u8::is_ascii_alphabetic)
        && value
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
