//! Collects the errors of one text while it is read, and gives each its file and position.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Position, quote, quote_key};
use super::value::meant_as_bool;
use super::variables;

/// The errors and notes so far.
#[derive(Debug)]
pub(super) struct Report<'t> {
    /// None for the arguments of a command.
    file: Option<Arc<Path>>,
    /// Up to the first byte that is not UTF-8: all of it, if nothing is wrong.
    text: &'t str,
    is_utf8: bool,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    errors: RefCell<Vec<Diagnostic>>,
    notes: RefCell<Vec<Diagnostic>>,
    /// The folder at which relative paths start.
    folder: PathBuf,
    /// The strings that had variables, as they are written, by their offsets.
    written: RefCell<HashMap<usize, String>>,
    /// The offsets of strings whose variables have no values. Other errors about them would follow from that.
    unresolved: RefCell<HashSet<usize>>,
    /// The lines that are not TOML, or not UTF-8. If there are any, the parser has guessed the rest.
    broken: RefCell<HashSet<usize>>,
}

impl<'t> Report<'t> {
    pub(super) fn on_file(file: &NamedPath, content: &'t [u8]) -> Self {
        let text = content
            .utf8_chunks()
            .next()
            .map_or("", |chunk| chunk.valid());
        let starts = text.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            file: Some(file.shown.as_path().into()),
            text,
            is_utf8: text.len() == content.len(),
            lines: [0].into_iter().chain(starts).collect(),
            errors: RefCell::default(),
            notes: RefCell::default(),
            folder: file.path.parent().map_or_else(PathBuf::new, Path::to_owned),
            written: RefCell::default(),
            unresolved: RefCell::default(),
            broken: RefCell::default(),
        }
    }

    pub(super) fn on_arguments() -> Self {
        Self {
            file: None,
            ..Self::on_file(&NamedPath::from(Path::new("")), b"")
        }
    }

    /// Parses the text as TOML, with the values of its variables; none if it is not UTF-8. Only the first error of a line is added: the others follow from it.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'t>>> {
        if !self.is_utf8 {
            let error = Diagnostic::new("this byte is not UTF-8");
            let offset = self.text.len();
            self.file_error(Some(offset), error.help("save the file as UTF-8"));
            self.broken.borrow_mut().insert(self.line(offset));
            return None;
        }
        let (mut table, mut errors) = DeTable::parse_recoverable(self.text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        for error in errors {
            let span = error.span().unwrap_or_default();
            let offset = self.text.floor_char_boundary(span.start);
            if self.broken.borrow_mut().insert(self.line(offset)) {
                let source = self.text.get(span).unwrap_or_default();
                let line = self.text.lines().nth(self.line(offset) - 1);
                let error = syntax_error(error.message(), source, line.unwrap_or_default());
                self.file_error(Some(offset), error);
            }
        }
        self.expand_table(table.get_mut(), "");
        Some(table)
    }

    fn expand_table(&self, table: &mut DeTable<'t>, path: &str) {
        let dot = if path.is_empty() { "" } else { "." };
        for (key, value) in table.iter_mut() {
            self.expand(value, &format!("{path}{dot}{}", key.get_ref()));
        }
    }

    /// Replaces the variables in the strings of a value.
    fn expand(&self, value: &mut Spanned<DeValue<'t>>, key: &str) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => self.expand_text(text, span, key),
            DeValue::Table(table) => self.expand_table(table, key),
            DeValue::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.expand(item, &format!("{key}[{i}]"));
                }
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    fn expand_text(&self, text: &mut Cow<'t, str>, span: Range<usize>, key: &str) {
        let expanded = match variables::expand(text) {
            Ok(Cow::Borrowed(_)) => return,
            Ok(Cow::Owned(expanded)) => expanded,
            Err(errors) => {
                for error in errors {
                    let source = self.text.get(span.clone()).unwrap_or_default();
                    let location = Location {
                        report: self,
                        offset: span.start + source.find(error.written).unwrap_or(0),
                        key: key.to_owned(),
                    };
                    location.add(error.diagnostic);
                }
                self.unresolved.borrow_mut().insert(span.start);
                return;
            }
        };
        let written = std::mem::replace(text, Cow::Owned(expanded));
        let mut all = self.written.borrow_mut();
        all.insert(span.start, written.into_owned());
    }

    /// Whether the text has syntax errors, so that keys may be lost or stand in another table.
    pub(super) fn is_broken(&self) -> bool {
        !self.broken.borrow().is_empty()
    }

    /// Adds an error about the file from this offset on, or as a whole.
    pub(super) fn file_error(&self, offset: Option<usize>, error: Diagnostic) {
        self.push(offset, String::new(), error);
    }

    /// The value of an argument, or none after its error has been added.
    pub(super) fn argument<T>(&self, name: &str, value: Result<T, Diagnostic>) -> Option<T> {
        value
            .map_err(|error| self.push(None, name.to_owned(), error))
            .ok()
    }

    /// The position of an offset, which is on the boundary of a character.
    fn position(&self, offset: usize) -> Position {
        let line = self.line(offset);
        let before = &self.text[self.lines[line - 1]..offset];
        let column = 1 + before.trim_start_matches('\u{feff}').chars().count();
        Position { line, column }
    }

    /// Every error and every note, in the order of the file.
    pub(super) fn take_diagnostics(&self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let (mut errors, mut notes) = (self.errors.take(), self.notes.take());
        errors.sort_by_key(|error| error.position);
        notes.sort_by_key(|note| note.position);
        (errors, notes)
    }

    fn push(&self, offset: Option<usize>, key: String, error: Diagnostic) {
        let error = self.complete(offset, key, error);
        self.errors.borrow_mut().push(error);
    }

    fn complete(&self, offset: Option<usize>, key: String, diagnostic: Diagnostic) -> Diagnostic {
        let written = offset.and_then(|offset| self.written.borrow().get(&offset).cloned());
        let mut diagnostic = match written {
            Some(written) => diagnostic.without_value(&written),
            None => diagnostic,
        };
        diagnostic.file = self.file.clone();
        diagnostic.position = offset.map(|offset| self.position(offset));
        diagnostic.key = key;
        diagnostic
    }

    /// The number of the line, from 1.
    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }
}

/// The path of a file that the configuration names.
#[derive(Clone, Debug)]
pub(super) struct NamedPath {
    pub(super) path: PathBuf,
    /// The same for messages: one with variables is as it is written, since their values may be secrets.
    pub(super) shown: PathBuf,
}

impl From<&Path> for NamedPath {
    fn from(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            shown: path.to_owned(),
        }
    }
}

/// Where a value stands, and the report that its errors go to.
#[derive(Clone, Debug)]
pub(super) struct Location<'a> {
    pub(super) report: &'a Report<'a>,
    /// In bytes.
    pub(super) offset: usize,
    /// The path of its key.
    pub(super) key: String,
}

impl Location<'_> {
    /// What is valid, or none after its error has been added.
    pub(super) fn take<T>(&self, value: Result<T, Diagnostic>) -> Option<T> {
        value.map_err(|error| self.add(error)).ok()
    }

    /// Adds an error, unless its line is not even TOML, or its variables have no values.
    pub(super) fn add(&self, error: Diagnostic) {
        let line = self.report.line(self.offset);
        let is_unresolved = self.report.unresolved.borrow().contains(&self.offset);
        if !is_unresolved && !self.report.broken.borrow().contains(&line) {
            (self.report).push(Some(self.offset), self.key.clone(), error);
        }
    }

    /// Adds an error with this message and help.
    pub(super) fn error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.add(Diagnostic::new(message).help(help));
    }

    /// Adds an error about a key that is missing or unknown, unless syntax errors may be the cause.
    pub(super) fn key_error(&self, message: impl Into<String>, help: impl Into<String>) {
        if !self.report.is_broken() {
            self.error(message, help);
        }
    }

    /// Adds something that is not an error, but may not be meant.
    pub(super) fn note(&self, note: Diagnostic) {
        let note = (self.report).complete(Some(self.offset), self.key.clone(), note);
        self.report.notes.borrow_mut().push(note);
    }

    pub(super) fn position(&self) -> Position {
        self.report.position(self.offset)
    }

    /// The string here as the file has it, if there are variables in it. Errors may quote this, and not the values.
    pub(super) fn written(&self) -> Option<String> {
        self.report.written.borrow().get(&self.offset).cloned()
    }

    /// The path of the file that is named here. A relative one starts at the folder of the file that has the text.
    pub(super) fn resolve(&self, text: &str) -> NamedPath {
        let folder = self.report.file.as_ref().and_then(|file| file.parent());
        NamedPath {
            path: self.report.folder.join(text),
            shown: match (self.written(), folder) {
                (Some(written), _) => written.into(),
                (None, Some(folder)) => folder.join(text),
                (None, None) => text.into(),
            },
        }
    }

    /// Its position as an error at another place names it: with the file, unless that is the same.
    pub(super) fn position_from(&self, other: &Location<'_>) -> String {
        match &self.report.file {
            Some(file) if self.report.file != other.report.file => {
                format!("{}:{}", file.display(), self.position())
            }
            Some(_) | None => self.position().to_string(),
        }
    }
}

/// The parser's error about this piece of a line, in our words where they are clearer.
fn syntax_error(message: &str, source: &str, line: &str) -> Diagnostic {
    let is_about_text = message.contains("quote") || message.contains("string");
    let around = if is_about_text { line } else { source };
    if let Some(mark) = around
        .chars()
        .find(|mark| TYPOGRAPHIC_QUOTES.contains(mark))
    {
        let text = source.trim_matches(TYPOGRAPHIC_QUOTES);
        let example = if source.starts_with(TYPOGRAPHIC_QUOTES) && !text.is_empty() {
            quote(text)
        } else {
            "\"text\"".to_owned()
        };
        return Diagnostic::new(format!("{mark} is a typographic quote"))
            .help(format!("write straight quotes: {example}"));
    }
    if message.starts_with("duplicate key") {
        Diagnostic::new(format!("the key {} is given twice", quote_key(source))).help("leave one")
    } else if message.starts_with("invalid boolean") {
        Diagnostic::new("this is not a valid boolean").help("write true or false, in lower case")
    } else if !message.starts_with("string values must be quoted") {
        Diagnostic::new(message)
    } else if source.is_empty() {
        Diagnostic::new("no value is given").help("write one, or leave the key out")
    } else if let Some(meant) = meant_as_bool(source) {
        Diagnostic::new(format!("{source} is neither text nor a boolean")).help(format!(
            "write {meant}, or {} where text is wanted",
            quote(source)
        ))
    } else {
        Diagnostic::new(format!("text is written in quotes: {}", quote(source)))
    }
}

/// What word processors and chats make of straight quotes.
const TYPOGRAPHIC_QUOTES: [char; 10] = [
    '\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}',
    '\u{ab}', '\u{bb}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let report = Report::on_file(&Path::new("u").into(), "\u{feff}ab\r\né=1\n".as_bytes());
        for (offset, line, column) in [
            (0, 1, 1),
            (3, 1, 1),
            (5, 1, 3),
            (7, 2, 1),
            (9, 2, 2),
            (12, 3, 1),
        ] {
            assert_eq!(report.position(offset), Position { line, column });
        }
    }
}
