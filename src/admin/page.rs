//! The status page: what a browser gets at `/`. It is one document, put together once, that asks for nothing but what this
//! listener itself answers. The page holds no data, so who has no token may see it: it asks for the token itself.
//!
//! Its own style and its own script are all that the policy lets a browser apply: what a route is called, or an app says, can
//! never become either.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::{Answer, answer};

const HTML: &str = "text/html; charset=utf-8";

const FRAME: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");

/// In the order in which they are needed: the last one begins.
const SCRIPTS: [&str; 7] = [
    include_str!("page/words.js"),
    include_str!("page/dom.js"),
    include_str!("page/plot.js"),
    include_str!("page/routes.js"),
    include_str!("page/failures.js"),
    include_str!("page/drill.js"),
    include_str!("page/page.js"),
];

/// The page, ready to be sent.
#[derive(Debug)]
pub(super) struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    pub(super) fn new() -> Self {
        let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
        let html = FRAME
            .replace("/* style */", STYLE)
            .replace("/* script */", &script);
        Self {
            html: html.into(),
            policy: policy(STYLE, &script),
        }
    }

    /// What a browser gets.
    pub(super) fn answer(&self) -> Answer {
        let mut page = answer(StatusCode::OK, HTML, self.html.clone());
        let fields = page.headers_mut();
        fields.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        for (name, value) in [
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        fields.insert(
            "cross-origin-opener-policy",
            HeaderValue::from_static("same-origin"),
        );
        page
    }
}

/// Whether it is a browser that asks to show what it gets.
pub(super) fn is_wanted(fields: &HeaderMap) -> bool {
    let accepted = fields.get_all(header::ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(accepts_html)
}

/// RFC 9110 §12.5.1. A program that takes anything (`*/*`) is no browser.
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
    HeaderValue::try_from(policy).expect("it is of visible characters")
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
            let mut fields = HeaderMap::new();
            fields.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(is_wanted(&fields), wanted, "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn nothing_in_the_script_or_the_style_ends_them() {
        for text in SCRIPTS.iter().chain([&STYLE]) {
            let text = text.to_lowercase();
            assert!(
                !text.contains("</script") && !text.contains("</style") && !text.contains("<!--")
            );
        }
        for mark in ["/* style */", "/* script */"] {
            assert_eq!(FRAME.matches(mark).count(), 1, "{mark}");
        }
    }
}
