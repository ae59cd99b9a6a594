//! Lines and columns. They are counted only once there is a finding, so they cost nothing for a valid document.

use std::fmt;

use super::{charset::Text, source_map::SourceMap};

/// A position in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The offset in the document as it came, in bytes from 0.
    pub byte: usize,
    /// The line, from 1. A line ends at a line feed, a carriage return, or both (XML 1.0 §2.11).
    pub line: u32,
    /// The column, in characters from 1.
    pub column: u32,
}

impl Position {
    /// A position in a document that could not be read as text: only line feeds end a line.
    pub(super) fn in_bytes(document: &[u8], byte: usize) -> Self {
        let before = &document[..byte];
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

/// Walks forward through a text and counts lines, so that all positions in a document take one pass.
pub(super) struct LineIndex<'t, 'd> {
    text: &'t Text<'d>,
    source_map: SourceMap<'d>,
    at: usize,
    line: u32,
    column: u32,
}

impl<'t, 'd> LineIndex<'t, 'd> {
    pub(super) fn new(text: &'t Text<'d>) -> Self {
        Self {
            text,
            source_map: text.source_map(),
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// The position of an offset in the text. Offsets must not decrease from one call to the next.
    pub(super) fn position(&mut self, offset: usize) -> Position {
        let text = self.text.as_bytes();
        let end = offset.min(text.len());
        while self.at < end {
            self.step(text[self.at], text.get(self.at + 1).copied());
            self.at += 1;
        }
        Position {
            byte: self.source_map.document_offset(end),
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
            0x80..=0xBF => {} // a byte within a character
            _ => self.column += 1,
        }
    }
}
