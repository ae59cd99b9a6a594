//! Programs that tests run, the binary under test before all. None of them outlives a test's patience.

use std::ffi::OsString;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;

use crate::time::TIMEOUT;

/// The binary under test, run with these arguments to its end.
pub fn understudy(arguments: &[&str]) -> Output {
    run(Command::new(binary()).args(arguments))
}

/// Runs a program to its end, with nothing on its standard input.
pub fn run(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    let _bound = bound(&child);
    child.wait_with_output().expect("a child")
}

/// Kills a process that is still there after [`TIMEOUT`], so that every wait for it ends.
#[must_use]
pub fn bound(child: &Child) -> Bound {
    let pid = child.id();
    let (dropped, until) = channel();
    thread::spawn(move || {
        if until.recv_timeout(TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            kill("-KILL", pid);
        }
    });
    Bound { _dropped: dropped }
}

/// The bound of a process; dropped when the process has ended.
pub struct Bound {
    _dropped: Sender<()>,
}

/// Where cargo has put the binary under test, which only cargo knows.
pub(crate) fn binary() -> OsString {
    std::env::var_os("CARGO_BIN_EXE_understudy").expect("`cargo test` runs the tests")
}

/// Sends a signal.
pub(crate) fn kill(signal: &str, pid: u32) {
    // The shell's own `kill`, since the program is not on every machine.
    let status = Command::new("sh")
        .args(["-c", &format!("kill {signal} {pid}")])
        .status();
    assert!(status.expect("a shell runs").success(), "{signal}");
}
