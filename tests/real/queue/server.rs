//! A NATS server with JetStream, in a folder of its own.

use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running server.
pub(super) struct Server {
    folder: TempDir,
    child: Child,
    address: SocketAddr,
    arguments: Vec<String>,
}

impl Server {
    /// Starts one; none if it isn't installed.
    pub(super) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more arguments.
    pub(super) async fn start_with(arguments: &[&str]) -> Option<Self> {
        let version = Command::new("nats-server").arg("--version").output().await;
        if version.is_err() {
            support::skip("nats-server (Debian's package nats-server)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        // Its own port is one that is free now: it must have the same one when it is started again.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let child = run(&folder, address, &arguments).await;
        Some(Self {
            folder,
            child,
            address,
            arguments,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Kills it.
    pub(super) async fn stop(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it with what it has stored.
    pub(super) async fn start_again(&mut self) {
        self.child = run(&self.folder, self.address, &self.arguments).await;
    }
}

/// Runs a server, and waits until it is ready.
async fn run(folder: &TempDir, address: SocketAddr, arguments: &[String]) -> Child {
    let mut child = Command::new("nats-server")
        .args(["--jetstream", "--addr", "127.0.0.1", "--port"])
        .arg(address.port().to_string())
        .arg("--store_dir")
        .arg(folder.path())
        .args(arguments)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("Server is ready") {
            // It would wait for a reader when the pipe is full.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return child;
        }
    }
    panic!("the NATS server has ended");
}
