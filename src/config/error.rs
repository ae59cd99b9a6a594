//! What a wrong configuration is answered with: every mistake, each with its place, as one line a mistake.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::files::SourceFile;
use super::problem::Problem;

/// Every mistake in a configuration, at least one, in the order in which they stand there. Displays one a line.
#[derive(Clone, Debug)]
pub struct Errors {
    list: Vec<Error>,
    files: Vec<SourceFile>,
}

impl Errors {
    /// `list` isn't empty.
    pub(super) fn new(mut list: Vec<Error>, files: Vec<SourceFile>) -> Self {
        list.sort_by_key(|error| error.place);
        Self { list, files }
    }

    /// Each mistake.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.list.iter()
    }

    /// Every file that was asked for, also what couldn't be read: when one of them changes, another try may go well.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.list.iter().enumerate() {
            let end_of_last = if i == 0 { "" } else { "\n" };
            write!(f, "{end_of_last}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Error;
    type IntoIter = std::slice::Iter<'a, Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One mistake: `understudy.toml:14:12: route[2].deadline: 20s is longer than 14s, …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The configuration file as it was named; none: the mistake is in an argument.
    pub file: Option<Arc<Path>>,
    /// Where in that file; none: it concerns the file as a whole.
    pub place: Option<Place>,
    /// The path of the key, such as `route[2].deadline`, or the argument; empty: no key in particular.
    pub key: String,
    /// What is wrong, and what would be right.
    pub problem: Problem,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(place) = self.place {
                write!(f, "{place}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for Error {}

/// A place in a text; both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// The place of a byte offset, which is on the boundary of a character.
    pub(super) fn of(text: &str, at: usize) -> Self {
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..]
                .trim_start_matches('\u{feff}')
                .chars()
                .count(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "\u{feff}ab\r\né=1\n";
        for (at, line, column) in [
            (0, 1, 1),
            (3, 1, 1),
            (5, 1, 3),
            (7, 2, 1),
            (9, 2, 2),
            (12, 3, 1),
        ] {
            assert_eq!(Place::of(text, at), Place { line, column }, "{at}");
        }
    }
}
