//! Reading the files that a configuration names never hangs: not a reload, not `check`, and not the end of the process.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::tls::client::{self, BOTH};
use crate::tls::pki::Authority;
use support::{Builder, Client, FakeUpstream, Sidecar, Signal, Webhook, wait_for};

const NAME: &str = "hooks.example.com";
const RELOADED: &str = "configuration reloaded";

/// Every kind of file that a configuration names, and what a test has in each.
struct Files {
    authority: Authority,
    contents: Vec<(&'static str, String)>,
}

const SERVER: [&str; 3] = [
    "admin_token_file = \"admin.token\"",
    "public_url = \"https://hooks.example.com\"",
    "tls = { cert = \"cert.pem\", key = \"key.pem\" }",
];

/// Nobody listens there, so callers get the fallback.
const UPSTREAM: [&str; 2] = [
    "url = \"https://127.0.0.1:1\"",
    "tls = { ca = \"ca.pem\", client_cert = \"client.pem\", client_key = \"client.key\" }",
];

const ROUTES: &str = r#"
[signature]
tokens_file = "tokens"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
fallback = "voice.xml"
"#;

impl Files {
    fn new() -> Self {
        let authority = Authority::new();
        let (own, shown) = (authority.issue(&[NAME]), authority.issue(&["proxy"]));
        let contents = vec![
            ("voice.xml", document("one")),
            ("tokens", "*=0123456789abcdef0123456789abcdef\n".to_owned()),
            ("admin.token", "a-token-of-the-files\n".to_owned()),
            ("cert.pem", own.cert),
            ("key.pem", own.key),
            ("ca.pem", authority.pem.clone()),
            ("client.pem", shown.cert),
            ("client.key", shown.key),
        ];
        Self {
            authority,
            contents,
        }
    }

    fn write_into(&self, folder: &Path) {
        let (server, upstream) = (SERVER.join("\n"), UPSTREAM.join("\n"));
        let config = format!("[server]\n{server}\n[upstream]\n{upstream}\n{ROUTES}");
        fs::write(folder.join("understudy.toml"), config).expect("a file");
        for (name, contents) in &self.contents {
            fs::write(folder.join(name), contents).expect("a file");
        }
    }

    fn before_nobody(&self) -> Builder {
        let mut builder = Sidecar::before_address("127.0.0.1:1".parse().expect("an address"));
        for line in SERVER {
            builder = builder.server(line);
        }
        for line in UPSTREAM {
            builder = builder.upstream(line);
        }
        for (name, contents) in &self.contents {
            builder = builder.file(name, contents);
        }
        builder.routes(ROUTES)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let named = self.contents.iter().map(|(name, _)| *name);
        named.chain(["understudy.toml"])
    }
}

fn document(word: &str) -> String {
    format!("<Response><Say>{word}</Say></Response>")
}

/// Puts a named pipe that nobody writes to in a file's place, in one step.
fn replace_with_pipe(path: &Path) {
    let new = path.with_file_name(".pipe");
    let made = Command::new("mkfifo").arg(&new).status();
    assert!(made.expect("mkfifo runs").success());
    fs::rename(new, path).expect("a named pipe");
}

/// Exit status and standard error of `understudy check`.
async fn check(config: &Path) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(["check", "--config"])
        .arg(config)
        .kill_on_drop(true)
        .output();
    let output = wait_for("the end of check", output).await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[tokio::test]
async fn check_says_at_once_that_a_pipe_is_not_a_regular_file() {
    let files = Files::new();
    for name in files.names() {
        let folder = tempfile::tempdir().expect("a folder");
        files.write_into(folder.path());
        let config = folder.path().join("understudy.toml");
        assert_eq!(check(&config).await.0, Some(0));
        replace_with_pipe(&folder.path().join(name));
        let (status, said) = check(&config).await;
        let wanted = format!("{name}: is not a regular file; name one that is");
        assert_eq!(status, Some(78), "{said}");
        assert!(said.contains(&wanted), "{wanted} is not in {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[tokio::test]
async fn devices_sockets_and_files_without_an_end_are_refused() {
    let files = Files::new();
    let folder = tempfile::tempdir().expect("a folder");
    files.write_into(folder.path());
    let config = folder.path().join("understudy.toml");
    let document = folder.path().join("voice.xml");
    let remove = || fs::remove_file(&document).expect("it is there");

    for device in ["/dev/zero", "/dev/null", "/dev/ptmx"] {
        remove();
        symlink(device, &document).expect("a link");
        let (status, said) = check(&config).await;
        assert_eq!(status, Some(78), "{said}");
        assert!(said.contains("voice.xml: is not a regular file"), "{said}");
    }
    remove();
    let _socket = UnixListener::bind(&document).expect("a socket");
    let (status, said) = check(&config).await;
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("voice.xml: is not a regular file"), "{said}");
    remove();
    let long = fs::File::create(&document).expect("a file");
    long.set_len((16 << 20) + 1).expect("a file with a hole");
    let (status, said) = check(&config).await;
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("voice.xml: is longer than 16 MiB"), "{said}");
}

/// How often the log says that the configuration was reloaded.
fn reloads(sidecar: &Sidecar) -> usize {
    let lines = sidecar.log_lines();
    lines.iter().filter(|line| line.contains(RELOADED)).count()
}

#[tokio::test]
async fn a_pipe_changes_nothing_and_holds_up_neither_later_reloads_nor_the_end() {
    let files = Files::new();
    for name in files.names() {
        let mut sidecar = files.before_nobody().start().await;
        let path = sidecar.config_path().with_file_name(name);
        let good = fs::read(&path).expect("a file");

        replace_with_pipe(&path);
        let refused = sidecar.wait_for_log(|line| line["level"] == "ERROR").await;
        let problem = refused["error"].as_str().expect("words");
        let wanted = format!("{name}: is not a regular file");
        assert!(problem.contains(&wanted), "{wanted} is not in {problem}");
        assert_eq!(reloads(&sidecar), 0);
        let config = client::config(&files.authority, BOTH, &[]);
        let stream = client::connect(&config, sidecar.address, NAME).await;
        let webhook = Webhook::voice("/voice/x").header("Connection", "close");
        let response = client::ask(&mut stream.expect("TLS"), webhook).await;
        assert!(response.ends_with(&document("one")), "{name}: {response}");

        sidecar.rewrite(name, good);
        wait_for("a reload", async {
            while reloads(&sidecar) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;

        replace_with_pipe(&path);
        sidecar.signal(Signal::HangUp);
        sidecar.signal(Signal::Terminate);
        assert_eq!(sidecar.wait().await.code(), Some(0), "{name}");
    }
}

#[tokio::test]
async fn a_reload_that_hangs_holds_up_neither_the_admin_listener_nor_the_end() {
    let app = FakeUpstream::with_document("<Response/>");
    let mut sidecar = Sidecar::before(&app).start().await;
    // Once it has answered, the thread does nothing and holds no lock.
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    let held = hold_thread(sidecar.pid(), "reload").await;

    // The first waits for a response that doesn't come; the others are asked for in vain, too.
    let mut asked = Client::connect(sidecar.admin).await;
    asked
        .send("POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n")
        .await;
    sidecar.signal(Signal::HangUp);
    sidecar.rewrite_config(&sidecar.config());
    let status = sidecar.admin_get("/api/status").await;
    assert_eq!(status.status, 200);
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.status,
        200
    );

    sidecar.signal(Signal::Terminate);
    sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    release_ended(held).await;
    assert_eq!(sidecar.wait().await.code(), Some(0));
}

/// Stops one thread of a process of ours, as a file system that does not respond would.
async fn hold_thread(process: u32, name: &str) -> Pid {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("threads");
    let mut threads = threads.flatten().map(|entry| entry.path());
    let thread = threads
        .find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|own| own.trim_end() == name));
    let thread = thread.unwrap_or_else(|| panic!("no thread is called {name}"));
    let id = thread.file_name().and_then(|id| id.to_str()?.parse().ok());
    let id: i32 = id.expect("a thread's id");
    let is_asleep = || {
        let status = fs::read_to_string(format!("/proc/{process}/task/{id}/status"));
        status.is_ok_and(|status| status.contains("State:\tS"))
    };
    wait_for("the thread to sleep", async {
        while !is_asleep() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let thread = Pid::from_raw(id);
    ptrace::seize(thread, ptrace::Options::empty()).expect("it is our child's");
    ptrace::interrupt(thread).expect("it is ours");
    waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stands still");
    thread
}

/// Waits for the end of a thread that was held: until then the kernel doesn't report that of its process.
async fn release_ended(thread: Pid) {
    let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
    wait_for("the thread's end", async {
        while waitpid(thread, Some(flags)) == Ok(WaitStatus::StillAlive) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
