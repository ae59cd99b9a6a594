//! SARIF 2.1.0, which code scanners read: one run, a rule for each of Twilio's codes that was met.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use std::collections::BTreeSet;
use std::io::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::document::{Finding, Verdict};
use super::json::level;
use super::title;

/// What was found so far: a run is told as a whole.
#[derive(Default)]
pub(super) struct Log {
    found: Vec<(u32, Value)>,
    unreadable: Vec<Value>,
}

impl Log {
    pub(super) fn add(&mut self, verdict: &Verdict<'_>) {
        let name = verdict.document.name();
        let results =
            (verdict.findings.iter()).map(|finding| (finding.code, result(name, finding)));
        self.found.extend(results);
    }

    pub(super) fn add_unreadable(&mut self, name: &str, why: &str) {
        self.unreadable.push(json!({
            "level": "error",
            "message": { "text": why },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(name) } } }],
        }));
    }

    /// Writes the run, and forgets it.
    pub(super) fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Self { found, unreadable } = std::mem::take(self);
        let codes: BTreeSet<u32> = found.iter().map(|(code, _)| *code).collect();
        let rules: Vec<_> = codes.iter().copied().map(rule).collect();
        let results: Vec<_> = found.into_iter().map(|(_, result)| result).collect();
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

fn rule(code: u32) -> Value {
    let (title, url) = (title::of(code), title::url(code));
    json!({
        "id": code.to_string(),
        "shortDescription": { "text": title },
        "fullDescription": { "text": title },
        "helpUri": url,
        "help": { "text": format!("Twilio explains it at {url}") },
    })
}

fn result(name: &str, finding: &Finding) -> Value {
    let mut location = json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(name) },
        "region": {
            "startLine": finding.place.line,
            "startColumn": finding.place.column,
            "endColumn": finding.place.column.saturating_add(finding.width),
        },
    } });
    if !finding.path.is_empty() {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": finding.path }]);
    }
    json!({
        "ruleId": finding.code.to_string(),
        "level": level(finding.level),
        "message": { "text": finding.words() },
        "locations": [location],
    })
}

/// What a URI's path may hold as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path as a URI reference; relative to where the command ran, if it was.
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
