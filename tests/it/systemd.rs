//! What systemd is told, and when.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use crate::support::{App, soon};

/// A service manager that listens, and the proxy that talks to it.
struct Service {
    socket: UnixDatagram,
    child: Child,
    folder: tempfile::TempDir,
}

impl Service {
    fn start(app: &App, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://{}\"\n",
            app.address()
        );
        fs::write(folder.path().join("understudy.toml"), config).expect("a file");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        let child = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .args(["run", "--config"])
            .arg(folder.path().join("understudy.toml"))
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        Self {
            socket,
            child,
            folder,
        }
    }

    /// Waits until it is told this.
    async fn hears(&self, wanted: &str) -> String {
        let mut message = vec![0; 4096];
        soon(wanted, async {
            loop {
                let length = self.socket.recv(&mut message).await.expect("a message");
                let text = String::from_utf8_lossy(&message[..length]).into_owned();
                if text.lines().any(|line| line.starts_with(wanted)) {
                    return text;
                }
            }
        })
        .await
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status();
        assert!(status.expect("a shell runs").success());
    }
}

#[tokio::test]
async fn it_is_told_of_readiness_reloads_and_the_end() {
    let app = App::with_page("<Response/>");
    let mut service = Service::start(&app, &[]);
    let ready = service.hears("READY=1").await;
    assert!(
        ready.contains("STATUS=0 routes: the app is on stage"),
        "{ready}"
    );

    service.signal("HUP");
    let reloading = service.hears("RELOADING=1").await;
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    service.hears("READY=1").await;

    fs::write(service.folder.path().join("understudy.toml"), "[server]\n").expect("a file");
    service.signal("HUP");
    let ready = service.hears("READY=1").await;
    assert!(ready.contains("the old one stays"), "{ready}");

    service.signal("TERM");
    service.hears("STOPPING=1").await;
    let end = soon("the end", service.child.wait())
        .await
        .expect("it ends");
    assert_eq!(end.code(), Some(0));
}

#[tokio::test]
async fn the_watchdog_is_fed_while_every_accept_loop_goes_round() {
    let app = App::with_page("<Response/>");
    let within = Duration::from_secs(4).as_micros().to_string();
    let service = Service::start(&app, &[("WATCHDOG_USEC", &within)]);
    service.hears("READY=1").await;
    service.hears("WATCHDOG=1").await;
    service.hears("WATCHDOG=1").await;
}

#[tokio::test]
async fn a_watchdog_that_nobody_can_feed_is_said_and_exits_78() {
    let arguments = ["run", "--upstream", "http://127.0.0.1:1"];
    let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(arguments)
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .env_remove("NOTIFY_SOCKET")
        .env("WATCHDOG_USEC", "10000000")
        .kill_on_drop(true)
        .output();
    let output = soon("the end", output).await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("NOTIFY_SOCKET isn't set") && said.contains("WatchdogSec="),
        "{said}"
    );
}

#[test]
fn the_units_name_files_that_there_are() {
    let read = |name: &str| {
        let path = format!("{}/systemd/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).expect("a unit")
    };
    let (service, socket) = (read("understudy.service"), read("understudy.socket"));
    for line in [
        "Type=notify",
        "RestartPreventExitStatus=78",
        "LimitCORE=0",
        "ExecStart=/usr/bin/understudy run --config /etc/understudy/understudy.toml",
        "  --setgid $(stat -c %%g /proc/$MAINPID) /usr/bin/understudy check --config /etc/understudy/understudy.toml\"",
    ] {
        assert!(service.lines().any(|own| own == line), "{line}");
    }
    // The app must not take us down with it.
    assert_eq!(
        service.matches("Requires=").count() - 1,
        1,
        "only the socket is required, and said why"
    );
    assert!(socket.contains("ListenStream=127.0.0.1:8080"));
}
