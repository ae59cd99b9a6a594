//! The grammar has every element, attribute and value that Twilio's packages of pinned versions can write. `.ci/currency` asks
//! the same of the newest ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use understudy::twiml::{Kind, Rules, Strictness, lint};

use crate::real_app::{Kind as App, node, python};

#[test]
fn the_grammar_lacks_nothing_that_twilios_packages_write() {
    let refused = refused();
    for app in App::installed([App::Flask, App::Express]) {
        let documents = match app {
            App::Flask => list(python().arg("list.py")),
            App::Express | App::Legacy => list(node().arg("list.js")),
        };
        assert!(documents.len() > 1000, "{app}: {}", documents.len());
        let mut lacking = BTreeSet::new();
        for document in &documents {
            let text = |key: &str| document[key].as_str().expect("text");
            let kind = match text("kind") {
                "voice" => Kind::Voice,
                _ => Kind::Messaging,
            };
            let rules = Rules::new(kind, Strictness::Strict);
            let report = lint(text("document").as_bytes(), None, &rules);
            let is_refused = refused.iter().any(|name| is_or_is_in(text("name"), name));
            if !is_refused && let Some(finding) = report.findings().first() {
                lacking.insert(format!("{}: {finding}", text("name")));
            }
        }
        assert!(lacking.is_empty(), "{app}: {lacking:#?}");
    }
}

/// The documents that a program prints, one JSON object a line.
fn list(program: &mut Command) -> Vec<Value> {
    let output = program.current_dir(folder()).output().expect("it runs");
    assert!(output.status.success(), "{program:?}: {output:?}");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let documents = lines
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice);
    documents.collect::<Result<_, _>>().expect("JSON")
}

/// The names that Twilio itself refuses although its packages can write them.
fn refused() -> Vec<String> {
    let text = fs::read_to_string(folder().join("refused.txt")).expect("a file");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split("  ").next());
    names.map(str::to_owned).collect()
}

fn is_or_is_in(name: &str, refused: &str) -> bool {
    let rest = name.strip_prefix(refused);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', '@', '/']))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/currency")
}
