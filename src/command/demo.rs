//! `understudy demo`: a misbehaving app inside, the proxy before it, each fault played without and with it.

pub mod app;

use std::process::ExitCode;

/// Plays every fault once, or for ever.
pub fn run(_stay: bool) -> ExitCode {
    ExitCode::SUCCESS
}
