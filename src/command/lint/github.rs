//! Annotations of a GitHub workflow: commands on standard output that GitHub shows beside the line of a change.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::io::{self, Write};

use super::document::{Finding, Verdict};
use super::{json, title};

/// Writes a command for each finding.
pub(super) fn write(verdict: &Verdict<'_>, out: &mut dyn Write) -> io::Result<()> {
    let name = verdict.document.name();
    // GitHub knows its files without this.
    let file = property(name.strip_prefix("./").unwrap_or(name));
    for finding in &verdict.findings {
        command(&file, finding, out)?;
    }
    Ok(())
}

fn command(file: &str, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let level = json::level(finding.level);
    let (line, column) = (finding.place.line, finding.place.column);
    let end = column.saturating_add(finding.width);
    let title = property(&format!("{} {}", finding.code, title::of(finding.code)));
    let message = data(&finding.words());
    writeln!(
        out,
        "::{level} file={file},line={line},col={column},endColumn={end},title={title}::{message}"
    )
}

/// As what follows the second `::` is escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// As the value of a property is escaped.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_github_is_escaped() {
        assert_eq!(data("50%: a,\r\nb"), "50%25: a,%0D%0Ab");
        assert_eq!(property("50%: a,\r\nb"), "50%25%3A a%2C%0D%0Ab");
    }
}
