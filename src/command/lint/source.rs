//! The line that a finding is about, fit to be shown: whatever stands in a document, nothing in it acts on a terminal.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use super::document::{Document, Finding};

/// The text of a document, by lines.
pub(super) struct Source {
    /// With one character at the end of each line.
    text: String,
}

/// A line, and what in it a finding is about.
pub(super) struct Line {
    pub(super) text: String,
    /// In bytes of the text; of no length at the end of the line.
    pub(super) marked: Range<usize>,
}

/// As much of a line as is worth showing around what is marked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) text: String,
    /// How many columns of a terminal stand before the mark.
    pub(super) indent: usize,
    /// How many columns are marked, at least one.
    pub(super) width: usize,
}

impl Source {
    pub(super) fn of(document: &Document) -> Self {
        Self::new(&document.text())
    }

    fn new(text: &str) -> Self {
        Self {
            text: text.replace("\r\n", "\n"),
        }
    }

    /// The line of a finding. It has as many characters as the document's own, so columns hold.
    pub(super) fn line(&self, finding: &Finding) -> Line {
        let (line, column) = (finding.place.line as usize, finding.place.column as usize);
        let ends = if finding.is_of_bytes {
            &LINE_ENDS[..1]
        } else {
            &LINE_ENDS
        };
        let text = self.text.split(ends).nth(line - 1).unwrap_or_default();
        let text = shown(text);
        let start = offset(&text, column - 1);
        let end = start + offset(&text[start..], finding.width as usize);
        Line {
            text,
            marked: start..end,
        }
    }
}

impl Line {
    /// What is around the mark, tabs as spaces.
    pub(super) fn window(&self) -> Window {
        let (before, rest) = self.text.split_at(self.marked.start);
        let marked = first(MOST_MARKED, &rest[..self.marked.len()]);
        let shown_before = last(MOST_BEFORE, before);
        let shown_rest = first(MOST_AFTER, rest);
        let left = if shown_before == before { "" } else { CUT };
        let right = if shown_rest == rest { "" } else { CUT };
        let indent = expanded(&format!("{left}{shown_before}"));
        Window {
            width: expanded(marked).width().max(1),
            text: format!("{indent}{}{right}", expanded(shown_rest)),
            indent: indent.width(),
        }
    }
}

/// As a line of a terminal may hold it. Each character becomes one.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// Where a text ends: its last line, and the column after it.
pub(super) fn end_of(text: &str) -> (u32, u32) {
    let source = Source::new(text);
    let lines = source.text.split(LINE_ENDS);
    let (count, last) = lines.fold((0, ""), |(count, _), line| (count + 1, line));
    (count, 1 + last.chars().count() as u32)
}

/// What would move the cursor, ring a bell or turn the text round becomes a picture of itself, or of nothing.
fn visible(c: char) -> char {
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

fn expanded(text: &str) -> String {
    text.replace('\t', "    ")
}

fn first(characters: usize, text: &str) -> &str {
    &text[..offset(text, characters)]
}

fn last(characters: usize, text: &str) -> &str {
    let skipped = text.chars().count().saturating_sub(characters);
    &text[offset(text, skipped)..]
}

/// Where so many characters end, or the text does.
fn offset(text: &str, characters: usize) -> usize {
    let mut places = text.char_indices();
    places.nth(characters).map_or(text.len(), |(at, _)| at)
}

/// XML takes either for the end of a line, and both together for one (XML 1.0 §2.11).
const LINE_ENDS: [char; 2] = ['\n', '\r'];

/// Stands for what was cut away.
const CUT: &str = "…";

const MOST_BEFORE: usize = 50;
const MOST_MARKED: usize = 40;
const MOST_AFTER: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str, marked: Range<usize>) -> (String, String) {
        let text = shown(text);
        let Window {
            text,
            indent,
            width,
        } = Line { text, marked }.window();
        (text, " ".repeat(indent) + &"^".repeat(width))
    }

    #[test]
    fn a_caret_stands_below_what_it_is_about() {
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
    fn nothing_acts_on_a_terminal() {
        assert_eq!(shown("a\u{1b}[31m\u{7}\u{7f}\u{9b}"), "a␛[31m␇␡\u{fffd}");
        assert_eq!(shown("\u{202e}\u{feff}\t"), "\u{fffd}\u{fffd}\t");
    }

    #[test]
    fn a_text_ends_on_its_last_line() {
        for (text, end) in [
            ("", (1, 1)),
            ("é", (1, 2)),
            ("a\r\nb\rc\n", (4, 1)),
            ("\r\r\nab", (3, 3)),
        ] {
            assert_eq!(end_of(text), end, "{text:?}");
        }
    }
}
