//! A real Prometheus that scrapes every second, by the configuration that we give to people.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use form_urlencoded::Serializer;
use serde_json::Value;
use tempfile::TempDir;

use super::files::{self, Target};
use support::{Client, TIMEOUT, wait_for};

/// How long a poll that found nothing new waits for the next.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Whether Prometheus and promtool can run here. If not, that is said loudly; where `UNDERSTUDY_REAL` is `required`, it fails.
pub(crate) fn installed() -> bool {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null());
        let output = command.output();
        output.is_ok_and(|output| output.status.success())
    };
    if ["prometheus", "promtool"].into_iter().all(runs) {
        return true;
    }
    support::skip("prometheus and promtool");
    false
}

/// Expects that promtool finds our files good.
pub(super) fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(files::path("prometheus"))
        .stdin(Stdio::null())
        .output()
        .expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
}

/// A running Prometheus. It ends with this; when a test fails, it prints its log.
pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    _folder: TempDir,
}

impl Prometheus {
    /// One that evaluates these rules over these targets, once it has seen each of them.
    pub(crate) async fn start(targets: &[SocketAddr], rules: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let config = folder.path().join("scrape.yml");
        fs::write(&config, every_second(targets)).expect("a file");
        fs::write(folder.path().join("understudy.rules.yml"), rules).expect("a file");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().expect("Prometheus starts");
        let log = Arc::default();
        let address = announced_address(&mut process, &log);
        let prometheus = Self {
            process,
            address,
            log,
            _folder: folder,
        };
        let up = format!("count(up == 1) == {}", targets.len());
        prometheus
            .eventually("its first scrapes", async || {
                !prometheus.query(&up).await.is_empty()
            })
            .await;
        prometheus
    }

    /// The values of the series that a query finds now, those that are numbers.
    pub(crate) async fn query(&self, query: &str) -> Vec<f64> {
        let found = self.post("/api/v1/query", &[("query", query)]).await;
        let result = found["data"]["result"].as_array().expect("a vector");
        let values = result.iter().map(|series| {
            let value = series["value"][1]
                .as_str()
                .and_then(|text| text.parse().ok());
            value.expect("a number")
        });
        values.filter(|value: &f64| !value.is_nan()).collect()
    }

    /// What the series of a panel's query are called now.
    pub(crate) async fn legend(&self, target: &Target) -> Vec<String> {
        let found = self
            .post("/api/v1/query", &[("query", &target.query)])
            .await;
        let result = found["data"]["result"].as_array().expect("a vector");
        let series = result.iter().map(|series| &series["metric"]);
        series.map(|labels| target.name(labels)).collect()
    }

    /// The values that a label has in the series of a selector.
    pub(super) async fn values_of(&self, label: &str, selector: &str) -> Vec<Value> {
        let query = format!("count by ({label}) ({selector})");
        let found = self.post("/api/v1/query", &[("query", &query)]).await;
        let result = found["data"]["result"].as_array().expect("a vector");
        result
            .iter()
            .map(|series| series["metric"][label].clone())
            .collect()
    }

    /// The alerts that fire for a route.
    pub(super) async fn firing(&self, route: &str) -> Vec<String> {
        let alerts = self.alerts().await.into_iter();
        alerts
            .filter(|alert| alert["labels"]["route"] == route)
            .map(|alert| name(&alert))
            .collect()
    }

    /// What the alerts that fire say to people.
    pub(super) async fn annotations(&self) -> Vec<String> {
        let alerts = self.alerts().await.into_iter();
        alerts
            .map(|alert| alert["annotations"].to_string())
            .collect()
    }

    /// Waits until an alert fires.
    pub(super) async fn fires(&self, alert: &str) {
        self.eventually(&format!("{alert} to fire"), async || self.has(alert).await)
            .await;
    }

    /// Waits until it doesn't.
    pub(super) async fn clears(&self, alert: &str) {
        self.eventually(&format!("{alert} to clear"), async || {
            !self.has(alert).await
        })
        .await;
    }

    async fn has(&self, alert: &str) -> bool {
        self.alerts().await.iter().any(|one| name(one) == alert)
    }

    /// Every alert that fires.
    async fn alerts(&self) -> Vec<Value> {
        let found = self
            .request(b"GET /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec())
            .await;
        let alerts = found["data"]["alerts"].as_array().expect("alerts");
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.cloned().collect()
    }

    async fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let form = Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let length = form.len();
        self.request(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}").into_bytes()).await
    }

    async fn request(&self, request: Vec<u8>) -> Value {
        let asked = String::from_utf8_lossy(&request).into_owned();
        let response = Client::connect(self.address).await.request(request).await;
        assert_eq!(response.status, 200, "{asked}\n{response:?}");
        serde_json::from_slice(&response.body).expect("JSON")
    }

    async fn eventually(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let so = async {
            while !is_so().await {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        wait_for(what, so).await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let log = self.log.lock().expect("no poison");
            eprintln!("--- what Prometheus said ---\n{log}");
        }
    }
}

/// Our own example with these targets, and a second between scrapes.
fn every_second(targets: &[SocketAddr]) -> String {
    let targets: Vec<_> = targets
        .iter()
        .map(|target| format!("\"{target}\""))
        .collect();
    let ours = files::scraping();
    assert!(ours.contains("\"127.0.0.1:9464\"") && ours.contains("interval: 15s"));
    ours.replace("\"127.0.0.1:9464\"", &targets.join(", "))
        .replace("interval: 15s", "interval: 1s")
}

fn name(alert: &Value) -> String {
    let name = alert["labels"]["alertname"].as_str();
    name.expect("an alert has a name").to_owned()
}

/// Where it says that it listens, once it says that it is ready; whatever it says is kept.
fn announced_address(process: &mut Child, log: &Arc<Mutex<String>>) -> SocketAddr {
    let stderr = process.stderr.take().expect("a pipe");
    let (found, address) = mpsc::channel();
    let log = Arc::clone(log);
    let kept = Arc::clone(&log);
    thread::spawn(move || {
        let mut address = None;
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let listening = line.split_once("\"Listening on\" address=");
            address = listening.map(|(_, at)| at.to_owned()).or(address);
            if line.contains("Server is ready") {
                let at: Option<SocketAddr> = address.as_ref().and_then(|at| at.parse().ok());
                found.send(at).expect("somebody waits for it");
            }
            log.lock().expect("no poison").push_str(&(line + "\n"));
        }
    });
    let ready = address.recv_timeout(TIMEOUT).ok().flatten();
    ready.unwrap_or_else(|| {
        let log = kept.lock().expect("no poison");
        panic!("Prometheus isn't ready:\n{log}")
    })
}
