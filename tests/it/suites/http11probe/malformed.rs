//! What is too long, not text, or no request at all.

use super::{refused, served};
use crate::ambiguity::case::{Case, HOST, Wanted, chunked, get, post};

/// More than a head may have.
const TOO_LONG: usize = 70_000;

pub(super) fn all() -> Vec<Case> {
    let mut cases = heads();
    cases.extend(no_requests());
    cases.extend(bodies());
    cases.extend(targets());
    cases
}

fn heads() -> Vec<Case> {
    let long = "x".repeat(TOO_LONG);
    let many = |count: usize| {
        (0..count)
            .map(|n| format!("X-{n}: y\r\n"))
            .collect::<String>()
    };
    let line = |line: &[u8]| get([line, b"\r\n"].concat());
    vec![
        refused(
            "MAL-LONG-URL",
            format!("GET /pass/{long} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        )
        .with(&[414, 431]),
        refused(
            "MAL-LONG-QUERY",
            format!("GET /pass/x?{long} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        )
        .with(&[414, 431]),
        refused(
            "MAL-LONG-METHOD",
            format!("{long} /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        )
        .with(&[400, 431, 501]),
        refused("MAL-LONG-HEADER-NAME", get(format!("{long}: y\r\n"))).with(&[400, 431]),
        refused("MAL-LONG-HEADER-VALUE", get(format!("X: {long}\r\n"))).with(&[431]),
        refused(
            "MAL-LONG-HOST",
            format!("GET /pass/x HTTP/1.1\r\nHost: {long}\r\n\r\n"),
        )
        .with(&[400, 431]),
        refused("MAL-MANY-HEADERS", get(many(10_000))).with(&[431]),
        served(
            "MAL-SOME-HEADERS",
            get(many(80)),
            Wanted::get().has("x-79", "y"),
        ),
        refused("MAL-NUL-IN-HEADER-VALUE", line(b"X: a\0b")),
        refused("MAL-NUL-IN-HEADER-NAME", line(b"X\0: y")),
        refused("MAL-CONTROL-CHARS-HEADER", line(b"X: a\x01\x02\x03b")),
        refused("MAL-ESCAPE-IN-HEADER", line(b"X: \x1b[31m")),
        refused("MAL-DEL-IN-HEADER", line(b"X: a\x7fb")),
        refused("MAL-NON-ASCII-HEADER-NAME", line("X-\u{e9}: y".as_bytes())),
        served(
            "MAL-NON-ASCII-HEADER-VALUE",
            line("X: \u{e9}".as_bytes()),
            Wanted::get().has("x", "\u{e9}"),
        ),
        refused("MAL-HEADER-NAME-ONLY", line(b"X")),
        refused("MAL-HEADER-NAME-PAREN", line(b"X(y): z")),
        refused("MAL-HEADER-NAME-AT", line(b"X@y: z")),
        refused("MAL-HEADER-NAME-QUOTED", line(b"\"X\": z")),
        refused(
            "MAL-NUL-IN-METHOD",
            format!("G\0ET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        refused(
            "MAL-METHOD-NON-ASCII",
            format!("G\u{cb}T /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        refused(
            "MAL-METHOD-AT",
            format!("G@T /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        refused(
            "MAL-NUL-IN-VERSION",
            format!("GET /pass/x HTTP/1.\x001\r\nHost: {HOST}\r\n\r\n"),
        ),
        served(
            "MAL-RANGE-OVERLAPPING",
            get("Range: bytes=0-,0-,0-,0-\r\n"),
            Wanted::get().has("range", "bytes=0-,0-,0-,0-"),
        ),
    ]
}

fn no_requests() -> Vec<Case> {
    vec![
        refused(
            "MAL-BINARY-GARBAGE",
            [0x80, 0xff, 0x00, 0x13, 0xfe, 0x0d, 0x0a, 0x0d, 0x0a],
        ),
        refused(
            "MAL-TLS-HELLO",
            b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n".to_vec(),
        ),
        refused("MAL-H2-PREFACE", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").with(&[400, 505]),
        refused("MAL-WHITESPACE-ONLY-LINE", " \r\n\r\n"),
        refused("MAL-TAB-ONLY-LINE", "\t\r\n\r\n"),
        refused(
            "MAL-RESPONSE",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        refused("MAL-SMTP", "EHLO a.example\r\n\r\n"),
        refused("MAL-JSON", "{\"a\": 1}\r\n\r\n"),
        refused("MAL-UTF16", b"G\0E\0T\0 \0/\0\r\0\n\0\r\0\n\0".to_vec()),
        refused(
            "MAL-BOM",
            format!("\u{feff}GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        // What never becomes whole is timed out.
        refused(
            "MAL-INCOMPLETE-REQUEST",
            format!("GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n"),
        )
        .with(&[408]),
        refused("MAL-INCOMPLETE-LINE", "GET /pass/x").with(&[408]),
        refused("MAL-EMPTY-LINES-ONLY", "\r\n\r\n").with(&[408]),
    ]
}

fn bodies() -> Vec<Case> {
    let extended = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(TOO_LONG));
    vec![
        refused(
            "MAL-CL-OVERFLOW",
            post("Content-Length: 99999999999999999999\r\n", "hello"),
        )
        .with(&[400, 413]),
        refused(
            "MAL-CL-OVERFLOW-64",
            post("Content-Length: 18446744073709551621\r\n", "hello"),
        )
        .with(&[400, 413]),
        // A route that streams has no limit of its own, and waits for the body in vain.
        refused(
            "MAL-POST-CL-HUGE-NO-BODY",
            post("Content-Length: 999999999999\r\n", ""),
        )
        .with(&[408, 413]),
        refused("MAL-CL-EMPTY", post("Content-Length:\r\n", "hello")),
        served(
            "MAL-CL-TAB-BEFORE-VALUE",
            post("Content-Length:\t5\r\n", "hello"),
            Wanted::post("hello"),
        ),
        refused(
            "MAL-CHUNK-SIZE-OVERFLOW",
            chunked("FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
        )
        .with(&[400, 413]),
        refused(
            "MAL-CHUNK-SIZE-HUGE",
            chunked("FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
        )
        .with(&[400, 408, 413]),
        refused("MAL-CHUNK-EXT-64K", chunked(extended)).with(&[400, 413, 431]),
        refused("MAL-CHUNK-GARBAGE", chunked("\x00\x01\x02\r\n\r\n")),
        refused(
            "MAL-BODY-TOO-SHORT",
            post("Content-Length: 50\r\n", "hello"),
        )
        .with(&[408]),
    ]
}

fn targets() -> Vec<Case> {
    let target = |target: &[u8]| {
        let rest = format!(" HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        [b"GET ", target, rest.as_bytes()].concat()
    };
    let same = |name, bytes: &[u8]| served(name, target(bytes), Wanted::new("GET", bytes));
    vec![
        refused("MAL-NUL-IN-URL", target(b"/pass/\0x")),
        refused("MAL-CONTROL-IN-URL", target(b"/pass/\x01x")),
        refused("MAL-DEL-IN-URL", target(b"/pass/\x7fx")),
        refused("MAL-CR-IN-URL", target(b"/pass/x\ry")),
        refused("MAL-LF-IN-URL", target(b"/pass/x\ny")),
        // To the app it is the same path as to the client.
        same("MAL-NON-ASCII-URL", "/pass/\u{e9}".as_bytes()),
        same("MAL-URL-BACKSLASH", b"/pass/a\\b"),
        same("MAL-URL-OVERLONG-UTF8", b"/pass/%c0%ae%c0%ae/x"),
        same("MAL-URL-PERCENT-NULL", b"/pass/%00"),
        same("MAL-URL-PERCENT-CRLF", b"/pass/x%0d%0aX:%20y"),
        same("MAL-URL-DOT-SEGMENTS", b"/pass/../../etc/passwd"),
        same("MAL-URL-PERCENT-INVALID", b"/pass/%zz"),
    ]
}
