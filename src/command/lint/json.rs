//! One JSON object a line per document.

use std::io::{self, Write};

use serde::Serialize;

use super::super::kind;
use super::document::{Finding, LintResult};

#[derive(Serialize)]
struct JsonResult<'r> {
    file: &'r str,
    kind: &'static str,
    valid: bool,
    findings: Vec<JsonFinding<'r>>,
}

#[derive(Serialize)]
struct JsonFinding<'r> {
    code: u32,
    level: String,
    line: u32,
    column: u32,
    byte: usize,
    path: &'r str,
    message: String,
}

/// Writes a document's line.
pub(super) fn write(result: &LintResult<'_>, out: &mut dyn Write) -> io::Result<()> {
    let json = JsonResult {
        file: result.document.name(),
        kind: kind::name(result.kind),
        valid: result.is_valid,
        findings: result.findings.iter().map(JsonFinding::from).collect(),
    };
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)
}

impl<'r> From<&'r Finding> for JsonFinding<'r> {
    fn from(finding: &'r Finding) -> Self {
        Self {
            code: finding.code,
            level: finding.level.to_string(),
            line: finding.position.line,
            column: finding.position.column,
            byte: finding.position.byte,
            path: &finding.path,
            message: finding.message_and_help(),
        }
    }
}
