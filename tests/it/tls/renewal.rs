//! Certificates are renewed while requests run: key and certificate together, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::pki_types::CertificateDer;

use super::client::{self, BOTH};
use super::pki::{Authority, When};
use support::{FakeUpstream, Sidecar, Webhook, wait_for};

const NAME: &str = "hooks.example.com";
const DOCUMENT: &str = "<Response><Say>Renewed</Say></Response>";
const ENDS: &str = "understudy_tls_certificate_not_after_timestamp_seconds";

async fn showing(app: &FakeUpstream, cert: &str, key: &str) -> Sidecar {
    Sidecar::before(app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", cert)
        .file("key.pem", key)
        .start()
        .await
}

/// The certificate that is shown now.
async fn shown(sidecar: &Sidecar, authority: &Authority) -> CertificateDer<'static> {
    let config = client::config(authority, BOTH, &[]);
    let stream = client::connect(&config, sidecar.address, NAME).await;
    let stream = stream.expect("TLS");
    stream.get_ref().1.peer_certificates().expect("some")[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_renewals_under_load_fail_no_handshake_and_no_call() {
    const RENEWALS: usize = 100;
    let authority = Arc::new(Authority::new());
    let app = FakeUpstream::with_document(DOCUMENT);
    let both = [authority.issue(&[NAME]), authority.issue(&[NAME])];
    let sidecar = showing(&app, &both[0].cert, &both[0].key).await;
    let (done, requests) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let load = (0..4).map(|_| {
        let (done, requests, address) = (Arc::clone(&done), Arc::clone(&requests), sidecar.address);
        let authority = Arc::clone(&authority);
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                // A new one each time, so that nothing is resumed.
                let config = client::config(&authority, BOTH, &[]);
                let stream = client::connect(&config, address, NAME).await;
                let mut stream = stream.expect("every handshake succeeds");
                let webhook = Webhook::voice("/voice/x").header("Connection", "close");
                let response = client::ask(&mut stream, webhook).await;
                assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
                requests.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let load: Vec<_> = load.collect();

    for renewal in 1..=RENEWALS {
        let next = &both[renewal % 2];
        sidecar.rewrite("cert.pem", &next.cert);
        sidecar.rewrite("key.pem", &next.key);
        let swapped = async {
            while shown(&sidecar, &authority).await != next.chain()[0] {
                tokio::task::yield_now().await;
            }
        };
        // Every tenth time nobody asks for it: the change of the files is noticed.
        if renewal % 10 != 0 {
            sidecar.admin_post("/api/reload").await;
        }
        wait_for("the certificate to change", swapped).await;
    }

    done.store(true, Ordering::Relaxed);
    for client in load {
        client.await.expect("no request failed");
    }
    assert!(requests.load(Ordering::Relaxed) > RENEWALS);
}

#[tokio::test]
async fn while_the_one_does_not_fit_the_other_the_old_ones_stay() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let (old, new) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let sidecar = showing(&app, &old.cert, &old.key).await;

    sidecar.rewrite("cert.pem", &new.cert);
    let line = sidecar.wait_for_log(|line| line["level"] == "ERROR").await;
    let problem = line["error"].as_str().expect("a problem");
    assert!(problem.contains("key of another certificate"), "{problem}");
    assert_eq!(shown(&sidecar, &authority).await, old.chain()[0]);
    let ok = "understudy_config_last_reload_successful";
    assert_eq!(sidecar.metric(ok, &[]).await, 0.0);

    sidecar.rewrite("key.pem", &new.key);
    sidecar.wait_for_metric(ok, &[], 1.0).await;
    assert_eq!(shown(&sidecar, &authority).await, new.chain()[0]);
}

#[tokio::test]
async fn a_file_that_is_no_certificate_changes_nothing() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let issued = authority.issue(&[NAME]);
    let sidecar = showing(&app, &issued.cert, &issued.key).await;
    for bad in [
        "",
        "hello",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        sidecar.rewrite("cert.pem", bad);
        assert_eq!(sidecar.admin_post("/api/reload").await.status, 422);
        assert_eq!(shown(&sidecar, &authority).await, issued.chain()[0]);
    }
}

#[tokio::test]
async fn one_that_has_expired_is_warned_of_and_its_end_is_shown() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let (now, past) = (
        authority.issue(&[NAME]),
        authority.issue_for(&[NAME], When::Past),
    );
    let sidecar = showing(&app, &now.cert, &now.key).await;
    let label = [("cert", "cert.pem")];
    assert_eq!(sidecar.metric(ENDS, &label).await, 4_070_908_800.0);

    sidecar.rewrite("cert.pem", &past.cert);
    sidecar.rewrite("key.pem", &past.key);
    let line = sidecar.wait_for_log(|line| line["level"] == "WARN").await;
    let note = line["note"].as_str().expect("a note");
    assert!(
        note.contains("cert.pem: the certificate has expired"),
        "{note}"
    );
    let ended = async {
        while sidecar.metric(ENDS, &label).await != 1_009_843_200.0 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("the metric to change", ended).await;
}
