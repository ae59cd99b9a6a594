//! Two readers of one request must not disagree about where it ends.

use super::{closed, refused, served};
use crate::ambiguity::case::{Case, HOST, Wanted, chunked, get, post};

/// A body of the word `hello`, in one chunk.
const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

/// A request that must stay what it is sent as.
const HIDDEN: &str = "GET /pass/smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// Values of `Content-Length` for the five bytes of `hello` that are no length.
const LENGTHS: &[(&str, &str)] = &[
    ("SMUG-CL-NEGATIVE", "-5"),
    ("SMUG-CL-NEGATIVE-ZERO", "-0"),
    ("SMUG-CL-PLUS", "+5"),
    ("SMUG-CL-HEX-PREFIX", "0x5"),
    ("SMUG-CL-OCTAL", "0o5"),
    ("SMUG-CL-BINARY", "0b101"),
    ("SMUG-CL-INTERNAL-SPACE", "1 0"),
    ("SMUG-CL-UNDERSCORE", "0_5"),
    ("SMUG-CL-DECIMAL", "5.0"),
    ("SMUG-CL-EXPONENT", "5e0"),
    ("SMUG-CL-COMMA-DIFFERENT", "5, 10"),
    ("SMUG-CL-COMMA-SAME", "5, 5"),
    ("SMUG-CL-COMMA-TRIPLE", "5, 5, 5"),
    ("SMUG-CL-COMMA-TRAILING", "5,"),
    ("SMUG-CL-SEMICOLON", "5;"),
    ("SMUG-CL-QUOTED", "\"5\""),
    ("SMUG-CL-ALPHA", "five"),
    ("SMUG-CL-NON-ASCII-DIGIT", "\u{665}"),
    ("SMUG-CL-VTAB", "\x0b5"),
    ("SMUG-CL-FORMFEED", "5\x0c"),
    ("SMUG-CL-NULL", "5\0"),
    ("SMUG-CL-BARE-CR", "5\r"),
];

/// Values of `Transfer-Encoding`, beside a length, with the statuses that they may be refused with.
const CODINGS: &[(&str, &str, &[u16])] = &[
    ("SMUG-TE-XCHUNKED", "xchunked", &[400, 501]),
    ("SMUG-TE-CHUNKEDX", "chunkedx", &[400, 501]),
    ("SMUG-TE-DOUBLE-CHUNKED", "chunked, chunked", &[400, 501]),
    ("SMUG-TE-NOT-FINAL-CHUNKED", "chunked, gzip", &[400, 501]),
    ("SMUG-TE-EMPTY-VALUE", "", &[400, 501]),
    ("SMUG-TE-LEADING-COMMA", ", chunked", &[400, 501]),
    ("SMUG-TE-TRAILING-COMMA", "chunked,", &[400, 501]),
    ("SMUG-TE-IDENTITY", "identity", &[400, 501]),
    ("SMUG-TE-QUOTED", "\"chunked\"", &[400, 501]),
    ("SMUG-TE-SINGLE-QUOTED", "'chunked'", &[400, 501]),
    ("SMUG-TE-PARAMETER", "chunked;q=1", &[400, 501]),
    ("SMUG-TE-VTAB", "\x0bchunked", &[400, 501]),
    ("SMUG-TE-FORMFEED", "\x0cchunked", &[400, 501]),
    ("SMUG-TE-NULL", "chunked\0", &[400]),
    ("SMUG-TE-BARE-CR", "chunked\rx", &[400]),
    ("SMUG-TE-OBS-FOLD", "\r\n chunked", &[400]),
    ("SMUG-TE-SPLIT", "chun ked", &[400, 501]),
    ("SMUG-TE-UNKNOWN", "cow", &[400, 501]),
];

/// Lines that some reader takes for `Transfer-Encoding: chunked`; refused, or no coding.
const DISGUISES: &[(&str, &str)] = &[
    ("SMUG-TE-SP-BEFORE-COLON", "Transfer-Encoding : chunked"),
    ("SMUG-TE-TAB-BEFORE-COLON", "Transfer-Encoding\t: chunked"),
    ("SMUG-TE-LEADING-SPACE-NAME", " Transfer-Encoding: chunked"),
    ("SMUG-TE-NUL-IN-NAME", "Transfer-Encoding\0: chunked"),
    ("SMUG-TE-CR-IN-NAME", "Transfer\r-Encoding: chunked"),
    ("SMUG-HEADER-INJECTION", "X: y\rTransfer-Encoding: chunked"),
    ("SMUG-TE-NO-COLON", "Transfer-Encoding chunked"),
    (
        "SMUG-TE-OPTIONS-OBS-FOLD",
        "X: y\r\n Transfer-Encoding: chunked",
    ),
    ("SMUG-TE-SPACE-IN-NAME", "Transfer Encoding: chunked"),
];

/// Bodies that aren't chunks.
const CHUNKED: &[(&str, &[u8])] = &[
    ("SMUG-CHUNK-EXT-LF", b"5;\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-EXT-CR", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-LF-TERM", b"5\r\nhello\n0\r\n\r\n"),
    ("SMUG-CHUNK-BARE-CR-TERM", b"5\rhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-SIZE-LF", b"5\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-SPILL", b"5\r\nhello world\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-SHORT", b"5\r\nhell\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-NEGATIVE", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-SIZE-PLUS", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-UNDERSCORE", b"0_5\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-HEX-PREFIX", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-LEADING-SP", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-LEADING-TAB", b"\t5\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-EMPTY-SIZE", b"\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-DECIMAL", b"5.0\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-COMMA", b"5,5\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-NUL", b"5\0\r\nhello\r\n0\r\n\r\n"),
    ("SMUG-CHUNK-MISSING-TRAILING-CRLF", b"5\r\nhello0\r\n\r\n"),
    ("SMUG-CHUNK-LF-TRAILER", b"5\r\nhello\r\n0\n\n"),
    (
        "SMUG-CHUNK-OVERFLOW",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
    ("SMUG-CHUNK-NOT-HEX", b"xyz\r\nhello\r\n0\r\n\r\n"),
    (
        "SMUG-TRAILER-OBS-FOLD",
        b"5\r\nhello\r\n0\r\nT: 1\r\n 2\r\n\r\n",
    ),
    (
        "SMUG-TRAILER-NO-COLON",
        b"5\r\nhello\r\n0\r\nGET /pass/smuggled HTTP/1.1\r\n\r\n",
    ),
    (
        "SMUG-TRAILER-BARE-CR",
        b"5\r\nhello\r\n0\r\nT: 1\rU: 2\r\n\r\n",
    ),
];

/// Trailers, with the header that they may not become where the request has no such header anyway.
const TRAILERS: &[(&str, &str, Option<&str>)] = &[
    ("SMUG-TRAILER-CL", "Content-Length: 50", None),
    ("SMUG-TRAILER-TE", "Transfer-Encoding: chunked", None),
    ("SMUG-TRAILER-HOST", "Host: evil.example", None),
    (
        "SMUG-TRAILER-AUTH",
        "Authorization: Bearer evil",
        Some("authorization"),
    ),
    (
        "SMUG-TRAILER-CONTENT-TYPE",
        "Content-Type: text/evil",
        Some("content-type"),
    ),
    (
        "SMUG-TRAILER-CONNECTION",
        "Connection: close",
        Some("connection"),
    ),
    ("SMUG-TRAILER-COOKIE", "Cookie: evil=1", Some("cookie")),
    (
        "SMUG-TRAILER-SIGNATURE",
        "X-Twilio-Signature: evil",
        Some("x-twilio-signature"),
    ),
];

pub(super) fn all() -> Vec<Case> {
    let lengths = LENGTHS
        .iter()
        .map(|(name, value)| refused(name, post(format!("Content-Length: {value}\r\n"), "hello")));
    let codings = CODINGS.iter().map(|(name, value, statuses)| {
        let headers = format!(
            "Content-Length: {}\r\nTransfer-Encoding: {value}\r\n",
            CHUNKS.len()
        );
        refused(name, post(headers, CHUNKS)).with(statuses)
    });
    let disguises = DISGUISES.iter().map(|(name, line)| {
        let headers = format!("Content-Length: {}\r\n{line}\r\n", CHUNKS.len());
        refused(name, post(headers, CHUNKS))
    });
    let chunks = CHUNKED
        .iter()
        .map(|(name, body)| refused(name, chunked(body)));
    let trailers = TRAILERS.iter().map(|(name, line, field)| {
        let body = format!("5\r\nhello\r\n0\r\n{line}\r\n\r\n");
        let wanted = field
            .iter()
            .fold(Wanted::post("hello"), |wanted, field| wanted.lacks(field));
        served(name, chunked(body), wanted)
    });
    let cases = lengths.chain(codings).chain(disguises).chain(chunks);
    cases
        .chain(trailers)
        .chain(both())
        .chain(single())
        .chain(second_requests())
        .collect()
}

/// Sequences: what stands behind the first request, or within it, is not taken for another one.
fn second_requests() -> Vec<Case> {
    let behind = format!("0\r\n\r\n{HIDDEN}");
    let post_both = |length: &str, coding: &str, body: &str| {
        post(
            format!("Content-Length: {length}\r\nTransfer-Encoding:{coding}\r\n"),
            body,
        )
    };
    let length = behind.len().to_string();
    let hidden_behind = |length: &str, coding: &str| post_both(length, coding, &behind);
    let hidden_head = HIDDEN.replace("GET", "HEAD");
    let hidden_with_length = HIDDEN.replace("\r\n\r\n", "\r\nContent-Length: 7\r\n\r\n");
    let in_chunk = format!(
        "{:x}\r\n{hidden_with_length}\r\n0\r\n\r\n",
        hidden_with_length.len()
    );
    let prefix = HIDDEN.replace("\r\n\r\n", "\r\n");
    let with_length = |method: &str, body: &str, rest: &str| {
        format!(
            "{method} /pass/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}{rest}",
            body.len()
        )
    };
    let hello = |method: &str| Wanted::new(method, "/pass/x").body("hello");
    let next = String::from_utf8(get("")).expect("it is ASCII");
    vec![
        closed(
            "SMUG-CLTE-CONN-CLOSE",
            post_both("5", " chunked", &format!("0\r\n\r\n{next}")),
            Wanted::post(""),
        ),
        closed(
            "SMUG-TECL-CONN-CLOSE",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                format!("0\r\n\r\n{next}"),
            ),
            Wanted::post(""),
        ),
        closed(
            "SMUG-CLTE-SMUGGLED-GET",
            hidden_behind(&length, " chunked"),
            Wanted::post(""),
        ),
        closed(
            "SMUG-CLTE-SMUGGLED-HEAD",
            post_both(&length, " chunked", &format!("0\r\n\r\n{hidden_head}")),
            Wanted::post(""),
        ),
        closed(
            "SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE",
            hidden_behind(&length, " chunked "),
            Wanted::post(""),
        ),
        closed(
            "SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH",
            hidden_behind(&length, " Chunked"),
            Wanted::post(""),
        ),
        refused(
            "SMUG-CLTE-SMUGGLED-GET-CL-PLUS",
            hidden_behind(&format!("+{length}"), " chunked"),
        ),
        refused(
            "SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC",
            hidden_behind(&format!("{length}x"), " chunked"),
        ),
        refused(
            "SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD",
            hidden_behind(&length, "\r\n chunked"),
        ),
        refused(
            "SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA",
            hidden_behind(&length, " , chunked"),
        )
        .with(&[400, 501]),
        refused(
            "SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET",
            hidden_behind(&length, " chunked\r\nTransfer-Encoding: identity"),
        )
        .with(&[400, 501]),
        closed(
            "SMUG-TECL-SMUGGLED-GET",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                in_chunk,
            ),
            Wanted::post(hidden_with_length),
        ),
        refused(
            "SMUG-DUPLICATE-CL-SMUGGLED-GET",
            post(
                format!(
                    "Content-Length: 4\r\nContent-Length: {}\r\n",
                    4 + HIDDEN.len()
                ),
                format!("PING{HIDDEN}"),
            ),
        ),
        served(
            "SMUG-GET-CL-PREFIX-DESYNC",
            with_length("GET", &prefix, "\r\n"),
            Wanted::get().body(&prefix),
        ),
        Case::are(
            with_length("GET", "hello", &next),
            [hello("GET"), Wanted::get()],
        )
        .named("SMUG-GET-CL-BODY-DESYNC"),
        Case::are(
            with_length("OPTIONS", "hello", &next),
            [hello("OPTIONS"), Wanted::get()],
        )
        .named("SMUG-OPTIONS-CL-BODY-DESYNC"),
        refused(
            "SMUG-OPTIONS-TE-OBS-FOLD",
            format!(
                "OPTIONS /pass/x HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello"
            ),
        ),
        // The byte behind the body belongs to the next request, whose method it makes another one.
        Case::are(
            with_length("POST", "", &format!("X{next}")),
            [Wanted::post(""), Wanted::new("XGET", "/pass/x")],
        )
        .named("SMUG-CL0-BODY-POISON"),
        refused(
            "SMUG-CHUNK-INVALID-SIZE-DESYNC",
            chunked(format!("+0\r\n\r\nX{next}")),
        ),
        refused(
            "SMUG-CHUNKED-WITH-PARAMS",
            post(
                "Transfer-Encoding: chunked;ext=val\r\nContent-Length: 5\r\n",
                "hello",
            ),
        )
        .with(&[400, 501]),
        served(
            "SMUG-CL-LEADING-ZEROS-OCTAL",
            post("Content-Length: 0200\r\n", "A".repeat(200)),
            Wanted::post("A".repeat(200)),
        ),
        // Extensions are not looked at, and never reach the app.
        served(
            "SMUG-CHUNK-EXT-INVALID-TOKEN",
            chunked("5;bad[=x\r\nhello\r\n0\r\n\r\n"),
            Wanted::post("hello"),
        ),
        served(
            "SMUG-CHUNK-SIZE-TRAILING-OWS",
            chunked("5 \r\nhello\r\n0\r\n\r\n"),
            Wanted::post("hello"),
        ),
    ]
}

/// A length and a coding in one request.
fn both() -> Vec<Case> {
    let both = |length: usize, rest: &str| {
        post(
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            rest,
        )
    };
    let coding_first = |length: usize, rest: &str| {
        post(
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            rest,
        )
    };
    let hello = || Wanted::post("hello");
    let empty = || Wanted::post("");
    let behind = format!("0\r\n\r\n{HIDDEN}");
    let within = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    vec![
        closed("SMUG-CL-TE-BOTH", both(CHUNKS.len(), CHUNKS), hello()),
        closed(
            "SMUG-TE-CL-BOTH",
            coding_first(CHUNKS.len(), CHUNKS),
            hello(),
        ),
        closed("SMUG-CLTE-PIPELINE", both(4, CHUNKS), hello()),
        closed("SMUG-TECL-PIPELINE", coding_first(4, CHUNKS), hello()),
        closed("SMUG-CLTE-DESYNC", both(behind.len(), &behind), empty()),
        closed(
            "SMUG-TECL-DESYNC",
            coding_first(4, &within),
            Wanted::post(HIDDEN),
        ),
        closed(
            "SMUG-CLTE-KEEPALIVE",
            both(behind.len(), &format!("{behind}{HIDDEN}")),
            empty(),
        ),
        closed(
            "SMUG-TECL-KEEPALIVE",
            coding_first(4, &format!("{within}{HIDDEN}")),
            Wanted::post(HIDDEN),
        ),
        closed("SMUG-CL-ZERO-TE", both(0, CHUNKS), hello()),
        refused(
            "SMUG-CL-EMPTY-TE",
            post("Content-Length:\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
        ),
        refused(
            "SMUG-DUPLICATE-CL-TE",
            post(
                "Content-Length: 5\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n",
                CHUNKS,
            ),
        ),
        refused(
            "SMUG-TE-DUPLICATE-HEADERS",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                CHUNKS,
            ),
        )
        .with(&[400, 501]),
        refused(
            "SMUG-TE-DUPLICATE-SAME",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                CHUNKS,
            ),
        )
        .with(&[400, 501]),
        refused(
            "SMUG-TE-HTTP10",
            format!(
                "POST /pass/x HTTP/1.0\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"
            ),
        ),
        refused(
            "SMUG-CL-TE-HTTP10",
            format!(
                "POST /pass/x HTTP/1.0\r\nHost: {HOST}\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}",
                CHUNKS.len()
            ),
        ),
    ]
}

/// Requests that have one right reading, and some that have none.
fn single() -> Vec<Case> {
    let line = |headers: &str| post(format!("{headers}\r\n"), "hello");
    let hello = || Wanted::post("hello");
    let with_body = |method: &str, body: &str| {
        format!(
            "{method} /pass/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let hides = |method: &str| Wanted::new(method, "/pass/x").body(HIDDEN);
    vec![
        refused(
            "SMUG-DUPLICATE-CL",
            line("Content-Length: 5\r\nContent-Length: 10"),
        ),
        refused(
            "SMUG-DUPLICATE-CL-ZERO",
            line("Content-Length: 0\r\nContent-Length: 5"),
        ),
        served(
            "SMUG-DUPLICATE-CL-SAME",
            line("Content-Length: 5\r\nContent-Length: 5"),
            hello(),
        ),
        served(
            "SMUG-CL-LEADING-ZEROS",
            line("Content-Length: 005"),
            hello(),
        ),
        served(
            "SMUG-CL-DOUBLE-ZERO",
            post("Content-Length: 00\r\n", ""),
            Wanted::post(""),
        ),
        served(
            "SMUG-CL-TRAILING-SPACE",
            line("Content-Length: 5 "),
            hello(),
        ),
        served(
            "SMUG-CL-EXTRA-LEADING-SP",
            line("Content-Length:  5"),
            hello(),
        ),
        served("SMUG-CL-TAB", line("Content-Length:\t5"), hello()),
        served(
            "SMUG-TE-CASE-MISMATCH",
            post("Transfer-Encoding: Chunked\r\n", CHUNKS),
            hello(),
        ),
        served(
            "SMUG-TE-TRAILING-SPACE",
            post("Transfer-Encoding: chunked \r\n", CHUNKS),
            hello(),
        ),
        served(
            "SMUG-TE-TAB-BEFORE-VALUE",
            post("Transfer-Encoding:\tchunked\r\n", CHUNKS),
            hello(),
        ),
        served(
            "SMUG-CHUNK-BARE-SEMICOLON",
            chunked("5;\r\nhello\r\n0\r\n\r\n"),
            hello(),
        ),
        served(
            "SMUG-CHUNK-EXT-QUOTED",
            chunked("5;a=\"b\"\r\nhello\r\n0\r\n\r\n"),
            hello(),
        ),
        Case::either(chunked("5;a\x01b\r\nhello\r\n0\r\n\r\n"), [hello()])
            .with(&[400])
            .named("SMUG-CHUNK-EXT-CTRL"),
        served(
            "SMUG-CHUNK-HIDES-REQUEST",
            chunked(format!("{:X}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())),
            Wanted::post(HIDDEN),
        ),
        served("SMUG-GET-CL-BODY", with_body("GET", HIDDEN), hides("GET")),
        served(
            "SMUG-OPTIONS-CL-BODY",
            with_body("OPTIONS", HIDDEN),
            hides("OPTIONS"),
        ),
        served(
            "SMUG-DELETE-CL-BODY",
            with_body("DELETE", HIDDEN),
            hides("DELETE"),
        ),
        served(
            "SMUG-POST-CL-BODY",
            with_body("POST", HIDDEN),
            hides("POST"),
        ),
        served("SMUG-PUT-CL-BODY", with_body("PUT", HIDDEN), hides("PUT")),
        Case::are(
            [post("Content-Length: 5\r\n", "hello"), get("")].concat(),
            [hello(), Wanted::get()],
        )
        .named("SMUG-PIPELINE-SAFE"),
        Case::are(
            [chunked(CHUNKS), get("")].concat(),
            [hello(), Wanted::get()],
        )
        .named("SMUG-PIPELINE-CHUNKED-SAFE"),
        Case::are(
            [post("", ""), HIDDEN.as_bytes().to_vec()].concat(),
            [Wanted::post(""), Wanted::new("GET", "/pass/smuggled")],
        )
        .named("SMUG-CL0-NO-LENGTH"),
        served(
            "SMUG-EXPECT-100-CL",
            post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"),
            hello(),
        ),
        served(
            "SMUG-EXPECT-100-CL-DESYNC",
            post(
                format!(
                    "Content-Length: {}\r\nExpect: 100-continue\r\n",
                    HIDDEN.len()
                ),
                HIDDEN,
            ),
            Wanted::post(HIDDEN),
        ),
        refused(
            "SMUG-BARE-CR-HEADER-VALUE",
            line("Content-Length: 5\r\nX: a\rb"),
        ),
        served(
            "SMUG-ABSOLUTE-URI-HOST-MISMATCH",
            format!("GET http://b.example/pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
            Wanted::get().host("b.example"),
        ),
        refused(
            "SMUG-MULTIPLE-HOST-COMMA",
            "GET /pass/x HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n",
        ),
        served(
            "SMUG-CONNECTION-HIDES-CL",
            post(
                "Content-Length: 5\r\nConnection: Content-Length\r\n",
                "hello",
            ),
            hello(),
        ),
        served(
            "SMUG-CONNECTION-HIDES-TE",
            post(
                "Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n",
                CHUNKS,
            ),
            hello(),
        ),
    ]
}
