//! `understudy lint`: validates TwiML documents as Twilio would, and reports the findings to people and to machines.
//!
//! The findings are those of [`twiml`](crate::twiml), as in the proxy; here documents are read and findings are written.

mod document;
mod error_codes;
mod github;
mod json;
mod report;
mod sarif;
mod source;
mod terminal;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::document::Document;
use self::report::{Format, Report};
use self::source::printable;
use super::{exit_status, kind};
use crate::config::{Config, Errors, ReadError};
use crate::proxy::Grammar;
use crate::twiml::{Kind, MAX_FINDINGS, Strictness};

/// The documents, and how their findings are reported.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What the documents respond to; if not given, it is guessed from their verbs, with a note.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Makes every warning an error.
    #[arg(long)]
    strict: bool,
    /// The format of the findings.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A configuration whose `[grammar]` is added to Twilio's.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The documents; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The result so far; the worst document counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Valid,
    Invalid,
    /// Something could not be read or written.
    Failed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Valid => 0,
            Status::Invalid => exit_status::INVALID,
            Status::Failed => exit_status::UNREADABLE,
        })
    }
}

/// Validates every document. Findings go to `out`, notes and other errors to `err`.
pub fn run(
    arguments: &Arguments,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    if arguments.files.iter().filter(|file| is_stdin(file)).count() > 1 {
        let _ = writeln!(
            err,
            "error: `-` is given twice, but standard input can be read only once"
        );
        return Status::Failed.into();
    }
    match load_grammar(arguments.config.as_deref()) {
        Ok(grammar) => Linter::new(arguments, &grammar, err)
            .run(&arguments.files, input, out)
            .into(),
        Err(errors) => {
            let _ = writeln!(err, "{errors}");
            ExitCode::from(exit_status::EX_CONFIG)
        }
    }
}

/// Twilio's grammar, with what a configuration adds to it.
fn load_grammar(config: Option<&Path>) -> Result<Grammar, Errors> {
    config.map_or_else(
        || Ok(Grammar::default()),
        |path| Ok(Config::load(path)?.proxy.grammar),
    )
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

/// Goes from document to document.
struct Linter<'a> {
    grammar: &'a Grammar,
    kind: Option<Kind>,
    strictness: Strictness,
    report: Report,
    err: &'a mut dyn Write,
    status: Status,
}

impl<'a> Linter<'a> {
    fn new(arguments: &Arguments, grammar: &'a Grammar, err: &'a mut dyn Write) -> Self {
        let strictness = match arguments.strict {
            true => Strictness::Strict,
            false => Strictness::Twilio,
        };
        Self {
            grammar,
            kind: arguments.kind,
            strictness,
            report: Report::new(arguments.format, arguments.files.len()),
            err,
            status: Status::Valid,
        }
    }

    fn run(mut self, files: &[PathBuf], input: &mut dyn Read, out: &mut dyn Write) -> Status {
        match self.lint_all(files, input, out) {
            Ok(()) => self.status,
            // A reader that closes the pipe has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.status,
            Err(error) => {
                self.print(format_args!("the findings can't be written: {error}"));
                Status::Failed
            }
        }
    }

    fn lint_all(
        &mut self,
        files: &[PathBuf],
        input: &mut dyn Read,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for file in files {
            let name = file.display().to_string();
            match read(file, &name, input) {
                Ok(document) => self.lint(&document, out)?,
                Err(error) => self.add_unreadable(&name, error),
            }
            out.flush()?;
        }
        self.report.finish(out)?;
        out.flush()
    }

    fn lint(&mut self, document: &Document, out: &mut dyn Write) -> io::Result<()> {
        let kind = self.kind.unwrap_or_else(|| self.guess_kind(document));
        let rules = self.grammar.rules(kind, self.strictness);
        let result = document.lint(&rules);
        if !result.is_valid {
            self.status = self.status.max(Status::Invalid);
        }
        if result.is_incomplete {
            let name = printable(document.name());
            self.print(format_args!(
                "{name}: note: only the first {MAX_FINDINGS} findings are reported"
            ));
        }
        self.report.add(&result, out)
    }

    fn guess_kind(&mut self, document: &Document) -> Kind {
        let (kind, reason) = match document.guess_kind() {
            Some(kind) => (kind, "guessed from its verbs"),
            None => (Kind::Voice, "its verbs do not say"),
        };
        let (name, kind_name) = (printable(document.name()), kind::name(kind));
        self.print(format_args!(
            "{name}: note: validated as {kind_name} ({reason}; choose with --kind)"
        ));
        kind
    }

    fn add_unreadable(&mut self, name: &str, error: io::Error) {
        let error = ReadError::from(error);
        self.status = Status::Failed;
        self.print(format_args!("{}: {error}", printable(name)));
        self.report.add_unreadable(name, &error.to_string());
    }

    /// Prints a note or an error. If nobody reads it, the exit status still counts.
    fn print(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.err, "{line}");
    }
}

fn read(file: &Path, name: &str, input: &mut dyn Read) -> io::Result<Document> {
    if is_stdin(file) {
        Document::read(name, input)
    } else {
        Document::read(name, &mut File::open(file)?)
    }
}
