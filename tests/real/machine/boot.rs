//! A machine: booted, entered, and gone when it is dropped.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use tokio::time::timeout;

use super::needs::{base, package};
use support::wait_for;

/// How long a command on the machine may take: two cores may have much else to do.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How long a poll that found nothing new waits for the next.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A booted Debian.
pub(super) struct Machine {
    nspawn: Child,
    /// Its first process, as it is called outside.
    init: u32,
    console: tempfile::NamedTempFile,
    /// The package that is tested on it.
    pub(super) package: PathBuf,
}

/// Runs this on a machine of its own, within its network; where there can't be one, says so.
pub(super) fn on_a_machine(test: impl AsyncFnOnce(&Machine) + Send) {
    let Some(package) = package() else { return };
    // They share the control groups of where they run: the end of a unit on one would take the ground from under the unit of
    // the same name on another. So there is one at a time, until it is gone.
    let turn = File::create(base().with_extension("lock")).expect("a file");
    turn.lock().expect("its turn comes");
    let machine = Machine::start(package);
    let inside = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default())
            .expect("a runtime");
        runtime.block_on(wait_for("the machine to boot", machine.booted()));
        machine.enter_network();
        runtime.block_on(test(&machine));
    };
    // The thread is within that network until its end.
    let played = std::thread::scope(|scope| scope.spawn(inside).join());
    if let Err(panic) = played {
        machine.tell();
        std::panic::resume_unwind(panic);
    }
}

impl Machine {
    fn start(package: PathBuf) -> Self {
        let console = tempfile::NamedTempFile::new().expect("a file");
        let output = || Stdio::from(console.reopen().expect("a file"));
        // However this test ends, all of it ends: the first of its processes with this thread, and the others with that one.
        let nspawn = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid"])
            .args(["--mount-proc", "--fork", "--kill-child", "sh", "-c"])
            // What systemd-nspawn keeps there is its own, and gone with it.
            .arg("mount -t tmpfs tmpfs /run && exec systemd-nspawn \"$@\"")
            .args([
                "nspawn",
                "--quiet",
                "--boot",
                "--register=no",
                "--keep-unit",
            ])
            .args([
                "--private-network",
                "--volatile=overlay",
                "--link-journal=no",
            ])
            .args(["--resolv-conf=off", "--timezone=off", "--console=pipe"])
            .arg("--directory")
            .arg(base())
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .expect("systemd-nspawn runs");
        let mut machine = Self {
            nspawn,
            init: 0,
            console,
            package,
        };
        machine.init = machine.first_process();
        machine
    }

    /// Waits for the process that is the first one inside.
    fn first_process(&mut self) -> u32 {
        let outside = self.nspawn.id();
        for _ in 0..600 {
            let mut below = children(outside).into_iter().flat_map(children);
            if let Some(init) = below.find(|pid| is_first(*pid)) {
                return init;
            }
            let end = self.nspawn.try_wait().expect("a child");
            assert!(end.is_none(), "{end:?}: {}", self.console());
            std::thread::sleep(POLL_INTERVAL);
        }
        panic!("it has no first process: {}", self.console());
    }

    /// From here on this thread, and every thread that it starts, uses the machine's network, which is there once it has booted.
    fn enter_network(&self) {
        let network = File::open(format!("/proc/{}/ns/net", self.init)).expect("a network");
        setns(network, CloneFlags::CLONE_NEWNET).expect("root may enter it");
    }

    async fn booted(&self) {
        let is_up = |output: &Output| {
            let state = String::from_utf8_lossy(&output.stdout).into_owned();
            matches!(state.trim(), "running" | "degraded")
        };
        while !is_up(&self.output("systemctl is-system-running").await) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// What a shell inside makes of this.
    pub(super) async fn output(&self, script: &str) -> Output {
        let command = tokio::process::Command::new("nsenter")
            .args(["--all", "--target", &self.init.to_string()])
            .args(["sh", "-c", script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs([
                ("LC_ALL", "C.UTF-8"),
                ("DEBIAN_FRONTEND", "noninteractive"),
                ("SYSTEMD_PAGER", ""),
            ])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match timeout(TIMEOUT, command).await {
            Ok(output) => output.expect("nsenter runs"),
            Err(_) => panic!("waited {TIMEOUT:?} in vain for {script}"),
        }
    }

    /// What a shell inside says to this, on both its streams, if it succeeds.
    ///
    /// # Panics
    ///
    /// If it doesn't.
    pub(super) async fn run(&self, script: &str) -> String {
        let output = self.output(script).await;
        let said = said(&output);
        assert!(
            output.status.success(),
            "{script}: {:?}\n{said}",
            output.status
        );
        said
    }

    /// What a shell inside says to this, on both its streams, if it fails.
    pub(super) async fn fails(&self, script: &str) -> String {
        let output = self.output(script).await;
        let said = said(&output);
        let failed = output.status.signal().is_none() && !output.status.success();
        assert!(failed, "{script}: {:?}\n{said}", output.status);
        said
    }

    /// A file or folder inside, as it is called here.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    /// The content of a file inside.
    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Puts a file there, in one step, and the folders that it takes.
    pub(super) fn write(&self, path: &str, text: &str) {
        let folder = Path::new(path).parent().expect("a folder");
        fs::create_dir_all(self.path(&folder.to_string_lossy())).expect("a folder");
        let new = format!("{path}.new");
        fs::write(self.path(&new), text).expect("a file");
        fs::rename(self.path(&new), self.path(path)).expect("a file");
    }

    /// A process inside, as it is called here.
    pub(super) fn outside(&self, inside: &str) -> u32 {
        let all = fs::read_dir("/proc").expect("processes").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let network = |pid| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = network(self.init);
        let mut pids = pids.filter(|pid| network(*pid) == own);
        let found = pids.find(|pid| pid_inside(*pid).as_deref() == Some(inside));
        found.unwrap_or_else(|| panic!("no process {inside}"))
    }

    fn console(&self) -> String {
        fs::read_to_string(self.console.path()).unwrap_or_default()
    }

    /// Prints what a reader wants who finds a test failed.
    fn tell(&self) {
        eprintln!("--- console ---\n{}", self.console());
        let journal = Command::new("nsenter")
            .args(["--all", "--target", &self.init.to_string()])
            .args([
                "journalctl",
                "--no-pager",
                "--lines=200",
                "--output=short-precise",
            ])
            .output();
        let journal = journal.map(|output| said(&output)).unwrap_or_default();
        eprintln!("--- journal ---\n{journal}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // All inside dies with it.
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
    }
}

pub(super) fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn is_first(pid: u32) -> bool {
    pid_inside(pid).as_deref() == Some("1")
}

/// What a process is called in the innermost PID namespace that it is in.
fn pid_inside(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last().map(str::to_owned)
}
