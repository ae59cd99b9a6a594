//! Faults of HTTP: what isn't HTTP, framing that contradicts itself, too much of everything; and framing that is unusual but
//! right.

use super::fault::{Expected, Fault, UNCHANGED};
use support::{Script, millis, response};

/// 30 bytes.
const DOCUMENT: &str = "<Response><!--ab--></Response>";
/// Error 11750.
const LIMIT: usize = 64 * 1024;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const ONE_CHUNK: &str = "\r\n1e\r\n<Response><!--ab--></Response>\r\n0\r\n\r\n";

faults! {
    // Not HTTP.
    garbage: sends(b"\x00\xff\xfe garbage \r\n\r\n\r\n\r\n"),
    greeting_of_another_protocol: sends(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    tls_alert: sends(b"\x15\x03\x01\x00\x02\x02\x46"),
    status_of_two_digits: sends(b"HTTP/1.1 20 OK\r\n\r\n"),
    http_3_0_as_text: sends(b"HTTP/3.0 200 OK\r\n\r\n"),
    http_0_9: protocol(Script::new().send(DOCUMENT).close()),
    unrequested_101: {
        sends(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    },
    invalid_chunk_size: protocol(chunks("xyz\r\n<Response/>\r\n0\r\n\r\n")),
    invalid_chunk_size_after_a_good_chunk: {
        let script = chunks("4\r\n<Res\r\n-7\r\nponse/>\r\n0\r\n\r\n");
        Fault::scripted(script, "protocol", Expected::Truncated)
    },

    // Framing that contradicts itself.
    length_and_coding: with_head(&format!("Content-Length: 30\r\n{CHUNKED}"), ONE_CHUNK),
    coding_and_length: with_head(&format!("{CHUNKED}Content-Length: 30\r\n"), ONE_CHUNK),
    unknown_transfer_coding: {
        let lines = format!("Transfer-Encoding: gzip\r\n\r\n{DOCUMENT}");
        protocol(Script::new().send([HEAD, &lines].concat()).close())
    },
    chunked_before_another_coding: {
        let lines = "Transfer-Encoding: chunked, gzip\r\n";
        protocol(Script::new().send([HEAD, lines, ONE_CHUNK].concat()).close())
    },
    two_lengths: protocol(with_lines("Content-Length: 30\r\nContent-Length: 31\r\n")),
    list_of_two_lengths: protocol(with_lines("Content-Length: 30, 31\r\n")),
    negative_length: protocol(with_lines("Content-Length: -30\r\n")),
    invalid_length: protocol(with_lines("Content-Length: 30 bytes\r\n")),

    // Too much.
    head_over_64_kib: protocol(with_lines(&filler_line().repeat(70))),
    // hyper's own bound; HAProxy's is 101.
    head_of_over_100_fields: {
        protocol(with_lines(&format!("{}Content-Length: 30\r\n", "X-A: 1\r\n".repeat(100))))
    },
    endless_head: {
        let begun = [HEAD, "X-Filler: "].concat();
        protocol(Script::new().send(begun).endless("x".repeat(1000)))
    },
    endless_interim_heads: {
        protocol(Script::new().endless("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
    },
    endless_body_until_close: {
        too_large(Script::new().send([HEAD, "\r\n<Response>"].concat()).endless("<Hangup/>"))
    },
    endless_chunked_body: {
        let chunk = ["400\r\n", &"x".repeat(0x400), "\r\n"].concat();
        too_large(chunks("").endless(chunk))
    },
    endless_body_of_known_length: {
        let length = "Content-Length: 1000000000000\r\n\r\n";
        too_large(Script::new().send([HEAD, length].concat()).endless("x"))
    },
    document_of_100_kb: Fault::scripted(twiml_of(100_000), "too_large", UNCHANGED),
    document_one_byte_over_64_kib: Fault::scripted(twiml_of(LIMIT + 1), "too_large", UNCHANGED),
    document_of_64_kib: Fault::harmless(twiml_of(LIMIT)),

    // Unusual but right.
    chunked_body_with_extensions_and_trailers: {
        let coding = "Transfer-Encoding: Chunked\r\n\r\n";
        let body = "5\r\n<Resp\r\n19;a=b\r\nonse><!--ab--></Response>\r\n0\r\nX-Trailer: 1\r\n\r\n";
        Fault::harmless(Script::new().send([HEAD, coding, body].concat()))
    },
    body_until_close: Fault::harmless(with_lines("").close()),
    same_length_twice: {
        Fault::harmless(with_lines("Content-Length: 30\r\nContent-Length: 30\r\n"))
    },
    interim_head: {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        Fault::harmless(Script::new().send([interim.as_bytes(), &document()].concat()))
    },
    http_1_0: Fault::harmless(old_with("").close()),
    http_1_0_kept_alive: {
        Fault::harmless(old_with("Connection: keep-alive\r\nContent-Length: 30\r\n"))
    },
    no_reason_phrase: Fault::harmless(Script::new().send(format!(
        "HTTP/1.1 200\r\nContent-Type: text/xml\r\nContent-Length: 30\r\n\r\n{DOCUMENT}"
    ))),
    bare_lf_line_ends: Fault::harmless(Script::new().send(format!(
        "HTTP/1.1 200 OK\nContent-Type: text/xml\nContent-Length: 30\n\n{DOCUMENT}"
    ))),
    second_response: {
        let second = "Content-Length: 11\r\n\r\n<Response/>";
        Fault::harmless(document_and([HEAD, second].concat()))
    },
    stray_line_ends_after_the_response: Fault::harmless(document_and("\r\n\r\n")),
    end_after_the_response: Fault::harmless(document_and("").close()),
    reset_after_the_response: Fault::harmless(document_and("").reset()),
    announced_end: {
        Fault::harmless(with_lines("Connection: close\r\nContent-Length: 30\r\n").close())
    },
    response_in_two_parts: {
        let mut first = document();
        let second = first.split_off(first.len() - 10);
        Fault::harmless(Script::new().send(first).pause(millis(20)).send(second))
    },
}

fn sends(bytes: &'static [u8]) -> Fault {
    protocol(Script::new().send(bytes).stall())
}

fn protocol(script: Script) -> Fault {
    Fault::scripted(script, "protocol", Expected::Error(502))
}

fn too_large(script: Script) -> Fault {
    Fault::scripted(script, "too_large", Expected::Endless)
}

/// A response with these lines in its head, and this behind them.
fn with_head(lines: &str, rest: &str) -> Fault {
    protocol(Script::new().send([HEAD, lines, rest].concat()))
}

/// A response with the document as its body and these lines in its head.
fn with_lines(lines: &str) -> Script {
    Script::new().send([HEAD, lines, "\r\n", DOCUMENT].concat())
}

/// The same in HTTP/1.0.
fn old_with(lines: &str) -> Script {
    let head = HEAD.replace("HTTP/1.1", "HTTP/1.0");
    Script::new().send([&head, lines, "\r\n", DOCUMENT].concat())
}

/// A response with this as its chunked body.
fn chunks(body: &str) -> Script {
    Script::new().send([HEAD, CHUNKED, "\r\n", body].concat())
}

fn filler_line() -> String {
    format!("X-Filler: {}\r\n", "x".repeat(1000))
}

/// A good document of so many bytes.
fn twiml_of(bytes: usize) -> Script {
    let (before, after) = ("<Response><!--", "--></Response>");
    let filler = "x".repeat(bytes - before.len() - after.len());
    Script::twiml([before, &filler, after].concat())
}

/// A good response.
fn document() -> bytes::Bytes {
    response("200 OK", &[("Content-Type", "text/xml")], DOCUMENT)
}

/// A good response, and this behind it.
fn document_and(more: impl AsRef<[u8]>) -> Script {
    Script::new().send([&document()[..], more.as_ref()].concat())
}
