//! What the tests have in common: an app that misbehaves, the real binary before it, Twilio's requests, a client that sees
//! bytes.
//!
//! Nothing here sleeps to let something happen: it waits for the thing, within [`PATIENCE`]. When a test fails, each part prints
//! what it saw.

#![allow(
    dead_code,
    reason = "a test module may be left out, or not be written yet, without its tools being taken away"
)]

mod app;
mod metrics;
mod sidecar;
mod twilio;
mod wire;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

pub(crate) use app::{App, Request, Script, Step, answer};
pub(crate) use metrics::Metrics;
pub(crate) use sidecar::{Builder, Sidecar, Signal, understudy};
pub(crate) use twilio::{CALL, Webhook, sign};
pub(crate) use wire::{Answer, Client};

/// How long a test waits for what must happen: long enough for a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What the future gives.
///
/// # Panics
///
/// If it takes longer than [`PATIENCE`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// So many milliseconds.
pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A file of `tests/fixtures`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

/// A JSON document of `tests/fixtures`.
pub(crate) fn json_fixture(path: &str) -> serde_json::Value {
    let text = fs::read(fixture(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A file of other people's documents, which may lie beside a checkout and are never part of it. Where they are missing, that is
/// said once.
pub(crate) fn corpus(file: &str) -> Option<PathBuf> {
    static SKIPPED: Once = Once::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
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
