//! Any bytes, in any of a few charsets: no panic, places within the page, `strict` within `twilio`, and one verdict however
//! it is asked for.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use understudy::twiml::{Kind, Rules, Strictness, Twiml, decoded, judge, well_formed};

const CHARSETS: [Option<&str>; 6] = [
    None,
    Some("utf-8"),
    Some("iso-8859-1"),
    Some("utf-16"),
    Some("shift_jis"),
    Some("gbk"),
];

fuzz_target!(|input: &[u8]| {
    let Some((first, page)) = input.split_first() else {
        return;
    };
    let charset = CHARSETS[usize::from(*first) % CHARSETS.len()];
    let kind = if first & 0x80 == 0 {
        Kind::Voice
    } else {
        Kind::Messaging
    };
    let rules = Rules::new(kind, Strictness::Twilio);
    let judgement = judge(page, charset, &rules);
    for finding in judgement.findings() {
        assert!(finding.place().byte <= page.len() && finding.width() > 0);
        let _ = (finding.to_string(), finding.help());
    }
    let parse = |rules| Twiml::parse(Bytes::copy_from_slice(page), charset, rules);
    let (twilio, strict) = (parse(&rules), parse(&rules.at(Strictness::Strict)));
    assert_eq!(twilio.is_ok(), judgement.is_valid(Strictness::Twilio));
    assert_eq!(strict.is_ok(), judgement.is_valid(Strictness::Strict));
    assert!(twilio.is_ok() || strict.is_err());
    let is_text = twilio.is_ok_and(|page| page.is_plain_text());
    assert!(
        is_text || well_formed(page, charset).is_ok() || !judgement.is_valid(Strictness::Twilio)
    );
    let _ = (decoded(page, charset), Kind::guess(page, charset));
});
