//! What systemd is notified of, and when.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram as UnixSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use support::{Client, FakeUpstream, wait_for};

/// A service manager that listens, and the proxy that talks to it.
struct Service {
    socket: UnixDatagram,
    child: Child,
    folder: tempfile::TempDir,
}

impl Service {
    fn start(app: &FakeUpstream, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let path = path.to_string_lossy().into_owned();
        Self::start_with(app, folder, (socket, &path), environment)
    }

    fn start_with(
        app: &FakeUpstream,
        folder: tempfile::TempDir,
        (socket, name): (UnixDatagram, &str),
        environment: &[(&str, &str)],
    ) -> Self {
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://{}\"\n",
            app.address()
        );
        fs::write(folder.path().join("understudy.toml"), config).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .args(["run", "--config"])
            .arg(folder.path().join("understudy.toml"))
            .env("NOTIFY_SOCKET", name)
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

    /// Waits until it is notified of this.
    async fn hears(&self, wanted: &str) -> String {
        let mut message = vec![0; 4096];
        wait_for(wanted, async {
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
async fn it_reports_readiness_reloads_and_the_end() {
    let app = FakeUpstream::with_document("<Response/>");
    let mut service = Service::start(&app, &[]);
    let ready = service.hears("READY=1").await;
    assert!(
        ready.contains("STATUS=0 routes, serving from app"),
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
    let end = wait_for("the end", service.child.wait())
        .await
        .expect("it ends");
    assert_eq!(end.code(), Some(0));
}

#[tokio::test]
async fn a_socket_in_the_abstract_namespace_is_notified_too() {
    let app = FakeUpstream::with_document("<Response/>");
    let name = format!("understudy-test-{}", std::process::id());
    let address = UnixAddress::from_abstract_name(&name).expect("a name");
    let socket = UnixSocket::bind_addr(&address).expect("a socket");
    socket.set_nonblocking(true).expect("a socket");
    let socket = UnixDatagram::from_std(socket).expect("a socket");
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::start_with(&app, folder, (socket, &format!("@{name}")), &[]);
    service.hears("READY=1").await;
    service.signal("TERM");
    service.hears("STOPPING=1").await;
}

#[tokio::test]
async fn in_an_upgrade_systemd_learns_of_the_new_process_which_then_pings_the_watchdog() {
    let app = FakeUpstream::with_document("<Response/>");
    let within = Duration::from_secs(4).as_micros().to_string();
    let own_pid = [("WATCHDOG_USEC", within.as_str())];
    let mut service = Service::start(&app, &own_pid);
    service.hears("READY=1").await;
    service.signal("USR2");
    let main = service.hears("MAINPID=").await;
    assert!(main.lines().any(|line| line == "READY=1"), "{main}");
    let pid = main.lines().find_map(|line| line.strip_prefix("MAINPID="));
    let pid: u32 = pid.and_then(|pid| pid.parse().ok()).expect("a process id");
    assert_ne!(Some(pid), service.child.id());
    let end = wait_for("the old one's end", service.child.wait()).await;
    assert_eq!(end.expect("it ends").code(), Some(0));
    // Only the new one is left to say so.
    service.hears("STATUS=").await;
    service.hears("WATCHDOG=1").await;
    service.hears("WATCHDOG=1").await;
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("kill -TERM {pid}")])
        .status();
    assert!(status.expect("a shell runs").success());
    service.hears("STOPPING=1").await;
}

#[tokio::test]
async fn the_watchdog_is_fed_while_every_accept_loop_goes_round() {
    let app = FakeUpstream::with_document("<Response/>");
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
    let output = wait_for("the end", output).await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("NOTIFY_SOCKET isn't set") && said.contains("WatchdogSec="),
        "{said}"
    );
}

const ADMIN_TOKEN: &str = "a-token-of-the-tests";

/// The proxy with this socket, passed as systemd passes it, for its admin listener.
fn with_admin_socket(socket: TcpListener, arguments: &[&str]) -> Command {
    // The shell's process id is the proxy's too, and systemd's first socket is file descriptor 3.
    let script =
        "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=admin; exec \"$@\" 3<&0 </dev/null";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_understudy"), "run"])
        .args(arguments)
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .stdin(OwnedFd::from(socket))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Sockets that others than this machine's own processes can reach, as far as the machine has such addresses.
fn sockets_off_loopback() -> Vec<TcpListener> {
    // Nothing is sent: this only asks which address of this machine would be used.
    let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let own = own.ok().map(|own| SocketAddr::new(own.ip(), 0));
    let any = ["0.0.0.0:0", "[::]:0"].map(|address| address.parse().expect("an address"));
    let addresses = any.into_iter().chain(own);
    let sockets: Vec<_> = addresses
        .filter_map(|address: SocketAddr| TcpListener::bind(address).ok())
        .collect();
    assert!(!sockets.is_empty(), "no address can be listened on");
    sockets
}

fn write_config(folder: &Path, server: &str) -> String {
    let path = folder.join("understudy.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[upstream]\nurl = \"http://127.0.0.1:1\"\n"
    );
    fs::write(&path, text).expect("a file");
    path.to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_passed_admin_socket_off_loopback_without_a_token_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), "");
    for arguments in [
        &["--config", &config][..],
        &[
            "--upstream",
            "http://127.0.0.1:1",
            "--listen",
            "127.0.0.1:0",
        ],
    ] {
        for socket in sockets_off_loopback() {
            let address = socket.local_addr().expect("an address").to_string();
            let output = with_admin_socket(socket, arguments).output();
            let output = wait_for("the end", output).await.expect("the binary runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{address}: {said}");
            for words in [
                &address,
                "is not on loopback",
                "admin_token_file = \"admin.token\"",
                "ListenStream=127.0.0.1:9464",
            ] {
                assert!(said.contains(words), "{words} is not in {said}");
            }
        }
    }
}

#[tokio::test]
async fn a_passed_admin_socket_needs_its_token_for_as_long_as_it_is_off_loopback() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("admin.token"), ADMIN_TOKEN).expect("a file");
    let config = write_config(folder.path(), "admin_token_file = \"admin.token\"");
    let socket = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = socket.local_addr().expect("an address").port();
    let mut child = with_admin_socket(socket, &["--config", &config])
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut said = async |wanted: &str| {
        wait_for(wanted, async {
            loop {
                let line = lines.next_line().await.expect("a pipe").expect("a line");
                if line.contains(wanted) {
                    return line;
                }
            }
        })
        .await
    };
    said("listening").await;
    let status = async |token: &str| {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: proxy.example\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let admin = SocketAddr::from(([127, 0, 0, 1], port));
        Client::connect(admin).await.request(request).await.status
    };
    assert_eq!(status("another-token-of-theirs").await, 401);
    assert_eq!(status(ADMIN_TOKEN).await, 200);

    // A reload that would take the token away changes nothing.
    write_config(folder.path(), "");
    let refused = said("is not on loopback").await;
    assert!(refused.contains("the old one stays"), "{refused}");
    assert_eq!(status("another-token-of-theirs").await, 401);
    assert_eq!(status(ADMIN_TOKEN).await, 200);
}

#[tokio::test]
async fn a_passed_admin_socket_on_loopback_needs_no_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), "");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let admin = socket.local_addr().expect("an address");
    let _child = with_admin_socket(socket, &["--config", &config])
        .spawn()
        .expect("the binary runs");
    // The kernel keeps the connection until the proxy has started.
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\n\r\n");
    assert_eq!(
        Client::connect(admin).await.request(request).await.status,
        200
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
        "ProtectSystem=strict",
        "StateDirectory=understudy",
        "StateDirectoryMode=0700",
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

#[test]
fn what_the_unit_lets_it_write_to_is_where_the_configuration_has_the_queue_and_a_purge_erases_it() {
    let read = |name: &str| {
        let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).expect(name)
    };
    let example = read("config/understudy.toml");
    assert!(example.contains("# path = \"/var/lib/understudy/queue\"\n"));
    let service = read("systemd/understudy.service");
    assert!(
        !service.contains("ReadWritePaths="),
        "the one folder is enough"
    );
    let script = read("config/packaging/postrm");
    let purge = script.split("if [ \"$1\" = purge ]; then").nth(1);
    let purge = purge.expect("a part for purge");
    assert!(purge.contains("rm -rf /var/lib/understudy /var/lib/private/understudy\n"));
    assert_eq!(script.matches("rm ").count(), 1, "{script}");
}
