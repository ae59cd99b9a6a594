//! One understudy behind sockets that are passed as systemd passes them: its configuration, its process, and the processes that
//! follow it in restarts and upgrades.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::Metrics;
use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};

use crate::accountant::Accountant;
use crate::app::Apps;
use crate::pki::Authority;
use crate::plan::{App, Door, Kind, ROUTES, Route, Special};
use crate::wire::{HOST, Wire};

/// How long a poll that found nothing new waits for the next.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long understudy may take to start, to end, or to do what it is told. More is a failure of the run.
const LIMIT: Duration = Duration::from_secs(60);

/// The shell's process id is understudy's too, and systemd's first socket is file descriptor 3.
const START: &str = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:admin; exec \"$@\" 3<&0 4<&2 </dev/null 2>&1";

/// An understudy, and everything it is started with.
pub(crate) struct Instance {
    pub(crate) door: Door,
    pub(crate) address: SocketAddr,
    pub(crate) accountant: Arc<Accountant>,
    listener: TcpListener,
    admin_listener: TcpListener,
    admin: SocketAddr,
    folder: TempDir,
    binary: PathBuf,
    apps: Arc<Apps>,
    authority: Arc<Authority>,
    edition: AtomicU64,
    /// The process that accepts.
    pid: AtomicU32,
    processes: Mutex<Processes>,
    /// What it says of itself.
    messages: broadcast::Sender<Arc<Value>>,
    token: Mutex<String>,
}

#[derive(Default)]
struct Processes {
    /// Those that were started from here, until they have been waited for.
    children: Vec<Child>,
    /// Those that have handed over and may still be there.
    old: Vec<u32>,
    /// How many have ended since the last audit.
    ended: u64,
}

impl Instance {
    pub(crate) fn new(
        door: Door,
        binary: &Path,
        apps: &Arc<Apps>,
        authority: &Arc<Authority>,
        accountant: &Arc<Accountant>,
    ) -> Self {
        let listener = listen();
        let admin_listener = listen();
        let instance = Self {
            door,
            address: listener.local_addr().expect("an address"),
            admin: admin_listener.local_addr().expect("an address"),
            accountant: Arc::clone(accountant),
            listener,
            admin_listener,
            folder: TempDir::new().expect("a folder"),
            binary: binary.to_owned(),
            apps: Arc::clone(apps),
            authority: Arc::clone(authority),
            edition: AtomicU64::new(0),
            pid: AtomicU32::new(0),
            processes: Mutex::default(),
            messages: broadcast::Sender::new(10_000),
            token: Mutex::new("token-0".to_owned()),
        };
        fs::write(instance.path("app-ca.pem"), &authority.pem).expect("a file");
        instance.write_tokens(&["token-0"]);
        if door == Door::Tls {
            instance.write_certificate();
        }
        instance
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Relaxed)
    }

    /// The token that requests are signed with now.
    pub(crate) fn token(&self) -> String {
        self.token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_token(&self, token: &str) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token.to_owned();
    }

    /// Puts another file in a file's place, in one step.
    pub(crate) fn replace(&self, name: &str, contents: impl AsRef<[u8]>) {
        let new = self.path(&format!(".{name}.new"));
        fs::write(&new, contents).expect("a file");
        fs::rename(new, self.path(name)).expect("a file");
    }

    pub(crate) fn write_tokens(&self, tokens: &[&str]) {
        let lines: Vec<_> = tokens.iter().map(|token| format!("*={token}\n")).collect();
        self.replace("tokens", lines.concat());
    }

    /// Writes a new certificate and its key, one after the other.
    pub(crate) fn write_certificate(&self) {
        let issued = self.authority.issue(&[HOST]);
        self.replace("cert.pem", &issued.cert);
        self.replace("key.pem", &issued.key);
    }

    /// Writes the configuration of the next edition. Its number is given back.
    pub(crate) fn write_config(&self) -> u64 {
        let (edition, text) = self.next_config();
        self.replace("understudy.toml", text);
        edition
    }

    /// The configuration of the next edition, from now on expected to be in force at any time.
    pub(crate) fn next_config(&self) -> (u64, String) {
        let edition = self.edition.fetch_add(1, Relaxed) + 1;
        self.accountant.editions[&self.door].write(edition);
        (edition, self.config(edition))
    }

    pub(crate) fn confirm(&self, edition: u64) {
        self.accountant.editions[&self.door].confirm(edition);
    }

    /// The configuration of the present edition.
    pub(crate) fn present_config(&self) -> String {
        self.config(self.edition.load(Relaxed))
    }

    fn config(&self, edition: u64) -> String {
        let url = |app| self.apps.url(app);
        let tls = match self.door {
            Door::Plain => "",
            Door::Tls => "tls = { cert = \"cert.pem\", key = \"key.pem\" }\n",
        };
        let mut config = format!(
            r#"[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 2
drain = "10s"
public_url = "https://{HOST}"
{tls}
[upstream]
url = "{tcp}"
connect_timeout = "100ms"
retry_connect = "100ms"
idle_timeout = "1s"
max_connection_age = "7s"
[upstreams.unix]
url = "{unix}"
retry_connect = "100ms"
idle_timeout = "1s"
[upstreams.child]
url = "{child}"
retry_connect = "100ms"
idle_timeout = "1s"
[upstreams.refused]
url = "{refused}"
retry_connect = "30ms"
[upstreams.full]
url = "{full}"
connect_timeout = "50ms"
[upstreams.secure]
url = "{secure}"
idle_timeout = "1s"
tls = {{ ca = "app-ca.pem" }}
[signature]
tokens_file = "tokens"
[defaults]
deadline = "500ms"
access_log = true
breaker = {{ failures = 0 }}
"#,
            tcp = url(App::Tcp),
            unix = url(App::Unix),
            child = url(App::Child),
            refused = url(App::Refused),
            full = url(App::Full),
            secure = url(App::Secure),
        );
        for route in ROUTES {
            if route.special != Special::Unmatched {
                config.push_str(&self.route(route, edition));
            }
        }
        config
    }

    fn route(&self, route: &Route, edition: u64) -> String {
        let name = route.name;
        let kind = match (route.special, route.kind) {
            (Special::Auto, _) => "auto",
            (_, Kind::Voice) => "voice",
            (_, Kind::Messaging) => "messaging",
            (_, Kind::Callback) => "callback",
            (_, Kind::Pass) => "pass",
        };
        let mut lines =
            format!("[[route]]\nname = \"{name}\"\npath = \"/{name}/*\"\nkind = \"{kind}\"\n");
        let mut line = |text: &str| {
            lines.push_str(text);
            lines.push('\n');
        };
        match route.app {
            App::Tcp => {}
            App::Unix => line("upstream = \"unix\""),
            App::Secure => line("upstream = \"secure\""),
            App::Child => line("upstream = \"child\""),
            App::Refused => line("upstream = \"refused\""),
            App::Full => line("upstream = \"full\""),
        }
        match route.special {
            Special::Breaker => line("breaker = { failures = 2, probe_every = \"200ms\" }"),
            Special::Narrow => line("max_in_flight = 3"),
            Special::Signed => line("signature = \"enforce\""),
            Special::Observed => line("mode = \"observe\""),
            _ => {}
        }
        let voice = format!("<Response><Say>{edition} {name} {{{{CallSid}}}}</Say></Response>");
        let messaging =
            format!("<Response><Message>{edition} {name} {{{{MessageSid}}}}</Message></Response>");
        match (route.special, route.kind) {
            (Special::Auto, _) => {
                line(&format!("fallback.voice = {{ inline = \"{voice}\" }}"));
                line(&format!(
                    "fallback.messaging = {{ inline = \"{messaging}\" }}"
                ));
            }
            (Special::FallbackUrl, _) => {
                let app = self.apps.url(App::Tcp);
                line(&format!(
                    "fallback = {{ url = \"{app}/fallback\", budget = \"200ms\", inline = \"{voice}\" }}"
                ));
            }
            (_, Kind::Voice) => line(&format!("fallback = {{ inline = \"{voice}\" }}")),
            (_, Kind::Messaging) => line(&format!("fallback = {{ inline = \"{messaging}\" }}")),
            (_, Kind::Callback | Kind::Pass) => {}
        }
        lines
    }

    /// Starts a process and waits until it accepts requests.
    pub(crate) async fn start(&self) -> Result<(), String> {
        let mut messages = self.messages.subscribe();
        let socket = |listener: &TcpListener| {
            Stdio::from(OwnedFd::from(listener.try_clone().expect("a socket")))
        };
        let mut child = Command::new("sh")
            .args(["-c", START, "sh"])
            .arg(&self.binary)
            .args(["run", "--config"])
            .arg(self.path("understudy.toml"))
            .env_remove("RUST_LOG")
            .stdin(socket(&self.listener))
            .stderr(socket(&self.admin_listener))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        self.follow_log(&mut child);
        self.pid.store(child.id(), Relaxed);
        self.processes().children.push(child);
        message(&mut messages, "listening", |line| {
            line["message"] == "listening"
        })
        .await?;
        Ok(())
    }

    fn follow_log(&self, child: &mut Child) {
        let stdout = child.stdout.take().expect("a pipe");
        let (door, accountant) = (self.door, Arc::clone(&self.accountant));
        let messages = self.messages.clone();
        thread::spawn(move || {
            let mut lines = BufReader::with_capacity(1 << 16, stdout);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                accountant.log_line(door, line.trim_end());
                if line.contains("\"understudy::command")
                    && let Ok(value) = serde_json::from_str(&line)
                {
                    // Nobody may wait for it.
                    let _ = messages.send(Arc::new(value));
                }
                line.clear();
            }
        });
    }

    /// Ends the process in good order and waits for that.
    pub(crate) async fn stop(&self) -> Result<(), String> {
        let pid = self.pid();
        signal(pid, Signal::TERM);
        self.wait_for_end(pid).await?;
        self.wait_for_old().await
    }

    /// Waits until all processes that have handed over are gone.
    pub(crate) async fn wait_for_old(&self) -> Result<(), String> {
        let old = std::mem::take(&mut self.processes().old);
        for pid in old {
            self.wait_for_end(pid).await?;
        }
        Ok(())
    }

    async fn wait_for_end(&self, pid: u32) -> Result<(), String> {
        let ended = async {
            while self.is_running(pid) {
                sleep(POLL_INTERVAL).await;
            }
        };
        timeout(LIMIT, ended)
            .await
            .map_err(|_| format!("process {pid} did not end within {LIMIT:?}"))?;
        self.processes().ended += 1;
        Ok(())
    }

    /// How many of its processes have ended since this was taken.
    pub(crate) fn take_ended(&self) -> u64 {
        std::mem::take(&mut self.processes().ended)
    }

    fn is_running(&self, pid: u32) -> bool {
        let mut processes = self.processes();
        processes
            .children
            .retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
        let status = fs::read_to_string(format!("/proc/{pid}/stat"));
        status.is_ok_and(|status| !status.contains(") Z "))
    }

    /// Hands over to a new process. `Ok(false)`: the old one goes on, since the new one could not start.
    pub(crate) async fn upgrade(&self) -> Result<bool, String> {
        let mut messages = self.messages.subscribe();
        let pid = self.pid();
        signal(pid, Signal::USR2);
        let line = message(&mut messages, "the end of the upgrade", |line| {
            line["message"].as_str().is_some_and(|text| {
                text.starts_with("upgraded:") || text.starts_with("upgrade failed")
            })
        })
        .await?;
        let Some(new) = line["pid"].as_u64() else {
            return Ok(false);
        };
        self.processes().old.push(pid);
        self.pid
            .store(u32::try_from(new).expect("a process id"), Relaxed);
        Ok(true)
    }

    /// A request to the admin listener: the status and the body.
    pub(crate) async fn admin(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<(u16, String), String> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut wire = Wire::connect(self.admin, None)
            .await
            .map_err(|error| error.to_string())?;
        wire.send(request.as_bytes())
            .await
            .map_err(|error| error.to_string())?;
        let response = wire.response().await.map_err(|error| error.to_string())?;
        Ok((
            response.status,
            String::from_utf8_lossy(&response.body).into_owned(),
        ))
    }

    pub(crate) async fn metrics(&self) -> Result<Metrics, String> {
        let (status, text) = self.admin("GET", "/metrics", "").await?;
        match status {
            200 => Ok(Metrics::parse(&text)),
            _ => Err(format!("/metrics: {status}")),
        }
    }

    /// How many descriptors its process has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.pid()));
        folder.map_or(0, Iterator::count)
    }

    /// What each of them is; of a socket of the Internet, both addresses and the state as the kernel has them.
    pub(crate) fn describe_descriptors(&self) -> String {
        let pid = self.pid();
        let sockets = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
        let socket = |link: &str| {
            let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
            sockets.lines().find_map(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                (words.get(9) == Some(&inode)).then(|| words[1..4].join(" "))
            })
        };
        let folder = fs::read_dir(format!("/proc/{pid}/fd"));
        let all = folder.into_iter().flatten().flatten().map(|entry| {
            let link = fs::read_link(entry.path()).unwrap_or_default();
            let link = link.display().to_string();
            let number = entry.file_name().display().to_string();
            match socket(&link) {
                Some(addresses) => format!("{number} {link} {addresses}"),
                None => format!("{number} {link}"),
            }
        });
        let mut all: Vec<_> = all.collect();
        all.sort();
        all.join(", ")
    }

    /// How much memory its process has, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or_default()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let processes = std::mem::take(&mut *self.processes());
        for pid in processes.old.iter().chain([&self.pid()]) {
            if self.is_running(*pid) {
                signal(*pid, Signal::KILL);
            }
        }
        for mut child in processes.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal. The process may have ended by then.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

/// Waits for a message in the log.
async fn message(
    messages: &mut broadcast::Receiver<Arc<Value>>,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Result<Arc<Value>, String> {
    let found = async {
        loop {
            match messages.recv().await {
                Ok(line) if is_so(&line) => return Some(line),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    };
    match timeout(LIMIT, found).await {
        Ok(Some(line)) => Ok(line),
        Ok(None) | Err(_) => Err(format!("waited in vain for {what}")),
    }
}

/// A listening socket, as systemd has it.
fn listen() -> TcpListener {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&any.into()).expect("a port");
    socket.listen(4096).expect("a socket");
    socket.into()
}
