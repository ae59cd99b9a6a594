//! Where mistakes are gathered while the walk goes on.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::error::{Error, Place};
use super::problem::Problem;

/// The mistakes that were found so far in one text.
#[derive(Debug)]
pub(super) struct Report<'t> {
    file: Option<Arc<Path>>,
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    found: RefCell<Vec<Error>>,
    noted: RefCell<Vec<Error>>,
    /// The lines that are no TOML. If there are any, what the walk sees is a guess.
    broken: RefCell<HashSet<usize>>,
}

/// Where a mistake may turn out to be: a byte offset, and the path of the key there.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) at: usize,
    pub(super) key: String,
}

impl<'t> Report<'t> {
    /// The report on a file's text.
    pub(super) fn on_file(file: &Path, text: &'t str) -> Self {
        Self {
            file: Some(file.into()),
            text,
            lines: [0]
                .into_iter()
                .chain(text.match_indices('\n').map(|(at, _)| at + 1))
                .collect(),
            found: RefCell::default(),
            noted: RefCell::default(),
            broken: RefCell::default(),
        }
    }

    /// The report on the arguments of a command.
    pub(super) fn on_arguments() -> Self {
        Self {
            file: None,
            ..Self::on_file(Path::new(""), "")
        }
    }

    /// Reads the text as TOML. Of several errors on a line the first is the cause, the others mere consequences.
    pub(super) fn parse(&self) -> Spanned<DeTable<'t>> {
        let (table, mut errors) = DeTable::parse_recoverable(self.text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        for error in errors {
            let span = error.span().unwrap_or_default();
            let at = self.text.floor_char_boundary(span.start);
            if self.broken.borrow_mut().insert(self.line(at)) {
                let problem = Problem::syntax(error.message(), self.text.get(span));
                self.push(Some(at), String::new(), problem);
            }
        }
        table
    }

    /// Adds a mistake. In a text that is no TOML keys go astray, so what is missing there, or unknown, proves nothing.
    pub(super) fn add(&self, spot: Spot, problem: Problem) {
        let broken = self.broken.borrow();
        let is_guess = problem.is_about_keys() || broken.contains(&self.line(spot.at));
        if broken.is_empty() || !is_guess {
            self.push(Some(spot.at), spot.key, problem);
        }
    }

    /// Adds what makes a file useless from this offset on, or as a whole. Nothing comes of it.
    pub(super) fn refuse<T>(&self, at: Option<usize>, problem: Problem) -> Option<T> {
        self.push(at, String::new(), problem);
        None
    }

    /// Adds what is no mistake, but worth saying.
    pub(super) fn note(&self, spot: Spot, problem: Problem) {
        let note = self.error(Some(spot.at), spot.key, problem);
        self.noted.borrow_mut().push(note);
    }

    fn push(&self, at: Option<usize>, key: String, problem: Problem) {
        let error = self.error(at, key, problem);
        self.found.borrow_mut().push(error);
    }

    fn error(&self, at: Option<usize>, key: String, problem: Problem) -> Error {
        Error {
            file: self.file.clone(),
            place: at.filter(|_| self.file.is_some()).map(|at| self.place(at)),
            key,
            problem,
        }
    }

    /// Takes what is good; adds what is not as a mistake of this argument.
    pub(super) fn argument<T>(&self, name: &str, value: Result<T, Problem>) -> Option<T> {
        let spot = || Spot {
            at: 0,
            key: name.to_owned(),
        };
        value.map_err(|problem| self.add(spot(), problem)).ok()
    }

    /// The line and column of an offset.
    pub(super) fn place(&self, at: usize) -> Place {
        let line = self.line(at);
        let column = Place::of(
            &self.text[self.lines[line - 1]..],
            at - self.lines[line - 1],
        )
        .column;
        Place { line, column }
    }

    /// Every mistake, and every note.
    pub(super) fn into_found(self) -> (Vec<Error>, Vec<Error>) {
        (self.found.into_inner(), self.noted.into_inner())
    }

    /// From 1.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }
}
