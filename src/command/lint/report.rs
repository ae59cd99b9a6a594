//! How findings go out: each format at its own time, some as they come, one when all are known.

use std::io::{self, Write};

use annotate_snippets::Renderer;

use super::document::Verdict;
use super::source::shown;
use super::{Format, github, json, plain, sarif, screen};

/// The format, and what it has to remember.
pub(super) enum Report {
    Text {
        /// How to show it on a terminal, if it goes to one.
        screen: Option<Box<Renderer>>,
        /// Whether a good document is told by name: there are others.
        several: bool,
    },
    Json,
    Github,
    Sarif(sarif::Log),
}

impl Report {
    pub(super) fn new(format: Format, several: bool) -> Self {
        match format {
            Format::Text => Self::Text {
                screen: screen::renderer().map(Box::new),
                several,
            },
            Format::Json => Self::Json,
            Format::Github => Self::Github,
            Format::Sarif => Self::Sarif(sarif::Log::default()),
        }
    }

    /// Tells what was found in a document.
    pub(super) fn judged(&mut self, verdict: &Verdict<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text { several, .. } if verdict.findings.is_empty() => {
                praise(verdict, *several, out)
            }
            Self::Text {
                screen: Some(renderer),
                ..
            } => screen::write(verdict, renderer, out),
            Self::Text { screen: None, .. } => plain::write(verdict, out),
            Self::Json => json::write(verdict, out),
            Self::Github => github::write(verdict, out),
            Self::Sarif(log) => {
                log.add(verdict);
                Ok(())
            }
        }
    }

    /// Tells that a document could not be read, where there is a place for that.
    pub(super) fn unreadable(&mut self, name: &str, why: &str) {
        if let Self::Sarif(log) = self {
            log.add_unreadable(name, why);
        }
    }

    /// Tells what can only be told at the end.
    pub(super) fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Sarif(log) => log.write(out),
            Self::Text { .. } | Self::Json | Self::Github => Ok(()),
        }
    }
}

/// In the words of Twilio's console.
fn praise(verdict: &Verdict<'_>, several: bool, out: &mut dyn Write) -> io::Result<()> {
    let kind = verdict.kind;
    match several {
        true => writeln!(
            out,
            "{}: Valid {kind} TwiML",
            shown(verdict.document.name())
        ),
        false => writeln!(out, "Valid {kind} TwiML"),
    }
}
