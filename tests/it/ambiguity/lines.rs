//! Request lines: methods, spaces, versions, and what isn't HTTP/1 at all (RFC 9112 §3).

use super::case::{Case, HOST, Wanted};

const WRONG_METHODS: &[&[u8]] = &[
    b"",
    b" POST",
    b"\tPOST",
    b"P OST",
    b"POST\t",
    b"POST ",
    b"P@ST",
    b"PO(ST",
    b"POST:",
    b"POST,",
    b"\"POST\"",
    b"P\x00ST",
    b"POST\x00",
    b"\x00POST",
    b"P\x0bST",
    b"P\xc3\x96ST",
    b"\xef\xbb\xbfPOST",
    b"POST\r",
    b"\rPOST",
    b"PO\rST",
    b"PO\nST",
    b"P\x7fST",
    b"[POST]",
    b"{",
    b"CONNECT",
];

const METHODS: &[&str] = &[
    "get",
    "Post",
    "pOST",
    "PURGE",
    "M-SEARCH",
    "TRACE",
    "PROPFIND",
    "123",
    "!#$%&'*+-.^_`|~",
    "A",
    "GETT",
    "GE",
    "PRIX",
];

const WRONG_VERSIONS: &[&[u8]] = &[
    b"",
    b" ",
    b" HTTP",
    b" HTTP/",
    b" HTTP/1",
    b" HTTP/1.",
    b" HTTP/.1",
    b" HTTP/1.2",
    b" HTTP/1.9",
    b" HTTP/2.0",
    b" HTTP/2",
    b" HTTP/3.0",
    b" HTTP/0.9",
    b" HTTP/0.1",
    b" HTTP/01.1",
    b" HTTP/1.01",
    b" HTTP/1.10",
    b" HTTP/11",
    b" HTTP/1,1",
    b" HTTP/1.1 ",
    b" HTTP/1.1\t",
    b" HTTP/1.1x",
    b" HTTP/1.1 x",
    b" http/1.1",
    b" Http/1.1",
    b" HTTPS/1.1",
    b" HTTP /1.1",
    b" HTTP/ 1.1",
    b" HTTP/1 .1",
    b" HTP/1.1",
    b" HTTP/-1.1",
    b" HTTP\\1.1",
    b"  HTTP/1.1",
    b"\tHTTP/1.1",
    b"\x0bHTTP/1.1",
    b"\x0cHTTP/1.1",
    b"\rHTTP/1.1",
    b" \x00HTTP/1.1",
    b" HTTP/1.1\x00",
    b" HTTP/1.1\r",
    b" HTTP/\xd9\xa1.1",
    b" HTTP/1.1 HTTP/1.1",
    b" ICY/1.1",
    b"\xa0HTTP/1.1",
    b" x HTTP/1.1",
];

/// No request of HTTP/1 at all.
const NONE: &[&[u8]] = &[
    b"\x00",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
    b"\x80\x2e\x01\x03\x01\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /pass/x\r\n",
    b"GET /pass/x\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET \r\n\r\n",
    b" \r\n\r\n",
    b"\t\r\n\r\n",
    b"\r\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HELO a\r\n",
    b"EHLO a\r\n",
    b"{}\r\n\r\n",
    b"<Response/>\r\n\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"\r\n\r\n\r\n \r\n",
    b"Host: a.example\r\n\r\n",
    b": \r\n\r\n",
    b"\xff\xfe\r\n\r\n",
    b"OPTIONS * RTSP/1.0\r\n\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"SSH-2.0-x\r\n",
    b"GET / HTTP/1.1\rHost: a.example\r\r",
    b"GET /pass/x HTTP/1.1 \r\nHost: a\r\n\r\n",
];

pub(super) fn all() -> Vec<Case> {
    let wrong_methods = WRONG_METHODS.iter().map(|method| {
        let rest = format!(" /pass/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n");
        Case::refused([*method, rest.as_bytes()].concat())
    });
    let methods = METHODS.iter().map(|method| {
        let bytes = format!("{method} /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        Case::is(bytes, Wanted::new(method, "/pass/x"))
    });
    let wrong_versions = WRONG_VERSIONS.iter().map(|version| {
        let rest = format!("\r\nHost: {HOST}\r\n\r\n");
        Case::refused([b"GET /pass/x", *version, rest.as_bytes()].concat())
    });
    let none = NONE.iter().map(|bytes| Case::refused(*bytes));
    let cases = wrong_methods
        .chain(methods)
        .chain(wrong_versions)
        .chain(none);
    cases.chain(old()).chain(line_ends()).collect()
}

/// HTTP/1.0 has no need of a host, and its connections close.
fn old() -> Vec<Case> {
    let head = "GET /pass/x HTTP/1.0\r\n";
    vec![
        Case::is(format!("{head}\r\n"), Wanted::get().any_host()).closes(),
        Case::is(format!("{head}Host: {HOST}\r\n\r\n"), Wanted::get()).closes(),
        Case::is(
            format!("{head}Host: {HOST}\r\nConnection: keep-alive\r\n\r\n"),
            Wanted::get(),
        ),
        Case::is(
            format!("{head}Host: {HOST}\r\nConnection: close, keep-alive\r\n\r\n"),
            Wanted::get(),
        )
        .closes(),
        Case::refused(format!("{head}Host: {HOST}\r\nHost: {HOST}\r\n\r\n")),
        Case::is(
            format!("{head}Host: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
            Wanted::get().lacks("upgrade"),
        ),
    ]
}

/// A bare LF may end a line, and an empty line may stand before a request (RFC 9112 §2.2); both are made plain.
fn line_ends() -> Vec<Case> {
    let get = |bytes: String| Case::is(bytes, Wanted::get());
    let either = |bytes: String| Case::either(bytes, [Wanted::get()]);
    vec![
        get(format!("GET /pass/x HTTP/1.1\nHost: {HOST}\n\n")),
        get(format!("GET /pass/x HTTP/1.1\nHost: {HOST}\r\n\r\n")),
        get(format!("GET /pass/x HTTP/1.1\r\nHost: {HOST}\n\r\n")),
        get(format!("GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\n")),
        get(format!("\r\nGET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        either(format!("\nGET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        either(format!(
            "\r\n\r\n\r\nGET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        )),
        Case::refused(format!("\rGET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        Case::refused(format!("\r\n GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        Case::refused(format!("GET /pass/x HTTP/1.1\rHost: {HOST}\r\r")),
        Case::refused(format!("GET /pass/x HTTP/1.1\r\r\nHost: {HOST}\r\n\r\n")),
        Case::refused(format!("GET /pass/x HTTP/1.1\r\n Host: {HOST}\r\n\r\n")),
        Case::refused(format!("GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\r\n\r\n")),
        Case::refused(format!("GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\rx\n\r\n")),
        Case::refused(format!(
            "GET /pass/x HTTP/1.1\r\nHost: {HOST}\n\rGET /pass/hidden HTTP/1.1\r\n\r\n"
        )),
    ]
}
