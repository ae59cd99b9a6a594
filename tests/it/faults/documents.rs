//! Responses that are HTTP as it should be and yet of no use to Twilio; and odd ones that it takes.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::fault::{Expected, Fault, UNCHANGED};
use support::{Script, response};

const DOCUMENT: &str = "<Response><!--ab--></Response>";
const ERROR_PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>500</title></head><body>Oops<br></body></html>\n";
const STACK_TRACE: &str = "Traceback (most recent call last):\n  File \"app.py\"";
const LOCATION: [(&str, &str); 2] = [("Location", "/elsewhere"), ("Content-Type", "text/html")];
/// A message that has no reply.
const NO_REPLY: Expected = Expected::with_warning("11770");
/// A document that is not TwiML.
const NOT_TWIML: Expected = Expected::with_warning("12200");
/// Plain text, which Twilio reads out or sends.
const TEXT: Expected = Expected::with_warning("12300");
const DECODED: Expected = Expected::Upstream {
    document: Some(DOCUMENT),
    warning: None,
};

faults! {
    // Statuses.
    status_400: status("400 Bad Request", "status_4xx"),
    status_404: status("404 Not Found", "status_4xx"),
    status_429: status("429 Too Many Requests", "status_4xx"),
    status_500: status("500 Internal Server Error", "status_5xx"),
    status_599: status("599 Whatever", "status_5xx"),
    status_503_with_twiml: {
        fault(Script::response("503 Service Unavailable", "text/xml", DOCUMENT), "status_5xx")
    },
    status_308: fault(with_fields("308 Permanent Redirect", &LOCATION, ""), "redirect"),
    status_300: fault(with_fields("300 Multiple Choices", &LOCATION, ""), "redirect"),
    status_302_without_location: fault(with_fields("302 Found", &[], ""), "redirect"),
    unrequested_304: {
        fault(Script::new().send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"), "redirect")
    },
    status_301: Fault::harmless(with_fields("301 Moved Permanently", &LOCATION, "moved")),
    status_302: Fault::harmless(with_fields("302 Found", &LOCATION, "moved")),
    status_303: Fault::harmless(with_fields("303 See Other", &LOCATION, "")),
    status_307: Fault::harmless(with_fields("307 Temporary Redirect", &LOCATION, "")),
    challenge: {
        let challenge = [
            ("WWW-Authenticate", "Basic realm=\"app\""),
            ("Content-Type", "text/plain"),
        ];
        Fault::harmless(with_fields("401 Unauthorized", &challenge, "who are you?"))
    },
    cookies: {
        let headers = [
            ("Content-Type", "text/xml"),
            ("Set-Cookie", "a=1; Path=/"),
            ("Set-Cookie", "b=2"),
        ];
        Fault::harmless(with_fields("200 OK", &headers, DOCUMENT))
    },
    status_201_with_twiml: Fault::harmless(Script::response("201 Created", "text/xml", DOCUMENT)),

    // No document.
    status_204: {
        let script = Script::new().send("HTTP/1.1 204 No Content\r\n\r\n");
        fault(script, "empty").on_messaging(UNCHANGED)
    },
    empty_body: empty(with_fields("200 OK", &[("Content-Type", "text/xml")], "")),
    empty_body_without_a_type: empty(with_fields("200 OK", &[], "")),
    empty_body_declared_as_json: {
        empty(with_fields("201 Created", &[("Content-Type", "application/json")], ""))
    },
    empty_chunked_body: {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
        empty(Script::new().send([head, "0\r\n\r\n"].concat()))
    },
    end_after_the_head: empty(Script::new().send("HTTP/1.1 200 OK\r\n\r\n").close()),

    // Content types.
    json: fault(typed("application/json", "{\"ok\":true}"), "content_type"),
    twiml_declared_as_json: fault(typed("application/json", DOCUMENT), "content_type"),
    no_content_type: fault(with_fields("200 OK", &[], DOCUMENT), "content_type"),
    empty_content_type: fault(typed("", DOCUMENT), "content_type"),
    csv: fault(typed("text/csv", DOCUMENT), "content_type"),
    audio: fault(typed("audio/mpeg", "ID3"), "content_type").on_voice(UNCHANGED),
    plain_text: fault(typed("text/plain", "Hello"), "").on_voice(TEXT).on_messaging(TEXT),
    ok_as_html: fault(typed("text/html", "OK"), "malformed").on_messaging(NOT_TWIML),
    blanks_as_html: fault(typed("text/html", "\n"), "malformed").on_messaging(NOT_TWIML),
    application_xml: Fault::harmless(typed("application/xml; charset=utf-8", DOCUMENT)),
    another_xml_type: Fault::harmless(typed("application/twiml+xml", DOCUMENT)),
    twiml_as_html: Fault::harmless(typed("text/html; charset=UTF-8", DOCUMENT)),

    // Content codings and charsets.
    gzip: {
        let script = coded("gzip", &compress(DOCUMENT.as_bytes()));
        fault(script, "").on_voice(DECODED).on_messaging(DECODED)
    },
    not_gzip: fault(coded("gzip", DOCUMENT.as_bytes()), "encoding"),
    truncated_gzip: {
        let document = compress(DOCUMENT.as_bytes());
        fault(coded("gzip", &document[..document.len() - 9]), "encoding")
    },
    gzip_of_ten_megabytes: {
        fault(coded("gzip", &compress(&vec![b' '; 10_000_000])), "encoding")
    },
    unknown_content_coding: fault(coded("br", DOCUMENT.as_bytes()), "encoding"),
    invalid_utf_8: fault(Script::twiml(b"<Response><!--caf\xe9--></Response>"), "encoding"),
    unknown_charset: fault(typed("text/xml; charset=klingon", DOCUMENT), "encoding"),
    declared_iso_8859_1: {
        let document = b"<Response><!--caf\xe9--></Response>";
        Fault::harmless(typed("text/xml; charset=ISO-8859-1", document))
    },
    byte_order_mark: Fault::harmless(Script::twiml(["\u{feff}", DOCUMENT].concat())),

    // Markup.
    root_in_lower_case: twiml("<response><Say>Hello</Say></response>", "root"),
    another_root: twiml("<Say>Hello</Say>", "root"),
    unclosed_element: twiml("<Response><Say>Hello</Response>", "malformed"),
    half_a_document: twiml("<Response><Say>Hel", "malformed"),
    unescaped_ampersand: twiml("<Response><Say>Tom & Jerry</Say></Response>", "malformed"),
    nbsp: twiml("<Response><Say>a&nbsp;b</Say></Response>", "malformed"),
    empty_line_before_the_declaration: {
        twiml("\n<?xml version=\"1.0\"?><Response/>", "malformed")
    },
    two_roots: twiml("<Response/><Response/>", "malformed"),
    doctype: twiml("<!DOCTYPE Response><Response/>", "malformed"),
    nothing_but_blanks: twiml(" \n ", "malformed"),
    stack_trace: twiml(STACK_TRACE, "malformed"),
    stack_trace_as_html: {
        fault(typed("text/html", STACK_TRACE), "malformed").on_messaging(NOT_TWIML)
    },
    error_page_with_status_200: fault(typed("text/html; charset=utf-8", ERROR_PAGE), "malformed"),
    html: fault(typed("text/html", "<html><body>Hello</body></html>"), "root"),
}

/// Good for a client that wants no TwiML; for TwiML, a fault for this reason.
fn fault(script: Script, reason: &'static str) -> Fault {
    Fault::scripted(script, reason, UNCHANGED)
}

fn status(status: &str, reason: &'static str) -> Fault {
    fault(Script::response(status, "text/html", ERROR_PAGE), reason)
}

fn empty(script: Script) -> Fault {
    fault(script, "empty").on_messaging(NO_REPLY)
}

fn twiml(document: &'static str, reason: &'static str) -> Fault {
    fault(Script::twiml(document), reason)
}

fn typed(content_type: &str, body: impl AsRef<[u8]>) -> Script {
    Script::response("200 OK", content_type, body)
}

fn with_fields(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Script {
    Script::new().send(response(status, headers, body))
}

fn coded(coding: &str, body: &[u8]) -> Script {
    let headers = [("Content-Type", "text/xml"), ("Content-Encoding", coding)];
    with_fields("200 OK", &headers, body)
}

fn compress(plain: &[u8]) -> Vec<u8> {
    let mut coder = GzEncoder::new(Vec::new(), Compression::default());
    coder.write_all(plain).expect("memory takes all");
    coder.finish().expect("memory takes all")
}
