//! What RFC 9110 and 9112 require of any server.

use super::{refused, served};
use crate::ambiguity::case::{Case, HOST, Wanted, chunked, get, post};

pub(super) fn all() -> Vec<Case> {
    let mut cases = lines();
    cases.extend(hosts_and_targets());
    cases.extend(versions());
    cases.extend(bodies());
    cases.extend(upgrades());
    cases.extend(methods_and_fields());
    cases
}

fn lines() -> Vec<Case> {
    let raw = |bytes: &str| bytes.replace("HOST", HOST);
    let plain = |name, bytes: &str| {
        // A bare LF may end a line (RFC 9112 §2.2); it goes on as CRLF.
        Case::either(raw(bytes), [Wanted::get()])
            .with(&[400])
            .named(name)
    };
    let refuses = |name, bytes: &str| refused(name, raw(bytes));
    vec![
        plain(
            "RFC9112-2.2-BARE-LF-REQUEST-LINE",
            "GET /pass/x HTTP/1.1\nHost: HOST\r\n\r\n",
        ),
        plain(
            "RFC9112-2.2-BARE-LF-HEADER",
            "GET /pass/x HTTP/1.1\r\nHost: HOST\n\r\n",
        ),
        plain(
            "COMP-BARE-LF-END",
            "GET /pass/x HTTP/1.1\r\nHost: HOST\r\n\n",
        ),
        plain(
            "COMP-LEADING-CRLF",
            "\r\nGET /pass/x HTTP/1.1\r\nHost: HOST\r\n\r\n",
        ),
        refuses(
            "RFC9112-5.1-OBS-FOLD",
            "GET /pass/x HTTP/1.1\r\nHost: HOST\r\nX: a\r\n b\r\n\r\n",
        ),
        refuses(
            "RFC9110-5.6.2-SP-BEFORE-COLON",
            "GET /pass/x HTTP/1.1\r\nHost: HOST\r\nX : a\r\n\r\n",
        ),
        refuses(
            "COMP-SP-BEFORE-HOST-COLON",
            "GET /pass/x HTTP/1.1\r\nHost : HOST\r\n\r\n",
        ),
        refuses(
            "RFC9112-3-MULTI-SP-REQUEST-LINE",
            "GET  /pass/x HTTP/1.1\r\nHost: HOST\r\n\r\n",
        ),
        refuses(
            "COMP-MULTI-SP-VERSION",
            "GET /pass/x  HTTP/1.1\r\nHost: HOST\r\n\r\n",
        ),
        refuses(
            "COMP-REQUEST-LINE-TAB",
            "GET\t/pass/x\tHTTP/1.1\r\nHost: HOST\r\n\r\n",
        ),
        refuses(
            "COMP-REQUEST-LINE-TRAILING-SP",
            "GET /pass/x HTTP/1.1 \r\nHost: HOST\r\n\r\n",
        ),
        refuses(
            "COMP-REQUEST-LINE-LEADING-SP",
            " GET /pass/x HTTP/1.1\r\nHost: HOST\r\n\r\n",
        ),
        refuses(
            "RFC9112-3-CR-ONLY-LINE-ENDING",
            "GET /pass/x HTTP/1.1\rHost: HOST\r\r",
        ),
        refuses(
            "COMP-CR-ONLY-HEADER",
            "GET /pass/x HTTP/1.1\r\nHost: HOST\rX: y\r\n\r\n",
        ),
        refuses(
            "COMP-WHITESPACE-BEFORE-HEADERS",
            "GET /pass/x HTTP/1.1\r\n Host: HOST\r\n\r\n",
        ),
        refuses(
            "COMP-TAB-BEFORE-HEADERS",
            "GET /pass/x HTTP/1.1\r\n\tHost: HOST\r\n\r\n",
        ),
        refuses(
            "RFC9112-5-EMPTY-HEADER-NAME",
            "GET /pass/x HTTP/1.1\r\nHost: HOST\r\n: y\r\n\r\n",
        ),
        refuses(
            "RFC9112-5-INVALID-HEADER-NAME",
            "GET /pass/x HTTP/1.1\r\nHost: HOST\r\nX y: z\r\n\r\n",
        ),
        refuses(
            "RFC9112-5-HEADER-NO-COLON",
            "GET /pass/x HTTP/1.1\r\nHost: HOST\r\nXyz\r\n\r\n",
        ),
        refuses(
            "RFC9112-3-MISSING-TARGET",
            "GET HTTP/1.1\r\nHost: HOST\r\n\r\n",
        ),
        refuses("COMP-NO-METHOD", "/pass/x HTTP/1.1\r\nHost: HOST\r\n\r\n"),
        refuses(
            "COMP-FOUR-WORDS",
            "GET /pass/x y HTTP/1.1\r\nHost: HOST\r\n\r\n",
        ),
    ]
}

fn hosts_and_targets() -> Vec<Case> {
    let target = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let hosts = |lines: &str| format!("GET /pass/x HTTP/1.1\r\n{lines}\r\n");
    vec![
        refused("RFC9112-7.1-MISSING-HOST", hosts("")),
        refused(
            "RFC9110-5.4-DUPLICATE-HOST",
            hosts("Host: a\r\nHost: b\r\n"),
        ),
        refused("COMP-DUPLICATE-HOST-SAME", hosts("Host: a\r\nHost: a\r\n")),
        refused("COMP-HOST-WITH-USERINFO", hosts("Host: u@a.example\r\n")),
        refused("COMP-HOST-WITH-PATH", hosts("Host: a.example/x\r\n")),
        refused("COMP-HOST-WITH-SPACE", hosts("Host: a b\r\n")),
        refused("COMP-HOST-BAD-PORT", hosts("Host: a:x\r\n")),
        // Where a target has no authority, an empty one is right (RFC 9110 §7.2).
        served(
            "COMP-HOST-EMPTY-VALUE",
            hosts("Host:\r\n"),
            Wanted::get().host(""),
        ),
        served(
            "COMP-HOST-IPV6",
            hosts("Host: [::1]:80\r\n"),
            Wanted::get().host("[::1]:80"),
        ),
        served(
            "COMP-HOST-CASE",
            hosts("hOsT: a.example\r\n"),
            Wanted::get(),
        ),
        refused("COMP-ASTERISK-WITH-GET", target("*")),
        served(
            "COMP-OPTIONS-STAR",
            format!("OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
            Wanted::new("OPTIONS", "*"),
        ),
        served(
            "COMP-ABSOLUTE-FORM",
            target("http://b.example/pass/x"),
            Wanted::get().host("b.example"),
        ),
        refused(
            "COMP-ABSOLUTE-FORM-USERINFO",
            target("http://u@b.example/pass/x"),
        ),
        refused("COMP-ABSOLUTE-FORM-NO-HOST", target("http:///pass/x")),
        Case::either(target("/pass/x#y"), [Wanted::get()])
            .with(&[400])
            .named("RFC9112-3.2-FRAGMENT-IN-TARGET"),
        refused("COMP-SPACE-IN-TARGET", target("/pass/x y")),
        refused("COMP-RELATIVE-TARGET", target("pass/x")),
        served(
            "COMP-LONG-URL-OK",
            target(&format!("/pass/{}", "x".repeat(7_900))),
            Wanted::new("GET", format!("/pass/{}", "x".repeat(7_900))),
        ),
        refused(
            "COMP-METHOD-CONNECT",
            format!("CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}:80\r\n\r\n"),
        )
        .with(&[400, 405, 501]),
        refused(
            "COMP-METHOD-CONNECT-NO-PORT",
            format!("CONNECT {HOST} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        )
        .with(&[400, 405, 501]),
        refused(
            "COMP-CONNECT-EMPTY-PORT",
            format!("CONNECT {HOST}: HTTP/1.1\r\nHost: {HOST}:\r\n\r\n"),
        )
        .with(&[400, 405, 501]),
        refused(
            "COMP-CONNECT-ORIGIN-FORM",
            format!("CONNECT /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        )
        .with(&[400, 405, 501]),
    ]
}

fn versions() -> Vec<Case> {
    let version = |version: &str| format!("GET /pass/x{version}\r\nHost: {HOST}\r\n\r\n");
    let refuses = |name, text| refused(name, version(text)).with(&[400, 505]);
    let old = |lines: &str| format!("GET /pass/x HTTP/1.0\r\n{lines}\r\n");
    vec![
        refuses("RFC9112-2.3-INVALID-VERSION", " HTTP/9.9"),
        // Another minor version may be served as 1.1 too (RFC 9110 §2.5).
        refuses("COMP-HTTP12-VERSION", " HTTP/1.2"),
        refuses("RFC9112-2.3-HTTP09-REQUEST", ""),
        refuses("COMP-VERSION-LEADING-ZEROS", " HTTP/01.01"),
        refuses("COMP-VERSION-MISSING-MINOR", " HTTP/1"),
        refuses("COMP-VERSION-WHITESPACE", " HTTP/1 .1"),
        refuses("COMP-VERSION-CASE", " http/1.1"),
        refuses("COMP-VERSION-HTTP2", " HTTP/2.0"),
        refuses("COMP-VERSION-TWO-DIGITS", " HTTP/1.10"),
        refuses("COMP-VERSION-OTHER-PROTOCOL", " RTSP/1.0"),
        served("COMP-HTTP10-NO-HOST", old(""), Wanted::get().any_host()).closes(),
        served(
            "COMP-HTTP10-DEFAULT-CLOSE",
            old(&format!("Host: {HOST}\r\n")),
            Wanted::get(),
        )
        .closes(),
        served(
            "COMP-HTTP10-KEEP-ALIVE",
            old(&format!("Host: {HOST}\r\nConnection: keep-alive\r\n")),
            Wanted::get().lacks("connection"),
        ),
        served(
            "COMP-CONNECTION-CLOSE",
            get("Connection: close\r\n"),
            Wanted::get().lacks("connection"),
        )
        .closes(),
        served(
            "COMP-CONNECTION-CLOSE-CASE",
            get("Connection: CLOSE\r\n"),
            Wanted::get().lacks("connection"),
        )
        .closes(),
        served(
            "COMP-CONNECTION-LIST",
            get("Connection: x, Close\r\nX: y\r\n"),
            Wanted::get().lacks("x"),
        )
        .closes(),
    ]
}

fn bodies() -> Vec<Case> {
    let hello = || Wanted::post("hello");
    vec![
        served(
            "COMP-POST-CL-BODY",
            post("Content-Length: 5\r\n", "hello"),
            hello(),
        ),
        served(
            "COMP-POST-CL-ZERO",
            post("Content-Length: 0\r\n", ""),
            Wanted::post(""),
        ),
        served("COMP-POST-NO-CL-NO-TE", post("", ""), Wanted::post("")),
        refused(
            "COMP-POST-CL-UNDERSEND",
            post("Content-Length: 10\r\n", "hello"),
        )
        .with(&[408]),
        served(
            "COMP-CHUNKED-BODY",
            chunked("5\r\nhello\r\n0\r\n\r\n"),
            hello(),
        ),
        served(
            "COMP-CHUNKED-MULTI",
            chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            hello(),
        ),
        served("COMP-CHUNKED-EMPTY", chunked("0\r\n\r\n"), Wanted::post("")),
        refused("COMP-CHUNKED-NO-FINAL", chunked("5\r\nhello\r\n")).with(&[408]),
        served(
            "COMP-CHUNKED-EXTENSION",
            chunked("5;a=b\r\nhello\r\n0\r\n\r\n"),
            hello(),
        ),
        served(
            "COMP-CHUNKED-TRAILER-VALID",
            chunked("5\r\nhello\r\n0\r\nT: 1\r\n\r\n"),
            hello().lacks("t"),
        ),
        served(
            "COMP-CHUNKED-HEX-UPPERCASE",
            chunked("A\r\n0123456789\r\n0\r\n\r\n"),
            Wanted::post("0123456789"),
        ),
        served(
            "COMP-CHUNKED-HEX-LOWERCASE",
            chunked("a\r\n0123456789\r\n0\r\n\r\n"),
            Wanted::post("0123456789"),
        ),
        served(
            "COMP-CHUNKED-LEADING-ZEROS",
            chunked("0005\r\nhello\r\n000\r\n\r\n"),
            hello(),
        ),
        served(
            "COMP-GET-WITH-CL-BODY",
            [get("Content-Length: 5\r\n"), b"hello".to_vec()].concat(),
            Wanted::get().body("hello"),
        ),
        refused(
            "COMP-UNKNOWN-TE-501",
            post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        )
        .with(&[501]),
        refused(
            "COMP-TE-NOT-CHUNKED",
            post("Transfer-Encoding: gzip\r\n", ""),
        )
        .with(&[400]),
    ]
}

/// Only a WebSocket is asked of the app; whatever else is asked for, the request is served without.
fn upgrades() -> Vec<Case> {
    let plain = || Wanted::get().lacks("upgrade").lacks("connection");
    let upgrade = |method: &str, lines: &str, version: &str| {
        format!("{method} /pass/x HTTP/{version}\r\nHost: {HOST}\r\n{lines}\r\n")
    };
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    vec![
        served("COMP-UPGRADE-MISSING-CONN", upgrade("GET", "Upgrade: websocket\r\n", "1.1"), plain()),
        served("COMP-UPGRADE-UNKNOWN", upgrade("GET", "Upgrade: cow\r\nConnection: Upgrade\r\n", "1.1"), plain()),
        served("COMP-UPGRADE-H2C", upgrade("GET", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", "1.1"), plain().lacks("http2-settings")),
        served("COMP-UPGRADE-HTTP10", upgrade("GET", "Upgrade: websocket\r\nConnection: Upgrade\r\n", "1.0"), plain()).closes(),
        // Whether the version suits is for the app to say.
        served(
            "COMP-UPGRADE-INVALID-VER",
            upgrade("GET", &format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 99\r\n{key}"), "1.1"),
            Wanted::get().has("sec-websocket-version", "99").has("upgrade", "websocket"),
        ),
        Case::either(
            upgrade("POST", &format!("Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\nSec-WebSocket-Version: 13\r\n{key}"), "1.1"),
            [Wanted::post(""), Wanted::post("").lacks("upgrade")],
        )
        .named("COMP-UPGRADE-POST"),
    ]
}

fn methods_and_fields() -> Vec<Case> {
    let method = |method: &str| format!("{method} /pass/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let same = |name, text: &'static str| served(name, method(text), Wanted::new(text, "/pass/x"));
    let field = |name, line: &str, field: &'static str, value: &str| {
        served(
            name,
            get(format!("{line}\r\n")),
            Wanted::get().has(field, value),
        )
    };
    vec![
        // What a method means is the app's business, and so is a 405 or 501.
        same("COMP-METHOD-CASE", "get"),
        same("COMP-UNKNOWN-METHOD", "FOO"),
        same("COMP-BASELINE", "GET"),
        same("COMP-OPTIONS-ALLOW", "OPTIONS"),
        served(
            "COMP-TRACE-SENSITIVE",
            format!("TRACE /pass/x HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer a\r\n\r\n"),
            Wanted::new("TRACE", "/pass/x").has("authorization", "Bearer a"),
        ),
        served(
            "COMP-POST-UNSUPPORTED-CT",
            format!(
                "POST /pass/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/x-nonsense\r\nContent-Length: 5\r\n\r\nhello"
            ),
            Wanted::post("hello").has("content-type", "application/x-nonsense"),
        ),
        same("COMP-METHOD-TRACE", "TRACE"),
        same("COMP-METHOD-DELETE", "DELETE"),
        same("COMP-METHOD-PATCH", "PATCH"),
        same("COMP-METHOD-OPTIONS", "OPTIONS"),
        served(
            "COMP-TRACE-WITH-BODY",
            format!("TRACE /pass/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\nhello"),
            Wanted::new("TRACE", "/pass/x").body("hello"),
        ),
        served(
            "COMP-EXPECT-UNKNOWN",
            get("Expect: 200-ok\r\n"),
            Wanted::get(),
        ),
        served(
            "COMP-RANGE-POST",
            post("Range: bytes=0-10\r\nContent-Length: 5\r\n", "hello"),
            Wanted::post("hello").has("range", "bytes=0-10"),
        ),
        field(
            "COMP-RANGE-INVALID",
            "Range: bytes=abc",
            "range",
            "bytes=abc",
        ),
        field(
            "COMP-ACCEPT-NONSENSE",
            "Accept: application/x-nonsense",
            "accept",
            "application/x-nonsense",
        ),
        served(
            "COMP-DUPLICATE-CT",
            post(
                "Content-Type: text/plain\r\nContent-Type: text/html\r\nContent-Length: 5\r\n",
                "hello",
            ),
            Wanted::post("hello")
                .has("content-type", "text/plain")
                .has("content-type", "text/html"),
        ),
        field("COMP-EMPTY-HEADER-VALUE", "X:", "x", ""),
        field("COMP-HEADER-OWS", "X: \t y \t ", "x", "y"),
        served(
            "COMP-TE-TRAILERS",
            get("TE: trailers\r\nConnection: TE\r\n"),
            Wanted::get().lacks("te"),
        ),
        served(
            "COMP-KEEP-ALIVE-FIELD",
            get("Keep-Alive: timeout=5\r\nConnection: Keep-Alive\r\n"),
            Wanted::get().lacks("keep-alive"),
        ),
        served(
            "COMP-PROXY-CONNECTION",
            get("Proxy-Connection: close\r\n"),
            Wanted::get().lacks("proxy-connection"),
        ),
        served(
            "COMP-DATE-HEADER",
            get("Date: nonsense\r\n"),
            Wanted::get().has("date", "nonsense"),
        ),
        served(
            "COMP-MAX-FORWARDS",
            get("Max-Forwards: 5\r\n"),
            Wanted::get(),
        ),
    ]
}
