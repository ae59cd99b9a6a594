//! Clients speak TLS to us: both versions, and a certificate for each name. A client that speaks no TLS gets nothing.

use rustls::{CipherSuite, HandshakeKind, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{self, BOTH};
use super::left;
use super::pki::{Authority, When};
use super::terminator::Terminator;
use support::{FakeUpstream, Script, Sidecar, Signal, Webhook, millis, understudy, wait_for};

const NAME: &str = "hooks.example.com";
const DOCUMENT: &str = "<Response><Say>Behind TLS</Say></Response>";
const KEYS: &str = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";

/// A proxy that shows a certificate of this authority for [`NAME`].
async fn showing(authority: &Authority, app: &FakeUpstream, line: &str) -> Sidecar {
    let issued = authority.issue(&[NAME]);
    Sidecar::before(app)
        .server(KEYS)
        .server(line)
        .file("cert.pem", &issued.cert)
        .file("key.pem", &issued.key)
        .start()
        .await
}

fn last_call(path: &str) -> Webhook {
    Webhook::voice(path).header("Connection", "close")
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_app_learns_of_https() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "trusted_proxies = []").await;
    for version in [&version::TLS12, &version::TLS13] {
        let config = client::config(&authority, &[version], &[]);
        let mut stream = client::connect(&config, sidecar.address, NAME)
            .await
            .expect("TLS");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let response = client::ask(&mut stream, last_call("/voice/x")).await;
        assert!(
            response.starts_with("HTTP/1.1 200 ") && response.ends_with(DOCUMENT),
            "{response}"
        );
    }
    for request in app.requests() {
        assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    }
    let labels = [("route", "voice"), ("outcome", "upstream")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, 2.0)
        .await;
}

#[tokio::test]
async fn twilios_suite_is_among_those_of_tls_1_2() {
    let suites = rustls::crypto::ring::default_provider().cipher_suites;
    let twilios = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    assert!(suites.iter().any(|suite| suite.suite() == twilios));
}

#[tokio::test]
async fn a_session_is_resumed_by_either_version_also_over_a_reload() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "workers = 2").await;
    for version in [&version::TLS12, &version::TLS13] {
        let config = client::config(&authority, &[version], &[]);
        for (at, expected) in [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ]
        .into_iter()
        .enumerate()
        {
            if at == 2 {
                assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
            }
            let mut stream = client::connect(&config, sidecar.address, NAME)
                .await
                .expect("TLS");
            client::ask(&mut stream, last_call("/voice/x")).await;
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected), "{at}");
        }
    }
}

#[tokio::test]
async fn each_name_has_its_certificate_and_the_first_is_for_all_others() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let (one, other) = (
        authority.issue(&["a.example"]),
        authority.issue(&["b.example", "*.c.example"]),
    );
    let sidecar = Sidecar::before(&app)
        .server(
            "tls = [{ cert = \"a.pem\", key = \"a.key\" }, { cert = \"b.pem\", key = \"b.key\" }]",
        )
        .file("a.pem", &one.cert)
        .file("a.key", &one.key)
        .file("b.pem", &other.cert)
        .file("b.key", &other.key)
        .start()
        .await;
    let config = client::config(&authority, BOTH, &[]);
    for name in ["a.example", "b.example", "x.c.example", "B.EXAMPLE"] {
        let stream = client::connect(&config, sidecar.address, name)
            .await
            .expect(name);
        let shown = stream
            .get_ref()
            .1
            .peer_certificates()
            .expect("certificates")[0]
            .clone();
        let expected = if name == "a.example" { &one } else { &other };
        assert_eq!(shown, expected.chain()[0], "{name}");
    }
    let error = client::connect(&config, sidecar.address, "d.example")
        .await
        .expect_err("none");
    assert!(error.to_string().contains("a.example"), "{error}");
    let ends = "understudy_tls_certificate_not_after_timestamp_seconds";
    for cert in ["a.pem", "b.pem"] {
        assert_eq!(
            sidecar.metric(ends, &[("cert", cert)]).await,
            4_070_908_800.0
        );
    }
}

#[tokio::test]
async fn clients_that_speak_no_tls_get_nothing_and_are_neither_logged_nor_counted() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "header_timeout = \"300ms\"").await;

    let mut plain = sidecar.connect().await;
    plain.send(Webhook::voice("/voice/x")).await;
    let got = plain.closed().await;
    assert!(!got.starts_with(b"HTTP"), "{got:?}");
    let mut silent = sidecar.connect().await;
    assert_eq!(silent.closed().await, b"");
    let mut slow = TcpStream::connect(sidecar.address)
        .await
        .expect("a connection");
    let begin = wait_for("the bytes to be taken", slow.write_all(&[0x16, 3, 1])).await;
    begin.expect("the connection is open");
    let end = wait_for("the end", slow.read_u8()).await;
    assert!(end.is_err());

    let config = client::config(&authority, BOTH, &[]);
    let mut stream = client::connect(&config, sidecar.address, NAME)
        .await
        .expect("TLS");
    client::ask(&mut stream, last_call("/voice/x")).await;
    sidecar
        .wait_for_metric("understudy_requests_total", &[], 1.0)
        .await;
    left(&sidecar, 0.0).await;
    assert_eq!(sidecar.log_lines().len(), 1, "{:?}", sidecar.log_lines());
}

#[tokio::test]
async fn a_response_to_an_unread_request_arrives_whole() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "workers = 1").await;
    let config = client::config(&authority, BOTH, &[]);
    let mut stream = client::connect(&config, sidecar.address, NAME)
        .await
        .expect("TLS");
    let head = format!(
        "POST /voice/x HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 500000\r\n\r\n{}",
        "x".repeat(200_000)
    );
    let response = client::ask(&mut stream, head).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
}

#[tokio::test]
async fn a_drain_lets_the_call_under_way_finish() {
    let authority = Authority::new();
    let app = FakeUpstream::start(|_| Script::new().pause(millis(300)).send(response()));
    let mut sidecar = showing(&authority, &app, "drain = \"10s\"").await;
    let config = client::config(&authority, BOTH, &[]);
    let mut stream = client::connect(&config, sidecar.address, NAME)
        .await
        .expect("TLS");
    let mut idle = client::connect(&config, sidecar.address, NAME)
        .await
        .expect("TLS");
    let request = Webhook::voice("/voice/x").bytes();
    let sent = wait_for("the request to be taken", stream.write_all(&request)).await;
    sent.expect("the connection is open");
    wait_for("the request at the app", app.wait_for_requests(1)).await;
    sidecar.signal(Signal::Terminate);
    let got = client::ask(&mut stream, []).await;
    assert!(
        got.starts_with("HTTP/1.1 200 ") && got.ends_with(DOCUMENT),
        "{got}"
    );
    assert_eq!(client::ask(&mut idle, []).await, "");
    assert!(sidecar.wait().await.success());
    let last = sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    assert_eq!(last["cut_off"], 0);
}

fn response() -> String {
    let length = DOCUMENT.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{DOCUMENT}"
    )
}

#[tokio::test]
async fn a_websocket_crosses_tls_on_both_sides() {
    let authority = Authority::new();
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello";
    let app = FakeUpstream::start(move |_| Script::new().send(switch).echo());
    let terminator = Terminator::before(&app, &authority.issue(&["127.0.0.1"])).await;
    let issued = authority.issue(&[NAME]);
    let sidecar = Sidecar::before(&app)
        .server(KEYS)
        .upstream(&format!("url = \"https://{}\"", terminator.address))
        .upstream("tls = { ca = \"ca.pem\" }")
        .upstream("connect_timeout = \"5s\"")
        .file("ca.pem", &authority.pem)
        .file("cert.pem", &issued.cert)
        .file("key.pem", &issued.key)
        .start()
        .await;
    let config = client::config(&authority, BOTH, &["h2", "http/1.1"][1..]);
    let mut stream = client::connect(&config, sidecar.address, NAME)
        .await
        .expect("TLS");
    let opening = format!(
        "GET /voice/media HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly"
    );
    let sent = wait_for(
        "the opening to be taken",
        stream.write_all(opening.as_bytes()),
    )
    .await;
    sent.expect("the connection is open");
    let mut got = Vec::new();
    while !got.ends_with(b"helloearly") {
        wait_for("the tunnel", stream.read_buf(&mut got))
            .await
            .expect("it is open");
    }
    assert!(got.starts_with(b"HTTP/1.1 101 "));
    let frame = vec![b'z'; 200_000];
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut echo = vec![0; frame.len()];
    let (wrote, read) = wait_for("an echo", async {
        tokio::join!(writer.write_all(&frame), reader.read_exact(&mut echo))
    })
    .await;
    wrote.and(read).expect("both ways are open");
    assert!(echo == frame);
    let ended = wait_for("the end to be taken", writer.shutdown()).await;
    ended.expect("the connection is open");
    let mut rest = Vec::new();
    wait_for("the end", reader.read_to_end(&mut rest))
        .await
        .expect("it ends well");
    assert_eq!(rest, b"");
}

#[test]
fn a_machine_without_trusted_authorities_gets_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("none.pem"), "").expect("a file");
    let config = "[upstream]\nurl = \"https://app.example.com\"\n";
    std::fs::write(path("understudy.toml"), config).expect("a file");
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(["check", "--config"])
        .arg(path("understudy.toml"))
        .env("SSL_CERT_FILE", path("none.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        said.contains("upstream.tls: no certificate is trusted"),
        "{said}"
    );
    assert_eq!(checked.status.code(), Some(78));
}

#[test]
fn what_is_wrong_with_the_certificates_of_an_app_is_said() {
    let authority = Authority::new();
    let own = authority.issue(&[NAME]);
    let glued = authority.pem.trim_end().to_owned() + &authority.pem;
    let trusted = authority
        .pem
        .replace(" CERTIFICATE", " TRUSTED CERTIFICATE");
    let marked = format!("\u{feff}{}", authority.pem);
    let joined = "has a BEGIN or END line with something else before it";
    for (key, other) in [
        ("ca", ""),
        ("pin", ""),
        ("client_cert", "client_key = \"key.pem\""),
    ] {
        for (text, expected) in [
            (&glued, joined),
            (&trusted, "holds a TRUSTED CERTIFICATE"),
            (&marked, ""),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let write = |name: &str, text: &str| {
                std::fs::write(folder.path().join(name), text).expect("a file");
            };
            let is_own = key == "client_cert" && text == &marked;
            let own_marked = format!("\u{feff}{}", own.cert);
            write("a.pem", if is_own { &own_marked } else { text });
            write("key.pem", &own.key);
            write(
                "understudy.toml",
                &format!(
                    "[upstream]\nurl = \"https://127.0.0.1:1\"\n[upstream.tls]\n{key} = \"a.pem\"\n{other}\n"
                ),
            );
            let config = folder.path().join("understudy.toml");
            let checked = understudy(&["check", "--config", &config.to_string_lossy()]);
            let said = [checked.stdout, checked.stderr].concat();
            let said = String::from_utf8(said).expect("text");
            let is_valid = expected.is_empty();
            assert_eq!(checked.status.success(), is_valid, "{key}: {said}");
            assert!(
                is_valid || said.contains(&format!("upstream.tls.{key}: ")),
                "{said}"
            );
            assert!(said.contains(expected), "{key}: {said}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_certificate_or_a_key_is_said() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let past = authority.issue_for(&[NAME], When::Past);
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = one.cert.replace("MII", "MIA");
    let old_locked = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let glued = one.cert.trim_end().to_owned() + &authority.pem;
    let both = one.cert.trim_end().to_owned() + &one.key;
    let (marked_cert, marked_key) = (
        format!("\u{feff}{}", one.cert),
        format!("\u{feff}{}", one.key),
    );
    let trusted = one.cert.replace(" CERTIFICATE", " TRUSTED CERTIFICATE");
    let joined = "has a BEGIN or END line with something else before it";
    let cases: [(&str, &str, &str, i32); 14] = [
        (&one.cert, &one.key, "ok", 0),
        (&marked_cert, &marked_key, "ok", 0),
        (
            &glued,
            &one.key,
            &format!("server.tls.cert: cert.pem: {joined}"),
            78,
        ),
        (
            &one.cert,
            &both,
            &format!("server.tls.key: key.pem: {joined}"),
            78,
        ),
        (
            &one.cert,
            old_locked,
            "server.tls.key: key.pem: holds a key that is encrypted; write it without a passphrase: openssl pkey -in",
            78,
        ),
        (
            &trusted,
            &one.key,
            "server.tls.cert: cert.pem: holds a TRUSTED CERTIFICATE, which only OpenSSL reads; convert it: openssl x509 -in",
            78,
        ),
        (
            &(one.cert.clone() + &trusted),
            &one.key,
            "server.tls.cert: cert.pem: holds a TRUSTED CERTIFICATE",
            78,
        ),
        (
            &one.cert,
            &other.key,
            "server.tls.key: key.pem: holds the key of another certificate",
            78,
        ),
        (
            &one.cert,
            &one.cert,
            "server.tls.key: key.pem: holds no private key",
            78,
        ),
        (
            &one.cert,
            locked,
            "server.tls.key: key.pem: holds a key that is encrypted",
            78,
        ),
        (
            &one.key,
            &one.key,
            "server.tls.cert: cert.pem: holds no certificate",
            78,
        ),
        (
            "",
            &one.key,
            "server.tls.cert: cert.pem: holds no certificate",
            78,
        ),
        (
            &broken,
            &one.key,
            "server.tls.cert: cert.pem: holds a certificate that can't be read",
            78,
        ),
        (
            &past.cert,
            &past.key,
            "cert.pem: the certificate has expired",
            0,
        ),
    ];
    for (cert, key, expected, code) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("cert.pem", cert);
        write("key.pem", key);
        write(
            "understudy.toml",
            &format!("[server]\n{KEYS}\n[upstream]\nurl = \"http://127.0.0.1:1\"\n"),
        );
        let config = folder.path().join("understudy.toml");
        let checked = understudy(&["check", "--config", &config.to_string_lossy()]);
        let said = [checked.stdout, checked.stderr].concat();
        let said = String::from_utf8(said).expect("text");
        let said = said.replace(&format!("{}/", folder.path().display()), "");
        assert!(said.contains(expected), "{expected}: {said}");
        assert_eq!(checked.status.code(), Some(code), "{said}");
        assert!(!said.contains("PRIVATE KEY-----"), "{said}");
    }
}
