//! `Content-Length` in every spelling, alone, repeated and beside `Transfer-Encoding` (RFC 9110 §8.6, RFC 9112 §6).

use super::case::{Case, HOST, Wanted, post};

/// No length to a strict reader.
const WRONG: &[&[u8]] = &[
    b"",
    b" ",
    b"+3",
    b"-3",
    b"-0",
    b"0x3",
    b"0b11",
    b"0o3",
    b"3 3",
    b"3,3",
    b"3, 3",
    b"3,4",
    b",3",
    b"3,",
    b"3;",
    b"3;a=b",
    b"3.0",
    b"3.",
    b".3",
    b"3e0",
    b"\"3\"",
    b"'3'",
    b"(3)",
    b"three",
    b"3_0",
    b"1'000",
    b"3\tx",
    b"x3",
    b"3x",
    b"3\xa0",
    b"\xef\xbc\x93",
    b"\xd9\xa3",
    b"3\x00",
    b"\x003",
    b"3\x0b",
    b"\x0b3",
    b"3\x0c",
    b"\x0c3",
    b"3\x1f",
    b"3\x7f",
    b"3\r",
    b"\r3",
    b"3\r4",
    b"99999999999999999999",
    b"18446744073709551616",
    b"18446744073709551619",
    b"18446744073709551615",
    b"-18446744073709551613",
    b"340282366920938463463374607431768211459",
    b"$3",
    b"#3",
    b"%33",
    b"3%",
    b"3/1",
    b"3-0",
    b"*",
    b"NaN",
    b"null",
];

/// Spellings of the three bytes that follow.
const RIGHT: &[&[u8]] = &[b"3", b"03", b"003", b"00000000000000000000000003"];

/// Lines that are not quite `Content-Length`, before a body that nothing else announces.
const WRONG_NAMES: &[&[u8]] = &[
    b"Content-Length : 3",
    b"Content-Length\t: 3",
    b"Content Length: 3",
    b" Content-Length: 3",
    b"\tContent-Length: 3",
    b"Content-Length\x0b: 3",
    b"Content-Length\x00: 3",
    b"\x00Content-Length: 3",
    b"Content-Length\r: 3",
    b"\rContent-Length: 3",
    b"Content-Length\xa0: 3",
    b"Content\n-Length: 3",
    b"Content-Length\n: 3",
    b"Content-Length 3",
    b"Content-Length; 3",
    b"Content-Length=3",
    b"Content-\xe2\x80\x90Length: 3",
    b"\"Content-Length\": 3",
    b"(Content-Length): 3",
];

const CHUNKS: &str = "3\r\nabc\r\n0\r\n\r\n";

pub(super) fn all() -> Vec<Case> {
    let wrong = WRONG.iter().map(|value| {
        let field = [b"Content-Length: ", *value, b"\r\n"].concat();
        Case::refused(post(field, "abc"))
    });
    let wrong_names = WRONG_NAMES.iter().map(|line| {
        let field = [*line, b"\r\n"].concat();
        Case::refused(post(field, "abc"))
    });
    let right = RIGHT.iter().map(|value| {
        let field = [b"Content-Length: ", *value, b"\r\n"].concat();
        Case::is(post(field, "abc"), Wanted::post("abc"))
    });
    let cases = wrong.chain(wrong_names).chain(right);
    cases
        .chain(spellings())
        .chain(several())
        .chain(beside())
        .chain(methods())
        .collect()
}

/// White space that means nothing.
fn spellings() -> Vec<Case> {
    let lines = [
        "Content-Length:3",
        "Content-Length:\t3",
        "Content-Length:   3  ",
        "content-length: 3\t ",
        "CONTENT-LENGTH: 3",
    ];
    let case = |line: &&str| Case::is(post(format!("{line}\r\n"), "abc"), Wanted::post("abc"));
    lines.iter().map(case).collect()
}

fn several() -> Vec<Case> {
    let lines = |values: &[&str]| -> String {
        values
            .iter()
            .map(|value| format!("Content-Length: {value}\r\n"))
            .collect()
    };
    let refused = [
        &["3", "4"][..],
        &["4", "3"],
        &["3", "3", "4"],
        &["0", "3"],
        &["3", "0"],
        &["3", ""],
        &["", "3"],
        &["3", "+3"],
        &["3", "0x3"],
        &["3", "3, 3"],
        &["3, 3", "3"],
        &["3", "-3"],
        &["3", "18446744073709551619"],
    ];
    let same = [&["3", "3"][..], &["3", "3", "3"], &["3", "03"]];
    let refused = refused
        .iter()
        .map(|values| Case::refused(post(lines(values), "abc")));
    let same = same
        .iter()
        .map(|values| Case::is(post(lines(values), "abc"), Wanted::post("abc")));
    refused.chain(same).collect()
}

/// A length beside a coding: the coding holds, and nothing behind it is believed (RFC 9112 §6.3).
fn beside() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in ["0", "1", "3", "13", "100000", "03"] {
        for headers in [
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            format!(
                "Content-Length: {length}\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n"
            ),
            format!(
                "Content-Length: {length}\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n"
            ),
        ] {
            cases.push(Case::either(post(&headers, CHUNKS), [Wanted::post("abc")]).closes());
            let hidden = format!("0\r\n\r\nGET /pass/hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
            cases.push(Case::either(post(&headers, hidden), [Wanted::post("")]).closes());
        }
    }
    for length in ["x", "", "+3", "3, 3"] {
        let before = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n");
        cases.push(Case::refused(post(before, CHUNKS)));
        let behind = format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n");
        cases.push(Case::either(post(behind, CHUNKS), [Wanted::post("abc")]).closes());
    }
    cases
}

/// A body is a body whatever the method and the version.
fn methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "post", "FOO",
    ] {
        let line = format!("{method} /pass/x HTTP/1.1\r\nHost: {HOST}\r\n");
        let wanted = |body| Wanted::new(method, "/pass/x").body(body);
        cases.push(Case::is(format!("{line}\r\n"), wanted("")));
        cases.push(Case::is(
            format!("{line}Content-Length: 0\r\n\r\n"),
            wanted(""),
        ));
        cases.push(Case::is(
            format!("{line}Content-Length: 3\r\n\r\nabc"),
            wanted("abc"),
        ));
        cases.push(Case::is(
            format!("{line}Transfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
            wanted("abc"),
        ));
        cases.push(Case::is(
            format!("{line}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            wanted(""),
        ));
        let broken = format!("{line}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n");
        cases.push(Case::refused(broken));
    }
    let old = format!("POST /pass/x HTTP/1.0\r\nHost: {HOST}\r\n");
    cases.push(
        Case::is(
            format!("{old}Content-Length: 3\r\n\r\nabc"),
            Wanted::post("abc"),
        )
        .closes(),
    );
    cases.push(Case::is(
        format!("{old}Connection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"),
        Wanted::post("abc"),
    ));
    cases.push(Case::refused(format!(
        "{old}Transfer-Encoding: chunked\r\n\r\n{CHUNKS}"
    )));
    cases.push(Case::refused(format!(
        "{old}Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"
    )));
    cases
}
