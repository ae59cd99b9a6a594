//! Annotations of a GitHub workflow: commands on standard output that GitHub shows beside the line of a change.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::io::{self, Write};

use super::document::{Finding, LintResult};
use super::error_codes;

/// Writes a command for each finding.
pub(super) fn write(result: &LintResult<'_>, out: &mut dyn Write) -> io::Result<()> {
    let name = result.document.name();
    // GitHub's paths have no `./`.
    let file = escape_property(name.strip_prefix("./").unwrap_or(name));
    for finding in &result.findings {
        write_command(&file, finding, out)?;
    }
    Ok(())
}

fn write_command(file: &str, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let (level, line, column) = (
        finding.level,
        finding.position.line,
        finding.position.column,
    );
    let end = column.saturating_add(finding.width);
    let title = escape_property(&format!(
        "{} {}",
        finding.code,
        error_codes::title(finding.code)
    ));
    let message = escape_data(&finding.message_and_help());
    writeln!(
        out,
        "::{level} file={file},line={line},col={column},endColumn={end},title={title}::{message}"
    )
}

/// Escapes what follows the second `::`.
fn escape_data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes the value of a property.
fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(escape_data("50%: a,\r\nb"), "50%25: a,%0D%0Ab");
        assert_eq!(escape_property("50%: a,\r\nb"), "50%25%3A a%2C%0D%0Ab");
    }
}
