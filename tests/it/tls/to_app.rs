//! The app is behind TLS: its certificate must be good, and what is wrong with it is named.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::pki::{Authority, Issued, When};
use super::terminator::Terminator;
use support::{FakeUpstream, Script, Sidecar, Webhook, millis, wait_for};

const LOOPBACK: &str = "127.0.0.1";
const DOCUMENT: &str = "<Response><Say>Within TLS</Say></Response>";

/// A proxy before what is at this port, with these keys of `[upstream.tls]`.
async fn before(port: u16, ca: &str, keys: &str) -> Sidecar {
    Sidecar::before_address(([127, 0, 0, 1], port).into())
        .upstream(&format!("url = \"https://{LOOPBACK}:{port}\""))
        .upstream("connect_timeout = \"5s\"")
        .upstream(&format!("tls = {{ ca = \"ca.pem\"{keys} }}"))
        .file("ca.pem", ca)
        .start()
        .await
}

#[tokio::test]
async fn a_call_goes_through_tls_and_the_connection_is_kept() {
    let authority = Authority::new();
    let app = FakeUpstream::with_document(DOCUMENT);
    let front = Terminator::before(&app, &authority.issue(&[LOOPBACK])).await;
    let sidecar = before(front.address.port(), &authority.pem, "").await;
    let mut client = sidecar.connect().await;
    for _ in 0..3 {
        let response = client.request(Webhook::voice("/voice/x")).await;
        assert_eq!(
            (response.reason(), response.text().as_str()),
            (None, DOCUMENT)
        );
    }
    assert_eq!(app.connections(), 1);
    let opened = "understudy_upstream_connections_opened_total";
    sidecar.wait_for_metric(opened, &[], 1.0).await;
    let status = sidecar.admin_get("/api/status").await.text();
    let url = format!("\"url\":\"https://{}\"", front.address);
    assert!(status.contains(&url), "{url} is not in {status}");
}

#[tokio::test]
async fn a_second_connection_resumes_the_first_ones_session() {
    let authority = Authority::new();
    let length = DOCUMENT.len();
    let last = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{DOCUMENT}"
    );
    let app = FakeUpstream::start(move |_| Script::new().send(last.clone()));
    let front = Terminator::before(&app, &authority.issue(&[LOOPBACK])).await;
    let sidecar = before(front.address.port(), &authority.pem, "").await;
    for _ in 0..3 {
        let response = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(response.reason(), None);
    }
    assert_eq!(front.resumed.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_code() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let cases: [(Issued, u64); 4] = [
        (ours.issue(&["app.example.com"]), 11235),
        (ours.issue_for(&[LOOPBACK], When::Past), 11236),
        (ours.issue_for(&[LOOPBACK], When::Future), 11236),
        (theirs.issue(&[LOOPBACK]), 11237),
    ];
    for (issued, code) in cases {
        let app = FakeUpstream::with_document(DOCUMENT);
        let front = Terminator::before(&app, &issued).await;
        let sidecar = before(front.address.port(), &ours.pem, "").await;

        let response = sidecar.request(Webhook::voice("/voice/x")).await;

        assert_eq!(
            (response.status, response.reason()),
            (200, Some("tls")),
            "{code}"
        );
        let line = sidecar.wait_for_log(|line| line["reason"] == "tls").await;
        assert_eq!(line["twilio_code"], code, "{line}");
        assert!(app.requests().is_empty());
    }
}

#[tokio::test]
async fn the_name_that_is_expected_can_be_another() {
    let authority = Authority::new();
    let app = FakeUpstream::with_document(DOCUMENT);
    let front = Terminator::before(&app, &authority.issue(&["app.example.com"])).await;
    let keys = ", server_name = \"app.example.com\"";
    let sidecar = before(front.address.port(), &authority.pem, keys).await;
    let response = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(response.reason(), None);
}

#[tokio::test]
async fn an_app_that_wants_a_certificate_gets_ours() {
    let authority = Authority::new();
    let app = FakeUpstream::with_document(DOCUMENT);
    let front = Terminator::asking(&app, &authority.issue(&[LOOPBACK]), &authority).await;
    let ours = authority.issue(&["understudy.example.com"]);
    let port = front.address.port();
    let sidecar = Sidecar::before_address(front.address)
        .upstream(&format!("url = \"https://{LOOPBACK}:{port}\""))
        .upstream("tls = { ca = \"ca.pem\", client_cert = \"own.pem\", client_key = \"own.key\" }")
        .upstream("connect_timeout = \"5s\"")
        .file("ca.pem", &authority.pem)
        .file("own.pem", &ours.cert)
        .file("own.key", &ours.key)
        .start()
        .await;
    let response = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(response.reason(), None);

    let without = before(port, &authority.pem, "").await;
    let response = without.request(Webhook::voice("/voice/x")).await;
    assert_eq!(response.reason(), Some("tls"));
    assert_eq!(app.requests().len(), 1);
}

#[tokio::test]
async fn an_app_without_tls_and_one_that_is_silent_are_faults_of_tls() {
    let authority = Authority::new();
    let plain = TcpListener::bind((LOOPBACK, 0)).await.expect("a port");
    let port = plain.local_addr().expect("an address").port();
    let sidecar = before(port, &authority.pem, "").await;
    let mut client = sidecar.connect().await;
    client.send(Webhook::voice("/voice/x")).await;
    let accepted = wait_for("a connection", plain.accept()).await;
    let (mut socket, _) = accepted.expect("it comes");
    let refusal = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let sent = wait_for("the refusal to be taken", socket.write_all(refusal)).await;
    sent.expect("the connection is open");
    assert_eq!(client.response().await.reason(), Some("tls"));

    let silent = TcpListener::bind((LOOPBACK, 0)).await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let sidecar = Sidecar::before_address(([127, 0, 0, 1], port).into())
        .upstream(&format!("url = \"https://{LOOPBACK}:{port}\""))
        .upstream("connect_timeout = \"100ms\"")
        .upstream("tls = { ca = \"ca.pem\" }")
        .file("ca.pem", &authority.pem)
        .deadline(millis(10_000))
        .start()
        .await;
    let response = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(response.reason(), Some("tls"));
    let line = sidecar.wait_for_log(|line| line["reason"] == "tls").await;
    assert_eq!(line["twilio_code"], 11220, "{line}");
    let accepted = wait_for("a connection", silent.accept()).await;
    let (mut socket, _) = accepted.expect("it has come");
    let first = wait_for("a byte", socket.read_u8()).await;
    assert_eq!(first.expect("a byte"), 0x16, "a handshake");
}

#[tokio::test]
async fn a_bad_certificate_opens_the_breaker_and_a_good_one_closes_it() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let app = FakeUpstream::with_document(DOCUMENT);
    let front = Terminator::before(&app, &theirs.issue(&[LOOPBACK])).await;
    let port = front.address.port();
    let sidecar = Sidecar::before_address(front.address)
        .upstream(&format!("url = \"https://{LOOPBACK}:{port}\""))
        .upstream("connect_timeout = \"5s\"")
        .upstream("tls = { ca = \"ca.pem\" }")
        .defaults("breaker = { failures = 2, probe_every = \"50ms\" }")
        .file("ca.pem", &ours.pem)
        .start()
        .await;
    for _ in 0..2 {
        let response = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(response.reason(), Some("tls"));
    }
    let response = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(response.reason(), Some("breaker_open"));

    sidecar.rewrite("ca.pem", &theirs.pem);
    let through = async {
        while sidecar
            .request(Webhook::voice("/voice/x"))
            .await
            .reason()
            .is_some()
        {
            tokio::time::sleep(millis(20)).await;
        }
    };
    wait_for("the breaker to close", through).await;
}

#[tokio::test]
async fn a_fallback_url_may_be_behind_tls() {
    let authority = Authority::new();
    let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"));
    let other = FakeUpstream::with_document(DOCUMENT);
    let front = Terminator::before(&other, &authority.issue(&[LOOPBACK])).await;
    let address = front.address;
    let route = format!(
        "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\n\
         fallback = {{ url = \"https://{address}/backup\", ca = \"ca.pem\", inline = \"<Response/>\" }}\n"
    );
    let sidecar = Sidecar::before(&app)
        .routes(&route)
        .file("ca.pem", &authority.pem)
        .start()
        .await;
    let response = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(
        (response.reason(), response.text().as_str()),
        (Some("status_5xx"), DOCUMENT)
    );
}

#[tokio::test]
async fn a_pinned_certificate_is_accepted_whatever_else_it_says_and_no_other_is() {
    let authority = Authority::new();
    // Expired, for another name, and not from an authority that is known.
    let pinned = authority.issue_for(&["other.example.com"], When::Past);
    let other = authority.issue(&[LOOPBACK]);
    for (shown, reason) in [(&pinned, None), (&other, Some("tls"))] {
        let app = FakeUpstream::with_document(DOCUMENT);
        let front = Terminator::before(&app, shown).await;
        let port = front.address.port();
        let sidecar = Sidecar::before_address(([127, 0, 0, 1], port).into())
            .upstream(&format!("url = \"https://{LOOPBACK}:{port}\""))
            .upstream("connect_timeout = \"5s\"")
            .upstream("tls = { pin = \"app.pem\" }")
            .file("app.pem", &pinned.cert)
            .start()
            .await;
        let response = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(response.reason(), reason);
    }
}

#[tokio::test]
async fn a_self_signed_authority_is_refused_with_the_remedy_and_works_if_it_is_pinned() {
    let shown = Authority::self_signed(&[LOOPBACK]);
    let app = FakeUpstream::with_document(DOCUMENT);
    let front = Terminator::before(&app, &shown).await;
    let port = front.address.port();
    let sidecar = before(port, &shown.cert, "").await;
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.reason(),
        Some("tls")
    );
    let line = sidecar.wait_for_log(|line| line["reason"] == "tls").await;
    let error = line["error"].as_str().unwrap_or_default();
    assert!(error.contains("name this one as pin"), "{line}");

    let pins = sidecar.config().replace("ca = ", "pin = ");
    sidecar.rewrite_config(&pins);
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    let response = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(response.reason(), None);
}
