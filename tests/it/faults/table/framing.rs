//! Faults of HTTP: what isn't HTTP, framing that contradicts itself, too much of everything; and framing that is unusual but
//! right.

use super::{Ending, Fault};
use support::{Script, answer};

const PAGE: &str = "<Response><!--ab--></Response>";
/// Error 11750.
const LIMIT: usize = 64 * 1024;

pub(super) fn faults() -> Vec<Fault> {
    [not_http(), contradictions(), too_much(), unusual()]
        .into_iter()
        .flatten()
        .collect()
}

fn protocol(name: &'static str, script: Script) -> Fault {
    Fault::plays(name, script, "protocol", Ending::Error(502))
}

/// An answer with the page as its body and these lines in its head.
fn with_lines(lines: &str) -> Script {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
    Script::new().send(format!("{head}{lines}\r\n{PAGE}"))
}

fn not_http() -> Vec<Fault> {
    let sends = |name, bytes: &'static [u8]| protocol(name, Script::new().send(bytes).stall());
    vec![
        sends("garbage", b"\x00\xff\xfe garbage \r\n\r\n\r\n\r\n"),
        sends("another protocol's greeting", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
        sends("an alert of TLS", b"\x15\x03\x01\x00\x02\x02\x46"),
        sends("a status of two digits", b"HTTP/1.1 20 OK\r\n\r\n"),
        sends("HTTP/3.0 as text", b"HTTP/3.0 200 OK\r\n\r\n"),
        protocol("HTTP/0.9", Script::new().send(PAGE).close()),
        protocol("101 that nobody asked for", {
            let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            Script::new().send(switching).stall()
        }),
        protocol(
            "a chunk size that is none",
            chunks("xyz\r\n<Response/>\r\n0\r\n\r\n"),
        ),
        Fault::plays(
            "a chunk size that is none behind a good chunk",
            chunks("4\r\n<Res\r\n-7\r\nponse/>\r\n0\r\n\r\n"),
            "protocol",
            Ending::BreaksOff,
        ),
    ]
}

/// An answer with this as its chunked body.
fn chunks(body: &str) -> Script {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
    Script::new().send([head, body].concat())
}

fn contradictions() -> Vec<Fault> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let body = "\r\n1e\r\n<Response><!--ab--></Response>\r\n0\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
    vec![
        protocol("a length and a coding", {
            Script::new().send(format!("{head}Content-Length: 30\r\n{chunked}{body}"))
        }),
        protocol("a coding and a length", {
            Script::new().send(format!("{head}{chunked}Content-Length: 30\r\n{body}"))
        }),
        protocol("an unknown transfer coding", {
            Script::new()
                .send(format!("{head}Transfer-Encoding: gzip\r\n\r\n{PAGE}"))
                .close()
        }),
        protocol("chunked, and then something else", {
            let lines = "Transfer-Encoding: chunked, gzip\r\n";
            Script::new().send(format!("{head}{lines}{body}")).close()
        }),
        protocol(
            "two lengths",
            with_lines("Content-Length: 30\r\nContent-Length: 31\r\n"),
        ),
        protocol(
            "a list of two lengths",
            with_lines("Content-Length: 30, 31\r\n"),
        ),
        protocol("a negative length", with_lines("Content-Length: -30\r\n")),
        protocol(
            "a length that is none",
            with_lines("Content-Length: 30 bytes\r\n"),
        ),
    ]
}

fn too_much() -> Vec<Fault> {
    let streams = |name, script| Fault::plays(name, script, "too_large", Ending::NeverEnds);
    let line = format!("X-Filler: {}\r\n", "x".repeat(1000));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
    let chunk = "400\r\n".to_owned() + &"x".repeat(0x400) + "\r\n";
    vec![
        protocol("a head over 64 KiB", with_lines(&line.repeat(70))),
        // hyper's own bound; HAProxy's is 101.
        protocol(
            "a head of over 100 fields",
            with_lines(&format!(
                "{}Content-Length: 30\r\n",
                "X-A: 1\r\n".repeat(100)
            )),
        ),
        protocol(
            "a head without end",
            Script::new()
                .send(format!("{head}X-Filler: "))
                .endless("x".repeat(1000)),
        ),
        protocol(
            "a flood of interim heads",
            Script::new().endless("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ),
        streams(
            "a body without end and length",
            Script::new()
                .send(format!("{head}\r\n<Response>"))
                .endless("<Hangup/>"),
        ),
        streams(
            "a chunked body without end",
            Script::new()
                .send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"))
                .endless(chunk),
        ),
        streams(
            "a body of known length without end",
            Script::new()
                .send(format!("{head}Content-Length: 1000000000000\r\n\r\n"))
                .endless("x"),
        ),
        Fault::plays(
            "a page of 100 KB",
            twiml_of(100_000),
            "too_large",
            super::OWN,
        ),
        Fault::plays(
            "a page a byte over 64 KiB",
            twiml_of(LIMIT + 1),
            "too_large",
            super::OWN,
        ),
        Fault::harmless("a page of 64 KiB", twiml_of(LIMIT)),
    ]
}

/// A good page of so many bytes.
fn twiml_of(bytes: usize) -> Script {
    let (before, after) = ("<Response><!--", "--></Response>");
    let filler = "x".repeat(bytes - before.len() - after.len());
    Script::twiml([before, &filler, after].concat())
}

fn unusual() -> Vec<Fault> {
    let chunks = "5\r\n<Resp\r\n19;a=b\r\nonse><!--ab--></Response>\r\n0\r\nX-Trailer: 1\r\n\r\n";
    let page = answer("200 OK", &[("Content-Type", "text/xml")], PAGE);
    let and_then = |more: &str| Script::new().send([&page[..], more.as_bytes()].concat());
    let old =
        |lines: &str| format!("HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n{lines}\r\n{PAGE}");
    vec![
        Fault::harmless("a chunked body with extensions and trailers", {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: Chunked\r\n\r\n";
            Script::new().send(format!("{head}{chunks}"))
        }),
        Fault::harmless("a body that the end ends", with_lines("").close()),
        Fault::harmless(
            "the same length twice",
            with_lines("Content-Length: 30\r\nContent-Length: 30\r\n"),
        ),
        Fault::harmless("an interim head before the answer", {
            let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
            Script::new().send([interim.as_bytes(), &page].concat())
        }),
        Fault::harmless("an answer of HTTP/1.0", Script::new().send(old("")).close()),
        Fault::harmless("HTTP/1.0 that is kept alive", {
            Script::new().send(old("Connection: keep-alive\r\nContent-Length: 30\r\n"))
        }),
        Fault::harmless("no reason phrase", {
            Script::new().send(format!(
                "HTTP/1.1 200\r\nContent-Type: text/xml\r\nContent-Length: 30\r\n\r\n{PAGE}"
            ))
        }),
        Fault::harmless("lines that end with LF alone", {
            Script::new().send(format!(
                "HTTP/1.1 200 OK\nContent-Type: text/xml\nContent-Length: 30\n\n{PAGE}"
            ))
        }),
        Fault::harmless("a whole answer after the answer", {
            and_then(
                "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>",
            )
        }),
        Fault::harmless("stray line ends after the answer", and_then("\r\n\r\n")),
        Fault::harmless("an end after the answer", and_then("").close()),
        Fault::harmless("a reset after the answer", and_then("").reset()),
        Fault::harmless("an end that is announced", {
            with_lines("Connection: close\r\nContent-Length: 30\r\n").close()
        }),
        Fault::harmless("an answer in two parts", {
            let middle = page.len() - 10;
            Script::new()
                .send(page.slice(..middle))
                .pause(support::millis(20))
                .send(page.slice(middle..))
        }),
    ]
}
