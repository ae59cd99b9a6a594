//! Files that tests read: our own of `tests/fixtures`, and other people's beside the checkout.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Once;

/// A file of `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    tests().join("fixtures").join(path)
}

/// A JSON document of `tests/fixtures`.
pub fn json_fixture(path: &str) -> serde_json::Value {
    let text = fs::read(fixture(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A file of other people's documents, which may lie beside a checkout and are never part of it. Where they are missing, that is
/// said once.
pub fn corpus(file: &str) -> Option<PathBuf> {
    static SKIPPED: Once = Once::new();
    let folder = tests().join("../../shared/corpus");
    if !folder.is_dir() {
        SKIPPED.call_once(|| {
            // To the process's own stream: what `eprintln!` writes is shown for a failed test only.
            let line = "SKIPPED: tests on other people's TwiML and the W3C's XML suite, because they are not beside this checkout";
            let _ = writeln!(io::stderr(), "{line}");
        });
        return None;
    }
    Some(folder.join(file))
}

fn tests() -> &'static Path {
    let support = Path::new(env!("CARGO_MANIFEST_DIR"));
    support.parent().expect("support is in tests")
}
