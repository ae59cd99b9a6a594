//! Other people's suites that the registries have: Autobahn's WebSocket peers, httplint (the checks of REDbot), and testssl.sh.
//! `docs/security.md` says what came out.

mod autobahn;
mod httplint;
mod testssl;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::real_app::python;
use support::skip;

/// A Python program beside these tests, if its package is installed; else the tests that need it are skipped, loudly.
fn program(file: &str, package: &str) -> Option<Command> {
    let import = format!("import {package}");
    let mut probe = python();
    let probe = probe.args(["-c", &import]).stdin(Stdio::null()).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        skip(&format!("python3 with the package {package}"));
        return None;
    }
    let mut command = python();
    command.arg(file).current_dir(folder()).stdin(Stdio::null());
    Some(command)
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/suites"))
}
