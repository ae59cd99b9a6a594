//! httplint, which REDbot checks responses with, on all responses of our own: fallbacks, refusals, errors, and the admin listener's.

use std::net::TcpListener;
use std::process::Stdio;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::program;
use support::{Client, FakeUpstream, Script, Sidecar, wait_for};

/// What is meant as it is, although httplint warns of it.
const MEANT: &[(&str, &str)] = &[
    ("STATUS_BAD_REQUEST", "it only says what 400 means"),
    (
        "STATUS_VERSION_NOT_SUPPORTED",
        "it only says what 505 means",
    ),
    (
        "CREATED_WITHOUT_LOCATION",
        "what a PUT creates is at its target (RFC 9110 §15.3.2)",
    ),
];

const ROUTES: &str = r#"
[signature]
tokens_file = "tokens"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
[[route]]
name = "messaging"
path = "/messaging/*"
kind = "messaging"
[[route]]
name = "callback"
path = "/callback/*"
kind = "callback"
[[route]]
name = "pass"
path = "/pass/*"
kind = "pass"
[[route]]
name = "signed"
path = "/signed/*"
kind = "voice"
signature = "enforce"
"#;

/// A response with the request that it is for.
struct Exchange {
    name: String,
    status: u16,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Exchange {
    /// That it has another status than it should.
    fn other_status(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.response);
        let is_so = text.starts_with(&format!("HTTP/1.1 {} ", self.status));
        (!is_so).then(|| format!("{}: not {} but {text}", self.name, self.status))
    }
}

#[tokio::test]
async fn httplint_finds_nothing_wrong_with_our_own_responses() {
    let Some(linter) = program("httplint_responses.py", "httplint") else {
        return;
    };
    let mut exchanges = of_the_public_listener().await;
    exchanges.extend(of_the_admin_listener().await);
    let found = lint(linter, &exchanges).await;
    let mut wrong: Vec<_> = exchanges
        .iter()
        .filter_map(Exchange::other_status)
        .collect();
    let notes = found
        .iter()
        .filter(|note| !MEANT.iter().any(|(id, _)| note["id"] == *id))
        .map(|note| format!("{}: {} {}", note["name"], note["id"], note["summary"]));
    wrong.extend(notes);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An app that fails in the way that the path names.
fn app() -> FakeUpstream {
    FakeUpstream::start(|request| match request.path().rsplit('/').next() {
        Some("bad") => Script::response("500 Oops", "text/html", "no"),
        Some("slow") => Script::new().stall(),
        Some("gone") => Script::new().close(),
        _ => Script::twiml("<Response/>"),
    })
}

async fn of_the_public_listener() -> Vec<Exchange> {
    let app = app();
    let sidecar = Sidecar::before(&app)
        .workers(1)
        .server("header_timeout = \"300ms\"")
        .server("public_url = \"http://a\"")
        .defaults("deadline = \"500ms\"")
        .defaults("max_request_body = \"1KiB\"")
        .routes(ROUTES)
        .file(
            "tokens",
            "AC00000000000000000000000000000001=12345678901234567890123456789012\n",
        )
        .start()
        .await;
    let form = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 11\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\nCallSid=CA1"
        )
    };
    let get = |path: &str, lines: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n")
    };
    let long = "x".repeat(70_000);
    let requests = [
        ("fallback of a voice route", 200, form("/voice/bad")),
        ("fallback of a messaging route", 200, form("/messaging/bad")),
        ("fallback at the deadline", 200, form("/voice/slow")),
        ("fallback for GET", 200, get("/voice/bad", "")),
        ("error of a callback", 502, form("/callback/gone")),
        ("deadline of a callback", 504, form("/callback/slow")),
        ("error of a stream", 504, get("/pass/slow", "")),
        (
            "error for HEAD",
            504,
            "HEAD /voice/slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        ("no signature", 403, form("/signed/x")),
        (
            "a wrong signature",
            403,
            form("/signed/x").replace(
                "\r\n\r\n",
                "\r\nX-Twilio-Signature: tGOUDdNFlaO7Buu8ZVluTp6TC5k=\r\n\r\n",
            ),
        ),
        (
            "no valid host",
            400,
            "GET /voice/x HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(),
        ),
        ("no HTTP", 400, "GARBAGE\r\n\r\n".to_owned()),
        (
            "no valid chunk",
            400,
            "POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
                .to_owned(),
        ),
        (
            "a head that stays away",
            408,
            "GET /voice/x HTTP/1.1\r\nHost: a\r\n".to_owned(),
        ),
        (
            "a body that stays away",
            408,
            "POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n".to_owned(),
        ),
        (
            "a body that is too long",
            413,
            "POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n".to_owned(),
        ),
        (
            "a head that is too long",
            431,
            get("/voice/x", &format!("X: {long}\r\n")),
        ),
        (
            "an unknown coding",
            501,
            "POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
                .to_owned(),
        ),
        (
            "CONNECT",
            501,
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(),
        ),
        (
            "HTTP/2 without TLS",
            505,
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ),
    ];
    let mut exchanges = Vec::new();
    for (name, status, request) in requests {
        exchanges.push(exchange(&sidecar, false, name, status, request).await);
    }
    exchanges.push(loop_detected().await);
    exchanges
}

/// What a request gets that comes back to us, by an upstream that is our own socket. systemd passes the socket, so the configuration
/// doesn't show it.
async fn loop_detected() -> Exchange {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = socket.local_addr().expect("a bound socket");
    let sidecar = Sidecar::before_address(address)
        .socket(&socket)
        .start()
        .await;
    let request = "GET /pass/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned();
    exchange(&sidecar, false, "a loop", 508, request).await
}

async fn of_the_admin_listener() -> Vec<Exchange> {
    let app = app();
    let sidecar = Sidecar::before(&app).start().await;
    let locked = Sidecar::before(&app)
        .server("admin_token_file = \"token\"")
        .file("token", "0123456789abcdef0123\n")
        .start()
        .await;
    let request = |method: &str, path: &str, lines: &str, body: &str| {
        let length = match body {
            "" => String::new(),
            body => format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            ),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}{length}\r\n{body}"
        )
    };
    let drill = r#"{"fault":"deadline","for":"1m"}"#;
    let requests = [
        ("the list of paths", 200, request("GET", "/", "", "")),
        (
            "the status page",
            200,
            request("GET", "/", "Accept: text/html\r\n", ""),
        ),
        ("the metrics", 200, request("GET", "/metrics", "", "")),
        (
            "HEAD of the metrics",
            200,
            request("HEAD", "/metrics", "", ""),
        ),
        ("healthz", 200, request("GET", "/healthz", "", "")),
        ("readyz", 200, request("GET", "/readyz", "", "")),
        ("the status", 200, request("GET", "/api/status", "", "")),
        (
            "a wrong query",
            400,
            request("GET", "/api/status?routes=x", "", ""),
        ),
        ("drills", 200, request("GET", "/api/drills", "", "")),
        (
            "a drill begins",
            201,
            request("PUT", "/api/drills/voice", "", drill),
        ),
        (
            "a drill ends",
            200,
            request(
                "DELETE",
                "/api/drills/voice",
                "Content-Type: application/json\r\n",
                "",
            ),
        ),
        (
            "no drill",
            404,
            request(
                "DELETE",
                "/api/drills/voice",
                "Content-Type: application/json\r\n",
                "",
            ),
        ),
        (
            "a drill of no route",
            404,
            request("PUT", "/api/drills/none", "", drill),
        ),
        (
            "a wrong drill",
            400,
            request("PUT", "/api/drills/voice", "", "{}"),
        ),
        ("a reload", 200, request("POST", "/api/reload", "", "{}")),
        ("an unknown path", 404, request("GET", "/none", "", "")),
        ("a wrong method", 405, request("POST", "/metrics", "", "{}")),
        (
            "another wrong method",
            405,
            request("GET", "/api/reload", "", ""),
        ),
        ("no JSON", 415, request("POST", "/api/reload", "", "")),
        (
            "another site",
            403,
            request("POST", "/api/reload", "Origin: http://b.example\r\n", "{}"),
        ),
        (
            "another name",
            421,
            "GET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        (
            "no host",
            400,
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        ),
    ];
    let mut exchanges = Vec::new();
    for (name, status, request) in requests {
        exchanges.push(exchange(&sidecar, true, name, status, request).await);
    }
    let without_token = request("GET", "/metrics", "", "");
    exchanges.push(exchange(&locked, true, "no token", 401, without_token).await);
    exchanges
}

/// Sends a request on a connection of its own, which the response ends.
async fn exchange(
    sidecar: &Sidecar,
    to_admin: bool,
    name: &str,
    status: u16,
    request: String,
) -> Exchange {
    let address = if to_admin {
        sidecar.admin
    } else {
        sidecar.address
    };
    let mut client = Client::connect(address).await;
    client.send(request.clone()).await;
    let response = client.closed().await;
    Exchange {
        name: name.to_owned(),
        status,
        request: request.into_bytes(),
        response,
    }
}

/// What httplint finds.
async fn lint(linter: std::process::Command, exchanges: &[Exchange]) -> Vec<Value> {
    let mut input = String::new();
    for exchange in exchanges {
        let line = json!({
            "name": exchange.name,
            "request": BASE64_STANDARD.encode(&exchange.request),
            "response": BASE64_STANDARD.encode(&exchange.response),
        });
        input += &format!("{line}\n");
    }
    let mut child = tokio::process::Command::from(linter)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let give = async move { stdin.write_all(input.as_bytes()).await };
    let (output, given) = wait_for("httplint", async {
        tokio::join!(child.wait_with_output(), give)
    })
    .await;
    let output = output.expect("its output");
    assert!(
        output.status.success() && given.is_ok(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect()
}
