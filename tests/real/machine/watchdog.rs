//! What stands still is killed and started anew.

use std::sync::mpsc;
use std::thread;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::boot::{Machine, on_a_machine};
use super::service::DOCUMENT;
use support::FakeUpstream;

/// A patience that a test can wait for; twice as long as the pause between two signs of life, with some to spare.
const SOON: &str = "[Service]\nWatchdogSec=5s\n";

async fn with_a_short_patience(machine: &Machine, app: &FakeUpstream) -> String {
    machine.install_before(app).await;
    machine.edit("understudy.service", SOON).await;
    machine.run("systemctl restart understudy").await;
    machine.responds_with(DOCUMENT).await;
    machine.property("MainPID").await
}

async fn is_started_anew(machine: &Machine, before: &str) {
    machine.becomes("NRestarts", "1").await;
    machine.becomes("ActiveState", "active").await;
    assert_ne!(machine.property("MainPID").await, before);
    machine.wait_for_log(&["Watchdog timeout"]).await;
    machine.responds_with(DOCUMENT).await;
}

#[test]
fn a_process_that_is_stopped_is_started_anew() {
    on_a_machine(async |machine| {
        let app = FakeUpstream::with_document(DOCUMENT);
        let before = with_a_short_patience(machine, &app).await;
        machine.run(&format!("kill -STOP {before}")).await;
        is_started_anew(machine, &before).await;
    });
}

#[test]
fn one_worker_that_stands_still_is_enough() {
    on_a_machine(async |machine| {
        let app = FakeUpstream::with_document(DOCUMENT);
        let before = with_a_short_patience(machine, &app).await;
        let worker = worker_of(machine.outside(&before));
        let (held, holds) = mpsc::channel();
        let holder = thread::spawn(move || {
            ptrace::seize(worker, ptrace::Options::empty()).expect("root may");
            ptrace::interrupt(worker).expect("it is ours");
            let stopped = waitpid(worker, Some(WaitPidFlag::__WALL)).expect("it stands still");
            held.send(stopped).expect("somebody waits");
            // Only who holds a thread can see it off, and its process ends no sooner.
            waitpid(worker, Some(WaitPidFlag::__WALL)).expect("it ends")
        });
        holds.recv().expect("it stands still");
        machine.wait_for_log(&["a worker does not respond"]).await;
        is_started_anew(machine, &before).await;
        holder.join().expect("no panic");
    });
}

/// The first worker's thread.
fn worker_of(pid: u32) -> Pid {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let mut threads = threads.flatten().map(|entry| entry.path());
    let worker = threads.find(|path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "worker-0")
    });
    let worker = worker.expect("a worker");
    let id = worker
        .file_name()
        .and_then(|name| name.to_str()?.parse().ok());
    Pid::from_raw(id.expect("a thread's number"))
}
