//! The real apps that understudy is put in front of: which programs they need, how they start, and how they can be made to fail.
//!
//! An app takes its port from its command line (0: any) and says on which one it listens; after a kill it can be started
//! again on the same. All of them know Twilio's token, and one of [`LOGIN`] if they are started with a login.

use std::env;
use std::fmt;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::requests;

/// The folder of the apps.
pub(crate) const APPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/apps");

/// What an app asks for that was started with a login.
pub(crate) const LOGIN: &str = "hook:s3cret";

/// The secret of the SharedKey that apps on Twilio's packages check signatures with.
pub(crate) const SHARED_KEY_SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0aabbccdd";

/// An app that exists as a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Flask, on Twilio's package for Python.
    Flask,
    /// Express, on Twilio's package for Node.
    Express,
    /// One old file of PHP, on nothing.
    Legacy,
}

impl Kind {
    /// Each of them that can run here.
    pub(crate) fn all() -> Vec<Self> {
        Self::installed([Self::Flask, Self::Express, Self::Legacy])
    }

    /// Those of them that can run here. The others are skipped, loudly; where `UNDERSTUDY_REAL` is `required`, that fails.
    pub(crate) fn installed(kinds: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let (here, missing): (Vec<_>, Vec<_>) =
            kinds.into_iter().partition(|kind| kind.is_installed());
        missing.into_iter().for_each(Self::skip);
        here
    }

    fn is_installed(self) -> bool {
        let mut probe = match self {
            Self::Flask => python(),
            Self::Express => node(),
            Self::Legacy => Command::new("php"),
        };
        let code = match self {
            Self::Flask => ["-c", "import flask, flask_sock, twilio"],
            Self::Express => ["-e", "['twilio', 'express', 'ws'].map(require.resolve)"],
            Self::Legacy => ["-r", "hash_hmac('sha1', '', '');"],
        };
        let status = probe
            .args(code)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    fn skip(self) {
        let needs = match self {
            Self::Flask => "python3 with the packages twilio, flask, flask-sock",
            Self::Express => "node with the packages twilio, express, ws",
            Self::Legacy => "php",
        };
        support::skip(needs);
    }

    fn command(self, port: u16, login: Option<&str>) -> Command {
        let mut command;
        match self {
            Self::Flask => {
                command = python();
                command
                    .arg("flask_app.py")
                    .arg(port.to_string())
                    .args(login);
            }
            Self::Express => {
                command = node();
                command
                    .arg("express_app.js")
                    .arg(port.to_string())
                    .args(login);
            }
            Self::Legacy => {
                command = Command::new("php");
                command.args([
                    "-d",
                    "display_errors=1",
                    "-S",
                    &format!("127.0.0.1:{port}"),
                    "legacy.php",
                ]);
                command.envs(login.map(|login| ("LOGIN", login)));
            }
        }
        command
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flask => "the Flask app",
            Self::Express => "the Express app",
            Self::Legacy => "the PHP app",
        })
    }
}

/// A running app; it ends with this.
pub(crate) struct App {
    kind: Kind,
    login: Option<&'static str>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    process: Child,
}

impl App {
    /// Starts an app that lets every signed call in.
    pub(crate) fn start(kind: Kind) -> Self {
        let (process, address) = launch(kind, 0, None);
        Self {
            kind,
            login: None,
            address,
            process,
        }
    }

    /// Starts an app that also asks for [`LOGIN`].
    pub(crate) fn start_with_login(kind: Kind) -> Self {
        let (process, address) = launch(kind, 0, Some(LOGIN));
        Self {
            kind,
            login: Some(LOGIN),
            address,
            process,
        }
    }

    /// Ends it without a word, as the kernel does when memory is short.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the app can be killed");
        self.process.wait().expect("the app can be waited for");
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.address) = launch(self.kind, self.address.port(), self.login);
    }

    /// Stops it without ending it: the kernel still takes connections for it, nobody answers.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.process.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.is_ok_and(|status| status.success()), "{kill}");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(kind: Kind, port: u16, login: Option<&str>) -> (Child, SocketAddr) {
    let (output, writer) = io::pipe().expect("a pipe");
    let mut command = kind.command(port, login);
    command
        .current_dir(APPS)
        .env("TWILIO_AUTH_TOKEN", requests::token())
        .env("TWILIO_SHARED_KEY_SECRET", SHARED_KEY_SECRET)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().expect("a second end of the pipe"))
        .stderr(writer);
    let process = command
        .spawn()
        .unwrap_or_else(|error| panic!("{kind} doesn't start: {error}"));
    drop(command); // and with it our end of the pipe, so that its end shows
    (process, announced_address(kind, output))
}

/// The address in the first line that names one; whatever the app says later is read and dropped.
fn announced_address(kind: Kind, output: PipeReader) -> SocketAddr {
    let (found, address) = mpsc::channel();
    thread::spawn(move || {
        let mut said = String::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            match address_in(&line) {
                Some(address) => drop(found.send(Ok(address))),
                None => said = said + &line + "\n",
            }
        }
        drop(found.send(Err(said)));
    });
    match address.recv_timeout(Duration::from_secs(60)) {
        Ok(Ok(address)) => address,
        Ok(Err(said)) => panic!("{kind} ended before it listened:\n{said}"),
        Err(_) => panic!("{kind} doesn't say where it listens"),
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line
        .split_once("listening on ")
        .or_else(|| line.split_once("(http://"))?;
    let digits = rest
        .strip_prefix("127.0.0.1:")?
        .split(|c: char| !c.is_ascii_digit())
        .next()?;
    Some(SocketAddr::from(([127, 0, 0, 1], digits.parse().ok()?)))
}

/// Python with the packages that are installed for these tests, if they are.
pub(crate) fn python() -> Command {
    let ours = installed_packages().join("venv/bin/python");
    Command::new(if ours.exists() {
        ours
    } else {
        PathBuf::from("python3")
    })
}

/// Node, which finds the packages that `.ci/run` installs, besides its own.
pub(crate) fn node() -> Command {
    let mut command = Command::new("node");
    if env::var_os("NODE_PATH").is_none() {
        command.env("NODE_PATH", installed_packages().join("node/node_modules"));
    }
    command
}

fn installed_packages() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("a folder in the target folder");
    target.join("real")
}
