//! HTTP/2 in, HTTP/1.1 out: what the app reads is what it would have read, and the connection ends in good order.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::client;
use super::frames::{self, PREFACE, frame};
use super::left;
use super::pki::Authority;
use support::{FakeUpstream, Script, Sidecar, Signal, millis, wait_for};

pub(super) const NAME: &str = "hooks.example.com";
pub(super) const DOCUMENT: &str = "<Response><Say>By HTTP/2</Say></Response>";

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

pub(super) async fn showing(authority: &Authority, app: &FakeUpstream, line: &str) -> Sidecar {
    let issued = authority.issue(&[NAME]);
    Sidecar::before(app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .server(line)
        .file("cert.pem", &issued.cert)
        .file("key.pem", &issued.key)
        .start()
        .await
}

async fn connect(authority: &Authority, sidecar: &Sidecar) -> Connection {
    let config = client::config(authority, client::BOTH, &["h2", "http/1.1"]);
    let stream = client::connect(&config, sidecar.address, NAME).await;
    let stream = stream.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let connected = wait_for(
        "an HTTP/2 connection",
        handshake(TokioExecutor::new(), TokioIo::new(stream)),
    );
    let (sender, driver) = connected.await.expect("HTTP/2");
    let driver = tokio::spawn(driver);
    Connection { sender, driver }
}

fn webhook(path: &str) -> http::request::Builder {
    Request::post(format!("https://{NAME}{path}"))
        .header("content-type", "application/x-www-form-urlencoded")
}

const FORM: &str = "CallSid=CA00000000000000000000000000000002&From=%2B12025550147";

impl Connection {
    async fn request(&mut self, request: http::request::Builder) -> (u16, String, Response<()>) {
        let request = request.body(FORM.into()).expect("a request");
        let response = wait_for("a response", self.sender.send_request(request)).await;
        whole(response.expect("a response")).await
    }
}

async fn whole(response: Response<Incoming>) -> (u16, String, Response<()>) {
    let (head, body) = response.into_parts();
    let body = wait_for("a body", body.collect())
        .await
        .expect("a whole body");
    let text = String::from_utf8(body.to_bytes().to_vec()).expect("text");
    (head.status.as_u16(), text, Response::from_parts(head, ()))
}

#[tokio::test]
async fn the_app_reads_what_it_would_have_read() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "trusted_proxies = []").await;
    let mut connection = connect(&authority, &sidecar).await;
    let request = webhook("/voice/x?a=%41")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("x-twilio-signature", "tGOUDdNFlaO7Buu8ZVluTp6TC5k=");

    let (status, text, response) = connection.request(request).await;

    assert_eq!((status, text.as_str()), (200, DOCUMENT));
    assert_eq!(response.version(), http::Version::HTTP_2);
    let asked = &app.requests()[0];
    assert_eq!((asked.method(), asked.target()), ("POST", "/voice/x?a=%41"));
    assert_eq!(asked.payload(), FORM.as_bytes());
    for (name, value) in [
        ("host", Some(NAME)),
        ("cookie", Some("a=1; b=2")),
        ("te", None),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-host", Some(NAME)),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-twilio-signature", Some("tGOUDdNFlaO7Buu8ZVluTp6TC5k=")),
        ("content-length", Some(FORM.len().to_string().as_str())),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn many_calls_at_once_each_have_their_own_response() {
    let authority = Authority::new();
    let app = FakeUpstream::start(|request| match request.target().rsplit('/').next() {
        Some("bad") => Script::response("500 Oops", "text/html", "no"),
        Some("none") => Script::new().stall(),
        other => Script::twiml(format!(
            "<Response><Say>{}</Say></Response>",
            other.unwrap_or("")
        )),
    });
    let sidecar = showing(&authority, &app, "workers = 1").await;
    let connection = connect(&authority, &sidecar).await;
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..300 {
        let mut sender = connection.sender.clone();
        requests.spawn(async move {
            let name = if number % 10 == 0 {
                "bad".to_owned()
            } else {
                number.to_string()
            };
            let request = webhook(&format!("/voice/{name}")).body(FORM.into());
            sender.ready().await.expect("it is open");
            let response = sender.send_request(request.expect("a request")).await;
            let (status, text, response) = whole(response.expect("a response")).await;
            assert_eq!(status, 200);
            match response.headers().get("understudy-fallback") {
                Some(reason) => assert_eq!(
                    (reason.as_bytes(), name.as_str()),
                    (&b"status_5xx"[..], "bad")
                ),
                None => assert!(text.contains(&format!("<Say>{name}</Say>")), "{text}"),
            }
        });
    }
    wait_for("all requests", requests.join_all()).await;
    let requests = "understudy_requests_total";
    for (outcome, many) in [("fallback", 30.0), ("upstream", 270.0)] {
        let labels = [("route", "voice"), ("outcome", outcome)];
        sidecar.wait_for_metric(requests, &labels, many).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_once() {
    let authority = Authority::new();
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = showing(&authority, &app, "workers = 1").await;
    let mut connection = connect(&authority, &sidecar).await;
    let request = webhook("/voice/x").body(FORM.into()).expect("a request");
    let pending = connection.sender.send_request(request);
    wait_for("the request at the app", app.wait_for_requests(1)).await;
    drop(pending);
    connection.driver.abort();
    let labels = [("route", "voice"), ("outcome", "abandoned")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, 1.0)
        .await;
    left(&sidecar, 0.0).await;
}

#[tokio::test]
async fn a_drain_says_so_and_lets_the_calls_under_way_finish() {
    let authority = Authority::new();
    let length = DOCUMENT.len();
    let late = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{DOCUMENT}"
    );
    let app = FakeUpstream::start(move |_| Script::new().pause(millis(400)).send(late.clone()));
    let mut sidecar = showing(&authority, &app, "drain = \"10s\"").await;
    let mut connection = connect(&authority, &sidecar).await;
    let idle = connect(&authority, &sidecar).await;
    let request = webhook("/voice/x").body(FORM.into()).expect("a request");
    let pending = connection.sender.send_request(request);
    let pending = tokio::spawn(async move { whole(pending.await.expect("a response")).await });
    wait_for("the request at the app", app.wait_for_requests(1)).await;
    sidecar.signal(Signal::Terminate);
    let ended = wait_for("the idle connection's end", idle.driver).await;
    ended.expect("no panic").expect("GOAWAY comes before");
    let (status, text, _) = wait_for("the request", pending).await.expect("no panic");
    assert_eq!((status, text.as_str()), (200, DOCUMENT));
    let ended = wait_for("the connection's end", connection.driver).await;
    ended.expect("no panic").expect("GOAWAY comes before");
    assert!(sidecar.wait().await.success());
    let last = sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    assert_eq!(last["cut_off"], 0);
}

#[tokio::test]
async fn an_idle_connection_and_one_that_takes_no_response_end_in_time() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "keep_alive = \"300ms\"").await;
    let mut idle = connect(&authority, &sidecar).await;
    idle.request(webhook("/voice/x")).await;
    let ended = wait_for("the idle connection's end", idle.driver).await;
    ended.expect("no panic").expect("GOAWAY comes before");

    // One that promises to take no byte of any response (SETTINGS_INITIAL_WINDOW_SIZE 0).
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut stuck = raw(
        &authority,
        &sidecar,
        &[PREFACE, &settings, &request(1)].concat(),
    )
    .await;
    let end = wait_for(
        "the stuck connection's end",
        stuck.read_to_end(&mut Vec::new()),
    )
    .await;
    let _ = end;
    left(&sidecar, 0.0).await;
}

#[tokio::test]
async fn a_silent_handshake_gives_its_place_away_and_then_an_idle_connection_does() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "max_connections = 2").await;
    let mut first = connect(&authority, &sidecar).await;
    assert_eq!(first.request(webhook("/voice/x")).await.0, 200);
    let mut silent = sidecar.connect().await;
    let connections = "understudy_client_connections";
    sidecar.wait_for_metric(connections, &[], 2.0).await;

    let mut second = connect(&authority, &sidecar).await;
    assert_eq!(silent.closed().await, b"");
    assert_eq!(second.request(webhook("/voice/x")).await.0, 200);
    let mut third = connect(&authority, &sidecar).await;
    assert_eq!(third.request(webhook("/voice/x")).await.0, 200);
    // It is told that no request of it was under way.
    let ended = wait_for("the connection's end", first.driver).await;
    ended.expect("no panic").expect("a graceful end");
    assert_eq!(second.request(webhook("/voice/x")).await.0, 200);
}

#[tokio::test]
async fn floods_end_the_connection_and_nobody_elses_call() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "workers = 1").await;
    let mut healthy = connect(&authority, &sidecar).await;
    let settings = frame(4, 0, 0, &[]);
    // Requests taken back at once (CVE-2023-44487).
    let taken_back = |n: u32| [request(n * 2 + 1), frame(3, 0, n * 2 + 1, &[0, 0, 0, 8])].concat();
    let rapid: Vec<u8> = (0..5000).flat_map(taken_back).collect();
    // A head without end (CVE-2024-27316).
    let mut endless = frame(1, 0, 1, &HEAD);
    for _ in 0..2000 {
        let field = [&[0x40, 1, b'x', 100][..], &[b'y'; 100]].concat();
        endless.extend(frame(9, 0, 1, &field.repeat(10)));
    }
    for flood in [rapid, endless] {
        let mut stream = raw(&authority, &sidecar, &[PREFACE, &settings].concat()).await;
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let write = async {
            for part in flood.chunks(16 * 1024) {
                if writer.write_all(part).await.is_err() {
                    break;
                }
            }
        };
        let mut got = Vec::new();
        let read = async {
            let _ = reader.read_to_end(&mut got).await;
        };
        wait_for("the flooded connection's end", async {
            tokio::join!(write, read)
        })
        .await;
        let (status, text, _) = healthy.request(webhook("/voice/x")).await;
        assert_eq!((status, text.as_str()), (200, DOCUMENT));
    }
    left(&sidecar, 1.0).await;
}

#[tokio::test]
async fn control_frames_without_end_end_the_connection_also_behind_a_response() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nbegun";
    let app = FakeUpstream::start(move |request| match request.path() {
        "/voice/x" => Script::twiml(DOCUMENT),
        _ => Script::new().send(head).stall(),
    });
    let authority = Authority::new();
    let sidecar = showing(&authority, &app, "workers = 1").await;
    let mut healthy = connect(&authority, &sidecar).await;
    let begun: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"https"),
        (":authority", NAME.as_bytes()),
        (":path", b"/pass/begun"),
    ];
    for control in [
        frame(frames::PING, 0, 0, &[7; 8]),
        frame(frames::PING, frames::ACK, 0, &[7; 8]),
        frame(frames::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(frames::PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
        frame(frames::SETTINGS, 0, 0, &[]),
        frame(frames::DATA, 0, 1, &[]),
        frame(0x55, 0, 0, &[]),
        frame(0x55, 0, 0, &[7; 100]),
    ] {
        let mut flooded = frames::Connection::open(&authority, &sidecar, NAME).await;
        let fields = frames::block(&begun);
        let flags = frames::END_HEADERS | frames::END_STREAM;
        flooded
            .send(&frame(frames::HEADERS, flags, 1, &fields))
            .await;
        assert_eq!(flooded.end_of(1).await, frames::End::Status(200));
        wait_for(
            "the flooded connection's end",
            flooded.flood(&control.repeat(1000)),
        )
        .await;
        let (status, text, _) = healthy.request(webhook("/voice/x")).await;
        assert_eq!((status, text.as_str()), (200, DOCUMENT));
    }
    left(&sidecar, 1.0).await;
}

#[tokio::test]
async fn a_client_that_opens_its_window_byte_by_byte_gets_all_of_a_long_response() {
    const PIECES: usize = 8000;
    let authority = Authority::new();
    let chunks = "1\r\nx\r\n".repeat(PIECES) + "0\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let app = FakeUpstream::start(move |_| Script::new().send(head.to_owned() + &chunks));
    let sidecar = showing(&authority, &app, "workers = 1").await;
    let fields: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"https"),
        (":authority", NAME.as_bytes()),
        (":path", b"/pass/long"),
    ];
    let mut connection = frames::Connection::open(&authority, &sidecar, NAME).await;
    // SETTINGS_INITIAL_WINDOW_SIZE, so that most of the response waits for the window.
    let settings = frame(frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100]);
    let flags = frames::END_HEADERS | frames::END_STREAM;
    let request = frame(frames::HEADERS, flags, 1, &frames::block(&fields));
    connection.send(&[settings, request].concat()).await;
    let taken = wait_for("the whole answer", connection.take_all(1)).await;
    assert_eq!(taken, PIECES);
}

#[tokio::test]
async fn http_1_is_spoken_where_it_is_all_that_is_offered() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = showing(&authority, &app, "workers = 1").await;
    let config = client::config(&authority, client::BOTH, &["http/1.1"]);
    let stream = client::connect(&config, sidecar.address, NAME)
        .await
        .expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let other = client::config(&authority, client::BOTH, &["spdy/1"]);
    let refused = client::connect(&other, sidecar.address, NAME).await;
    assert!(refused.is_err());
}

/// `:method: GET`, `:scheme: https`, `:path: /`, and `:authority: a` (RFC 7541).
const HEAD: [u8; 6] = [0x82, 0x87, 0x84, 0x41, 1, b'a'];

/// A request without a body.
fn request(stream: u32) -> Vec<u8> {
    frame(1, 0x5, stream, &HEAD)
}

/// A connection on which these bytes were sent.
async fn raw(
    authority: &Authority,
    sidecar: &Sidecar,
    bytes: &[u8],
) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let config = client::config(authority, client::BOTH, &["h2"]);
    let stream = client::connect(&config, sidecar.address, NAME).await;
    let mut stream = stream.expect("TLS");
    let sent = wait_for("the bytes to be taken", stream.write_all(bytes)).await;
    sent.expect("the connection is open");
    stream
}
