//! `understudy lint`: judges TwiML documents as Twilio would, and says what is wrong with them to people and to machines.
//!
//! What is wrong is for [`twiml`](crate::twiml) to know, as it is when calls come through the proxy; here is only how documents
//! come in and how the findings go out.

mod document;
mod github;
mod json;
mod plain;
mod report;
mod sarif;
mod screen;
mod source;
mod title;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::document::{Document, Guess};
use self::report::Report;
use super::EX_CONFIG;
use crate::config::{Config, Errors, Unreadable};
use crate::proxy::Grammar;
use crate::twiml::{Kind, Strictness};

/// What is to be judged, and how that is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What the documents answer; if not given, it is guessed from their verbs, and said.
    #[arg(long, value_enum)]
    kind: Option<KindName>,
    /// Takes what Twilio only warns of for a failure.
    #[arg(long)]
    strict: bool,
    /// How the findings are told.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A configuration whose `[grammar]` is added to Twilio's.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The documents; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindName {
    Voice,
    Messaging,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Voice => Self::Voice,
            KindName::Messaging => Self::Messaging,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people: with the line and a caret; on a terminal as compilers do.
    Text,
    /// One object a line per document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of a GitHub workflow.
    Github,
}

/// How it went; the worst of all documents counts.
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
            Status::Invalid => 1,
            Status::Failed => 2,
        })
    }
}

/// Judges every document. The findings go to `out`, what stood in the way to `err`.
pub fn run(
    arguments: &Arguments,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    if arguments.files.iter().filter(|file| is_input(file)).count() > 1 {
        let _ = writeln!(
            err,
            "error: `-` is named twice, and it can be read but once"
        );
        return Status::Failed.into();
    }
    match grammar(arguments.config.as_deref()) {
        Ok(grammar) => Linter::new(arguments, &grammar, err)
            .lint(&arguments.files, input, out)
            .into(),
        Err(errors) => {
            let _ = writeln!(err, "{errors}");
            ExitCode::from(EX_CONFIG)
        }
    }
}

/// Twilio's grammar, and what a configuration adds to it.
fn grammar(config: Option<&Path>) -> Result<Grammar, Errors> {
    config.map_or_else(
        || Ok(Grammar::default()),
        |path| Ok(Config::load(path)?.site.grammar),
    )
}

fn is_input(file: &Path) -> bool {
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
            kind: arguments.kind.map(Kind::from),
            strictness,
            report: Report::new(arguments.format, arguments.files.len() > 1),
            err,
            status: Status::Valid,
        }
    }

    fn lint(mut self, files: &[PathBuf], input: &mut dyn Read, out: &mut dyn Write) -> Status {
        match self.judge_all(files, input, out) {
            Ok(()) => self.status,
            // Whoever read the findings has seen enough: that is no failure.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.status,
            Err(error) => {
                self.say(format_args!("the findings can't be written: {error}"));
                Status::Failed
            }
        }
    }

    fn judge_all(
        &mut self,
        files: &[PathBuf],
        input: &mut dyn Read,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for file in files {
            let name = file.display().to_string();
            match read(file, &name, input) {
                Ok(document) => self.judge(&document, out)?,
                Err(error) => self.fail(&name, error),
            }
            out.flush()?;
        }
        self.report.end(out)?;
        out.flush()
    }

    fn judge(&mut self, document: &Document, out: &mut dyn Write) -> io::Result<()> {
        let kind = self.kind.unwrap_or_else(|| self.guess(document));
        let rules = self.grammar.rules(kind, self.strictness);
        let verdict = document.judge(&rules);
        if !verdict.is_valid {
            self.status = self.status.max(Status::Invalid);
        }
        if let Some(most) = verdict.is_cut_at {
            let name = source::shown(document.name());
            self.say(format_args!(
                "{name}: note: only the first {most} findings are told"
            ));
        }
        self.report.judged(&verdict, out)
    }

    fn guess(&mut self, document: &Document) -> Kind {
        let Guess { kind, by_verbs } = document.guess();
        let name = source::shown(document.name());
        let why = if by_verbs {
            "guessed from its verbs"
        } else {
            "its verbs do not tell"
        };
        let word = json::kind(kind);
        self.say(format_args!(
            "{name}: note: judged as {word} ({why}; --kind says otherwise)"
        ));
        kind
    }

    fn fail(&mut self, name: &str, error: io::Error) {
        let why = Unreadable::from(error);
        self.status = Status::Failed;
        self.say(format_args!("{}: {why}", source::shown(name)));
        self.report.unreadable(name, &why.to_string());
    }

    /// What isn't about a finding. If nobody listens, the exit status still tells.
    fn say(&mut self, words: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.err, "{words}");
    }
}

fn read(file: &Path, name: &str, input: &mut dyn Read) -> io::Result<Document> {
    if is_input(file) {
        Document::read(name, input)
    } else {
        Document::read(name, &mut File::open(file)?)
    }
}
