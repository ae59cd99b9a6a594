//! One JSON object a line per document.

use std::io::{self, Write};

use serde::Serialize;

use super::document::{Finding, Verdict};
use crate::twiml::{Kind, Level};

/// A document and what is to be said of it.
#[derive(Serialize)]
struct Judged<'v> {
    file: &'v str,
    kind: &'static str,
    valid: bool,
    findings: Vec<Found<'v>>,
}

#[derive(Serialize)]
struct Found<'v> {
    code: u32,
    level: &'static str,
    line: u32,
    column: u32,
    byte: usize,
    path: &'v str,
    message: String,
}

/// Writes a document's line.
pub(super) fn write(verdict: &Verdict<'_>, out: &mut dyn Write) -> io::Result<()> {
    let judged = Judged {
        file: verdict.document.name(),
        kind: kind(verdict.kind),
        valid: verdict.is_valid,
        findings: verdict.findings.iter().map(Found::from).collect(),
    };
    serde_json::to_writer(&mut *out, &judged)?;
    writeln!(out)
}

impl<'v> From<&'v Finding> for Found<'v> {
    fn from(finding: &'v Finding) -> Self {
        Self {
            code: finding.code,
            level: level(finding.level),
            line: finding.place.line,
            column: finding.place.column,
            byte: finding.place.byte,
            path: &finding.path,
            message: finding.words(),
        }
    }
}

/// The word for a kind, as `--kind` takes it.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Voice => "voice",
        Kind::Messaging => "messaging",
    }
}

/// The word for a level, the same in every format.
pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Warning => "warning",
        Level::Error => "error",
    }
}
