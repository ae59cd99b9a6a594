//! For a log or a pipe: a line that a program can take apart, then the line of the document and a caret, both indented.

use std::io::{self, Write};

use super::document::{Finding, Verdict};
use super::source::{Line, Source, shown};

/// Tells every finding.
pub(super) fn write(verdict: &Verdict<'_>, out: &mut dyn Write) -> io::Result<()> {
    let name = shown(verdict.document.name());
    let source = Source::of(verdict.document);
    for finding in &verdict.findings {
        headline(&name, finding, out)?;
        excerpt(&source.line(finding), out)?;
        if let Some(help) = &finding.help {
            writeln!(out, "{INDENT}= help: {}", shown(help))?;
        }
    }
    Ok(())
}

fn headline(name: &str, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let Finding {
        level, code, place, ..
    } = finding;
    let (line, column, message) = (place.line, place.column, shown(&finding.message));
    writeln!(out, "{name}:{line}:{column}: {level}[{code}] {message}")
}

fn excerpt(line: &Line, out: &mut dyn Write) -> io::Result<()> {
    let window = line.window();
    let (indent, carets) = (" ".repeat(window.indent), "^".repeat(window.width));
    writeln!(out, "{}", format!("{INDENT}{}", window.text).trim_end())?;
    writeln!(out, "{INDENT}{indent}{carets}")
}

const INDENT: &str = "    ";
