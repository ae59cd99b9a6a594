//! understudy as a service on a machine: installed, configured, asked.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use super::boot::{Machine, POLL_INTERVAL};
use support::{Client, FakeUpstream, Response, Webhook, wait_for};

/// Where the socket unit listens.
pub(super) const PUBLIC: SocketAddr = at(8080);

/// The document of the app.
pub(super) const DOCUMENT: &str = "<Response><Say>the app itself</Say></Response>";

/// The configuration.
pub(super) const CONFIG: &str = "/etc/understudy/understudy.toml";

pub(super) const fn at(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Machine {
    /// Installs the package, and finds it running.
    pub(super) async fn install(&self) {
        fs::copy(&self.package, self.path("/root/understudy.deb")).expect("a copy");
        self.run("dpkg -i /root/understudy.deb").await;
        self.is_active().await;
    }

    /// Installs it and tells it where the app is.
    pub(super) async fn install_before(&self, app: &FakeUpstream) {
        self.install().await;
        self.point_to(app);
        self.run("systemctl reload understudy").await;
        self.responds_with(DOCUMENT).await;
    }

    /// Edits the configuration as an operator does.
    pub(super) fn point_to(&self, app: &FakeUpstream) {
        let url = format!("http://{}", app.address());
        let config = self.read(CONFIG);
        assert!(config.contains("http://127.0.0.1:3000"), "{config}");
        self.write(CONFIG, &config.replace("http://127.0.0.1:3000", &url));
    }

    /// Adds to a unit, as `systemctl edit` does.
    pub(super) async fn edit(&self, unit: &str, lines: &str) {
        self.write(
            &format!("/etc/systemd/system/{unit}.d/override.conf"),
            lines,
        );
        self.run("systemctl daemon-reload").await;
    }

    pub(super) async fn is_active(&self) {
        self.run("systemctl is-active understudy.socket understudy.service")
            .await;
    }

    /// What systemd knows of the service.
    pub(super) async fn property(&self, name: &str) -> String {
        let script = format!("systemctl show --property={name} --value understudy.service");
        self.run(&script).await.trim().to_owned()
    }

    /// Waits until systemd says so of the service.
    pub(super) async fn becomes(&self, name: &str, wanted: &str) {
        wait_for(&format!("{name} to be {wanted}"), async {
            while self.property(name).await != wanted {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        })
        .await;
    }

    /// What the journal has of both units.
    pub(super) async fn journal(&self) -> String {
        self.run("journalctl --sync; journalctl --no-pager --output=cat -u understudy.service -u understudy.socket")
            .await
    }

    /// Waits for a line in the journal that holds all of this.
    pub(super) async fn wait_for_log(&self, words: &[&str]) -> String {
        wait_for(&format!("{words:?} in the journal"), async {
            loop {
                let journal = self.journal().await;
                let mut lines = journal.lines();
                if let Some(line) = lines.find(|line| words.iter().all(|word| line.contains(word)))
                {
                    return line.to_owned();
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        })
        .await
    }

    /// Waits until a call is answered with this document.
    pub(super) async fn responds_with(&self, document: &str) {
        wait_for("the document", async {
            while call(PUBLIC).await.text() != document {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        })
        .await;
    }
}

/// What a call on a new connection gets.
pub(super) async fn call(address: SocketAddr) -> Response {
    Client::connect(address)
        .await
        .request(Webhook::voice("/voice"))
        .await
}
