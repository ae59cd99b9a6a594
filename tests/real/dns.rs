//! An app that is known by a name: the name moves, has several addresses, or can't be resolved for a while.
//!
//! The proxy runs in a mount namespace of its own, where `/etc/resolv.conf` names a resolver of these tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

use support::{FakeUpstream, Sidecar, Webhook, millis, skip, wait_until};

const NAME: &str = "app.example.com";
const DOCUMENT: &str = "<Response><Say>From the app</Say></Response>";
const OTHER_DOCUMENT: &str = "<Response><Say>From the other app</Say></Response>";

/// Where apps are, besides 127.0.0.1.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

#[tokio::test]
async fn a_name_that_moves_is_followed_under_steady_traffic() {
    let Some(resolver) = Resolver::start().await else {
        return;
    };
    let app = FakeUpstream::with_document(DOCUMENT);
    let other = beside(&app);
    resolver.answer_with(&[Ipv4Addr::LOCALHOST]);
    let sidecar = resolver
        .sidecar_before(&app)
        .upstream("max_connection_age = \"100ms\"")
        .workers(1)
        .start()
        .await;
    let mut client = sidecar.connect().await;
    let mut ask = async || client.request(Webhook::voice("/voice/x")).await.text();
    assert_eq!(ask().await, DOCUMENT);
    resolver.answer_with(&[OTHER]);
    let moved = async {
        while ask().await == DOCUMENT {
            tokio::time::sleep(millis(5)).await;
        }
    };
    support::wait_for("the name to be followed", moved).await;
    assert_eq!(ask().await, OTHER_DOCUMENT);
    assert!(!other.requests().is_empty());
}

#[tokio::test]
async fn while_the_resolver_fails_the_last_known_address_is_used_and_that_is_said_once() {
    for mode in [Mode::Fails, Mode::Silent] {
        let Some(resolver) = Resolver::start().await else {
            return;
        };
        let app = FakeUpstream::with_document(DOCUMENT);
        resolver.answer_with(&[Ipv4Addr::LOCALHOST]);
        let sidecar = resolver
            .sidecar_before(&app)
            .upstream("idle_timeout = \"0s\"")
            .start()
            .await;
        let ask = async || sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(ask().await.reason(), None);
        resolver.turn(mode);
        for _ in 0..4 {
            let response = ask().await;
            assert_eq!(
                (response.reason(), response.text().as_str()),
                (None, DOCUMENT)
            );
        }
        let is_said = |line: &serde_json::Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("name not resolved")
        };
        sidecar.wait_for_log(is_said).await;
        let lines = sidecar.log_lines();
        let said = lines
            .iter()
            .filter(|line| line.contains("name not resolved"));
        assert_eq!(said.count(), 1, "{lines:?}");

        // When it is well again, it is asked again.
        let other = beside(&app);
        resolver.answer_with(&[OTHER]);
        resolver.turn(Mode::Answers);
        wait_until("the name to be resolved again", async || {
            ask().await.text() == OTHER_DOCUMENT
        })
        .await;
        assert!(!other.requests().is_empty());
    }
}

#[tokio::test]
async fn a_resolver_that_is_silent_or_knows_no_such_name_is_no_deadline() {
    for mode in [Mode::Silent, Mode::Fails, Mode::NoSuchName] {
        let Some(resolver) = Resolver::start().await else {
            return;
        };
        resolver.turn(mode);
        let app = FakeUpstream::with_document(DOCUMENT);
        let sidecar = resolver
            .sidecar_before(&app)
            .deadline(millis(14_000))
            .start()
            .await;
        let response = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(response.reason(), Some("connect"), "{mode:?}");
        let line = sidecar
            .wait_for_log(|line| line["reason"] == "connect")
            .await;
        let error = line["error"].as_str().unwrap_or_default();
        assert!(error.contains("name can't be resolved"), "{line}");
    }
}

#[tokio::test]
async fn an_address_that_refuses_costs_the_next_one_nothing() {
    let Some(resolver) = Resolver::start().await else {
        return;
    };
    let app = FakeUpstream::with_document(DOCUMENT);
    for addresses in [[NOBODY, Ipv4Addr::LOCALHOST], [Ipv4Addr::LOCALHOST, NOBODY]] {
        resolver.answer_with(&addresses);
        let sidecar = resolver.sidecar_before(&app).start().await;
        for _ in 0..4 {
            let response = sidecar.request(Webhook::voice("/voice/x")).await;
            assert_eq!(response.reason(), None);
        }
    }
}

#[tokio::test]
async fn a_final_dot_in_the_name_is_for_the_resolver_and_not_for_the_app() {
    let Some(resolver) = Resolver::start().await else {
        return;
    };
    let app = FakeUpstream::with_document(DOCUMENT);
    resolver.answer_with(&[Ipv4Addr::LOCALHOST]);
    let port = app.address().port();
    let sidecar = resolver
        .sidecar_before(&app)
        .upstream(&format!("url = \"http://{NAME}.:{port}\""))
        .start()
        .await;
    let response = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(response.reason(), None);
}

/// Another app at the same port of another address.
fn beside(app: &FakeUpstream) -> FakeUpstream {
    let address = SocketAddr::from((OTHER, app.address().port()));
    FakeUpstream::start_at(address, |_| support::Script::twiml(OTHER_DOCUMENT))
}

/// What the resolver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    Answers,
    /// SERVFAIL.
    Fails,
    /// NXDOMAIN.
    NoSuchName,
    Silent,
}

/// A resolver that gives every name the same addresses.
struct Resolver {
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
}

#[derive(Default)]
struct State {
    addresses: Mutex<Vec<Ipv4Addr>>,
    mode: AtomicU8,
}

impl Resolver {
    /// None where nobody may have a resolver at port 53, and a mount namespace.
    async fn start() -> Option<Self> {
        let namespace = Command::new("unshare")
            .args(["--mount", "true"])
            .stderr(Stdio::null())
            .status();
        let socket = bind().await;
        let (Ok(true), Some(socket)) = (namespace.map(|status| status.success()), socket) else {
            skip("root's rights, and unshare (Debian's package util-linux)");
            return None;
        };
        let address = socket.local_addr().expect("it is bound");
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            "nameserver {}\noptions timeout:1 attempts:1\n",
            address.ip()
        );
        std::fs::write(folder.path().join("resolv.conf"), config).expect("a file");
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(socket, Arc::clone(&state)));
        Some(Self {
            state,
            task,
            folder,
        })
    }

    fn answer_with(&self, addresses: &[Ipv4Addr]) {
        *self.state.addresses.lock().expect("no test has panicked") = addresses.to_vec();
    }

    fn turn(&self, mode: Mode) {
        self.state.mode.store(mode as u8, Relaxed);
    }

    /// A proxy that resolves names here, before this app.
    fn sidecar_before(&self, app: &FakeUpstream) -> support::Builder {
        let file = self.folder.path().join("resolv.conf");
        let script = format!(
            "mount --bind '{}' /etc/resolv.conf && exec \"$@\"",
            file.display()
        );
        let port = app.address().port();
        Sidecar::before_url(&format!("http://{NAME}:{port}"))
            .upstream("connect_timeout = \"2s\"")
            .within(&["unshare", "--mount", "sh", "-c", &script, "sh"])
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Port 53 of an address of this machine that is free.
async fn bind() -> Option<UdpSocket> {
    for last in 53..153 {
        let address = (Ipv4Addr::new(127, 53, 53, last), 53);
        match UdpSocket::bind(address).await {
            Ok(socket) => return Some(socket),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(_) => return None,
        }
    }
    None
}

async fn serve(socket: UdpSocket, state: Arc<State>) {
    let mut query = [0; 512];
    while let Ok((length, peer)) = socket.recv_from(&mut query).await {
        if let Some(answer) = answer(&query[..length], &state) {
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

/// The answer to a query (RFC 1035 §4), if there is one.
fn answer(query: &[u8], state: &State) -> Option<Vec<u8>> {
    const IPV4_ADDRESS: [u8; 2] = [0, 1];
    let mode = state.mode.load(Relaxed);
    if mode == Mode::Silent as u8 {
        return None;
    }
    let code = match mode {
        mode if mode == Mode::Fails as u8 => 2,
        mode if mode == Mode::NoSuchName as u8 => 3,
        _ => 0,
    };
    // The name ends with an empty label; its type and class follow.
    let end = 12 + query.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let question = query.get(12..end)?;
    let addresses = state.addresses.lock().expect("no test has panicked");
    let addresses: &[Ipv4Addr] = match question.ends_with(&[IPV4_ADDRESS, [0, 1]].concat()) {
        true if code == 0 => &addresses,
        _ => &[],
    };
    let count = u8::try_from(addresses.len()).expect("a few");
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    for address in addresses {
        // The name of the question, of type A, in class IN, for no time, in four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
