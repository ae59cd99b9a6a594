//! What is wrong with a configuration: one [`Diagnostic`] for each mistake, with its place and what would be right. The check that
//! fails writes the words.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::twiml;

/// One error or note: `understudy.toml:14:12: route[2].deadline: 20s is longer than 14s, …; write "8s", or at most "14s"`.
///
/// The function that reads a value makes it of message and help; file, position and key are added where the value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The configuration file as it was named; none for an argument of the command line.
    pub file: Option<Arc<Path>>,
    /// Where in that file; none for the file as a whole.
    pub position: Option<Position>,
    /// The path of the key, such as `route[2].deadline`, or the argument; empty if it is about no key.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, where the message doesn't say it.
    pub help: Option<String>,
    /// How many bytes of the message are the text with which it begins, in its quotes.
    quoted_length: u16,
    /// Whether the help repeats the value or a part of it.
    help_has_value: bool,
}

impl Diagnostic {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            file: None,
            position: None,
            key: String::new(),
            message: message.into(),
            help: None,
            quoted_length: 0,
            help_has_value: false,
        }
    }

    /// Says something of a text in the configuration, which is quoted. If variables are in it, it is quoted as it is written: their
    /// values may be secrets.
    pub(super) fn about(text: &str, what: &str) -> Self {
        let quoted = quote(text);
        Self {
            quoted_length: u16::try_from(quoted.len()).expect("a quoted text is short"),
            ..Self::new(format!("{quoted} {what}"))
        }
    }

    /// Says something of a file other than the configuration itself.
    pub(super) fn in_file(file: &Path, what: impl fmt::Display) -> Self {
        Self::new(format!("{}: {what}", file.display()))
    }

    /// Adds what would be right.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// Adds what would be right, where that repeats the value or a part of it.
    pub(super) fn help_with_value(self, help: impl Into<String>) -> Self {
        Self {
            help_has_value: true,
            ..self.help(help)
        }
    }

    /// The same without the value, which comes from variables: `written` is what the file has.
    pub(super) fn without_value(self, written: &str) -> Self {
        let message = match self.message.split_at(self.quoted_length.into()) {
            ("", _) => self.message,
            (_, what) => quote(written) + what,
        };
        let help = if self.help_has_value {
            Some("look at what its variables are set to".to_owned())
        } else {
            self.help
        };
        Self {
            message,
            help,
            ..self
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(position) = self.position {
                write!(f, "{position}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// A position in a file; both numbers from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A text from the file, in quotes, escaped so that it can't act on a terminal, and cut after 80 characters.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A key from the file, in backticks unless TOML needs quotes for it.
pub(super) fn quote_key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=80).contains(&key.len()) && key.chars().all(is_bare) {
        format!("`{key}`")
    } else {
        quote(key)
    }
}

/// Which of these words was probably meant, or else all of them.
pub(super) fn suggest(found: &str, words: &[&str], quote: char) -> String {
    match twiml::suggest(found, words.iter().copied()) {
        Some(word) => format!("did you mean {quote}{word}{quote}?"),
        None => format!("write {}", one_of(words, quote)),
    }
}

/// `a, b or c`, each word in these quotes.
fn one_of(words: &[&str], quote: char) -> String {
    let quoted: Vec<_> = (words.iter())
        .map(|word| format!("{quote}{word}{quote}"))
        .collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_variable_is_not_shown() {
        let about = |text: &str| Diagnostic::about(text, "is wrong").help_with_value(text);
        let shown = "\"${A}\" is wrong; look at what its variables are set to";
        for value in ["secret", "", "a\"\n", &"\u{10ffff}".repeat(100)] {
            assert_eq!(about(value).without_value("${A}").to_string(), shown);
        }
        let other = Diagnostic::new("10s is too long").help("write \"8s\"");
        assert_eq!(other.clone().without_value("${A}"), other);
    }

    #[test]
    fn a_text_from_the_file_can_not_act_on_a_terminal_nor_fill_it() {
        assert_eq!(quote("a\"b\u{1b}[31m\n"), r#""a\"b\u{1b}[31m\n""#);
        assert_eq!(quote(&"é".repeat(81)), format!("\"{}\"…", "é".repeat(80)));
        assert_eq!(quote_key("a-b_1"), "`a-b_1`");
        assert_eq!(quote_key("a b"), "\"a b\"");
        assert_eq!(quote_key(""), "\"\"");
    }
}
