//! Where in a page something stands. Counted only once something was found, so a good page never pays for it.

use std::fmt;

use super::{charset::Text, source_map::SourceMap};

/// A place in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Offset in the page as it came, from 0.
    pub byte: usize,
    /// From 1. A line ends at a line feed, a carriage return, or both (XML 1.0 §2.11).
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

impl Position {
    /// A place in a page that could not be read as text: counts what can be told apart, line feeds and bytes.
    pub(super) fn in_bytes(page: &[u8], byte: usize) -> Self {
        let before = &page[..byte];
        let line_start = before
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        let column = 1 + String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count();
        Self {
            byte,
            line: line as u32,
            column: column as u32,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Walks forward through a page and counts lines, so that all the places of a page cost one walk.
pub(super) struct LineIndex<'t, 'p> {
    text: &'t Text<'p>,
    origins: SourceMap<'p>,
    at: usize,
    line: u32,
    column: u32,
}

impl<'t, 'p> LineIndex<'t, 'p> {
    pub(super) fn new(text: &'t Text<'p>) -> Self {
        Self {
            text,
            origins: text.origins(),
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// The place of an offset into the decoded text; never one before the last.
    pub(super) fn place(&mut self, offset: usize) -> Position {
        let text = self.text.as_bytes();
        let end = offset.min(text.len());
        while self.at < end {
            self.step(text[self.at], text.get(self.at + 1).copied());
            self.at += 1;
        }
        Position {
            byte: self.origins.origin(end),
            line: self.line,
            column: self.column,
        }
    }

    fn step(&mut self, byte: u8, next: Option<u8>) {
        match byte {
            b'\r' if next == Some(b'\n') => {}
            b'\n' | b'\r' => {
                self.line += 1;
                self.column = 1;
            }
            0x80..=0xBF => {} // within a character
            _ => self.column += 1,
        }
    }
}
