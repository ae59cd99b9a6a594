//! Numbers, message bodies, digits, speech, tokens and cookies never get into logs, metrics, status or page, whatever fails
//! and wherever an app repeats them. Each is a mark here that occurs nowhere else.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::tls::frames::{
    ACK, Connection, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, block, frame,
};
use crate::tls::pki::Authority;
use crate::{drill, faults, map};
use support::{Client, FakeUpstream, Request, Script, Sidecar, Webhook, response, wait_until};

/// What only a caller or a client has sent.
const MARKS: [&str; 9] = [
    "2025550187",
    "3125550144",
    "8642097531",
    "crumpet",
    "harmonica",
    "kumquat",
    "quagga",
    "narwhal",
    "ibex",
];

/// What an app may repeat of it.
const SAID: &str = "+12025550187 crumpet harmonica 8642097531 kumquat";

/// Every fault: those of the table, and those in which the app repeats what it was sent.
fn all_faults() -> Vec<Script> {
    let table = faults::scripts().into_iter();
    let documents = documents()
        .into_iter()
        .map(|document| Script::twiml(document.replace("SAID", SAID)));
    let heads = heads()
        .into_iter()
        .map(|head| Script::new().send(head.replace("SAID", SAID)).close());
    table.chain(documents).chain(heads).collect()
}

/// Documents that Twilio can't act on, or would warn of, with the marks in every place of a document.
fn documents() -> Vec<&'static str> {
    vec![
        "SAID",
        "crumpet<Response/>",
        "<Response><Say>SAID",
        "<Response><Say>SAID</Response>",
        "<Response><Say SAID></Say></Response>",
        "<Response><Say kumquat></Say></Response>",
        "<Response><Say kumquat='crumpet'>SAID</Say></Response>",
        "<Response><Say kumquat='1' kumquat='2'>SAID</Say></Response>",
        "<Response><Say voice='SAID'>SAID</Say></Response>",
        "<Response><Say language='SAID' loop='SAID'>SAID</Say></Response>",
        "<Response><Say>&crumpet;</Say></Response>",
        "<Response><Say>&#8642097531;</Say></Response>",
        "<Response><Say>&#crumpet;</Say></Response>",
        "<Response><Say>a</kumquat></Response>",
        "<Response><kumquat crumpet='SAID'>SAID</kumquat></Response>",
        "<Response><Message><kumquat>SAID</kumquat></Message></Response>",
        "<Response><Message to='SAID' action='SAID'>SAID</Message></Response>",
        "<Response><Dial timeout='SAID' callerId='SAID'>SAID</Dial></Response>",
        "<Response><Dial><Number statusCallbackEvent='SAID'>SAID</Number></Dial></Response>",
        "<Response><Gather input='SAID' finishOnKey='SAID' numDigits='SAID'/></Response>",
        "<Response><Play digits='SAID' loop='kumquat'>SAID</Play></Response>",
        "<Response><Redirect method='SAID'>SAID</Redirect></Response>",
        "<Response><Pause length='SAID'/>SAID</Response>",
        "<Response><Say>SAID</Say></Response>SAID",
        "<Response/><kumquat>SAID</kumquat>",
        "<kumquat>SAID</kumquat>",
        "<kumquat crumpet='SAID'/>",
        "<Response><!-- SAID -- SAID --></Response>",
        "<Response><?kumquat SAID</Response>",
        "<Response><![CDATA[SAID</Response>",
        "<!DOCTYPE kumquat SYSTEM 'SAID'><Response/>",
        "<?xml version='8642097531'?><Response/>",
        "<?xml version='1.0' encoding='kumquat'?><Response/>",
        "<?xml version='1.0' kumquat='crumpet'?><Response/>",
        "<html><body>Fatal error: SAID</body></html>",
        "{\"Body\":\"SAID\"}",
    ]
}

/// Heads that are bad, or redirect nowhere, with the marks in them.
fn heads() -> Vec<&'static str> {
    vec![
        "SAID\r\n\r\n",
        "HTTP/1.1 500 SAID\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 8642097531 SAID\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSAID\r\n\r\n",
        "HTTP/1.1 200 OK\r\nkumquat SAID: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: SAID\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 8642097531\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: kumquat\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nkumquat SAID\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: kumquat/crumpet\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Type: SAID\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=kumquat\r\nContent-Length: 11\r\n\r\n<Response/>",
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=`kumquat\r\nContent-Length: 11\r\n\r\n<Response/>",
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=\"a`SAID`b`crumpet\"\r\nContent-Length: 11\r\n\r\n<Response/>",
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=\"utf-8 SAID\"\r\nContent-Length: 11\r\n\r\n<Response/>",
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=8642\r\nContent-Length: 11\r\n\r\n<Response/>",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nkumquat SAID\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nkumquat SAID: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Encoding: kumquat\r\nContent-Length: 11\r\n\r\n<Response/>",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 49\r\n\r\nSAID",
        "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nKumquat: SAID\r\n\r\n",
        "HTTP/1.1 308 SAID\r\nLocation: tel:SAID\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 SAID\r\nWWW-Authenticate: SAID\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 SAID\r\nUpgrade: kumquat\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie: SAID\r\n",
    ]
}

/// An app that fails as the last segment of the path says; below `/backed` always in the same way.
fn app() -> FakeUpstream {
    let all = all_faults();
    FakeUpstream::start(move |request: &Request| match request.path() {
        "/tunnel" => Script::new()
            .send("HTTP/1.1 101 SAID\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .stall(),
        path if path.starts_with("/backed/") => repeating(),
        path => fault(&all, path.rsplit('/').next()),
    })
}

/// The app behind the fallback URL, which fails as the last segment of the original path says.
fn other_app() -> FakeUpstream {
    let all = all_faults();
    FakeUpstream::start(move |request: &Request| {
        let url = request.target().split("%2Fbacked%2F").nth(1);
        fault(&all, url.and_then(|rest| rest.split("%3F").next()))
    })
}

/// The fault of this number.
fn fault(all: &[Script], number: Option<&str>) -> Script {
    let number = number.and_then(|number| number.parse::<usize>().ok());
    let fault = number.and_then(|number| all.get(number));
    fault.cloned().unwrap_or_else(repeating)
}

/// An error that repeats what was sent.
fn repeating() -> Script {
    let headers = [("Content-Type", "text/plain")];
    Script::new().send(response("500 Internal Server Error", &headers, SAID))
}

/// The webhook with every mark in it.
fn marked(webhook: Webhook) -> Webhook {
    webhook
        .with("From", "+12025550187")
        .with("To", "+13125550144")
        .with("CallerName", "kumquat")
        .with("Body", "crumpet 8642097531")
        .with("Digits", "8642097531")
        .with("SpeechResult", "harmonica")
        .header("Cookie", "session=quagga")
        .header("Authorization", "Basic narwhal")
        .header("traceparent", "00-2025550187-narwhal-01")
}

const ROUTES: &str = r#"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
[[route]]
name = "messaging"
path = "/messaging/*"
kind = "messaging"
fallback = { inline = "<Response><Message>Hello {{From}} {{Body}}</Message></Response>" }
[[route]]
name = "callback"
path = "/callback/*"
kind = "callback"
[[route]]
name = "auto"
path = "/auto/*"
kind = "auto"
[[route]]
name = "breaks"
path = "/breaks/*"
kind = "voice"
breaker = { failures = 1 }
[[route]]
name = "signed"
path = "/signed/*"
kind = "messaging"
signature = "enforce"
[[route]]
name = "reported"
path = "/reported/*"
kind = "messaging"
signature = "report"
[[route]]
name = "backed"
path = "/backed/*"
kind = "voice"
fallback = { url = "http://OTHER/backup", budget = "5s" }
deadline = "7s"
"#;

/// A proxy that logs as much as it can.
async fn sidecar(app: &FakeUpstream, other: &FakeUpstream, mode: &str, validate: &str) -> Sidecar {
    let routes = ROUTES.replace("OTHER", &other.address().to_string());
    Sidecar::before(app)
        .server("public_url = \"https://hooks.example.com\"")
        .defaults("deadline = \"1s\"")
        .defaults(&format!("mode = \"{mode}\""))
        .defaults(&format!("validate = \"{validate}\""))
        .defaults("access_log = true")
        .defaults("breaker = { failures = 0 }")
        .routes(&format!("[signature]\ntokens_file = \"tokens\"\n{routes}"))
        .file("tokens", "*=0123456789abcdef0123456789abcdef\n")
        .rust_log("trace")
        .start()
        .await
}

/// How many requests are in flight at once.
const AT_ONCE: usize = 24;

/// Sends a request and reads the response. A response without an end has a head at least; then the client leaves.
async fn send(address: SocketAddr, request: Vec<u8>) {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.head().await;
}

/// The requests for each fault: on every kind of route, and with the parameters in every place.
fn webhooks(at: usize) -> [Webhook; 6] {
    [
        Webhook::voice(&format!("/backed/{at}")).get(),
        Webhook::voice(&format!("/voice/ibex/{at}?Digits=8642097531")),
        Webhook::sms(&format!("/messaging/ibex/{at}?Digits=8642097531")),
        Webhook::status_callback(&format!("/callback/ibex/{at}?Digits=8642097531")),
        Webhook::sms(&format!("/auto/{at}")),
        Webhook::voice(&format!("/voice/{at}")).get(),
    ]
}

/// Lets everything fail, on every kind of route.
async fn fail_everything(sidecar: &Sidecar) {
    let address = sidecar.address;
    let mut under_way = JoinSet::new();
    for webhook in (0..all_faults().len()).flat_map(webhooks) {
        if under_way.len() == AT_ONCE {
            under_way.join_next().await.expect("one").expect("it ends");
        }
        under_way.spawn(send(address, marked(webhook).bytes()));
    }
    under_way.join_all().await;
    for webhook in [
        Webhook::sms("/messaging/ibex").with("Body", "STOP crumpet"),
        Webhook::sms("/signed/ibex"),
        Webhook::sms("/signed/ibex").unsigned(),
        Webhook::sms("/reported/ibex"),
        Webhook::sms("/reported/ibex").unsigned(),
        Webhook::voice("/breaks/ibex"),
        Webhook::voice("/breaks/ibex"),
        Webhook::voice("/ibex/unmatched"),
    ] {
        send(address, marked(webhook).bytes()).await;
    }
    for request in bad_requests() {
        let mut client = Client::connect(sidecar.address).await;
        client.send(request.replace("SAID", SAID)).await;
        client.end().await;
        client.closed().await;
    }
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nCookie: SAID\r\n";
    let mut client = Client::connect(address).await;
    client
        .send(format!("GET /tunnel HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n").replace("SAID", SAID))
        .await;
    assert_eq!(client.head().await.status, 101);
    client.send_more(SAID).await.expect("it is open");
    client.reset();
}

/// Requests that are not valid HTTP, or not as they should be.
fn bad_requests() -> Vec<&'static str> {
    vec![
        "SAID\r\n\r\n",
        "kumquat /voice/ibex HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /voice/SAID HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /voice/ibex HTTP/1.1\r\nHost: SAID\r\nContent-Length: 0\r\n\r\n",
        "POST /voice/ibex HTTP/1.1\r\nHost: a\r\nkumquat SAID\r\n\r\n",
        "POST /voice/ibex HTTP/1.1\r\nHost: a\r\nContent-Length: SAID\r\n\r\n",
        "POST /voice/ibex HTTP/1.1\r\nHost: a\r\nContent-Length: 8642097531\r\n\r\n",
        "POST /voice/ibex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: kumquat\r\n\r\n",
        "POST /voice/ibex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nkumquat SAID\r\n",
        "POST /voice/ibex HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nFrom=%2B12025550187",
        "GET /voice/ibex?From=%2B12025550187 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ]
}

/// Fails if a mark is in this output.
fn assert_unmarked(place: &str, said: &str) {
    assert!(!said.is_empty(), "{place} says nothing");
    let lower = said.to_ascii_lowercase();
    for mark in MARKS {
        if let Some(at) = lower.find(mark) {
            let line = lower[..at].rfind('\n').map_or(0, |end| end + 1);
            let line = said[line..].lines().next().unwrap_or_default();
            panic!("{place} has {mark}: {line}");
        }
    }
}

/// Fails if a mark is in the log, or a line of a library, which can't know what callers sent.
fn assert_log_is_unmarked(sidecar: &Sidecar) {
    let lines = sidecar.log_lines();
    assert_unmarked("the log", &lines.join("\n"));
    for line in lines {
        let line: Value = serde_json::from_str(&line).expect("a line is JSON");
        let target = line["target"].as_str().expect("a line has a target");
        assert!(target.starts_with("understudy"), "{line}");
    }
}

/// The messages about a bad request or response.
const MESSAGES: [&str; 6] = [
    "upstream response rejected",
    "upstream response broke off",
    "request refused",
    "signature not valid; it would be refused if signatures were enforced",
    "client connection failed",
    "tunnel failed",
];

async fn assert_nothing_is_shown(sidecar: &Sidecar) {
    for message in MESSAGES {
        sidecar
            .wait_for_log(|line| line["message"] == message)
            .await;
    }
    // Lines keep their order, so all earlier lines have been written.
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    let last = "configuration reloaded";
    sidecar.wait_for_log(|line| line["message"] == last).await;
    assert_log_is_unmarked(sidecar);
    for path in ["/metrics", "/api/status", "/api/drills", "/"] {
        let response = sidecar.admin_get(path).await;
        assert_eq!(response.status, 200, "{path}");
        assert_unmarked(path, &response.text());
    }
}

#[tokio::test]
async fn no_callers_data_is_shown_when_requests_fall_back() {
    let (app, other) = (app(), other_app());
    let sidecar = sidecar(&app, &other, "enforce", "strict").await;
    fail_everything(&sidecar).await;
    drill::begin(&sidecar, "voice", "malformed").await;
    send(
        sidecar.address,
        marked(Webhook::voice("/voice/ibex")).bytes(),
    )
    .await;
    for reason in ["drill", "schema", "malformed", "breaker_open", "status_5xx"] {
        sidecar.wait_for_log(|line| line["reason"] == reason).await;
    }
    let other_failed = "fallback URL response rejected";
    let line = sidecar
        .wait_for_log(|line| line["message"] == other_failed)
        .await;
    assert_eq!(line["route"], "backed");
    assert_eq!(other.requests().len(), all_faults().len());
    assert_nothing_is_shown(&sidecar).await;
}

#[tokio::test]
async fn no_callers_data_is_shown_when_responses_are_only_observed() {
    let (app, other) = (app(), other_app());
    let sidecar = sidecar(&app, &other, "observe", "twilio").await;
    fail_everything(&sidecar).await;
    sidecar
        .wait_for_log(|line| line["outcome"] == "observed" && line["reason"] == "malformed")
        .await;
    assert_nothing_is_shown(&sidecar).await;
}

#[tokio::test]
async fn no_callers_data_is_shown_of_http_2_and_tls() {
    const NAME: &str = "hooks.example.com";
    let (authority, app) = (Authority::new(), app());
    let issued = authority.issue(&[NAME]);
    let sidecar = Sidecar::before(&app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", &issued.cert)
        .file("key.pem", &issued.key)
        .rust_log("trace")
        .start()
        .await;
    let said = SAID.as_bytes();
    let path = "/voice/ibex?Body=crumpet&From=%2B12025550187";
    let bad_path = format!("{path} kumquat");
    let good: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"https"),
        (":authority", NAME.as_bytes()),
        (":path", path.as_bytes()),
    ];
    let with = |at: usize, value: &'static [u8]| {
        let mut headers = good.to_vec();
        headers[at].1 = value;
        headers
    };
    let and = |name: &'static str, value: &'static [u8]| [&good[..], &[(name, value)]].concat();
    let mut bad = good.to_vec();
    bad[3].1 = bad_path.as_bytes();
    for headers in [
        good.to_vec(),
        bad,
        with(0, b"kumquat crumpet"),
        with(1, b"kumquat crumpet"),
        with(2, b"crumpet@kumquat@a"),
        and("te", b"kumquat"),
        and("cookie", b" quagga"),
        and("content-length", b"8642097531x"),
        and(":path", b"/kumquat"),
        and(":status", b"kumquat"),
        and("X-Kumquat", b"crumpet"),
    ] {
        let mut connection = Connection::open(&authority, &sidecar, NAME).await;
        let request = block(&headers);
        connection
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request))
            .await;
        connection.end_of(1).await;
        // A response without a request.
        connection.send(&frame(PING, ACK, 0, b"crumpets")).await;
        // A peer may give a reason why it goes away.
        let bye = [&[0, 0, 0, 1, 0, 0, 0, 1][..], said].concat();
        connection.send(&frame(GOAWAY, 0, 0, &bye)).await;
    }
    let mut stranger = Client::connect(sidecar.address).await;
    stranger.send(SAID).await;
    stranger.closed().await;
    let broke = "TLS handshake failed";
    sidecar.wait_for_log(|line| line["message"] == broke).await;
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    sidecar
        .wait_for_log(|line| line["message"] == "configuration reloaded")
        .await;
    assert_log_is_unmarked(&sidecar);
}

#[tokio::test]
async fn what_is_queued_is_shown_nowhere_until_it_is_revealed() {
    let app = app();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue");
    let sidecar = Sidecar::before(&app)
        .defaults("deadline = \"1s\"")
        .defaults("access_log = true")
        .defaults("breaker = { failures = 0 }")
        .routes(&format!(
            "[queue]\npath = {path:?}\n[[route]]\nname = \"queued\"\npath = \"/queued/*\"\nkind = \"callback\"\nwhen_down = \"queue\"\n"
        ))
        .rust_log("trace")
        .start()
        .await;
    for at in 0..all_faults().len() {
        let callback = Webhook::status_callback(&format!("/queued/{at}?Digits=8642097531"));
        let callback = callback.with("CallSid", &format!("CA{at}"));
        send(sidecar.address, marked(callback).bytes()).await;
    }
    let callback = Webhook::status_callback("/queued/x?kumquat").with("CallSid", "+12025550187");
    send(sidecar.address, marked(callback).bytes()).await;
    wait_until("a delivery that has failed", async || {
        let status = sidecar.admin_get("/api/status").await.text();
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status["queue"]["routes"][0]["last_error"].is_string()
    })
    .await;
    let list = sidecar.admin_get("/api/queue?limit=1000").await.text();
    assert_unmarked("the list", &list);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let callbacks = list["callbacks"].as_array().expect("a list");
    assert!(callbacks.len() > 20, "{callbacks:?}");
    for callback in callbacks {
        let path = format!("/api/queue/{}", callback["id"].as_str().expect("an id"));
        let response = sidecar.admin_get(&path).await;
        // It may have been delivered meanwhile.
        assert!([200, 404].contains(&response.status), "{response:?}");
        assert_unmarked(&path, &response.text());
    }
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    let last = "configuration reloaded";
    sidecar.wait_for_log(|line| line["message"] == last).await;
    assert_log_is_unmarked(&sidecar);
    for path in ["/metrics", "/api/status", "/"] {
        assert_unmarked(path, &sidecar.admin_get(path).await.text());
    }
}

/// Every error that a peer may have influenced goes through one function before it is logged, wherever its text comes from.
#[test]
fn errors_are_logged_by_one_function() {
    for module in ["proxy", "server", "signature", "tls", "upstream"] {
        for file in map::files_of(module) {
            let text = std::fs::read_to_string(&file).expect("it can be read");
            for (at, line) in text.lines().enumerate() {
                let logs_as_it_is =
                    ["(%", "= %", ", %", "(?", "= ?"].map(|field| line.contains(field));
                assert!(
                    !logs_as_it_is.contains(&true),
                    "{}:{}: {line}",
                    file.display(),
                    at + 1
                );
            }
        }
    }
}
