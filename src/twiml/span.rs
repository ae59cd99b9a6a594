//! A stretch of a page: a name, an attribute's value, a run of text. Its references are resolved only where someone asks.

use std::borrow::Cow;

use super::chars::{SPACE, is};

/// A part of the text, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'t> {
    pub(super) raw: &'t [u8],
    pub(super) at: usize,
    /// Whether an `&` in it starts a reference.
    pub(super) references: bool,
}

impl<'t> Span<'t> {
    /// Whether it is `[3] S` through and through.
    #[inline]
    pub(super) fn is_space(&self) -> bool {
        self.raw.iter().all(|&b| is(b, SPACE))
    }

    /// Without the space around it.
    pub(super) fn trimmed(self) -> Self {
        let raw = self.raw.trim_ascii_start();
        Self {
            raw: raw.trim_ascii_end(),
            at: self.at + self.raw.len() - raw.len(),
            ..self
        }
    }

    /// Its characters, references resolved. Was scanned, so every reference is a good one.
    pub(super) fn decoded(&self) -> Cow<'t, [u8]> {
        if !self.references {
            return Cow::Borrowed(self.raw);
        }
        let mut text = Vec::with_capacity(self.raw.len());
        let mut runs = self.raw.split(|&b| b == b'&');
        text.extend_from_slice(runs.next().unwrap_or_default());
        for run in runs {
            let end = run.iter().position(|&b| b == b';').unwrap_or(run.len());
            let character = referred(&run[..end]);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            text.extend_from_slice(run.get(end + 1..).unwrap_or_default());
        }
        Cow::Owned(text)
    }

    /// How many characters it stands for.
    pub(super) fn characters(&self) -> usize {
        let bytes = self.decoded();
        bytes.iter().filter(|&&b| !matches!(b, 0x80..=0xBF)).count()
    }
}

/// The character that `amp`, `#38` or `#x26` refers to.
fn referred(name: &[u8]) -> char {
    let number = |digits, radix| {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        u32::from_str_radix(digits, radix)
            .ok()
            .and_then(char::from_u32)
    };
    let character = match name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        [b'#', b'x', hex @ ..] => number(hex, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => None,
    };
    character.unwrap_or(char::REPLACEMENT_CHARACTER)
}
