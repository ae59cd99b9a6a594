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

use std::time::Duration;

pub(crate) use app::{App, Request, Script, Step, answer};
pub(crate) use metrics::Metrics;
pub(crate) use sidecar::{Builder, Sidecar, Signal, understudy};
pub(crate) use twilio::{CALL, Webhook, sign};
pub(crate) use wire::{Answer, Client};

/// How long a test waits for what must happen: long enough for a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

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

/// What is shared beside a checkout, if it is there; if not, that is said.
pub(crate) fn shared(path: &str) -> Option<std::path::PathBuf> {
    let shared = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if !shared.is_dir() {
        eprintln!(
            "SKIPPED: no folder {}, so {path} proves nothing here",
            shared.display()
        );
        return None;
    }
    Some(shared.join(path))
}
