//! Real clients of TLS: OpenSSL's, also restricted to what Twilio was seen to speak, and curl and h2load for HTTP/2.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use support::{FakeUpstream, Sidecar, Webhook};

const PAGE: &str = "<Response><Say>Behind TLS</Say></Response>";

/// A program that is needed here, and whether it can be run; where `UNDERSTUDY_REAL` is `required`, it must be.
fn is_installed(program: &str) -> bool {
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
fn issued(folder: &Path, kind: &[&str]) -> (Vec<u8>, Vec<u8>) {
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
    let app = FakeUpstream::with_document(PAGE);
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
            said.contains("HTTP/1.1 200 OK") && said.contains(PAGE),
            "{said}"
        );
    }
}

#[tokio::test]
async fn openssl_finds_nothing_older_than_tls_1_2() {
    if !is_installed("openssl") {
        return;
    }
    let app = FakeUpstream::with_document(PAGE);
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
    let app = FakeUpstream::with_document(PAGE);
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
        assert_eq!(said(&output), format!("{PAGE} by {version}"));
    }
    assert_eq!(app.requests()[0].payload(), b"CallSid=CA1");
}

#[tokio::test]
async fn h2load_loses_no_call() {
    if !is_installed("openssl") || !is_installed("h2load") {
        return;
    }
    let app = FakeUpstream::with_document(PAGE);
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
