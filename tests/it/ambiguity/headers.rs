//! Field lines (RFC 9112 §5): names, values, folds, and headers that other headers name.

use super::case::{Case, Wanted, get, post};

const WRONG_LINES: &[&[u8]] = &[
    b"X",
    b"X y",
    b": y",
    b":",
    b" : y",
    b"X : y",
    b"X\t: y",
    b" X: y",
    b"\tX: y",
    b"X y: z",
    b"X(: y",
    b"X): y",
    b"X/: y",
    b"X\\: y",
    b"X\": y",
    b"X@: y",
    b"X[: y",
    b"X]: y",
    b"X{: y",
    b"X}: y",
    b"X,: y",
    b"X;: y",
    b"X=: y",
    b"X?: y",
    b"X<: y",
    b"X>: y",
    b"X\x00: y",
    b"\x00X: y",
    b"X\x01: y",
    b"X\x0b: y",
    b"X\x0c: y",
    b"X\x7f: y",
    b"X\xa0: y",
    b"X\xc3\xa9: y",
    b"\xef\xbb\xbfX: y",
    b"X\r: y",
    b"\rX: y",
    b"X: y\x00z",
    b"X: \x00",
    b"X: y\x01",
    b"X: y\x08",
    b"X: y\x0bz",
    b"X: y\x0cz",
    b"X: y\x1bz",
    b"X: y\x1f",
    b"X: y\x7f",
    b"X: y\rz",
    b"X: y\r",
    b"X: \ry",
    b"X:\ry",
    b"X: y\r\n z",
    b"X: y\r\n\tz",
    b"X:\r\n y",
    b"X: y\r\n  ",
    b"X: y\n z",
    b"X: y\n\tz",
    b"X\n: y",
    b"X: y\r\n: z",
    b"X: y\r\n\x00: z",
    b"X: y\r\nZ",
    b"\x0bX: y",
    b"GET /pass/hidden HTTP/1.1",
];

/// Lines that cross, with what the app gets.
const RIGHT: &[(&[u8], &str, &[u8])] = &[
    (b"X: y", "x", b"y"),
    (b"X:y", "x", b"y"),
    (b"X:  y  ", "x", b"y"),
    (b"X:\ty\t", "x", b"y"),
    (b"X:", "x", b""),
    (b"X: ", "x", b""),
    (b"X: y z", "x", b"y z"),
    (b"X: y\tz", "x", b"y\tz"),
    (b"X: :", "x", b":"),
    (b"X: y: z", "x", b"y: z"),
    (b"X: \"y", "x", b"\"y"),
    (b"X: \\", "x", b"\\"),
    (b"X: \xc3\xa9", "x", b"\xc3\xa9"),
    (b"X: \x80\xff", "x", b"\x80\xff"),
    (b"X: \xa0", "x", b"\xa0"),
    (b"!#$%&'*+.^`|~9: y", "!#$%&'*+.^`|~9", b"y"),
    (b"X: (y", "x", b"(y"),
    (
        b"X: Transfer-Encoding: chunked",
        "x",
        b"Transfer-Encoding: chunked",
    ),
    (b"X-Content-Length: 5", "x-content-length", b"5"),
    (b"X_Y: z", "x_y", b"z"),
    (b"-: y", "-", b"y"),
    (b"X: %0d%0aY: z", "x", b"%0d%0aY: z"),
    (b"X: y\nZ: w", "z", b"w"),
];

/// What a `Connection` field can't take from a request.
const ESSENTIAL: &[(&str, &str)] = &[
    ("Host", "a.example"),
    ("Content-Length", "3"),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("X-Twilio-Signature", "c2ln"),
    ("I-Twilio-Idempotency-Token", "token"),
    ("Authorization", "Basic eDp5"),
    ("Cookie", "a=b"),
];

/// Names that CGI and WSGI can't tell from others that matter.
const DOUBLES: &[&str] = &[
    "Content_Length",
    "CONTENT_LENGTH",
    "Transfer_Encoding",
    "Transfer-_Encoding",
    "Host_",
    "X_Forwarded_For",
    "X-Forwarded_For",
    "X_Forwarded-Proto",
    "X_Forwarded_Host",
    "X_Twilio_Signature",
    "X-Twilio_Signature",
    "x_twilio_signature",
    "I_Twilio_Idempotency_Token",
    "Content_Type",
    "Proxy",
    "proxy",
    "_Host",
    "Connection_",
];

pub(super) fn all() -> Vec<Case> {
    let wrong = WRONG_LINES
        .iter()
        .map(|line| Case::refused(get([*line, b"\r\n"].concat())));
    let right = RIGHT.iter().map(|(line, name, value)| {
        Case::is(
            get([*line, b"\r\n"].concat()),
            Wanted::get().has(name, value),
        )
    });
    let cases = wrong.chain(right).chain(listed()).chain(doubles());
    cases
        .chain(hops())
        .chain(expectations())
        .chain(upgrades())
        .collect()
}

/// `Connection` may name headers of its own hop only.
fn listed() -> Vec<Case> {
    let headers: String = ESSENTIAL
        .iter()
        .skip(1)
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let wanted = || {
        let wanted = ESSENTIAL.iter().map(|(name, value)| (*name, *value));
        wanted.fold(Wanted::post("abc"), |all, (name, value)| {
            all.has(name, value)
        })
    };
    let named = ESSENTIAL.iter().flat_map(|(name, _)| {
        [
            (*name).to_owned(),
            name.to_lowercase(),
            format!("close, {name}"),
            format!(",{name},,"),
        ]
    });
    let mut cases: Vec<Case> = named
        .map(|named| {
            Case::is(
                post(format!("{headers}Connection: {named}\r\n"), "abc"),
                wanted(),
            )
        })
        .collect();
    for named in [
        "X-Hop",
        "x-hop",
        "keep-alive, X-Hop",
        "X-Hop, X-Hop",
        "\tX-Hop\t",
    ] {
        let lines = format!("{headers}X-Hop: 1\r\nConnection: {named}\r\n");
        cases.push(Case::is(post(lines, "abc"), wanted().lacks("x-hop")));
    }
    for named in ["x-forwarded-for", "X-Forwarded-Proto", "x-forwarded-host"] {
        let wanted = Wanted::get().has("x-forwarded-for", "192.0.2.9, 127.0.0.1");
        let wanted = wanted
            .has("x-forwarded-proto", "https")
            .has("x-forwarded-host", "b.example");
        let lines = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example\r\n";
        cases.push(Case::is(
            get(format!("{lines}Connection: {named}\r\n")),
            wanted,
        ));
    }
    let coding = "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n";
    cases.push(Case::is(
        post(coding, "3\r\nabc\r\n0\r\n\r\n"),
        Wanted::post("abc"),
    ));
    cases
}

/// A double is no field of ours: it is dropped, the request is read without it.
fn doubles() -> Vec<Case> {
    let case = |name: &&'static str| {
        let lines = format!("Content-Length: 3\r\n{name}: 0\r\n");
        let wanted = Wanted::post("abc");
        let harmless = ["Transfer-_Encoding", "Host_", "_Host", "Connection_"].contains(name);
        Case::is(
            post(lines, "abc"),
            if harmless { wanted } else { wanted.lacks(name) },
        )
    };
    DOUBLES.iter().map(case).collect()
}

/// Fields of one hop end here.
fn hops() -> Vec<Case> {
    let lines = [
        "TE: trailers",
        "TE: chunked",
        "Trailer: Content-Length",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Connection: keep-alive",
        "Connection:",
        "Connection: ,",
        "Connection: \"close\"",
        "Connection: Upgrade",
        "Connection: HTTP2-Settings",
    ];
    let case = |line: &&str| {
        let wanted = [
            "te",
            "trailer",
            "keep-alive",
            "proxy-connection",
            "connection",
        ];
        let wanted = wanted.into_iter().fold(Wanted::get(), Wanted::lacks);
        Case::is(get(format!("{line}\r\n")), wanted)
    };
    lines.iter().map(case).collect()
}

fn expectations() -> Vec<Case> {
    let values = [
        "100-continue",
        "100-Continue",
        "",
        "200-ok",
        "100-continue, x",
        "x",
        "100 -continue",
        "100-continue\r\nExpect: 100-continue",
        "100-continue;q=1",
    ];
    let mut cases: Vec<Case> = Vec::new();
    for value in values {
        let wanted = || Wanted::post("abc").lacks("expect");
        let lines = format!("Expect: {value}\r\nContent-Length: 3\r\n");
        cases.push(Case::either(post(lines, "abc"), [wanted()]));
        let lines = format!("Expect: {value}\r\nTransfer-Encoding: chunked\r\n");
        cases.push(Case::either(
            post(lines, "3\r\nabc\r\n0\r\n\r\n"),
            [wanted()],
        ));
        cases.push(Case::either(
            get(format!("Expect: {value}\r\n")),
            [Wanted::get().lacks("expect")],
        ));
    }
    cases
}

/// Upgrades to anything but a WebSocket are not asked for.
fn upgrades() -> Vec<Case> {
    let lines = [
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\n",
        "Upgrade: HTTP/2.0\r\nConnection: Upgrade\r\n",
        "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: websocket\r\nConnection: close\r\n",
        "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n",
        "Upgrade:\r\nConnection: Upgrade\r\n",
        "Upgrade: \"websocket\"\r\nConnection: Upgrade\r\n",
    ];
    let case = |lines: &&str| {
        Case::either(
            get(lines),
            [Wanted::get().lacks("upgrade").lacks("connection")],
        )
    };
    let asked = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let with_body = [
        Case::either(
            post(format!("{asked}Content-Length: 3\r\n"), "abc"),
            [Wanted::post("abc").lacks("upgrade")],
        ),
        Case::either(
            get(format!("{asked}Content-Length: 3\r\n"))
                .into_iter()
                .chain(*b"abc")
                .collect::<Vec<u8>>(),
            [Wanted::get().body("abc").lacks("upgrade")],
        ),
        Case::either(
            [
                get(format!("{asked}Transfer-Encoding: chunked\r\n")),
                b"3\r\nabc\r\n0\r\n\r\n".to_vec(),
            ]
            .concat(),
            [Wanted::get().body("abc").lacks("upgrade")],
        ),
    ];
    let two = "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n";
    let one = Wanted::get().has("upgrade", "websocket");
    let asked = [Case::is(get(two), one.clone()), Case::is(get(asked), one)];
    lines
        .iter()
        .map(case)
        .chain(with_body)
        .chain(asked)
        .collect()
}
