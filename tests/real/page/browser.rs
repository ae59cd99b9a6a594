//! A real Chromium without a window, driven as a person drives it: by keys and clicks, and by what can be seen.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use support::{self, Sidecar, wait_for};

/// How long a look that saw nothing new waits for the next.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A browser on one page. It ends with this; when a test fails, it prints what was seen.
pub(super) struct Browser {
    page: Client,
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: TempDir,
}

/// Whether Chromium and axe can run here. If not, that is said loudly; where `UNDERSTUDY_REAL` is `required`, it fails.
pub(super) fn installed() -> bool {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    };
    if ["chromium", "chromedriver"].into_iter().all(runs) && axe().is_some() {
        return true;
    }
    support::skip("chromium, chromedriver and axe-core");
    false
}

/// The program that looks for what keeps people out.
fn axe() -> Option<String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    fs::read_to_string(target.join("real/node/node_modules/axe-core/axe.min.js")).ok()
}

impl Browser {
    /// One that shows the status page of this proxy.
    pub(super) async fn on(sidecar: &Sidecar) -> Self {
        Self::at(([127, 0, 0, 1], sidecar.admin.port()).into()).await
    }

    /// One that shows what is at this address.
    pub(super) async fn at(address: SocketAddr) -> Self {
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").stdin(Stdio::null());
        let mut driver = driver
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let port = announced_port(&mut driver);
        let profile = TempDir::new().expect("a folder");
        let wanted = json!({
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": [
                "--headless=new",
                // It may be root who runs this, where there is neither a sandbox nor much of /dev/shm.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--window-size=1440,1000",
                format!("--user-data-dir={}", profile.path().display()),
            ] },
        });
        let wanted = wanted.as_object().expect("an object").clone();
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a session");
        let session = page.session_id().await.expect("a session");
        let browser = Self {
            page,
            driver,
            address: ([127, 0, 0, 1], port).into(),
            session: session.expect("a session"),
            _profile: profile,
        };
        browser.go(&format!("http://{address}/")).await;
        browser
    }

    pub(super) async fn go(&self, url: &str) {
        self.page.goto(url).await.expect("it is there");
    }

    /// The value of this piece of JavaScript.
    pub(super) async fn value(&self, expression: &str) -> Value {
        let value = self
            .page
            .execute(&format!("return ({expression})"), Vec::new())
            .await;
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// A text of the page, as it is seen; nothing if it isn't.
    pub(super) async fn text(&self, selector: &str) -> String {
        let found = self.page.find(Locator::Css(selector)).await;
        match found {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until a text has all these in it.
    pub(super) async fn reads(&self, selector: &str, wanted: &[&str]) -> String {
        let mut text = String::new();
        let reading = async {
            loop {
                text = self.text(selector).await;
                if wanted.iter().all(|part| text.contains(part)) {
                    return;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        if tokio::time::timeout(support::TIMEOUT, reading)
            .await
            .is_err()
        {
            panic!("waited in vain for {wanted:?} in {selector}, which is {text:?}");
        }
        text
    }

    /// Waits until this piece of JavaScript is true.
    pub(super) async fn sees(&self, expression: &str) {
        let look = async {
            while self.value(expression).await != true {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        wait_for(expression, look).await;
    }

    /// Waits until the page has asked for the status so many times more.
    pub(super) async fn polled(&self, times: u64) {
        let asked = "performance.getEntriesByType('resource').filter((one) => one.name.includes('/api/status')).length";
        let before = self.value(asked).await.as_u64().expect("a number");
        self.sees(&format!("{asked} >= {}", before + times)).await;
    }

    pub(super) async fn click(&self, selector: &str) {
        let element = self
            .page
            .find(Locator::Css(selector))
            .await
            .expect(selector);
        element.click().await.expect(selector);
    }

    pub(super) async fn type_into(&self, selector: &str, text: &str) {
        let element = self
            .page
            .find(Locator::Css(selector))
            .await
            .expect(selector);
        element.clear().await.expect(selector);
        element.send_keys(text).await.expect(selector);
    }

    /// Presses these keys at once.
    pub(super) async fn press(&self, keys: &[char]) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys {
            actions = actions.then(KeyAction::Down { value: *value });
        }
        for value in keys.iter().rev() {
            actions = actions.then(KeyAction::Up { value: *value });
        }
        self.page
            .perform_actions(actions)
            .await
            .expect("a keyboard");
    }

    /// Presses Tab until this has the focus.
    pub(super) async fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            if self.has_focus(selector).await {
                return;
            }
            self.press(&[Key::Tab.into()]).await;
        }
        panic!("{selector} is not reached by the keyboard");
    }

    pub(super) async fn has_focus(&self, selector: &str) -> bool {
        let selector = json!(selector);
        self.value(&format!("document.activeElement.matches({selector})"))
            .await
            == true
    }

    /// As somebody has set it who prefers it dark, or light; or doesn't want things to move.
    pub(super) async fn prefers(&self, feature: &str, value: &str) {
        let features = json!({ "features": [{ "name": feature, "value": value }] });
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// On a screen so wide and so high.
    pub(super) async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800 });
        self.command("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        self.sees(&format!("innerWidth === {width}")).await;
    }

    async fn command(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("goog/cdp/execute", &body).await;
    }

    /// What the browser complained of since the last time it was asked; pages that can't be had are none of its complaints.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({ "type": "browser" })).await;
        let lines = log.as_array().expect("a log").iter();
        lines
            .filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING")
            .map(|line| line["message"].to_string())
            .collect()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let request = format!(
            "POST /session/{}/{path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.session,
            self.address,
            body.len()
        );
        let response = support::Client::connect(self.address)
            .await
            .request(request)
            .await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
        let response: Value = serde_json::from_slice(&response.body).expect("JSON");
        response["value"].clone()
    }

    /// Expects that axe finds nothing that keeps anybody out: contrast, names, roles, order.
    pub(super) async fn expect_accessible(&self, what: &str) {
        let axe = axe().expect("it is installed");
        if self.value("typeof axe === 'undefined'").await == true {
            self.page.execute(&axe, Vec::new()).await.expect("axe");
        }
        let script = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations.map( \
                      (one) => [one.id, one.help, ...one.nodes.map((node) => node.html + ' ' + node.failureSummary)])), (error) => done([String(error)]))";
        let found = self.page.execute_async(script, Vec::new()).await;
        let found = found.expect("axe runs");
        assert_eq!(found, json!([]), "{what}: {found:#}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the browser was at {} ---", self.address);
        }
        // Without this the browser would live on without its driver.
        let end = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.session, self.address
        );
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.set_read_timeout(Some(support::TIMEOUT));
            let _ = stream.write_all(end.as_bytes());
            // It answers once the browser has gone, and keeps the connection.
            let _ = stream.read(&mut [0; 1024]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that chromedriver says it was given.
fn announced_port(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
    let mut lines = lines.map_while(Result::ok);
    let port = lines.find_map(|line| {
        let rest = line.strip_prefix("ChromeDriver was started successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    // What it says later goes nowhere.
    thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says its port")
}
