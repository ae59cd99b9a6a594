//! Several requests in one piece, and requests that hide in the bodies of others (RFC 9112 §9.3.2).

use super::case::{Case, HOST, Wanted, chunked, get, post};

pub(super) fn all() -> Vec<Case> {
    let mut cases = hidden();
    cases.extend(truly_two());
    cases.extend(junk());
    cases.extend(good());
    cases
}

/// Good requests, one of each framing.
pub(super) fn good() -> Vec<Case> {
    vec![
        Case::is(get("X: y\r\n"), Wanted::get().has("x", "y")),
        Case::is(post("Content-Length: 3\r\n", "abc"), Wanted::post("abc")),
        Case::is(
            chunked("3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n"),
            Wanted::post("abc"),
        ),
    ]
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

/// A request within a body is body.
fn hidden() -> Vec<Case> {
    let inner = [
        request("/pass/hidden"),
        format!("\r\n{}", request("/pass/hidden")),
        format!("0\r\n\r\n{}", request("/pass/hidden")),
        "POST /pass/hidden HTTP/1.1\r\nHost: a.example\r\nContent-Length: 50\r\n\r\nx=".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    let mut cases = Vec::new();
    for body in &inner {
        let length = body.len();
        cases.push(Case::is(
            post(format!("Content-Length: {length}\r\n"), body),
            Wanted::post(body),
        ));
        let twice = format!("Content-Length: {length}\r\nContent-Length: {length}\r\n");
        cases.push(Case::is(post(twice, body), Wanted::post(body)));
        let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
        cases.push(Case::is(chunked(chunk), Wanted::post(body)));
        let extended = format!("{length:X};x=\"y\"\r\n{body}\r\n0\r\nT: 1\r\n\r\n");
        cases.push(Case::is(chunked(extended), Wanted::post(body)));
        let with_body = format!(
            "GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        cases.push(Case::is(with_body, Wanted::get().body(body)));
        let chunked_get = format!(
            "GET /pass/x HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        );
        cases.push(Case::is(chunked_get, Wanted::get().body(body)));
    }
    cases
}

/// What by its framing is two requests is two, each answered as itself.
fn truly_two() -> Vec<Case> {
    let second = || Wanted::new("GET", "/pass/second");
    let behind = |first: Vec<u8>| [first, request("/pass/second").into_bytes()].concat();
    vec![
        Case::are(behind(get("")), [Wanted::get(), second()]),
        Case::are(behind(post("", "")), [Wanted::post(""), second()]),
        Case::are(
            behind(post("Content-Length: 0\r\n", "")),
            [Wanted::post(""), second()],
        ),
        Case::are(
            behind(post("Content-Length: 3\r\n", "abc")),
            [Wanted::post("abc"), second()],
        ),
        Case::are(
            behind(post("Content-Length: 3\r\n", "abc\r\n")),
            [Wanted::post("abc"), second()],
        ),
        Case::are(behind(chunked("0\r\n\r\n")), [Wanted::post(""), second()]),
        Case::are(
            behind(chunked("3\r\nabc\r\n0\r\nT: 1\r\n\r\n")),
            [Wanted::post("abc"), second()],
        ),
        Case::are(behind(behind(get(""))), [Wanted::get(), second(), second()]),
        Case::is(behind(get("Connection: close\r\n")), Wanted::get()).closes(),
        Case::is(
            behind(format!("GET /pass/x HTTP/1.0\r\nHost: {HOST}\r\n\r\n").into_bytes()),
            Wanted::get(),
        )
        .closes(),
    ]
}

/// Behind a whole request stands something that is none: the first is answered, the rest is not the app's.
fn junk() -> Vec<Case> {
    let rests = [
        "x",
        "\0",
        "abc\r\n\r\n",
        "POST /pass/hidden",
        " GET /pass/hidden HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "0\r\n\r\n",
        "Host: a.example\r\n\r\n",
    ];
    let mut cases = Vec::new();
    for rest in rests {
        cases.push(Case::either(
            [get(""), rest.into()].concat(),
            [Wanted::get()],
        ));
        let body = format!("abc{rest}");
        cases.push(Case::either(
            post("Content-Length: 3\r\n", &body),
            [Wanted::post("abc")],
        ));
        let body = format!("3\r\nabc\r\n0\r\n\r\n{rest}");
        cases.push(Case::either(chunked(body), [Wanted::post("abc")]));
    }
    cases
}
