//! The status page as bytes. `tests/real/page.rs` tests it in a browser.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use understudy::failure::Reason;

use support::{Client, FakeUpstream, Response, Sidecar};

const DOCUMENT: &str = "<Response><Say>hello</Say></Response>";

/// The `Accept` of a browser that opens a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn request(sidecar: &Sidecar, method: &str, path: &str, headers: &str) -> Response {
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
        sidecar.admin
    );
    let mut client = Client::connect(sidecar.admin).await;
    if method == "HEAD" {
        client.send(text).await;
        return client.head().await;
    }
    client.request(text).await
}

async fn page(sidecar: &Sidecar) -> Response {
    let got = request(sidecar, "GET", "/", &format!("Accept: {BROWSER}\r\n")).await;
    assert_eq!(got.status, 200, "{got:?}");
    got
}

/// The text between two marks.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let rest = text.split_once(begin).expect(begin).1;
    rest.split_once(end).expect(end).0
}

#[tokio::test]
async fn a_browser_gets_the_page_and_a_program_the_list_of_paths() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    let page = page(&sidecar).await;
    for (name, wanted) in [
        ("content-type", "text/html; charset=utf-8"),
        ("vary", "accept"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(page.header(name), Some(wanted));
    }
    let head = request(&sidecar, "HEAD", "/", "Accept: text/html\r\n").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), page.header("content-length"));

    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        let index = request(&sidecar, "GET", "/", accept).await;
        assert_eq!(
            index.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(index.header("vary"), Some("accept"));
        assert!(index.text().contains("GET  /api/status\n"), "{index:?}");
    }
    let nowhere = request(&sidecar, "GET", "/nowhere", "Accept: text/html\r\n").await;
    assert_eq!(
        (nowhere.status, nowhere.header("content-type")),
        (404, Some("text/plain; charset=utf-8"))
    );
    assert_eq!(
        request(&sidecar, "POST", "/", "Content-Length: 0\r\n")
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn the_policy_allows_only_the_pages_own_script_and_style() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    let page = page(&sidecar).await;
    let text = page.text();
    let hash = |part: &str| BASE64_STANDARD.encode(Sha256::digest(part));
    let script = hash(between(&text, "<script>", "</script>"));
    let style = hash(between(&text, "<style>", "</style>"));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    assert_eq!(page.header("content-security-policy"), Some(&*policy));
    for loads in [
        " src=",
        "srcset",
        "@import",
        "url(",
        "import(",
        "importScripts",
        "innerHTML",
        "style=\"",
        " onclick=",
    ] {
        assert!(!text.contains(loads), "{loads}");
    }
    let addresses: Vec<_> = text
        .match_indices("://")
        .map(|(at, _)| &text[at - 5..at + 27])
        .collect();
    for address in addresses {
        let is_link = address.contains("https://www.twilio.com/docs/");
        let is_name = address.contains("http://www.w3.org/2000/svg");
        assert!(is_link || is_name, "{address}");
    }
}

#[tokio::test]
async fn beyond_loopback_the_page_needs_no_token_and_its_data_does() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app)
        .server("admin = \"0.0.0.0:0\"")
        .server("admin_token_file = \"admin.token\"")
        .file("admin.token", "a-token-of-the-page\n")
        .start()
        .await;
    let open = page(&sidecar).await;
    let port = app.address().port().to_string();
    for secret in ["messaging/*", "a-token-of-the-page", port.as_str()] {
        assert!(!open.text().contains(secret), "{secret}");
    }
    assert_eq!(request(&sidecar, "HEAD", "/", "").await.status, 200);
    for (method, path, wanted) in [
        ("GET", "/api/status?routes=200&history=yes", 401),
        ("GET", "/api/status", 401),
        ("GET", "/nowhere", 401),
        ("POST", "/", 401),
        ("PUT", "/api/drills/voice", 401),
        ("POST", "/api/reload", 401),
    ] {
        let got = request(&sidecar, method, path, "Content-Length: 0\r\n").await;
        assert_eq!(got.status, wanted, "{method} {path}");
    }
    // As the page's own script asks, with what a browser adds.
    let own = format!(
        "Authorization: Bearer a-token-of-the-page\r\nOrigin: http://{}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: 0\r\n",
        sidecar.admin
    );
    assert_eq!(
        request(&sidecar, "GET", "/api/status", &own).await.status,
        200
    );
    assert_eq!(
        request(&sidecar, "POST", "/api/reload", &own).await.status,
        200
    );
    let other = own.replace("same-origin", "cross-site");
    assert_eq!(
        request(&sidecar, "POST", "/api/reload", &other)
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn every_reason_has_a_text() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    let text = page(&sidecar).await.text();
    let reasons = between(&text, "const REASONS = {", "\n};");
    let keys: Vec<_> = reasons
        .lines()
        .filter_map(|line| line.trim().split_once(": [").map(|(key, _)| key))
        .collect();
    assert_eq!(keys, Reason::ALL.map(Reason::label));
    assert!(text.contains("docs/reasons.md"), "where more is said");
}
