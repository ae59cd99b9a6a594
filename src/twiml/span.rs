//! A stretch of a document: a name, an attribute's value or a run of text. References in it are resolved only on demand.

use std::borrow::Cow;

use super::chars::{SPACE, is};

/// A stretch of the text, and its offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'t> {
    pub(super) raw: &'t [u8],
    pub(super) at: usize,
    /// Whether the span contains references. In a CDATA section an `&` starts none.
    pub(super) references: bool,
}

impl<'t> Span<'t> {
    /// Whether the span is nothing but white space (`[3] S`).
    #[inline]
    pub(super) fn is_space(&self) -> bool {
        self.raw.iter().all(|&b| is(b, SPACE))
    }

    /// The span without leading and trailing white space.
    pub(super) fn trim(self) -> Self {
        let raw = self.raw.trim_ascii_start();
        Self {
            raw: raw.trim_ascii_end(),
            at: self.at + self.raw.len() - raw.len(),
            ..self
        }
    }

    /// The characters that the span stands for, with references resolved. The scanner has checked every reference.
    pub(super) fn decode(&self) -> Cow<'t, [u8]> {
        if !self.references {
            return Cow::Borrowed(self.raw);
        }
        let mut text = Vec::with_capacity(self.raw.len());
        let mut runs = self.raw.split(|&b| b == b'&');
        text.extend_from_slice(runs.next().unwrap_or_default());
        for run in runs {
            let end = run.iter().position(|&b| b == b';').unwrap_or(run.len());
            let character = resolve_reference(&run[..end]);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            text.extend_from_slice(run.get(end + 1..).unwrap_or_default());
        }
        Cow::Owned(text)
    }

    /// How many characters the span stands for.
    pub(super) fn count_characters(&self) -> usize {
        let bytes = self.decode();
        bytes.iter().filter(|&&b| !matches!(b, 0x80..=0xBF)).count()
    }

    /// How many characters of the span are on its first line, but at least one.
    pub(super) fn width(&self) -> u32 {
        let line = self
            .raw
            .split(|b| matches!(b, b'\r' | b'\n'))
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(line)
            .chars()
            .count()
            .clamp(1, u32::MAX as usize) as u32
    }
}

/// The character that `amp`, `#38` or `#x26` refers to.
fn resolve_reference(name: &[u8]) -> char {
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
