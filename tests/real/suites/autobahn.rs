//! Autobahn's WebSocket library on both sides of a tunnel: the cases of its test suite, and all bytes of all frames the same on both
//! sides.
//!
//! The suite's own program (`wstest`) needs Python 2.7, so `autobahn_peers.py` runs its cases on the library that it is made of.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::program;
use crate::tls::{is_installed, issued};
use support::{Sidecar, wait_for};

const ROUTES: &str = r#"
[[route]]
name = "media"
path = "/media"
kind = "pass"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn autobahns_peers_pass_its_cases_through_a_tunnel() {
    let Some(server) = Server::start() else {
        return;
    };
    let sidecar = Sidecar::before_url(&server.url)
        .routes(ROUTES)
        .start()
        .await;
    passes(&[&format!("ws://{}/media", sidecar.address)]).await;
    tunnels_end(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn autobahns_peers_pass_its_cases_through_a_tunnel_within_tls() {
    if !is_installed("openssl") {
        return;
    }
    let Some(server) = Server::start() else {
        return;
    };
    let folder = TempDir::new().expect("a folder");
    let (cert, key) = issued(folder.path(), &["rsa:2048"]);
    let sidecar = Sidecar::before_url(&server.url)
        .routes(ROUTES)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", cert)
        .file("key.pem", key)
        .start()
        .await;
    let url = format!("wss://localhost:{}/media", sidecar.address.port());
    let ca = folder.path().join("cert.pem");
    passes(&[&url, ca.to_str().expect("a plain path")]).await;
    tunnels_end(&sidecar).await;
}

/// Runs the client, which passes all of its cases.
async fn passes(arguments: &[&str]) {
    let mut client = program("autobahn_peers.py", "autobahn").expect("it was here before");
    client.arg("client").args(arguments);
    let run = tokio::process::Command::from(client)
        .kill_on_drop(true)
        .output();
    let output = wait_for("Autobahn's cases", run).await.expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("cases, 0 failed"), "{said}");
}

async fn tunnels_end(sidecar: &Sidecar) {
    sidecar
        .wait_for_metric("understudy_tunnels", &[], 0.0)
        .await;
}

/// Autobahn as the app. It ends with this.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Option<Self> {
        let mut command = program("autobahn_peers.py", "autobahn")?;
        let mut process = command
            .arg("server")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let first = lines.next().expect("it says where it listens");
        let first = first.expect("a line");
        let address = first.strip_prefix("listening on ").expect("an address");
        let url = format!("http://{address}");
        // What it writes later is read, so that it never waits for that.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Some(Self { process, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
