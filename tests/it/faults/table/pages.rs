//! Answers that are HTTP as it should be and yet of no use to Twilio; and odd ones that it takes.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{Ending, Fault, OWN};
use support::{Script, answer};

const PAGE: &str = "<Response><!--ab--></Response>";
const ERROR_PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>500</title></head><body>Oops<br></body></html>\n";

pub(super) fn faults() -> Vec<Fault> {
    [statuses(), types(), codings(), markup()]
        .into_iter()
        .flatten()
        .collect()
}

/// Good for who asks without TwiML; for TwiML, a fault for this reason.
fn fault(name: &'static str, script: Script, reason: &'static str) -> Fault {
    Fault::plays(name, script, reason, OWN)
}

fn with_status(status: &str) -> Script {
    Script::page(status, "text/html", ERROR_PAGE)
}

fn with_fields(status: &str, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Script {
    Script::new().send(answer(status, fields, body))
}

fn statuses() -> Vec<Fault> {
    let elsewhere = [("Location", "/elsewhere"), ("Content-Type", "text/html")];
    let silence = Ending::warned("11770");
    let unsaid = "HTTP/1.1 204 No Content\r\n\r\n";
    vec![
        fault("400", with_status("400 Bad Request"), "status_4xx"),
        fault("404", with_status("404 Not Found"), "status_4xx"),
        fault("429", with_status("429 Too Many Requests"), "status_4xx"),
        fault(
            "500",
            with_status("500 Internal Server Error"),
            "status_5xx",
        ),
        fault(
            "503 with TwiML",
            Script::page("503 Service Unavailable", "text/xml", PAGE),
            "status_5xx",
        ),
        fault("599", with_status("599 Whatever"), "status_5xx"),
        fault(
            "308",
            with_fields("308 Permanent Redirect", &elsewhere, ""),
            "redirect",
        ),
        fault(
            "300",
            with_fields("300 Multiple Choices", &elsewhere, ""),
            "redirect",
        ),
        fault(
            "302 to nowhere",
            with_fields("302 Found", &[], ""),
            "redirect",
        ),
        fault(
            "304 that nobody asked for",
            Script::new().send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
            "redirect",
        ),
        Fault::harmless(
            "301",
            with_fields("301 Moved Permanently", &elsewhere, "moved"),
        ),
        Fault::harmless("302", with_fields("302 Found", &elsewhere, "moved")),
        Fault::harmless("303", with_fields("303 See Other", &elsewhere, "")),
        Fault::harmless("307", with_fields("307 Temporary Redirect", &elsewhere, "")),
        Fault::harmless("a challenge", {
            let challenge = [
                ("WWW-Authenticate", "Basic realm=\"app\""),
                ("Content-Type", "text/plain"),
            ];
            with_fields("401 Unauthorized", &challenge, "who are you?")
        }),
        Fault::harmless("cookies", {
            let fields = [
                ("Content-Type", "text/xml"),
                ("Set-Cookie", "a=1; Path=/"),
                ("Set-Cookie", "b=2"),
            ];
            with_fields("200 OK", &fields, PAGE)
        }),
        Fault::harmless(
            "201 with TwiML",
            Script::page("201 Created", "text/xml", PAGE),
        ),
        fault("204", Script::new().send(unsaid), "empty").on_messaging(OWN),
        fault(
            "200 without a body",
            with_fields("200 OK", &[("Content-Type", "text/xml")], ""),
            "empty",
        )
        .on_messaging(silence),
        fault(
            "200 without a body and type",
            with_fields("200 OK", &[], ""),
            "empty",
        )
        .on_messaging(silence),
        fault(
            "201 without a body that says it is JSON",
            with_fields("201 Created", &[("Content-Type", "application/json")], ""),
            "empty",
        )
        .on_messaging(silence),
        fault(
            "200 with an empty chunked body",
            {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
                Script::new().send(format!("{head}0\r\n\r\n"))
            },
            "empty",
        )
        .on_messaging(silence),
        fault(
            "200 that ends at once",
            Script::new().send("HTTP/1.1 200 OK\r\n\r\n").close(),
            "empty",
        )
        .on_messaging(silence),
    ]
}

fn types() -> Vec<Fault> {
    let text = Ending::warned("12300");
    vec![
        fault(
            "JSON",
            Script::page("200 OK", "application/json", "{\"ok\":true}"),
            "content_type",
        ),
        fault(
            "TwiML that says it is JSON",
            Script::page("200 OK", "application/json", PAGE),
            "content_type",
        ),
        fault(
            "no content type",
            with_fields("200 OK", &[], PAGE),
            "content_type",
        ),
        fault(
            "an empty content type",
            Script::page("200 OK", "", PAGE),
            "content_type",
        ),
        fault(
            "text/csv",
            Script::page("200 OK", "text/csv", PAGE),
            "content_type",
        ),
        fault(
            "audio",
            Script::page("200 OK", "audio/mpeg", "ID3"),
            "content_type",
        )
        .on_voice(OWN),
        fault(
            "plain text",
            Script::page("200 OK", "text/plain", "Hello"),
            "",
        )
        .on_voice(text)
        .on_messaging(text),
        fault(
            "\"OK\" as HTML",
            Script::page("200 OK", "text/html", "OK"),
            "malformed",
        )
        .on_messaging(Ending::warned("12200")),
        fault(
            "blanks as HTML",
            Script::page("200 OK", "text/html", "\n"),
            "malformed",
        )
        .on_messaging(Ending::warned("12200")),
        Fault::harmless(
            "application/xml",
            Script::page("200 OK", "application/xml; charset=utf-8", PAGE),
        ),
        Fault::harmless(
            "another XML type",
            Script::page("200 OK", "application/twiml+xml", PAGE),
        ),
        Fault::harmless(
            "TwiML as HTML",
            Script::page("200 OK", "text/html; charset=UTF-8", PAGE),
        ),
    ]
}

fn codings() -> Vec<Fault> {
    let coded = |coding, body: &[u8]| {
        let fields = [("Content-Type", "text/xml"), ("Content-Encoding", coding)];
        with_fields("200 OK", &fields, body)
    };
    let undone = Ending::Own {
        page: Some(PAGE),
        warning: None,
    };
    let page = gzip(PAGE.as_bytes());
    let bomb = gzip(&vec![b' '; 10_000_000]);
    vec![
        fault("gzip", coded("gzip", &page), "")
            .on_voice(undone)
            .on_messaging(undone),
        fault(
            "gzip that is none",
            coded("gzip", PAGE.as_bytes()),
            "encoding",
        ),
        fault(
            "gzip that is cut off",
            coded("gzip", &page[..page.len() - 9]),
            "encoding",
        ),
        fault("gzip of ten megabytes", coded("gzip", &bomb), "encoding"),
        fault(
            "an unknown content coding",
            coded("br", PAGE.as_bytes()),
            "encoding",
        ),
        fault(
            "bytes that are no UTF-8",
            Script::twiml(b"<Response><!--caf\xe9--></Response>"),
            "encoding",
        ),
        fault(
            "an unknown charset",
            Script::page("200 OK", "text/xml; charset=klingon", PAGE),
            "encoding",
        ),
        Fault::harmless("ISO-8859-1 that is declared", {
            Script::page(
                "200 OK",
                "text/xml; charset=ISO-8859-1",
                b"<Response><!--caf\xe9--></Response>",
            )
        }),
        Fault::harmless(
            "a byte order mark",
            Script::twiml(["\u{feff}", PAGE].concat()),
        ),
    ]
}

fn markup() -> Vec<Fault> {
    let page = |name, body: &'static str, reason| fault(name, Script::twiml(body), reason);
    vec![
        page(
            "<response>",
            "<response><Say>Hello</Say></response>",
            "root",
        ),
        page("another root", "<Say>Hello</Say>", "root"),
        page(
            "an unclosed element",
            "<Response><Say>Hello</Response>",
            "malformed",
        ),
        page("half a page", "<Response><Say>Hel", "malformed"),
        page(
            "an unescaped ampersand",
            "<Response><Say>Tom & Jerry</Say></Response>",
            "malformed",
        ),
        page(
            "&nbsp;",
            "<Response><Say>a&nbsp;b</Say></Response>",
            "malformed",
        ),
        page(
            "an empty line before the declaration",
            "\n<?xml version=\"1.0\"?><Response/>",
            "malformed",
        ),
        page("two roots", "<Response/><Response/>", "malformed"),
        page("a DOCTYPE", "<!DOCTYPE Response><Response/>", "malformed"),
        page("nothing but blanks", " \n ", "malformed"),
        page(
            "a stack trace",
            "Traceback (most recent call last):\n  File \"app.py\"",
            "malformed",
        ),
        fault(
            "a stack trace that says it is HTML",
            Script::page(
                "200 OK",
                "text/html",
                "Traceback (most recent call last):\n  File \"app.py\"",
            ),
            "malformed",
        )
        .on_messaging(Ending::warned("12200")),
        fault(
            "an error page with status 200",
            Script::page("200 OK", "text/html; charset=utf-8", ERROR_PAGE),
            "malformed",
        ),
        fault(
            "HTML",
            Script::page("200 OK", "text/html", "<html><body>Hello</body></html>"),
            "root",
        ),
    ]
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut coder = GzEncoder::new(Vec::new(), Compression::default());
    coder.write_all(plain).expect("memory takes all");
    coder.finish().expect("memory takes all")
}
