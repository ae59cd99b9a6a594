//! A real HAProxy by the file that we give to people, and the addresses that its instances have here.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use support::wait_for;

/// How long a poll that found nothing new waits for the next.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The names of its servers.
pub(super) const NAMES: [&str; 3] = ["one", "two", "three"];

/// Whether HAProxy, and curl as its client, can run here. If not, that is said loudly; where `UNDERSTUDY_REAL` is `required`, it
/// fails.
pub(super) fn installed() -> bool {
    let runs = |program: &str, argument: &str| {
        let probe = Command::new(program).arg(argument).output();
        probe.is_ok_and(|output| output.status.success())
    };
    if runs(program(), "-v") && runs("curl", "--version") {
        return true;
    }
    support::skip("haproxy and curl");
    false
}

/// Debian's stands where only root looks.
pub(super) fn program() -> &'static str {
    let debian = "/usr/sbin/haproxy";
    if Path::new(debian).exists() {
        debian
    } else {
        "haproxy"
    }
}

/// The file as it stands.
pub(super) fn config() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/haproxy/haproxy.cfg");
    fs::read_to_string(path).expect("the example")
}

/// One of the four addresses on loopback that nobody else has: their last three bytes are this process's number, four times.
pub(crate) fn own_address(place: u32) -> Ipv4Addr {
    Ipv4Addr::from((127 << 24) | ((std::process::id() << 2) & 0x00ff_ffff) | place)
}

/// The same with a port.
pub(super) fn address(place: u32, port: u16) -> SocketAddr {
    SocketAddrV4::new(own_address(place), port).into()
}

/// A certificate for Twilio to see: with its key, as HAProxy wants it, and alone.
pub(super) fn certificate() -> (String, String) {
    let names = ["hooks.example.com".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    (format!("{cert}{key}"), cert)
}

/// A running HAProxy. It ends with this; when a test fails, it prints its log.
pub(super) struct Haproxy {
    process: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Where it takes calls.
    pub(super) address: SocketAddr,
    /// Where its certificate is.
    pub(super) folder: TempDir,
}

impl Haproxy {
    /// One before the addresses of [`address`], once it takes calls. `ports`: its own, theirs, and their admin listeners'.
    pub(super) async fn start(ports: [u16; 3], certificate: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("both.pem"), certificate).expect("a file");
        let config = moved_here(folder.path(), ports);
        Self::run(folder, &config, address(0, ports[0])).await
    }

    /// One that forwards TCP connections as they are to the first of the addresses, and says by this option of `server` who its
    /// clients are. It checks the server by a request for `/pass/health`.
    pub(super) async fn forwarding_tcp([own, calls]: [u16; 2], option: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let config = format!(
            "global\n    log stdout format raw local0\n    stats socket {socket} mode 600 level admin\n\
             defaults\n    mode tcp\n    log global\n    timeout connect 1s\n    timeout client 20s\n    timeout server 20s\n\
             listen understudy\n    bind {from}\n    option httpchk GET /pass/health\n    server one {to} check inter 250ms {option}\n",
            socket = folder.path().join("admin.sock").display(),
            from = address(0, own),
            to = address(1, calls),
        );
        Self::run(folder, &config, address(0, own)).await
    }

    async fn run(folder: TempDir, config: &str, address: SocketAddr) -> Self {
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, config).expect("a file");
        let mut process = Command::new(program())
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("HAProxy starts");
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&log);
        let stdout = process.stdout.take().expect("a pipe");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                kept.lock().expect("no poison").push(line);
            }
        });
        let haproxy = Self {
            process,
            log,
            address,
            folder,
        };
        eventually("HAProxy to listen", || {
            TcpStream::connect(haproxy.address).is_ok()
        })
        .await;
        haproxy
    }

    /// What it has said so far.
    fn lines(&self) -> Vec<String> {
        self.log.lock().expect("no poison").clone()
    }

    /// Waits until a server is `UP` or `DOWN` to it.
    pub(super) async fn sees(&self, server: &str, state: &str) {
        let what = format!("{server} to be {state}");
        eventually(&what, || self.statistic(server, "status") == state).await;
    }

    /// How often a server failed with a request that it had been sent.
    pub(super) fn failures_of(&self, server: &str) -> usize {
        let failures = self.statistic(server, "eresp");
        failures.parse().expect("a number")
    }

    /// What `show stat` has in a column for a server. (Its log is no measure: a line that finds the pipe full is dropped.)
    fn statistic(&self, server: &str, column: &str) -> String {
        let mut socket =
            UnixStream::connect(self.folder.path().join("admin.sock")).expect("HAProxy");
        socket.write_all(b"show stat\n").expect("HAProxy listens");
        let mut table = String::new();
        socket.read_to_string(&mut table).expect("HAProxy answers");
        let mut rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
        let names = rows.next().expect("a head");
        let at = names.iter().position(|name| *name == column).expect(column);
        let row = rows.find(|row| row[..2] == ["understudy", server]);
        row.expect(server)[at].to_owned()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("--- what HAProxy said ---\n{}", self.lines().join("\n"));
        }
    }
}

/// The file with the addresses, the log and the paths of this test, and without the user that Debian's package makes.
fn moved_here(folder: &Path, [own, calls, admin]: [u16; 3]) -> String {
    let tls = SocketAddr::new(address(0, 0).ip(), own + 1);
    let mut moved = vec![
        (
            "log /dev/log local0".into(),
            "log stdout format raw local0".into(),
        ),
        (
            "    user haproxy\n    group haproxy\n    chroot /var/lib/haproxy\n".into(),
            String::new(),
        ),
        (
            "/run/haproxy/admin.sock".into(),
            folder.join("admin.sock").display().to_string(),
        ),
        ("bind :80\n".into(), format!("bind {}\n", address(0, own))),
        (
            "# bind :443 ssl crt /etc/haproxy/certs/".into(),
            format!("bind {tls} ssl crt {}", folder.join("both.pem").display()),
        ),
        ("check port 9464".into(), format!("check port {admin}")),
    ];
    for (place, name) in NAMES.iter().enumerate() {
        let at = u32::try_from(place).expect("three of them") + 1;
        moved.push((
            format!("server {name} 10.0.0.1{at}:8080"),
            format!("server {name} {}", address(at, calls)),
        ));
    }
    moved.iter().fold(config(), |text, (theirs, ours)| {
        assert!(text.contains(theirs.as_str()), "{theirs}");
        text.replace(theirs, ours)
    })
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    wait_for(what, async {
        while !is_so() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    })
    .await;
}
