//! The cases of summerwind's h2spec 2.6, with frames and field blocks written byte by byte, on our own listener within TLS.

mod frames;
mod generic;
mod hpack;
mod messages;

use std::time::Duration;

use tokio::time::timeout;

use crate::tls::frames::{
    ACK, Connection, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::tls::pki::Authority;
use support::{FakeUpstream, Sidecar};

/// Codes of errors (RFC 9113 §7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

const CONTINUATION: u8 = 9;
const PADDED: u8 = 8;

const NAME: &str = "hooks.example.com";
const DOCUMENT: &str = "<Response/>";

/// How long something may stay away that must come. Only a case that fails waits for so long.
const EVENT_TIMEOUT: Duration = Duration::from_secs(10);

/// One case: what the client does and waits for, in this order.
struct Case {
    name: &'static str,
    steps: Vec<Step>,
}

enum Step {
    Send(Vec<u8>),
    Wait(Event),
}

/// What must come.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The head of a response on this stream.
    Response(u32),
    /// The end of the response on this stream.
    End(u32),
    /// Data, the first that isn't empty, of exactly so many bytes.
    Data(usize),
    /// Data of any length.
    AnyData,
    /// Our settings are acknowledged.
    SettingsAck,
    /// The answer to a `PING` with this byte eight times.
    Pong(u8),
    /// The same, or the end of the connection.
    PongOrEnd(u8),
    /// `GOAWAY` with one of these codes or `PROTOCOL_ERROR`, or the end of the connection.
    ConnectionError(&'static [u32]),
    /// The same, or `RST_STREAM` with one of these codes.
    StreamError(&'static [u32]),
    /// `GOAWAY` with exactly this code.
    GoAway(u32),
    /// `RST_STREAM` with exactly this code.
    Reset(u32),
}

impl Event {
    /// Whether the end of the connection is right too.
    fn allows_end(self) -> bool {
        matches!(
            self,
            Self::PongOrEnd(_) | Self::ConnectionError(_) | Self::StreamError(_)
        )
    }

    /// Whether this frame is it; None if it may still come.
    fn is(self, frame: &Frame) -> Option<bool> {
        let kind = frame.kind;
        let is = match self {
            Self::Response(stream) => kind == HEADERS && frame.stream == stream,
            Self::End(stream) => {
                let may_end = kind == HEADERS || kind == DATA;
                may_end && frame.stream == stream && frame.flags & END_STREAM != 0
            }
            Self::Data(length) if kind == DATA && !frame.payload.is_empty() => {
                return Some(frame.payload.len() == length);
            }
            Self::Data(_) => false,
            Self::AnyData => kind == DATA,
            Self::SettingsAck => kind == SETTINGS && frame.flags & ACK != 0,
            Self::Pong(byte) | Self::PongOrEnd(byte) => {
                kind == PING && frame.flags & ACK != 0 && frame.payload == [byte; 8]
            }
            // The library says PROTOCOL_ERROR for any error of the peer's (the connection ends, so h2spec lets any code pass).
            Self::ConnectionError(codes) | Self::StreamError(codes)
                if kind == GOAWAY && frame.number(4) != 0 =>
            {
                let code = frame.number(4);
                return Some(code == PROTOCOL_ERROR || codes.contains(&code));
            }
            Self::StreamError(codes) if kind == RST_STREAM && frame.number(0) != 0 => {
                return Some(codes.contains(&frame.number(0)));
            }
            Self::ConnectionError(_) | Self::StreamError(_) => false,
            Self::GoAway(code) => kind == GOAWAY && frame.number(4) == code,
            Self::Reset(code) => kind == RST_STREAM && frame.number(0) == code,
        };
        is.then_some(true)
    }
}

/// A case that sends bytes and waits for one thing.
fn case(name: &'static str, bytes: &[&[u8]], event: Event) -> Case {
    steps(name, vec![send(bytes), Step::Wait(event)])
}

fn steps(name: &'static str, steps: Vec<Step>) -> Case {
    Case { name, steps }
}

fn send(bytes: &[&[u8]]) -> Step {
    Step::Send(bytes.concat())
}

/// The fields of a good request.
fn fields(method: &'static str) -> Vec<(&'static str, &'static [u8])> {
    vec![
        (":method", method.as_bytes()),
        (":scheme", b"https"),
        (":path", b"/pass/x"),
        (":authority", NAME.as_bytes()),
    ]
}

fn head(method: &'static str) -> Vec<u8> {
    block(&fields(method))
}

/// A whole GET.
fn get(stream: u32) -> Vec<u8> {
    headers(END_HEADERS | END_STREAM, stream, &head("GET"))
}

/// The head of a POST, whose body follows.
fn post(stream: u32) -> Vec<u8> {
    headers(END_HEADERS, stream, &head("POST"))
}

/// A whole GET with these fields too.
fn get_with(more: &[(&'static str, &'static [u8])]) -> Vec<u8> {
    let fields = [fields("GET"), more.to_vec()].concat();
    headers(END_HEADERS | END_STREAM, 1, &block(&fields))
}

/// The head of a POST with these fields too.
fn post_with(more: &[(&'static str, &'static [u8])]) -> Vec<u8> {
    let fields = [fields("POST"), more.to_vec()].concat();
    headers(END_HEADERS, 1, &block(&fields))
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

fn continuation(flags: u8, stream: u32) -> Vec<u8> {
    frame(CONTINUATION, flags, stream, &block(&[("x-dummy", b"1")]))
}

fn data(flags: u8, stream: u32) -> Vec<u8> {
    frame(DATA, flags, stream, b"test")
}

/// `PRIORITY` of a stream that depends on another.
fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    let payload = [&on.to_be_bytes()[..], &[weight]].concat();
    frame(crate::tls::frames::PRIORITY, 0, stream, &payload)
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn window_update(stream: u32, many: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &many.to_be_bytes())
}

fn ping(byte: u8) -> Vec<u8> {
    frame(PING, 0, 0, &[byte; 8])
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

#[tokio::test]
async fn generic() {
    run(generic::all()).await;
}

#[tokio::test]
async fn frames_streams_and_flow_control() {
    run(frames::all()).await;
}

#[tokio::test]
async fn messages() {
    run(messages::all()).await;
}

#[tokio::test]
async fn header_compression() {
    run(hpack::all()).await;
}

/// 3.5/2: what doesn't begin as HTTP/2 does.
#[tokio::test]
async fn an_invalid_preface_ends_the_connection() {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = start(&authority, &app).await;
    let mut connection = Connection::open_with(
        &authority,
        &sidecar,
        NAME,
        b"INVALID CONNECTION PREFACE\r\n\r\n",
    )
    .await;
    let event = Event::ConnectionError(&[PROTOCOL_ERROR]);
    assert_eq!(wait(&mut connection, event).await, Ok(()));
}

async fn start(authority: &Authority, app: &FakeUpstream) -> Sidecar {
    let issued = authority.issue(&[NAME]);
    Sidecar::before(app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", &issued.cert)
        .file("key.pem", &issued.key)
        .start()
        .await
}

/// Runs the cases, each on a connection of its own, and fails with all that is wrong.
async fn run(cases: Vec<Case>) {
    let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
    let sidecar = start(&authority, &app).await;
    let many = cases.len();
    let mut wrong = Vec::new();
    for case in cases {
        let mut connection = Connection::open(&authority, &sidecar, NAME).await;
        let mut result = wait(&mut connection, Event::SettingsAck).await;
        for step in case.steps {
            result = match (result, step) {
                (Ok(()), Step::Send(bytes)) => {
                    connection.send(&bytes).await;
                    Ok(())
                }
                (Ok(()), Step::Wait(event)) => wait(&mut connection, event).await,
                (Err(why), _) => Err(why),
            };
        }
        wrong.extend(result.err().map(|why| format!("{}: {why}", case.name)));
    }
    eprintln!("{many} cases, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let others = app.requests();
    let others = others.iter().filter(|seen| seen.target() != "/pass/x");
    assert_eq!(others.count(), 0);
}

/// Waits for this; if it can't come any more, what came instead.
async fn wait(connection: &mut Connection, event: Event) -> Result<(), String> {
    let mut seen = Vec::new();
    let wait = async {
        while let Some(frame) = connection.read_frame().await {
            match event.is(&frame) {
                Some(true) => return Ok(()),
                Some(false) => return Err(format!("a frame with {:?}", frame.payload)),
                None => seen.push((frame.kind, frame.flags, frame.stream)),
            }
        }
        if event.allows_end() {
            return Ok(());
        }
        Err("the connection ended".to_owned())
    };
    let result = timeout(EVENT_TIMEOUT, wait).await;
    let result = result.unwrap_or_else(|_| Err("it never came".to_owned()));
    result.map_err(|why| format!("{why} instead of {event:?}; frames {seen:?}"))
}
