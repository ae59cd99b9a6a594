//! `[23] XMLDecl`: `<?xml version="1.0" encoding="UTF-8" standalone="no"?>`. Read once to learn the charset, before the page
//! is text, and once by the scanner; it is ASCII in every charset that matters.

use std::ops::Range;

use super::{
    Construct, Syntax,
    chars::{SPACE, is},
    syntax::{Stop, stop},
};

/// What a declaration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declaration {
    /// Where the encoding's name stands.
    pub(super) encoding: Option<Range<usize>>,
    /// Where the declaration ends; 0 if there is none.
    pub(super) end: usize,
}

/// What every SDK of Twilio's but one writes.
const USUAL: &[u8] = br#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// Reads the declaration at the start of `text`, if there is one.
pub(super) fn read(text: &[u8]) -> Result<Declaration, Stop> {
    if text.starts_with(USUAL) {
        return Ok(Declaration {
            encoding: None,
            end: USUAL.len(),
        });
    }
    if !text.starts_with(b"<?xml") || !text.get(5).is_some_and(|&b| is(b, SPACE) || b == b'?') {
        return Ok(Declaration::default());
    }
    Reader { text, at: 5 }.declaration()
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn declaration(&mut self) -> Result<Declaration, Stop> {
        let version = self
            .pair(b"version")
            .ok_or_else(|| self.stop(Syntax::DeclarationVersion))?;
        self.check(version, is_version, Syntax::DeclarationVersion)?;
        let encoding = self.optional(b"encoding", is_encoding, Syntax::DeclarationEncoding)?;
        self.optional(
            b"standalone",
            |v| matches!(v, b"yes" | b"no"),
            Syntax::DeclarationStandalone,
        )?;
        self.space();
        if !self.text[self.at..].starts_with(b"?>") {
            return Err(self.stop(Syntax::DeclarationEnd));
        }
        Ok(Declaration {
            encoding,
            end: self.at + 2,
        })
    }

    fn optional(
        &mut self,
        name: &[u8],
        good: fn(&[u8]) -> bool,
        fact: Syntax,
    ) -> Result<Option<Range<usize>>, Stop> {
        let Some(value) = self.pair(name) else {
            return if self.comes(name) {
                Err(self.stop(fact))
            } else {
                Ok(None)
            };
        };
        self.check(value.clone(), good, fact)?;
        Ok(Some(value))
    }

    /// Space, a name, `=` and a quoted value; or nothing is taken.
    fn pair(&mut self, name: &[u8]) -> Option<Range<usize>> {
        let before = self.at;
        let value = self.try_pair(name);
        if value.is_none() {
            self.at = before;
        }
        value
    }

    fn try_pair(&mut self, name: &[u8]) -> Option<Range<usize>> {
        (self.space() > 0).then_some(())?;
        self.take(name)?;
        self.space();
        self.take(b"=")?;
        self.space();
        let quote = *self
            .text
            .get(self.at)
            .filter(|b| matches!(b, b'"' | b'\''))?;
        let start = self.at + 1;
        let end = start + self.text[start..].iter().position(|&b| b == quote)?;
        self.at = end + 1;
        Some(start..end)
    }

    fn comes(&self, name: &[u8]) -> bool {
        self.text[self.at..].trim_ascii_start().starts_with(name)
    }

    fn check(
        &self,
        value: Range<usize>,
        good: fn(&[u8]) -> bool,
        fact: Syntax,
    ) -> Result<(), Stop> {
        if good(&self.text[value.clone()]) {
            Ok(())
        } else {
            Err(stop(value.start, fact))
        }
    }

    fn take(&mut self, expected: &[u8]) -> Option<()> {
        self.text[self.at..]
            .starts_with(expected)
            .then(|| self.at += expected.len())
    }

    fn space(&mut self) -> usize {
        let len = self.text[self.at..]
            .iter()
            .take_while(|&&b| is(b, SPACE))
            .count();
        self.at += len;
        len
    }

    /// A fault here, or the end of the page.
    fn stop(&mut self, fact: Syntax) -> Stop {
        self.space();
        match self.at == self.text.len() {
            true => stop(self.at, Syntax::Unclosed(Construct::Declaration)),
            false => stop(self.at, fact),
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
