//! Which addresses are listened on, and what happens if one is in use or not there.

use std::io::{BufRead, BufReader};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::thread;

use support::{FakeUpstream, Sidecar, Signal, Webhook, understudy};

const RETRIED: &str = "listening failed; trying again for 10s";

fn arguments<'a>(listen: &'a str, admin: &'a str) -> [&'a str; 7] {
    let upstream = "http://127.0.0.1:1";
    [
        "run",
        "--upstream",
        upstream,
        "--listen",
        listen,
        "--admin",
        admin,
    ]
}

/// Exit status and everything that is said by a start that fails.
fn start(listen: &str, admin: &str) -> (Option<i32>, String) {
    let output = understudy(&arguments(listen, admin));
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// A process that is being upgraded goes on logging to the same place: no line of either may begin within one of the other's.
#[test]
fn each_line_of_an_error_is_written_in_one_piece() {
    let (ours, theirs) = UnixDatagram::pair().expect("sockets");
    let status = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(["run", "--upstream", "nowhere", "--listen", "nowhere"])
        .stderr(Stdio::from(OwnedFd::from(theirs)))
        .status();
    assert_eq!(status.expect("it runs").code(), Some(78));
    ours.set_nonblocking(true).expect("a socket");
    let mut piece = [0; 4096];
    let mut pieces = Vec::new();
    while let Ok(length) = ours.recv(&mut piece) {
        pieces.push(String::from_utf8_lossy(&piece[..length]).into_owned());
    }
    assert!(!pieces.is_empty());
    for piece in pieces {
        assert!(piece.ends_with('\n') && piece.len() > 1, "{piece:?}");
    }
}

#[test]
fn an_address_in_use_or_not_there_is_tried_again_and_then_said_with_a_status_that_restarts() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let any = "127.0.0.1:0";
    // An address of RFC 5737, which no machine has.
    let (absent, in_use) = ("192.0.2.1:8080", format!("{taken} is in use"));
    let not_there = format!("{absent} is not an address of this machine");
    thread::scope(|scope| {
        for (listen, admin, wanted) in [
            (&*taken, any, &in_use),
            (any, &*taken, &in_use),
            (absent, any, &not_there),
        ] {
            scope.spawn(move || {
                let (code, text) = start(listen, admin);
                assert_eq!(code, Some(1), "{text}");
                assert_eq!(text.matches(RETRIED).count(), 1, "{text}");
                assert_eq!(text.matches(wanted).count(), 2, "{text}");
            });
        }
    });
}

#[tokio::test]
async fn the_port_of_another_understudy_is_in_use_too() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let (code, text) = start(&sidecar.address.to_string(), "127.0.0.1:0");
    assert_eq!(code, Some(1), "{text}");
}

#[test]
fn an_address_that_becomes_free_is_listened_on() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(arguments(&address, "127.0.0.1:0"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut until = |words: &str| {
        let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(words)));
        line.unwrap_or_else(|| panic!("never said: {words}"))
            .expect("a line")
    };
    until(RETRIED);
    drop(taken);
    let listening = until("\"listening\"");
    assert!(listening.contains(&address), "{listening}");
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
}

#[tokio::test]
async fn the_unspecified_ipv6_address_has_ipv4_clients_with_their_own_addresses() {
    let app = FakeUpstream::with_document("<Response/>");
    for (trusted, forwarded) in [
        ("[\"127.0.0.0/8\"]", "203.0.113.9, 127.0.0.1"),
        ("[\"::ffff:127.0.0.0/104\"]", "203.0.113.9, 127.0.0.1"),
        ("[\"::1\"]", "127.0.0.1"),
    ] {
        let sidecar = Sidecar::before(&app)
            .server("listen = \"[::]:0\"")
            .server(&format!("trusted_proxies = {trusted}"))
            .start()
            .await;
        let port = sidecar.address.port();
        let webhook = || Webhook::voice("/voice/x").header("X-Forwarded-For", "203.0.113.9");
        let ask = async |address: SocketAddr| {
            let mut client = support::Client::connect(address).await;
            assert_eq!(client.request(webhook()).await.status, 200);
            let requests = app.requests();
            let last = requests.last().expect("a request");
            last.header("X-Forwarded-For").map(str::to_owned)
        };
        let got = ask(SocketAddr::from(([127, 0, 0, 1], port))).await;
        assert_eq!(got.as_deref(), Some(forwarded), "{trusted}");
        if trusted.contains("::1\"") {
            let got = ask(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await;
            assert_eq!(got.as_deref(), Some("203.0.113.9, ::1"));
        }
    }
}

#[tokio::test]
async fn sigusr1_does_nothing() {
    let app = FakeUpstream::with_document("<Response/>");
    let mut sidecar = Sidecar::before(&app).start().await;
    for _ in 0..3 {
        sidecar.signal(Signal::User1);
        let response = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(response.status, 200);
    }
    sidecar.signal(Signal::Terminate);
    assert_eq!(sidecar.wait().await.code(), Some(0));
}
