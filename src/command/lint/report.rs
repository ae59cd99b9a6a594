//! Writes findings in the format that the user chose, and as plain text itself: for each finding a line that a program can
//! parse, then the line of the document and carets, both indented.

use std::io::{self, Write};

use annotate_snippets::Renderer;
use clap::ValueEnum;

use super::document::{Finding, LintResult};
use super::source::{Line, printable};
use super::{github, json, sarif, terminal};

/// The format of findings.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people: with the line and a caret; on a terminal as compilers show it.
    Text,
    /// One object a line per document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of a GitHub workflow.
    Github,
}

/// A format, with what it has to remember.
pub(super) enum Report {
    Text {
        /// None if standard output is not a terminal.
        renderer: Option<Box<Renderer>>,
        /// Whether a valid document is named, since there are others.
        names_valid: bool,
    },
    Json,
    Github,
    Sarif(sarif::Log),
}

const INDENT: &str = "    ";

impl Report {
    pub(super) fn new(format: Format, documents: usize) -> Self {
        match format {
            Format::Text => Self::Text {
                renderer: terminal::renderer().map(Box::new),
                names_valid: documents > 1,
            },
            Format::Json => Self::Json,
            Format::Github => Self::Github,
            Format::Sarif => Self::Sarif(sarif::Log::default()),
        }
    }

    /// Writes the findings of a document.
    pub(super) fn add(&mut self, result: &LintResult<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text { names_valid, .. } if result.findings.is_empty() => {
                write_valid(result, *names_valid, out)
            }
            Self::Text {
                renderer: Some(renderer),
                ..
            } => terminal::write(result, renderer, out),
            Self::Text { renderer: None, .. } => write_text(result, out),
            Self::Json => json::write(result, out),
            Self::Github => github::write(result, out),
            Self::Sarif(log) => {
                log.add(result);
                Ok(())
            }
        }
    }

    /// Notes that a document could not be read, in formats that have a place for that.
    pub(super) fn add_unreadable(&mut self, name: &str, error: &str) {
        if let Self::Sarif(log) = self {
            log.add_unreadable(name, error);
        }
    }

    /// Writes what can be written only at the end.
    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Sarif(log) => log.write(out),
            Self::Text { .. } | Self::Json | Self::Github => Ok(()),
        }
    }
}

/// In the words of Twilio's console.
fn write_valid(result: &LintResult<'_>, is_named: bool, out: &mut dyn Write) -> io::Result<()> {
    if is_named {
        write!(out, "{}: ", printable(result.document.name()))?;
    }
    writeln!(out, "Valid {} TwiML", result.kind)
}

fn write_text(result: &LintResult<'_>, out: &mut dyn Write) -> io::Result<()> {
    let name = printable(result.document.name());
    let source = result.document.source();
    for finding in &result.findings {
        let Finding {
            level,
            code,
            position,
            ..
        } = finding;
        let (line, column, message) = (position.line, position.column, printable(&finding.message));
        writeln!(out, "{name}:{line}:{column}: {level}[{code}] {message}")?;
        write_excerpt(&finding.line(&source), out)?;
        if let Some(help) = &finding.help {
            writeln!(out, "{INDENT}= help: {}", printable(help))?;
        }
    }
    Ok(())
}

fn write_excerpt(line: &Line, out: &mut dyn Write) -> io::Result<()> {
    let window = line.window();
    let (indent, carets) = (" ".repeat(window.indent), "^".repeat(window.width));
    writeln!(out, "{}", format!("{INDENT}{}", window.text).trim_end())?;
    writeln!(out, "{INDENT}{indent}{carets}")
}
