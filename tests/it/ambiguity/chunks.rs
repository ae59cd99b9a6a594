//! Chunk sizes, extensions, line ends and trailers (RFC 9112 §7.1): what is read is written anew, without extensions and trailers.

use super::case::{Case, Wanted, chunked};

/// Size lines before `abc`, as they should be or odd but clear.
const RIGHT: &[&str] = &[
    "3",
    "03",
    "003",
    "0000000000000003",
    "00000000000000000003",
    "3;x",
    "3;x=y",
    "3;x=\"y\"",
    "3;x=\"a;b\"",
    "3;x=\"a, b\"",
    "3;a;b;c",
    "3;=",
    "3;",
    "3; x=y",
    "3 ;x",
    "3\t;x",
    "3 ",
    "3\t",
    "3;x=\"0\"",
    "3;0\"",
    "3;\"",
];

/// Lines that give no size.
const WRONG: &[&[u8]] = &[
    b"",
    b" ",
    b" 3",
    b"\t3",
    b"0x3",
    b"0X3",
    b"x3",
    b"3x",
    b"g",
    b"-3",
    b"+3",
    b"-0",
    b"3.",
    b"3.0",
    b"3 3",
    b"3,3",
    b"3_",
    b"\"3\"",
    b"'3'",
    b"3h",
    b"$3",
    b"3:",
    b"3=x",
    b"\x003",
    b"3\x00",
    b"\x0b3",
    b"3\x0b",
    b"3\x0c",
    b"3\x7f",
    b"3\xa0",
    b"\xef\xbc\x93",
    b"\xd9\xa3",
    b"3\n",
    b"3\r",
    b"3\rx",
    b"3\r\r",
    b"\n3",
    b"\r3",
    b"\r\n3",
    b";x",
    b";",
    b"10000000000000003",
    b"fffffffffffffffff",
    b"FFFFFFFFFFFFFFFFFFFFFFFF",
    b"100000000000000000000000000000003",
    b"3;x\ny",
    b"3;x\n",
    b"3;x=\"a\nb\"",
    b"3;x\ry",
    b"3;\r\r",
    b"3 \n",
    b"3\t\n",
    b"three",
    b"3e0",
    b"03 03",
    b"3\\",
    b"#3",
    b"%33",
    b"(3)",
    b"{3}",
    b"NaN",
];

/// What stands where `\r\n0\r\n\r\n` should stand behind `3\r\nabc`.
const WRONG_ENDS: &[&[u8]] = &[
    b"x\r\n0\r\n\r\n",
    b"\n0\r\n\r\n",
    b"\r0\r\n\r\n",
    b"0\r\n\r\n",
    b"\r\r\n0\r\n\r\n",
    b"\n\r0\r\n\r\n",
    b"\r\x000\r\n\r\n",
    b" \r\n0\r\n\r\n",
    b"\r\n\r\n0\r\n\r\n",
    b"\r\n\n0\r\n\r\n",
    b"\r\n0\n\r\n",
    b"\r\n0\n\n",
    b"\r\n0\r\r\n\r\n",
    b"\r\n0\r\n\n",
    b"\r\n0\r\n\rx",
    b"\r\n-0\r\n\r\n",
    b"\r\n+0\r\n\r\n",
    b"\r\n0x0\r\n\r\n",
    b"\r\n 0\r\n\r\n",
    b"\r\nx\r\n\r\n",
    b"\r\n\x000\r\n\r\n",
    b"\r\n0;x\ny\r\n\r\n",
    b"\r\n0x\r\n\r\n",
    b"\r\n0,0\r\n\r\n",
    b"d\r\n0\r\n\r\n",
];

/// Trailers that are none.
const WRONG_TRAILERS: &[&[u8]] = &[
    b" T: 1\r\n",
    b"\tT: 1\r\n",
    b"T : 1\r\n",
    b"T\r\n",
    b": 1\r\n",
    b"T: a\rb\r\n",
    b"T: a\x00b\r\n",
    b"\x00T: 1\r\n",
    b"T\xff: 1\r\n",
    b"T: 1\r\n folded\r\n",
    b"T(: 1\r\n",
    b"T: \x7f\r\n",
    b"T: 1\r\r\n",
    b"GET /pass/hidden HTTP/1.1\r\n",
];

/// Trailers; none of them crosses.
const TRAILERS: &[&str] = &[
    "T: 1\r\n",
    "T: 1\r\nU: 2\r\n",
    "T:\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: evil.example\r\n",
    "Connection: close\r\n",
    "X-Twilio-Signature: forged\r\n",
    "X-Forwarded-For: 192.0.2.1\r\n",
    "Content-Type: text/html\r\n",
    "Upgrade: websocket\r\n",
    "Authorization: Basic eA==\r\n",
    "Cookie: a=b\r\n",
    "Trailer: T\r\n",
];

pub(super) fn all() -> Vec<Case> {
    let wrong = WRONG.iter().map(|size| {
        let body = [*size, b"\r\nabc\r\n0\r\n\r\n"].concat();
        Case::refused(chunked(body))
    });
    let wrong_ends = WRONG_ENDS
        .iter()
        .map(|end| Case::refused(chunked([b"3\r\nabc", *end].concat())));
    let right = RIGHT.iter().map(|size| {
        Case::is(
            chunked(format!("{size}\r\nabc\r\n0\r\n\r\n")),
            Wanted::post("abc"),
        )
    });
    wrong
        .chain(wrong_ends)
        .chain(right)
        .chain(bodies())
        .chain(trailers())
        .collect()
}

fn bodies() -> Vec<Case> {
    let long = "y".repeat(0x1abc);
    [
        ("0\r\n\r\n".to_owned(), ""),
        ("00\r\n\r\n".to_owned(), ""),
        ("0000000000000000000000\r\n\r\n".to_owned(), ""),
        ("0;x=y\r\n\r\n".to_owned(), ""),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n".to_owned(), "abc"),
        ("5\r\n0\r\n\r\n\r\n0\r\n\r\n".to_owned(), "0\r\n\r\n"),
        ("A\r\n0123456789\r\n0\r\n\r\n".to_owned(), "0123456789"),
        (
            "a;x=\"\\\"\"\r\n0123456789\r\n0\r\n\r\n".to_owned(),
            "0123456789",
        ),
        (format!("1ABC\r\n{long}\r\n0\r\n\r\n"), long.as_str()),
        (format!("{:0>200}\r\nabc\r\n0\r\n\r\n", "3"), "abc"),
    ]
    .map(|(bytes, body)| Case::is(chunked(bytes), Wanted::post(body)))
    .into()
}

fn trailers() -> Vec<Case> {
    let right = TRAILERS.iter().map(|lines| {
        let wanted = [
            "t",
            "u",
            "content-length",
            "connection",
            "x-twilio-signature",
            "content-type",
            "upgrade",
            "authorization",
            "cookie",
            "trailer",
        ];
        let wanted = wanted.into_iter().fold(Wanted::post("abc"), Wanted::lacks);
        Case::is(chunked(format!("3\r\nabc\r\n0\r\n{lines}\r\n")), wanted)
    });
    let wrong = WRONG_TRAILERS.iter().map(|lines| {
        let body = [b"3\r\nabc\r\n0\r\n", *lines, b"\r\n"].concat();
        Case::refused(chunked(body))
    });
    let bare = ["T: 1\n\r\n", "T: 1\nU: 2\r\n\r\n", "\nT: 1\r\n\r\n"];
    let bare = bare.iter().map(|lines| {
        Case::either(
            chunked(format!("3\r\nabc\r\n0\r\n{lines}")),
            [Wanted::post("abc")],
        )
    });
    right.chain(wrong).chain(bare).collect()
}
