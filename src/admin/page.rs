//! The status page: what a browser gets at `/`. It is one HTML document, assembled once, whose script requests only what this
//! listener serves. The page holds no data, so it needs no token: it asks the user for it.
//!
//! Its content security policy allows only its own style and script: neither a route's name nor anything that an app sends can
//! become one.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::response::{self, Response};

const HTML: &str = "text/html; charset=utf-8";

const TEMPLATE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");

/// Each uses only those before it; the last one starts the page.
const SCRIPTS: [&str; 8] = [
    include_str!("page/words.js"),
    include_str!("page/dom.js"),
    include_str!("page/plot.js"),
    include_str!("page/routes.js"),
    include_str!("page/failures.js"),
    include_str!("page/queue.js"),
    include_str!("page/drill.js"),
    include_str!("page/page.js"),
];

/// The page as it is sent.
#[derive(Debug)]
pub(super) struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    pub(super) fn new() -> Self {
        let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
        let html = TEMPLATE
            .replace("/* style */", STYLE)
            .replace("/* script */", &script);
        Self {
            html: html.into(),
            policy: policy(STYLE, &script),
        }
    }

    pub(super) fn to_response(&self) -> Response {
        let mut page = response::new(StatusCode::OK, HTML, self.html.clone());
        let headers = page.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        page
    }
}

/// Whether the client is a browser that opens a page.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(accepts_html)
}

/// RFC 9110 §12.5.1. `*/*` doesn't count: programs send it, too.
fn accepts_html(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let is_html = parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case("text/html"));
    let is_refused = |parameter: &str| {
        let (name, weight) = parameter.split_once('=').unwrap_or_default();
        name.eq_ignore_ascii_case("q") && weight.parse() == Ok(0.0)
    };
    is_html && !parts.any(is_refused)
}

fn policy(style: &str, script: &str) -> HeaderValue {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash(script),
        hash(style)
    );
    HeaderValue::try_from(policy).expect("base64 is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_told_from_a_program() {
        for (accept, wanted) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("application/json, Text/HTML;q=0.5", true),
            ("*/*", false),
            ("text/html;q=0, text/plain", false),
            ("text/html; q=0.0", false),
            ("text/htmlx", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(is_wanted(&headers), wanted, "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn script_and_style_do_not_end_their_elements() {
        for text in SCRIPTS.iter().chain([&STYLE]) {
            let text = text.to_lowercase();
            assert!(
                !text.contains("</script") && !text.contains("</style") && !text.contains("<!--")
            );
        }
        for mark in ["/* style */", "/* script */"] {
            assert_eq!(TEMPLATE.matches(mark).count(), 1, "{mark}");
        }
    }
}
