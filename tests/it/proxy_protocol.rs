//! Behind a balancer that forwards TCP connections as they are, a PROXY header says who its client is.

use std::net::{Ipv6Addr, SocketAddr};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::tls::client;
use crate::tls::pki::Authority;
use support::{Builder, Client, FakeUpstream, Sidecar, Signal, Webhook, wait_for, wait_until};

const NAME: &str = "hooks.example.com";
const DOCUMENT: &str = "<Response/>";
const CONNECTIONS: &str = "understudy_client_connections";
const V1: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n";
const REFUSED: &str = "connection without a valid PROXY header refused";

/// A header of version 2 with this command, family, and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("it is short");
    let fixed = [0x20 | command, family];
    [
        &b"\r\n\r\n\0\r\nQUIT\n"[..],
        &fixed,
        &length.to_be_bytes(),
        rest,
    ]
    .concat()
}

/// Both addresses and ports of IPv4, the client's first.
fn ipv4(client: [u8; 4]) -> Vec<u8> {
    [client, [192, 0, 2, 1], [0x12, 0x67, 0x01, 0xbb]].concat()
}

/// The same of IPv6.
fn ipv6(client: &str) -> Vec<u8> {
    let client: Ipv6Addr = client.parse().expect("an address");
    [&client.octets()[..], &[0; 16], &[0x12, 0x67, 0x01, 0xbb]].concat()
}

fn behind_a_balancer(app: &FakeUpstream) -> Builder {
    Sidecar::before(app)
        .server("proxy_protocol = true")
        .server("trusted_proxies = [\"127.0.0.0/8\", \"2001:db8::/32\"]")
}

/// A webhook in which somebody else is named.
fn webhook() -> Webhook {
    Webhook::voice("/voice/x")
        .header("X-Forwarded-For", "192.0.2.8")
        .header("X-Forwarded-Proto", "https")
}

/// For whom, and from which scheme, the last request was forwarded.
fn last_forwarded(app: &FakeUpstream) -> [String; 2] {
    let requests = app.requests();
    let last = requests.last().expect("a request");
    ["X-Forwarded-For", "X-Forwarded-Proto"]
        .map(|name| last.header(name).unwrap_or_default().to_owned())
}

async fn serve(client: &mut Client) {
    let got = client.request(webhook()).await;
    assert_eq!((got.status, got.reason()), (200, None));
}

async fn refused(sidecar: &Sidecar, many: f64) {
    let labels = [("route", "unmatched"), ("outcome", "rejected")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, many)
        .await;
}

#[tokio::test]
async fn the_client_is_the_one_that_the_header_names_or_the_balancer_itself() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = behind_a_balancer(&app).start().await;
    let extensions = [&ipv4([203, 0, 113, 9])[..], &[4; 1000]].concat();
    let stranger = ["203.0.113.9", "http"];
    let balancer = ["192.0.2.8, 127.0.0.1", "https"];
    for (header, forwarded) in [
        (V1.to_vec(), stranger),
        (
            b"PROXY TCP6 2001:db9::9 2001:db9::1 4711 443\r\n".to_vec(),
            ["2001:db9::9", "http"],
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), balancer),
        (b"PROXY UNKNOWN ::1 ::1 1 1\r\n".to_vec(), balancer),
        (v2(1, 0x11, &ipv4([203, 0, 113, 9])), stranger),
        (v2(1, 0x11, &extensions), stranger),
        (v2(1, 0x21, &ipv6("2001:db9::9")), ["2001:db9::9", "http"]),
        (v2(1, 0x21, &ipv6("::ffff:203.0.113.9")), stranger),
        (v2(1, 0x31, &[0; 216]), balancer),
        (v2(1, 0x00, b""), balancer),
        (v2(0, 0x00, b""), balancer),
        (v2(0, 0x11, &ipv4([203, 0, 113, 9])), balancer),
        // A client that is a trusted proxy itself.
        (
            v2(1, 0x11, &ipv4([127, 9, 9, 9])),
            ["192.0.2.8, 127.9.9.9", "https"],
        ),
        (
            v2(1, 0x21, &ipv6("2001:db8::9")),
            ["192.0.2.8, 2001:db8::9", "https"],
        ),
    ] {
        let mut client = sidecar.connect().await;
        // In one piece with the first request, and for the second one as well.
        let first = [header.clone(), webhook().bytes()].concat();
        assert_eq!(client.request(first).await.status, 200);
        assert_eq!(last_forwarded(&app), forwarded, "{header:?}");
        serve(&mut client).await;
        assert_eq!(last_forwarded(&app), forwarded, "{header:?}");
    }
    refused(&sidecar, 0.0).await;
}

#[tokio::test]
async fn the_log_names_the_client_of_the_header() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = behind_a_balancer(&app)
        .rust_log("understudy=debug")
        .start()
        .await;
    let mut client = sidecar.connect().await;
    let got = client
        .request([V1, b"G@T / HTTP/1.1\r\n\r\n"].concat())
        .await;
    assert_eq!(got.status, 400);
    let is_failure = |line: &serde_json::Value| line["message"] == "client connection failed";
    let line = sidecar.wait_for_log(is_failure).await;
    assert_eq!(line["client_addr"], "203.0.113.9:4711");
}

#[tokio::test]
async fn a_header_may_come_in_single_bytes() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = behind_a_balancer(&app).start().await;
    for header in [V1.to_vec(), v2(1, 0x11, &ipv4([203, 0, 113, 9]))] {
        let mut client = sidecar.connect().await;
        for byte in header {
            client.send_more([byte]).await.expect("it is open");
            tokio::task::yield_now().await;
        }
        serve(&mut client).await;
        assert_eq!(last_forwarded(&app), ["203.0.113.9", "http"]);
    }
}

#[tokio::test]
async fn tls_with_either_protocol_works_behind_a_header() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let issued = authority.issue(&[NAME]);
    let sidecar = behind_a_balancer(&app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", &issued.cert)
        .file("key.pem", &issued.key)
        .start()
        .await;
    let connect = async |protocol: &str| {
        let config = client::config(&authority, client::BOTH, &[protocol]);
        let stream = client::connect_behind(V1, &config, sidecar.address, NAME).await;
        stream.expect("TLS")
    };

    let mut stream = connect("http/1.1").await;
    let request = webhook().header("Connection", "close").bytes();
    let got = client::ask(&mut stream, request).await;
    assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with(DOCUMENT));
    assert_eq!(last_forwarded(&app), ["203.0.113.9", "https"]);

    let stream = TokioIo::new(connect("h2").await);
    let connected = wait_for("HTTP/2", handshake(TokioExecutor::new(), stream)).await;
    let (mut sender, driver) = connected.expect("HTTP/2");
    tokio::spawn(driver);
    let request = Request::post(format!("https://{NAME}/voice/x"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::<Bytes>::from("CallSid=CA1"));
    let sent = sender.send_request(request.expect("a request"));
    let response = wait_for("a response", sent).await.expect("a response");
    let body = wait_for("a body", response.into_body().collect()).await;
    assert_eq!(body.expect("a body").to_bytes(), DOCUMENT);
    assert_eq!(last_forwarded(&app), ["203.0.113.9", "https"]);

    // TLS without a header before it is not taken for one.
    let config = client::config(&authority, client::BOTH, &[]);
    let stream = client::connect(&config, sidecar.address, NAME).await;
    stream.expect_err("the connection is closed");
    refused(&sidecar, 1.0).await;
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_is_refused_with_or_without_a_header() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app)
        .server("proxy_protocol = true")
        .server("trusted_proxies = [\"203.0.113.9\"]")
        .server("header_timeout = \"1h\"")
        .start()
        .await;
    for first in [b"", V1, b"POST / HTTP/1.1\r\n"] {
        let mut client = sidecar.connect().await;
        // It may be closed already.
        let _ = client.send_more(first).await;
        assert_eq!(client.closed().await, b"");
    }
    refused(&sidecar, 3.0).await;
    let line = sidecar.wait_for_log(|line| line["level"] == "WARN").await;
    let message = line["message"].as_str().expect("a message");
    assert!(message.starts_with(REFUSED), "{message}");
    assert!(
        line["client_addr"]
            .as_str()
            .expect("text")
            .starts_with("127.0.0.1:")
    );
    assert_eq!(
        line["error"],
        "the peer is not one of trusted_proxies, so it may not send a PROXY header"
    );
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_connection_without_a_valid_header_is_closed_at_once_and_without_a_response() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = behind_a_balancer(&app)
        .server("header_timeout = \"1h\"")
        .rust_log("understudy=debug")
        .start()
        .await;
    let cases = [
        webhook().bytes(),
        b"G".to_vec(),
        b"PROXY TCP5".repeat(11),
        b"PROXY TCP4 203.0.113.9 192.0.2.1 04711 443\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\n".to_vec(),
        b"PROXY TCP6 203.0.113.9 192.0.2.1 4711 443\r\n".to_vec(),
        v2(2, 0x11, &ipv4([203, 0, 113, 9])),
        v2(1, 0x41, &ipv4([203, 0, 113, 9])),
        v2(1, 0x21, &ipv4([203, 0, 113, 9])),
        v2(1, 0x11, &[0; 5000])[..16].to_vec(),
    ];
    for case in &cases {
        let mut client = sidecar.connect().await;
        let _ = client.send_more(case.clone()).await;
        assert_eq!(client.closed().await, b"", "{case:?}");
    }
    refused(&sidecar, cases.len() as f64).await;
    // A header that the client's end cuts off.
    let mut client = sidecar.connect().await;
    client.send_more(&V1[..20]).await.expect("it is open");
    client.end().await;
    assert_eq!(client.closed().await, b"");
    refused(&sidecar, cases.len() as f64 + 1.0).await;
    // A balancer that only looks whether somebody is there.
    let mut client = sidecar.connect().await;
    client.end().await;
    assert_eq!(client.closed().await, b"");
    let ended = "the connection ended before its PROXY header";
    sidecar.wait_for_log(|line| line["error"] == ended).await;
    refused(&sidecar, cases.len() as f64 + 1.0).await;

    let lines = sidecar.log_lines();
    let refused = lines.iter().filter(|line| line.contains(REFUSED));
    assert_eq!(refused.clone().count(), cases.len() + 2);
    assert_eq!(refused.filter(|line| line.contains("WARN")).count(), 1);
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_header_has_header_timeout_to_arrive() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = behind_a_balancer(&app)
        .server("header_timeout = \"200ms\"")
        .start()
        .await;
    for (number, first) in [&b""[..], &V1[..20]].into_iter().enumerate() {
        let mut client = sidecar.connect().await;
        client.send_more(first).await.expect("it is open");
        assert_eq!(client.closed().await, b"");
        refused(&sidecar, number as f64 + 1.0).await;
    }
}

#[tokio::test]
async fn connections_that_wait_for_their_header_give_way_first() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = behind_a_balancer(&app)
        .server("max_connections = 3")
        .server("header_timeout = \"1h\"")
        .start()
        .await;
    let mut served = sidecar.connect().await;
    served.send_more(V1).await.expect("it is open");
    serve(&mut served).await;
    let mut waiting = Vec::new();
    for number in [2.0, 3.0] {
        let mut client = sidecar.connect().await;
        client.send_more(&V1[..6]).await.expect("it is open");
        sidecar.wait_for_metric(CONNECTIONS, &[], number).await;
        waiting.push(client);
    }
    let mut new = Vec::new();
    for client in &mut waiting {
        let mut newer = sidecar.connect().await;
        newer.send_more(V1).await.expect("it is open");
        serve(&mut newer).await;
        assert_eq!(client.closed().await, b"");
        new.push(newer);
    }
    serve(&mut served).await;
    refused(&sidecar, 0.0).await;
}

#[tokio::test]
async fn a_reload_changes_it_for_new_connections() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = behind_a_balancer(&app).start().await;
    let mut old = sidecar.connect().await;
    old.send_more(V1).await.expect("it is open");
    serve(&mut old).await;

    let plain = sidecar
        .config()
        .replace("proxy_protocol = true", "proxy_protocol = false");
    sidecar.rewrite_config(&plain);
    sidecar.signal(Signal::HangUp);
    let is_reloaded = |line: &serde_json::Value| line["message"] == "configuration reloaded";
    sidecar.wait_for_log(is_reloaded).await;

    serve(&mut sidecar.connect().await).await;
    assert_eq!(last_forwarded(&app), ["192.0.2.8, 127.0.0.1", "https"]);
    serve(&mut old).await;
    assert_eq!(last_forwarded(&app), ["203.0.113.9", "http"]);
    // Without the key a header is not HTTP.
    let mut client = sidecar.connect().await;
    let got = client.request([V1, &webhook().bytes()].concat()).await;
    assert_eq!(got.status, 400);
}

#[tokio::test]
async fn a_listener_of_both_families_knows_a_trusted_balancer_by_its_ipv4_address() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = behind_a_balancer(&app)
        .server("listen = \"[::]:0\"")
        .start()
        .await;
    let port = sidecar.address.port();
    let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], port))).await;
    for (header, forwarded) in [
        (v2(0, 0, b""), "192.0.2.8, 127.0.0.1"),
        (
            v2(1, 0x21, &ipv6("::ffff:127.1.1.1")),
            "192.0.2.8, 127.1.1.1",
        ),
    ] {
        client.send_more(header).await.expect("it is open");
        serve(&mut client).await;
        assert_eq!(last_forwarded(&app)[0], forwarded);
        client = Client::connect(SocketAddr::from(([127, 0, 0, 1], port))).await;
    }
    let ipv6_loopback = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let mut client = Client::connect(ipv6_loopback).await;
    let _ = client.send_more(V1).await;
    assert_eq!(client.closed().await, b"", "::1 is not in the list");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_headers() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let mut sidecar = behind_a_balancer(&app)
        .server("header_timeout = \"1h\"")
        .server("drain = \"1h\"")
        .start()
        .await;
    let mut waiting = sidecar.connect().await;
    waiting.send_more(&V1[..6]).await.expect("it is open");
    wait_until("it to be accepted", async || {
        sidecar.metric(CONNECTIONS, &[]).await == 1.0
    })
    .await;
    sidecar.signal(Signal::Terminate);
    assert_eq!(waiting.closed().await, b"");
    assert_eq!(sidecar.wait().await.code(), Some(0));
}
