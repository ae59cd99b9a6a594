//! `testssl.sh` on the TLS front: its protocols, the strength of its cipher suites, and the known attacks.
//!
//! What takes longest is left out: single ciphers, the order of preference, and simulations of clients, which `tests/real/tls.rs` has
//! real ones for.

use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::tls::issued;
use support::{FakeUpstream, Sidecar, wait_for};

/// What must be found, by testssl.sh's own names.
const FOUND: &[(&str, &str)] = &[
    ("SSLv2", "not offered"),
    ("SSLv3", "not offered"),
    ("TLS1", "not offered"),
    ("TLS1_1", "not offered"),
    ("TLS1_2", "offered"),
    ("TLS1_3", "offered with final"),
    ("ALPN_HTTP2", "h2"),
    ("cipherlist_NULL", "not offered"),
    ("cipherlist_aNULL", "not offered"),
    ("cipherlist_EXPORT", "not offered"),
    ("cipherlist_LOW", "not offered"),
    ("cipherlist_3DES_IDEA", "not offered"),
    ("cipherlist_AVERAGE", "not offered"),
    ("cipherlist_STRONG", "offered"),
];

/// Attacks that it must not be open to.
const ATTACKS: &[&str] = &[
    "heartbleed",
    "CCS",
    "ticketbleed",
    "ROBOT",
    "secure_renego",
    "secure_client_renego",
    "CRIME_TLS",
    "BREACH",
    "POODLE_SSL",
    "fallback_SCSV",
    "SWEET32",
    "FREAK",
    "DROWN",
    "LOGJAM",
    "BEAST",
    "LUCKY13",
    "RC4",
];

/// What it says of itself or of the test, and not of us.
const NOT_OF_US: &[&str] = &[
    // Its openssl has no GOST.
    "engine_problem",
];

#[tokio::test]
async fn testssl_finds_nothing_old_weak_or_open_to_attack() {
    let is_here = ["testssl", "openssl", "hexdump"].map(is_installed);
    if is_here.contains(&false) {
        support::skip("testssl.sh (Debian's package testssl.sh), openssl and hexdump");
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let (cert, key) = issued(folder.path(), &["rsa:2048"]);
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", cert)
        .file("key.pem", key)
        .start()
        .await;

    let findings = scan(&folder, &format!("https://{}", sidecar.address)).await;

    let find = |id: &str| findings.iter().find(|found| found["id"] == id);
    let mut wrong = Vec::new();
    for (id, wanted) in FOUND {
        if find(id).is_none_or(|found| found["finding"] != *wanted) {
            wrong.push(format!("{id}: {:?}", find(id)));
        }
    }
    for id in ATTACKS {
        if find(id).is_none_or(|found| found["severity"] != "OK") {
            wrong.push(format!("{id}: {:?}", find(id)));
        }
    }
    let others = findings.iter().filter(|found| {
        let id = found["id"].as_str().unwrap_or_default();
        let severity = found["severity"].as_str().unwrap_or_default();
        !matches!(severity, "OK" | "INFO" | "DEBUG") && !NOT_OF_US.contains(&id)
    });
    wrong.extend(others.map(|found| found.to_string()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_installed(program: &str) -> bool {
    let mut path = Command::new("sh");
    path.args(["-c", &format!("command -v {program}")]);
    path.output().is_ok_and(|output| output.status.success())
}

/// What it finds.
async fn scan(folder: &TempDir, url: &str) -> Vec<Value> {
    let mut command = tokio::process::Command::new("testssl");
    command
        .args(["--quiet", "--warnings", "off", "--color", "0"])
        .args(["--nodns", "none", "--assume-http"])
        .args(["--jsonfile", "found.json"])
        .args(["--protocols", "--standard", "--vulnerable", url])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = wait_for("testssl.sh", command.output()).await;
    let output = output.expect("it runs");
    let text = std::fs::read(folder.path().join("found.json"));
    let found = text
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    found.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stdout)))
}
