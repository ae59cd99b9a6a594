//! Names that a reader might take for others: they reach the app as they are, or not at all.

use super::{refused, served};
use crate::ambiguity::case::{Case, Wanted, chunked, get, post};

pub(super) fn all() -> Vec<Case> {
    let hello = || Wanted::post("hello");
    let without = |name, line: &str, field| {
        served(
            name,
            post(format!("Content-Length: 5\r\n{line}\r\n"), "hello"),
            hello().lacks(field),
        )
    };
    vec![
        without("NORM-UNDERSCORE-CL", "Content_Length: 99", "content_length"),
        without(
            "NORM-UNDERSCORE-TE",
            "Transfer_Encoding: chunked",
            "transfer_encoding",
        ),
        without(
            "NORM-UNDERSCORE-FORWARDED-HOST",
            "X_Forwarded_Host: b.example",
            "x_forwarded_host",
        ),
        without(
            "NORM-UNDERSCORE-FORWARDED",
            "X_Forwarded_For: 192.0.2.1",
            "x_forwarded_for",
        ),
        without(
            "NORM-UNDERSCORE-SIGNATURE",
            "X_Twilio_Signature: a",
            "x_twilio_signature",
        ),
        without("NORM-HTTPOXY", "Proxy: http://b.example", "proxy"),
        refused(
            "NORM-SP-BEFORE-COLON-CL",
            post("Content-Length : 5\r\n", "hello"),
        ),
        refused("NORM-TAB-IN-NAME", get("X\ty: z\r\n")),
        refused("NORM-DOT-TRAILING-SP", get("X. : z\r\n")),
        served(
            "NORM-CASE-CL",
            post("cONTENT-lENGTH: 5\r\n", "hello"),
            hello(),
        ),
        served(
            "NORM-CASE-TE",
            post("tRANSFER-eNCODING: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            hello(),
        ),
        served(
            "NORM-CHUNK-EXT-DROPPED",
            chunked("5;content-length=9\r\nhello\r\n0\r\n\r\n"),
            hello(),
        ),
    ]
}
