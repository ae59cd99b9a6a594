//! `Transfer-Encoding` in disguise (RFC 9112 §6.1): a server that sees through it and one that doesn't disagree about where the
//! request ends. Refused, or read one way and written plainly.

use super::case::{Case, Wanted, post};

/// Values that are not the one coding that is understood.
const WRONG: &[&[u8]] = &[
    b"",
    b"identity",
    b"gzip",
    b"deflate",
    b"compress",
    b"gzip, chunked",
    b"chunked, gzip",
    b"chunked, identity",
    b"identity, chunked",
    b"chunked, chunked",
    b"chunked,chunked",
    b"chunked,",
    b",chunked",
    b", chunked",
    b"chunked;",
    b"chunked;q=1",
    b"chunked;a=b",
    b"\"chunked\"",
    b"'chunked'",
    b"(chunked)",
    b"xchunked",
    b"chunkedx",
    b"x-chunked",
    b"chunked x",
    b"x chunked",
    b"chunk",
    b"ch unked",
    b"chunked\x00",
    b"\x00chunked",
    b"\x0bchunked",
    b"chunked\x0b",
    b"\x0cchunked",
    b"\x1fchunked",
    b"chunked\x7f",
    b"\xffchunked",
    b"chunked\xa0",
    b"\xa0chunked",
    b"\rchunked",
    b"chunked\r",
    b"chu\rnked",
    b"chunked\xc2\x85",
    b"chun\xc4\xb7ed",
    b"chunke\xc4\x91",
    b"0",
    b"*",
    b"none",
    b"null",
    b"cow",
    b"chunked\\",
    b"chunked/1",
    b"chunked:",
    b": chunked",
    b"=chunked",
    b"chunked, cow",
    b"cow, chunked",
    b"trailers, chunked",
    b"[chunked]",
    b"chunked\tgzip",
];

/// Spellings of the one coding.
const RIGHT: &[&[u8]] = &[
    b"chunked",
    b"Chunked",
    b"CHUNKED",
    b"cHuNkEd",
    b" chunked ",
    b"\tchunked\t",
    b"chunked  ",
];

/// Lines with a place where an odd byte may make a difference.
const TEMPLATES: &[&str] = &[
    "Transfer-Encoding@: chunked",
    "Transfer-Encoding:@chunked",
    "Transfer-Encoding: @chunked",
    "Transfer-Encoding: chunked@",
    "@Transfer-Encoding: chunked",
    "Transfer-Encoding@:@chunked",
    "Transfer@Encoding: chunked",
    "Transfer@-Encoding: chunked",
    "Transfer-Encoding: ch@unked",
    "Transfer-Encoding:@ chunked@",
    "X: y@Transfer-Encoding: chunked",
    "X: y\r@Transfer-Encoding: chunked",
    "X: y\n@Transfer-Encoding: chunked",
    "X@: y\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding:@x",
    "Transfer-Encoding:@x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n@chunked",
    "Transfer-Encoding: chunked,@gzip",
    "TRANSFER-ENCODING:@CHUNKED@",
];

const ODD: &[u8] =
    b"\x00\x01\x04\x08\t\n\x0b\x0c\r\x1b\x1f \"',.;:=_-\\/()\x7f\x80\x85\xa0\xad\xff";

const CHUNKS: &str = "3\r\nabc\r\n0\r\n\r\n";

pub(super) fn all() -> Vec<Case> {
    let wrong = WRONG
        .iter()
        .map(|value| Case::refused(post(line(value), CHUNKS)));
    let right = RIGHT
        .iter()
        .map(|value| Case::is(post(line(value), CHUNKS), Wanted::post("abc")));
    wrong
        .chain(right)
        .chain(repeated())
        .chain(disguised())
        .collect()
}

fn line(value: &[u8]) -> Vec<u8> {
    [b"Transfer-Encoding: ", value, b"\r\n"].concat()
}

fn repeated() -> Vec<Case> {
    let pairs = [
        ("chunked", "chunked"),
        ("chunked", "identity"),
        ("identity", "chunked"),
        ("chunked", "cow"),
        ("cow", "chunked"),
        ("gzip", "chunked"),
        ("", "chunked"),
        ("chunked", ""),
        ("chunked", "xchunked"),
        ("xchunked", "chunked"),
    ];
    let both = |(first, second): &(&str, &str)| {
        Case::refused(post(
            [line(first.as_bytes()), line(second.as_bytes())].concat(),
            CHUNKS,
        ))
    };
    pairs.iter().map(both).collect()
}

/// Beside a length that fits, so that either reading would find a whole request.
fn disguised() -> Vec<Case> {
    let mut cases = Vec::new();
    for template in TEMPLATES {
        for odd in ODD {
            let mut headers = format!("Content-Length: {}\r\n", CHUNKS.len()).into_bytes();
            for byte in template.bytes() {
                headers.push(if byte == b'@' { *odd } else { byte });
            }
            headers.extend(b"\r\n");
            cases.push(match odd {
                // It ends the line, and a second one the head.
                b'\n' => Case::one_at_most(post(headers, CHUNKS)),
                _ => {
                    let ways = [Wanted::post("abc"), Wanted::post(CHUNKS)];
                    Case::either(post(headers, CHUNKS), ways)
                }
            });
        }
    }
    cases
}
