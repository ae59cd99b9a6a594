//! The line of a finding, made printable: no control character of a document reaches the terminal.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use crate::twiml::Position;

/// The text of a document.
pub(super) struct Source {
    /// Each line ends with one character.
    text: String,
}

/// A line, with the part that a finding is about.
pub(super) struct Line {
    pub(super) text: String,
    /// In bytes of the text; empty at the end of the line.
    pub(super) marked: Range<usize>,
}

/// The part of a line around the mark.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) text: String,
    /// The terminal columns before the mark.
    pub(super) indent: usize,
    /// The marked terminal columns, at least one.
    pub(super) width: usize,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.replace("\r\n", "\n"),
        }
    }

    /// The line at a position, with so many characters marked. It has as many characters as in the document, so that columns
    /// hold. Of a document that is not text only line feeds end lines.
    pub(super) fn line(&self, position: Position, width: u32, is_text: bool) -> Line {
        let (line, column) = (position.line as usize, position.column as usize);
        let ends = if is_text { &LINE_ENDS } else { &LINE_ENDS[..1] };
        let text = self.text.split(ends).nth(line - 1).unwrap_or_default();
        let text = printable(text);
        let start = offset(&text, column - 1);
        let end = start + offset(&text[start..], width as usize);
        Line {
            text,
            marked: start..end,
        }
    }
}

impl Line {
    /// The text around the mark, with tabs as spaces.
    pub(super) fn window(&self) -> Window {
        let (before, rest) = self.text.split_at(self.marked.start);
        let marked = first(MOST_MARKED, &rest[..self.marked.len()]);
        let near_before = last(MOST_BEFORE, before);
        let near_rest = first(MOST_AFTER, rest);
        let left = if near_before == before { "" } else { CUT };
        let right = if near_rest == rest { "" } else { CUT };
        let indent = expand_tabs(&format!("{left}{near_before}"));
        Window {
            width: expand_tabs(marked).width().max(1),
            text: format!("{indent}{}{right}", expand_tabs(near_rest)),
            indent: indent.width(),
        }
    }
}

/// A text without characters that act on a terminal. Each character becomes one.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

/// The end of a text: its last line, and the column after it.
pub(super) fn end_position(text: &str) -> (u32, u32) {
    let source = Source::new(text);
    let lines = source.text.split(LINE_ENDS);
    let (count, last) = lines.fold((0, ""), |(count, _), line| (count + 1, line));
    (count, 1 + last.chars().count() as u32)
}

/// A character that would move the cursor, ring the bell or change the direction of text becomes a symbol for itself, or the
/// replacement character.
fn printable_char(c: char) -> char {
    match c {
        '\t' => c,
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(c),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        '\u{feff}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

fn expand_tabs(text: &str) -> String {
    text.replace('\t', "    ")
}

fn first(characters: usize, text: &str) -> &str {
    &text[..offset(text, characters)]
}

fn last(characters: usize, text: &str) -> &str {
    let skipped = text.chars().count().saturating_sub(characters);
    &text[offset(text, skipped)..]
}

/// The byte offset after so many characters, or the end of the text.
fn offset(text: &str, characters: usize) -> usize {
    let mut places = text.char_indices();
    places.nth(characters).map_or(text.len(), |(at, _)| at)
}

/// XML accepts either as the end of a line, and both together as one (XML 1.0 §2.11).
const LINE_ENDS: [char; 2] = ['\n', '\r'];

/// Marks where a line was cut.
const CUT: &str = "…";

const MOST_BEFORE: usize = 50;
const MOST_MARKED: usize = 40;
const MOST_AFTER: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str, marked: Range<usize>) -> (String, String) {
        let text = printable(text);
        let Window {
            text,
            indent,
            width,
        } = Line { text, marked }.window();
        (text, " ".repeat(indent) + &"^".repeat(width))
    }

    #[test]
    fn carets_stand_below_the_mark() {
        for (text, marked, line, carets) in [
            ("<say>", 1..4, "<say>", " ^^^"),
            ("\t<say>", 2..5, "    <say>", "     ^^^"),
            ("日本<say>", 7..10, "日本<say>", "     ^^^"),
            ("<日本>", 1..7, "<日本>", " ^^^^"),
            ("é<say>", 3..6, "é<say>", "  ^^^"),
            ("", 0..0, "", "^"),
            ("ab", 2..2, "ab", "  ^"),
        ] {
            assert_eq!(
                window(text, marked),
                (line.to_owned(), carets.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let text = format!("{}<say>{}", "é".repeat(60), "y".repeat(90));
        let (line, carets) = window(&text, 121..124);
        let shown = format!("…{}<say>{}…", "é".repeat(49), "y".repeat(66));
        assert_eq!((line, carets), (shown, " ".repeat(51) + "^^^"));
        let (_, carets) = window(&"x".repeat(1000), 0..1000);
        assert_eq!(carets.len(), MOST_MARKED);
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(
            printable("a\u{1b}[31m\u{7}\u{7f}\u{9b}"),
            "a␛[31m␇␡\u{fffd}"
        );
        assert_eq!(printable("\u{202e}\u{feff}\t"), "\u{fffd}\u{fffd}\t");
    }

    #[test]
    fn a_text_ends_in_its_last_line() {
        for (text, end) in [
            ("", (1, 1)),
            ("é", (1, 2)),
            ("a\r\nb\rc\n", (4, 1)),
            ("\r\r\nab", (3, 3)),
        ] {
            assert_eq!(end_position(text), end, "{text:?}");
        }
    }
}
