//! The units under systemd's own judgement, and a socket that is passed as systemd passes it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};

use support::{Client, FakeUpstream, Webhook, wait_for};

/// The least exposure that `systemd-analyze security` may find, times ten.
const MOST_EXPOSED: &str = "15";

/// Whether this program can run here. If not, that is said loudly; where `UNDERSTUDY_REAL` is `required`, it fails.
fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    support::skip(&format!("{program} (Debian's package systemd)"));
    false
}

fn unit(name: &str) -> String {
    format!("{}/systemd/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_service_is_hardly_exposed() {
    if !has("systemd-analyze") {
        return;
    }
    let threshold = format!("--threshold={MOST_EXPOSED}");
    let output = Command::new("systemd-analyze")
        .args([
            "security",
            "--offline=yes",
            "--no-pager",
            &threshold,
            &unit("understudy.service"),
        ])
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn the_units_are_understood() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["understudy.service", "understudy.socket"] {
        let text = fs::read_to_string(unit(name)).expect("a unit");
        // The binary is where it was built, and nobody has installed its manual.
        let text = text
            .replace("/usr/bin/understudy", env!("CARGO_BIN_EXE_understudy"))
            .replace("Documentation=man:understudy(1)\n", "");
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(["understudy.service", "understudy.socket"].map(|name| folder.path().join(name)))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && !said.contains("understudy"),
        "{said}"
    );
}

#[tokio::test]
async fn a_socket_that_systemd_passes_is_listened_on() {
    if !has("systemd-socket-activate") {
        return;
    }
    let app = FakeUpstream::with_document("<Response><Say>hello</Say></Response>");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:0\"\nworkers = 2\n[upstream]\nurl = \"http://{}\"\n\
         [[route]]\nname = \"voice\"\npath = \"/voice\"\nkind = \"voice\"\n",
        app.address()
    );
    fs::write(&path, config).expect("a file");
    // Its port is free again at once; systemd gets its number, since systemd doesn't report the port that it chose for 0.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let mut child = activated(port.expect("a port").port(), &path);
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let address = wait_for("the address", async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some((_, rest)) = line.split_once("Listening on ") {
                return rest
                    .split(' ')
                    .next()
                    .and_then(|address| address.parse().ok());
            }
        }
        None
    });
    let address = address.await.expect("systemd says where it listens");
    // The first connection starts it; both wait in the kernel until then.
    for _ in 0..2 {
        let got = Client::connect(address)
            .await
            .request(Webhook::voice("/voice"))
            .await;
        assert_eq!((got.status, got.reason()), (200, None));
    }
}

fn activated(port: u16, config: &Path) -> tokio::process::Child {
    tokio::process::Command::new("systemd-socket-activate")
        .arg(format!("--listen=127.0.0.1:{port}"))
        .args([
            "--fdname=http",
            env!("CARGO_BIN_EXE_understudy"),
            "run",
            "--config",
        ])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it runs")
}
