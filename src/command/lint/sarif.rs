//! SARIF 2.1.0 for code scanners: one run, with a rule for each of Twilio's codes that was found.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use std::collections::BTreeSet;
use std::io::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::document::{Finding, LintResult};
use super::error_codes;

/// The findings so far: a run is written as a whole.
#[derive(Default)]
pub(super) struct Log {
    results: Vec<(u32, Value)>,
    unreadable: Vec<Value>,
}

impl Log {
    pub(super) fn add(&mut self, result: &LintResult<'_>) {
        let name = result.document.name();
        let findings = result.findings.iter();
        self.results
            .extend(findings.map(|finding| (finding.code, to_result(name, finding))));
    }

    pub(super) fn add_unreadable(&mut self, name: &str, error: &str) {
        self.unreadable.push(json!({
            "level": "error",
            "message": { "text": error },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(name) } } }],
        }));
    }

    /// Writes the run, and clears it.
    pub(super) fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            results,
            unreadable,
        } = std::mem::take(self);
        let codes: BTreeSet<u32> = results.iter().map(|(code, _)| *code).collect();
        let rules: Vec<_> = codes.iter().copied().map(to_rule).collect();
        let results: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
        let log = json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": env!("CARGO_PKG_NAME"),
                    "version": env!("CARGO_PKG_VERSION"),
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                } },
                "invocations": [{
                    "executionSuccessful": unreadable.is_empty(),
                    "toolExecutionNotifications": unreadable,
                }],
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        });
        serde_json::to_writer_pretty(&mut *out, &log)?;
        writeln!(out)
    }
}

fn to_rule(code: u32) -> Value {
    let (title, url) = (error_codes::title(code), error_codes::url(code));
    json!({
        "id": code.to_string(),
        "shortDescription": { "text": title },
        "fullDescription": { "text": title },
        "helpUri": url,
        "help": { "text": format!("Twilio explains it at {url}") },
    })
}

fn to_result(name: &str, finding: &Finding) -> Value {
    let mut location = json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(name) },
        "region": {
            "startLine": finding.position.line,
            "startColumn": finding.position.column,
            "endColumn": finding.position.column.saturating_add(finding.width),
        },
    } });
    if !finding.path.is_empty() {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": finding.path }]);
    }
    json!({
        "ruleId": finding.code.to_string(),
        "level": finding.level.to_string(),
        "message": { "text": finding.message_and_help() },
        "locations": [location],
    })
}

/// The characters that a URI's path may hold unescaped.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path as a URI reference; a relative path stays relative.
fn uri(name: &str) -> String {
    let scheme = if name.starts_with('/') { "file://" } else { "" };
    let name = name.strip_prefix("./").unwrap_or(name);
    format!("{scheme}{}", utf8_percent_encode(name, PATH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri() {
        for (name, expected) in [
            ("a/b.xml", "a/b.xml"),
            ("./a b.xml", "a%20b.xml"),
            ("a:b#é?.xml", "a%3Ab%23%C3%A9%3F.xml"),
            ("/srv/pages/a.xml", "file:///srv/pages/a.xml"),
        ] {
            assert_eq!(uri(name), expected);
        }
    }
}
