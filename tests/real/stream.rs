//! A WebSocket as Twilio opens it for a stream of media: the app checks its signature, then frames cross both ways.

use std::time::{Duration, Instant};

use tokio::time;

use crate::proxy::{NAMED, assert_answered, assert_same, before, behind, directly};
use crate::real_app::{App, Kind};
use crate::requests::{self, Webhook};
use support::{Client, Sidecar, millis};

/// What Twilio masks its frames with here; a real client takes another for each.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

#[tokio::test]
async fn frames_cross_both_ways_until_one_side_leaves() {
    for kind in Kind::installed([Kind::Flask, Kind::Express]) {
        let app = App::start(kind);
        let sidecar = before(&app).await;
        let mut stream = open(&app, &sidecar, kind).await;

        for message in [connected(), media(160), media(300), media(70_000)] {
            let echo = round_trip(&mut stream, TEXT, &message).await;
            assert!(echo == (TEXT, message), "{kind}");
        }
        let pong = round_trip(&mut stream, PING, b"here?").await;
        assert_eq!(pong, (PONG, b"here?".to_vec()), "{kind}");
        stream.end().await;
        stream.closed().await; // Flask's own server says a line of HTTP first
        assert_answered(&sidecar, "media", 1).await;
    }
}

#[tokio::test]
async fn a_goodbye_is_returned_before_the_end() {
    for kind in Kind::installed([Kind::Express]) {
        let app = App::start(kind);
        let sidecar = before(&app).await;
        let mut stream = open(&app, &sidecar, kind).await;

        let normal = 1000_u16.to_be_bytes();
        let goodbye = round_trip(&mut stream, CLOSE, &normal).await;

        assert_eq!(goodbye, (CLOSE, normal.to_vec()), "{kind}");
        assert_eq!(stream.closed().await, b"", "{kind}");
    }
}

#[tokio::test]
async fn a_stream_outlives_the_deadline_of_calls() {
    const DEADLINE: Duration = Duration::from_millis(500);
    for kind in Kind::installed([Kind::Flask, Kind::Express]) {
        let app = App::start(kind);
        let sidecar = Sidecar::before_address(app.address).routes(NAMED);
        let sidecar = sidecar.deadline(DEADLINE).start().await;
        let mut stream = open(&app, &sidecar, kind).await;

        let began = Instant::now();
        let mut pace = time::interval(millis(20)); // Twilio's own
        while began.elapsed() < DEADLINE * 2 {
            pace.tick().await;
            let echo = round_trip(&mut stream, TEXT, &media(160)).await;
            assert!(echo == (TEXT, media(160)), "{kind}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_the_app_refuses_is_refused() {
    for kind in Kind::all() {
        let app = App::start(kind);
        let sidecar = before(&app).await;
        let unsigned = opening(); // signed for wss, and nobody says that there was TLS
        let direct = directly(&app, &unsigned).await;
        let expected = if kind == Kind::Legacy { 426 } else { 403 };
        assert_eq!(direct.status, expected, "{kind}: {direct:?}");
        assert_same(
            &behind(&sidecar, &unsigned).await,
            &direct,
            &kind.to_string(),
        );
    }
}

#[tokio::test]
async fn a_killed_app_ends_its_streams() {
    for kind in Kind::installed([Kind::Flask, Kind::Express]) {
        let mut app = App::start(kind);
        let sidecar = before(&app).await;
        let mut stream = open(&app, &sidecar, kind).await;
        app.kill();
        assert_eq!(stream.closed().await, b"", "{kind}");
    }
}

fn opening() -> Webhook {
    requests::named("media-stream-upgrade.http")
}

/// A stream whose opening the app answered behind us as it does itself.
async fn open(app: &App, sidecar: &Sidecar, kind: Kind) -> Client {
    let opening = opening().behind_tls();
    let direct = directly(app, &opening).await;
    let mut stream = sidecar.connect().await;
    let response = stream.request(opening.bytes).await;
    assert_eq!(response.status, 101, "{kind}: {response:?}");
    for name in ["connection", "upgrade", "sec-websocket-accept"] {
        assert_eq!(response.header(name), direct.header(name), "{kind}: {name}");
    }
    stream
}

/// Twilio's first message on a stream.
fn connected() -> Vec<u8> {
    br#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#.to_vec()
}

/// A message with so many characters of sound.
fn media(many: usize) -> Vec<u8> {
    let sound = "/w".repeat(many / 2);
    format!(r#"{{"event":"media","media":{{"track":"inbound","payload":"{sound}"}}}}"#).into_bytes()
}

/// Sends a frame and waits for one: its kind and what it carries.
async fn round_trip(stream: &mut Client, kind: u8, payload: &[u8]) -> (u8, Vec<u8>) {
    stream
        .send_more(frame(kind, payload))
        .await
        .expect("the stream takes a frame");
    receive(stream).await
}

/// A whole frame, masked as a client's must be (RFC 6455 §5.2).
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | kind];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | u8::try_from(short).expect("under 126")),
        long => match u16::try_from(long) {
            Ok(long) => frame.extend([[0x80 | 126].as_slice(), &long.to_be_bytes()].concat()),
            Err(_) => frame.extend([[0x80 | 127].as_slice(), &long.to_be_bytes()].concat()),
        },
    }
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The next frame, which a server sends unmasked.
async fn receive(stream: &mut Client) -> (u8, Vec<u8>) {
    let head = stream.bytes(2).await;
    let many = match head[1] {
        126 => number(&stream.bytes(2).await),
        127 => number(&stream.bytes(8).await),
        short => short.into(),
    };
    (head[0] & 0x0f, stream.bytes(many).await)
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}
