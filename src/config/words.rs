//! How the words of a file, and those that may stand in it, are shown.

use std::fmt;

/// A text from the file. It shows itself in quotes, as one line of a terminal may hold it: nothing in it acts, and what is
/// long is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(80) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// A key from the file. It shows itself without quotes where TOML needs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Text);

impl Key {
    /// The key itself.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<T: Into<String>> From<T> for Key {
    fn from(key: T) -> Self {
        Self(key.into().into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.as_str();
        let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if (1..=80).contains(&key.len()) && key.chars().all(is_bare) {
            write!(f, "`{key}`")
        } else {
            self.0.fmt(f)
        }
    }
}

/// Words in these quotes, `a, b or c`.
pub(super) struct List<'a>(pub(super) &'a [&'static str], pub(super) char);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(words, quote) = self;
        for (i, word) in words.iter().enumerate() {
            f.write_str(match i {
                0 => "",
                _ if i + 1 == words.len() => " or ",
                _ => ", ",
            })?;
            write!(f, "{quote}{word}{quote}")?;
        }
        Ok(())
    }
}

/// What was probably meant, or else everything that could be.
pub(super) struct Nearest<'a>(
    pub(super) &'a str,
    pub(super) &'a [&'static str],
    pub(super) char,
);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found, words, quote) = self;
        match nearest(found, words) {
            Some(word) => write!(f, "did you mean {quote}{word}{quote}?"),
            None => write!(f, "write {}", List(words, *quote)),
        }
    }
}

/// The word that a few slips of the pen would turn into `found`: one slip in three letters.
fn nearest(found: &str, words: &[&'static str]) -> Option<&'static str> {
    let found = found.to_lowercase().replace('-', "_");
    let slips = |word: &&&'static str| distance(&found, word);
    let word = words.iter().min_by_key(slips)?;
    (distance(&found, word) <= 1 + word.len() / 4).then_some(*word)
}

/// How many letters must be put in, taken out, changed, or swapped with the next to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(64).collect();
    let other: Vec<char> = other.chars().collect();
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let changed = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let taken_out = rows[i - 1][j] + 1;
            let put_in = row[j - 1] + 1;
            let is_swap =
                i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            let swapped = if is_swap {
                rows[i - 2][j - 2] + 1
            } else {
                usize::MAX
            };
            row.push(changed.min(taken_out).min(put_in).min(swapped));
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_told_from_another_word() {
        let known = ["deadline", "validate", "host", "path", "max_in_flight"];
        for (found, meant) in [
            ("dedline", Some("deadline")),
            ("Deadline", Some("deadline")),
            ("deadlien", Some("deadline")),
            ("pth", Some("path")),
            ("max-in-flight", Some("max_in_flight")),
            ("timeout", None),
            ("", None),
            ("hot", Some("host")),
            ("ho", Some("host")),
        ] {
            assert_eq!(nearest(found, &known), meant, "{found}");
        }
    }

    #[test]
    fn what_a_file_says_can_not_act_on_a_terminal_nor_fill_it() {
        let long = "é".repeat(81);
        assert_eq!(
            Text::from("a\"b\u{1b}[31m\n").to_string(),
            r#""a\"b\u{1b}[31m\n""#
        );
        assert_eq!(
            Text::from(long).to_string(),
            format!("\"{}\"…", "é".repeat(80))
        );
        assert_eq!(Key::from("a-b_1").to_string(), "`a-b_1`");
        assert_eq!(Key::from("a b").to_string(), "\"a b\"");
        assert_eq!(Key::from("").to_string(), "\"\"");
    }

    #[test]
    fn a_list_reads_as_one_speaks() {
        assert_eq!(List(&["a"], '`').to_string(), "`a`");
        assert_eq!(List(&["a", "b"], '"').to_string(), "\"a\" or \"b\"");
        assert_eq!(List(&["a", "b", "c"], '`').to_string(), "`a`, `b` or `c`");
    }
}
