//! Real peers of TLS: apps behind OpenSSL; and clients: OpenSSL's, also restricted to what Twilio was seen to speak, and curl and h2load for HTTP/2.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use support::{FakeUpstream, Sidecar, Webhook};

const DOCUMENT: &str = "<Response><Say>Behind TLS</Say></Response>";

/// A program that is needed here, and whether it can be run; where `UNDERSTUDY_REAL` is `required`, it must be.
pub(crate) fn is_installed(program: &str) -> bool {
    let probe = Command::new(program)
        .arg(if program == "openssl" {
            "version"
        } else {
            "--version"
        })
        .stdin(Stdio::null())
        .output();
    if probe.is_ok() {
        return true;
    }
    support::skip(program);
    false
}

/// A certificate and a key as OpenSSL makes them, of the kind that `-newkey` names.
pub(crate) fn issued(folder: &Path, kind: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost", "-newkey"])
        .args(kind)
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", said(&made));
    let read = |name: &str| std::fs::read(folder.join(name)).expect("it was made");
    (read("cert.pem"), read("key.pem"))
}

/// A certificate of X.509 version 1, as old scripts make them.
fn issued_as_version_1(folder: &Path) {
    let steps: [&[&str]; 2] = [
        &[
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "rsa:2048",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key.pem",
            "-out",
            "request.pem",
        ],
        &[
            "x509",
            "-req",
            "-days",
            "30",
            "-in",
            "request.pem",
            "-signkey",
            "key.pem",
            "-out",
            "cert.pem",
        ],
    ];
    for arguments in steps {
        let made = Command::new("openssl")
            .args(arguments)
            .current_dir(folder)
            .output();
        let made = made.expect("openssl runs");
        assert!(made.status.success(), "{}", said(&made));
    }
}

/// An app behind OpenSSL, which answers GET with a page. It ends with this.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    /// Shows the certificate in this folder.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new("openssl")
            .args([
                "s_server",
                "-www",
                "-accept",
                "127.0.0.1:0",
                "-cert",
                "cert.pem",
                "-key",
                "key.pem",
            ])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("ACCEPT ")?.parse().ok());
        // What it writes later is read, so that it never waits for that.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            address: address.expect("it says where it listens"),
            process,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the proxy logs of the handshake with this app, which it trusts by its own certificate.
async fn error_before(server: &Server, folder: &Path) -> (Sidecar, String) {
    let port = server.address.port();
    let cert = std::fs::read(folder.join("cert.pem")).expect("it was made");
    let sidecar = Sidecar::before_url(&format!("https://localhost:{port}"))
        .upstream("connect_timeout = \"5s\"")
        .upstream("tls = { ca = \"app.pem\" }")
        .file("app.pem", cert)
        .start()
        .await;
    let response = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(response.reason(), Some("tls"));
    let line = sidecar.wait_for_log(|line| line["reason"] == "tls").await;
    let error = line["error"].as_str().unwrap_or_default().to_owned();
    (sidecar, error)
}

#[tokio::test]
async fn an_app_with_an_old_certificate_is_named_and_works_where_it_is_pinned() {
    if !is_installed("openssl") {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    issued_as_version_1(folder.path());
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Server::start(folder.path(), &[version]);
        let (sidecar, error) = error_before(&server, folder.path()).await;
        assert!(error.contains("old X.509 version"), "{error}");
        assert!(error.contains("name this one as pin"), "{error}");

        sidecar.rewrite_config(&sidecar.config().replace("ca = ", "pin = "));
        assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
        let response = sidecar.request(Webhook::voice("/pass/x").get()).await;
        assert_eq!(response.status, 200, "{version}: {response:?}");
    }
}

#[tokio::test]
async fn an_app_that_takes_only_a_curve_that_we_do_not_have_is_named_with_the_remedy() {
    if !is_installed("openssl") {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    issued(folder.path(), &["rsa:2048"]);
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Server::start(folder.path(), &[version, "-groups", "X448"]);
        let (_, error) = error_before(&server, folder.path()).await;
        assert!(
            error.contains("no TLS version, cipher suite or curve in common"),
            "{error}"
        );
        assert!(error.contains("X25519, P-256 or P-384"), "{error}");
    }
}

/// A proxy that shows such a certificate, and the folder in which clients find it.
async fn showing(app: &FakeUpstream, kind: &[&str]) -> (Sidecar, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let (cert, key) = issued(folder.path(), kind);
    let sidecar = Sidecar::before(app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", cert)
        .file("key.pem", key)
        .start()
        .await;
    (sidecar, folder)
}

/// Runs a program on this request, beside the certificate.
async fn run(program: &str, arguments: &[&str], folder: &TempDir, request: &[u8]) -> Output {
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let give = async {
        // It may end before it has read all.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, request).await;
        drop(stdin);
    };
    let (output, ()) = support::wait_for(program, async {
        tokio::join!(child.wait_with_output(), give)
    })
    .await;
    output.expect("its output")
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn openssl_speaks_twilios_old_suite_and_the_newest() {
    const RSA: &[&str] = &["rsa:2048"];
    const EC: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    if !is_installed("openssl") {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    for (kind, client, suite) in [
        (
            RSA,
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"][..],
            "ECDHE-RSA-AES128-GCM-SHA256",
        ),
        (RSA, &["-tls1_2"][..], "ECDHE-RSA-"),
        (RSA, &["-tls1_3"][..], "TLS_AES_"),
        (EC, &["-tls1_2"][..], "ECDHE-ECDSA-"),
        (EC, &["-tls1_3"][..], "TLS_AES_"),
    ] {
        let (sidecar, folder) = showing(&app, kind).await;
        let address = sidecar.address.to_string();
        let common = [
            "s_client",
            "-ign_eof",
            "-CAfile",
            "cert.pem",
            "-verify_return_error",
        ];
        let rest = ["-servername", "localhost", "-connect", &address];
        let arguments = [&common[..], &rest, client].concat();
        let webhook = Webhook::voice("/voice/x").header("Connection", "close");
        let output = run("openssl", &arguments, &folder, &webhook.bytes()).await;
        let said = said(&output);
        assert!(said.contains(&format!("Cipher is {suite}")), "{said}");
        assert!(
            said.contains("HTTP/1.1 200 OK") && said.contains(DOCUMENT),
            "{said}"
        );
    }
}

#[tokio::test]
async fn openssl_finds_nothing_older_than_tls_1_2() {
    if !is_installed("openssl") {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let (sidecar, folder) = showing(&app, &["rsa:2048"]).await;
    let address = sidecar.address.to_string();
    let arguments = [
        "s_client",
        "-tls1_1",
        "-cipher",
        "ALL:@SECLEVEL=0",
        "-connect",
        &address,
    ];
    let output = run("openssl", &arguments, &folder, b"").await;
    assert!(!output.status.success(), "{}", said(&output));
}

#[tokio::test]
async fn curl_speaks_http_2_and_http_1() {
    if !is_installed("openssl") || !is_installed("curl") {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let (sidecar, folder) = showing(&app, &["rsa:2048"]).await;
    let url = format!("https://localhost:{}/voice/x", sidecar.address.port());
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let common = [
            "-sS",
            flag,
            "--cacert",
            "cert.pem",
            "--ipv4",
            "-d",
            "CallSid=CA1",
        ];
        let arguments = [&common[..], &["-w", " by %{http_version}", &url]].concat();
        let output = run("curl", &arguments, &folder, b"").await;
        assert_eq!(said(&output), format!("{DOCUMENT} by {version}"));
    }
    assert_eq!(app.requests()[0].payload(), b"CallSid=CA1");
}

#[tokio::test]
async fn h2load_loses_no_call() {
    if !is_installed("openssl") || !is_installed("h2load") {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let (sidecar, folder) = showing(&app, &["rsa:2048"]).await;
    let url = format!("https://{}/voice/x", sidecar.address);
    let arguments = ["-n", "4000", "-c", "8", "-m", "20", &url];
    let output = run("h2load", &arguments, &folder, b"").await;
    let said = said(&output);
    assert!(said.contains("Application protocol: h2"), "{said}");
    assert!(
        said.contains("4000 succeeded, 0 failed, 0 errored, 0 timeout"),
        "{said}"
    );
    assert!(said.contains("4000 2xx"), "{said}");
    let labels = [("route", "voice"), ("outcome", "upstream")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, 4000.0)
        .await;
}
