//! The real binary with a configuration of its own, on ports that the kernel chooses.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Response};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::process::{binary, kill};
use crate::time::{POLL_INTERVAL, wait_for};
use crate::twilio::Webhook;
use crate::upstream::FakeUpstream;

/// A route of each kind, named after it, below a path of that name.
const ROUTES: &str = r#"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
[[route]]
name = "messaging"
path = "/messaging/*"
kind = "messaging"
[[route]]
name = "callback"
path = "/callback/*"
kind = "callback"
[[route]]
name = "pass"
path = "/pass/*"
kind = "pass"
[[route]]
name = "auto"
path = "/auto/*"
kind = "auto"
"#;

/// A running proxy. It is killed when dropped; when a test fails, it prints its log.
pub struct Sidecar {
    child: Child,
    log: Arc<Log>,
    folder: TempDir,
    /// Where it takes calls.
    pub address: SocketAddr,
    /// Where it shows its metrics.
    pub admin: SocketAddr,
}

/// A signal for a running proxy.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// SIGTERM: drain and end.
    Terminate,
    /// SIGINT: the same.
    Interrupt,
    /// SIGHUP: read the configuration again.
    HangUp,
    /// SIGUSR1.
    User1,
    /// SIGUSR2: hand over to a new process.
    Upgrade,
    /// SIGSTOP: stand still, as on a machine that has no time for it.
    Stop,
    /// SIGCONT: go on.
    Continue,
}

/// A proxy that is still to be started.
pub struct Builder {
    server: Vec<String>,
    upstream: Vec<String>,
    defaults: Vec<String>,
    routes: String,
    files: Vec<(String, Vec<u8>)>,
    whole: Option<String>,
    rust_log: Option<String>,
    /// The command that starts it, if there is one.
    within: Vec<String>,
    /// The URL of the app, where there is no configuration.
    upstream_alone: Option<String>,
    /// The public socket, where systemd would pass it.
    socket: Option<TcpListener>,
}

impl Sidecar {
    /// A proxy before this app, with two workers and a route of each kind.
    pub fn before(app: &FakeUpstream) -> Builder {
        Self::before_url(&app.url())
    }

    /// The same before whatever is at this address.
    pub fn before_address(address: SocketAddr) -> Builder {
        Self::before_url(&format!("http://{address}"))
    }

    /// The same before whatever is at this URL.
    pub fn before_url(url: &str) -> Builder {
        Builder {
            server: Vec::new(),
            upstream: vec![format!("url = \"{url}\"")],
            defaults: Vec::new(),
            routes: ROUTES.to_owned(),
            files: Vec::new(),
            whole: None,
            rust_log: None,
            within: Vec::new(),
            upstream_alone: None,
            socket: None,
        }
        .server("listen = \"127.0.0.1:0\"")
        .server("admin = \"127.0.0.1:0\"")
        .workers(2)
    }

    /// A new connection to it.
    pub async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Its response to this request, on a connection of its own.
    pub async fn request(&self, request: impl Into<Vec<u8>>) -> Response {
        self.connect().await.request(request).await
    }

    /// Why each of so many calls at once got its fallback, if it did.
    pub async fn reasons(&self, webhook: &Webhook, many: usize) -> Vec<Option<String>> {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..many {
            let (address, webhook) = (self.address, webhook.bytes());
            calls.spawn(async move {
                let response = Client::connect(address).await.request(webhook).await;
                response.reason().map(str::to_owned)
            });
        }
        calls.join_all().await
    }

    /// What the admin listener has at this path.
    pub async fn admin_get(&self, path: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Client::connect(self.admin).await.request(request).await
    }

    /// The admin listener's response to a POST without a body.
    pub async fn admin_post(&self, path: &str) -> Response {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"
        );
        Client::connect(self.admin).await.request(request).await
    }

    /// Every series as it is now.
    pub async fn metrics(&self) -> Metrics {
        let response = self.admin_get("/metrics").await;
        assert_eq!(response.status, 200);
        Metrics::parse(&response.text())
    }

    /// The sum of a metric's series that have all these labels, as it is now.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().await.sum(name, labels)
    }

    /// Waits until the sum of a counter's series that have all these labels is what it should be.
    ///
    /// # Panics
    ///
    /// If it is more, or never gets there.
    pub async fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let reach = async {
            loop {
                let now = self.metric(name, labels).await;
                assert!(now <= value, "{name} {labels:?} is {now}, over {value}");
                if now == value {
                    return;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        wait_for(&format!("{name} {labels:?} to be {value}"), reach).await;
    }

    /// What it has logged so far, line by line.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.lines()
    }

    /// From now on nobody reads what it says, until it ends.
    pub fn hold_log(&self) {
        self.log.pause(true);
    }

    /// Waits for a line of its log that is so.
    pub async fn wait_for_log(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_for("a line in the log", self.log.line(is_so))
            .await
            .expect("it is logged before the end")
    }

    /// The most memory that it has had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| {
            let kibibytes = line.strip_prefix("VmHWM:")?.strip_suffix("kB")?;
            kibibytes.trim().parse::<u64>().ok()
        });
        peak.expect("Linux says so") * 1024
    }

    /// Tells it something.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Interrupt => "-INT",
            Signal::HangUp => "-HUP",
            Signal::User1 => "-USR1",
            Signal::Upgrade => "-USR2",
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        kill(name, self.child.id());
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        let end = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child") {
                    return status;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        wait_for("the proxy's end", end).await
    }

    /// The configuration as it is in its file.
    pub fn config(&self) -> String {
        fs::read_to_string(self.config_path()).expect("the configuration")
    }

    /// Where its configuration is.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("understudy.toml")
    }

    /// Puts another configuration in its file's place, in one step.
    pub fn rewrite_config(&self, text: &str) {
        self.rewrite("understudy.toml", text);
    }

    /// Puts another file in a file's place, in one step.
    pub fn rewrite(&self, name: &str, contents: impl AsRef<[u8]>) {
        let new = self.folder.path().join(format!(".{name}.new"));
        fs::write(&new, contents).expect("a file");
        fs::rename(new, self.folder.path().join(name)).expect("a file");
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.pause(false);
        if thread::panicking() {
            // A test may have put something else in the file's place, which would never come to an end.
            if self.config_path().is_file() {
                eprintln!("--- configuration ---\n{}", self.config());
            }
            eprintln!("--- log ---\n{}", self.log_lines().join("\n"));
        }
    }
}

impl Builder {
    /// With one more line under `[server]`.
    #[must_use]
    pub fn server(self, line: &str) -> Self {
        let server = with(self.server, line);
        Self { server, ..self }
    }

    /// With one more line under `[upstream]`.
    #[must_use]
    pub fn upstream(self, line: &str) -> Self {
        let upstream = with(self.upstream, line);
        Self { upstream, ..self }
    }

    /// With one more line under `[defaults]`.
    #[must_use]
    pub fn defaults(self, line: &str) -> Self {
        let defaults = with(self.defaults, line);
        Self { defaults, ..self }
    }

    /// With so many workers.
    #[must_use]
    pub fn workers(self, many: usize) -> Self {
        self.server(&format!("workers = {many}"))
    }

    /// With this deadline on every route.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        self.defaults(&format!("deadline = \"{}ms\"", deadline.as_millis()))
    }

    /// With these routes, as TOML, for the usual ones.
    #[must_use]
    pub fn routes(mut self, routes: &str) -> Self {
        self.routes = routes.to_owned();
        self
    }

    /// With this file beside its configuration.
    #[must_use]
    pub fn file(mut self, name: &str, contents: impl AsRef<[u8]>) -> Self {
        self.files.push((name.to_owned(), contents.as_ref().into()));
        self
    }

    /// With this configuration for the whole of the usual one.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.whole = Some(text.to_owned());
        self
    }

    /// With this for `RUST_LOG`.
    #[must_use]
    pub fn rust_log(mut self, filter: &str) -> Self {
        self.rust_log = Some(filter.to_owned());
        self
    }

    /// Started by this command, which the binary and its arguments follow.
    #[must_use]
    pub fn within(mut self, command: &[&str]) -> Self {
        self.within = command.iter().map(ToString::to_string).collect();
        self
    }

    /// Without a configuration, before the app at this URL.
    #[must_use]
    pub fn without_config(mut self, upstream: &str) -> Self {
        self.upstream_alone = Some(upstream.to_owned());
        self
    }

    /// On this socket, passed as systemd passes it.
    #[must_use]
    pub fn socket(mut self, socket: &TcpListener) -> Self {
        self.socket = Some(socket.try_clone().expect("a socket"));
        // The shell's process id is the proxy's too, and systemd's first socket is file descriptor 3.
        let script =
            "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http; exec \"$@\" 3<&0 </dev/null";
        self.within(&["sh", "-c", script, "sh"])
    }

    /// Starts it and waits until it takes calls.
    pub async fn start(mut self) -> Sidecar {
        let folder = TempDir::new().expect("a folder");
        for (name, contents) in &self.files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, contents).expect("a file");
        }
        let config = folder.path().join("understudy.toml");
        fs::write(&config, self.text()).expect("a file");

        let mut child = self.spawn(&config);
        let log = Log::of(&mut child);
        let ready = log.line(|line| line["message"] == "listening");
        let ready = wait_for("the proxy to take calls", ready).await;
        let Some(ready) = ready else {
            let said = log.lines().join("\n");
            panic!("the proxy did not start:\n{}\n{said}", self.text());
        };
        Sidecar {
            child,
            log,
            folder,
            address: first_address(&ready["listen"]),
            admin: first_address(&ready["admin"]),
        }
    }

    fn spawn(&mut self, config: &Path) -> Child {
        let stdin = match self.socket.take() {
            Some(socket) => Stdio::from(OwnedFd::from(socket)),
            None => Stdio::null(),
        };
        let mut command = self.within.iter().map(OsString::from).chain([binary()]);
        let mut child = Command::new(command.next().expect("there is a binary"));
        child.args(command).arg("run");
        match &self.upstream_alone {
            Some(url) => {
                child.args(["--upstream", url]);
                child.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
            }
            None => {
                child.arg("--config").arg(config);
            }
        }
        child
            .env_remove("RUST_LOG")
            .envs(self.rust_log.as_ref().map(|filter| ("RUST_LOG", filter)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        child.spawn().expect("the binary runs")
    }

    fn text(&self) -> String {
        let Self {
            server,
            upstream,
            defaults,
            routes,
            whole,
            ..
        } = self;
        whole.clone().unwrap_or_else(|| {
            let [server, upstream, defaults] =
                [server, upstream, defaults].map(|lines| lines.join("\n"));
            format!("[server]\n{server}\n[upstream]\n{upstream}\n[defaults]\n{defaults}\n{routes}")
        })
    }
}

/// One more line; a line with the same key is replaced.
fn with(mut lines: Vec<String>, line: &str) -> Vec<String> {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    lines.retain(|own| key(own) != key(line));
    lines.push(line.to_owned());
    lines
}

fn first_address(addresses: &Value) -> SocketAddr {
    let first = addresses.as_str().and_then(|text| text.split(' ').next());
    first
        .and_then(|address| address.parse().ok())
        .expect("the log says the address")
}
