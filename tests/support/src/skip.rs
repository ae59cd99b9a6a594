//! Tests that need programs which are not on every machine.

use std::env;
use std::io::{self, Write};

/// Says that a test is skipped because this is missing.
///
/// # Panics
///
/// Where `UNDERSTUDY_REAL` is `required`, as in CI.
pub fn skip(needed: &str) {
    let line = format!("SKIPPED: this needs {needed}; .ci/run installs it\n");
    let is_required = env::var_os("UNDERSTUDY_REAL").is_some_and(|value| value == "required");
    assert!(!is_required, "{line}");
    // Not by `eprint`, which the harness hides where a test passes.
    let _ = io::stderr().write_all(line.as_bytes());
}
