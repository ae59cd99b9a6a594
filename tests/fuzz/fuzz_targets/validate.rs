//! Any bytes, in one of a few charsets: no panic, positions within the document, nothing valid by `strict` that is not valid by
//! `twilio`, and the same result from every function. What our scanner accepts quick-xml must read without error.
//!
//! The reverse doesn't hold: quick-xml accepts documents that are not well-formed, among them those with text or a second element
//! outside the root, `]]>` in text, a `<` in an attribute's value, names that XML forbids, attributes without space between them,
//! forbidden characters, and a processing instruction without a name.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use understudy::fallback::check_with_second_parser;
use understudy::twiml::{
    Kind, Report, Rules, Strictness, check_well_formed, decode_lossy, guess_kind, lint, validate,
};

const CHARSETS: [Option<&str>; 6] = [
    None,
    Some("utf-8"),
    Some("iso-8859-1"),
    Some("utf-16"),
    Some("shift_jis"),
    Some("gbk"),
];

fuzz_target!(|input: &[u8]| {
    let Some((first, document)) = input.split_first() else {
        return;
    };
    let charset = CHARSETS[usize::from(*first) % CHARSETS.len()];
    let kind = if first & 0x80 == 0 {
        Kind::Voice
    } else {
        Kind::Messaging
    };
    let rules = Rules::new(kind, Strictness::Twilio);
    let report = lint(document, charset, &rules);
    for finding in report.findings() {
        assert!(finding.position().byte <= document.len() && finding.width() > 0);
        let _ = (finding.to_string(), finding.help());
    }
    check_validation(document, charset, &rules, &report);
    let text = decode_lossy(document, charset);
    if check_well_formed(document, charset).is_ok() {
        assert_eq!(check_with_second_parser(&text), Ok(()), "{text}");
    }
    let _ = guess_kind(document, charset);
});

/// Validation must agree with the report.
fn check_validation(document: &[u8], charset: Option<&str>, rules: &Rules, report: &Report) {
    let validate = |rules| validate(Bytes::copy_from_slice(document), charset, rules);
    let twilio = validate(rules);
    let strict = validate(&rules.with_strictness(Strictness::Strict));
    assert_eq!(twilio.is_ok(), report.is_valid(Strictness::Twilio));
    assert_eq!(strict.is_ok(), report.is_valid(Strictness::Strict));
    assert!(twilio.is_ok() || strict.is_err());
    if twilio.is_ok_and(|twiml| !twiml.is_plain_text()) {
        assert!(check_well_formed(document, charset).is_ok());
    }
}
