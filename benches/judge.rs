//! What judging a page costs, beside parsers that know no TwiML: quick-xml's events, the same with attributes read, and
//! roxmltree. `cargo bench --bench judge`

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "most of quick-xml's events are only counted"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quick_xml::{Reader, events::Event};
use understudy::twiml::{Kind, Rules, Strictness, Twiml, well_formed};

/// An IVR's greeting, 311 bytes: the lab's `/voice`.
const VOICE: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?><Response><Gather input="dtmf speech" timeout="5" "#,
    r#"numDigits="1" action="/menu" method="POST"><Say voice="Polly.Joanna" language="en-US">"#,
    r#"Thanks for calling. Press 1 for sales, 2 for support.</Say></Gather>"#,
    r#"<Say>We did not receive any input. Goodbye!</Say><Hangup/></Response>"#,
);

/// As long a page as Twilio takes, about 64 KiB: the lab's `/big`.
fn big() -> String {
    let say = r#"<Say voice="Polly.Joanna">The quick brown fox jumps over the lazy dog.</Say>"#;
    format!("<Response>{}</Response>", say.repeat(860))
}

fn pages(c: &mut Criterion) {
    page(c, "voice-311-bytes", VOICE.to_owned());
    page(c, "big-64-kib", big());
    page(c, "big-accented", big().replace('q', "é"));
}

fn page(c: &mut Criterion, name: &str, page: String) {
    let rules = Rules::new(Kind::Voice, Strictness::Strict);
    let bytes = Bytes::from(page.clone());
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("understudy", |b| {
        b.iter(|| Twiml::parse(black_box(bytes.clone()), None, &rules).expect("is good"));
    });
    group.bench_function("understudy-form-only", |b| {
        b.iter(|| well_formed(black_box(&bytes), None).expect("is good"));
    });
    group.bench_function("quick-xml-with-attributes", |b| {
        b.iter(|| events(black_box(&page), true));
    });
    group.bench_function("quick-xml-events", |b| {
        b.iter(|| events(black_box(&page), false))
    });
    group.bench_function("roxmltree", |b| {
        b.iter(|| roxmltree::Document::parse(black_box(&page)).expect("is good"));
    });
    group.finish();
}

/// Reads every event, and every attribute if so wanted.
fn events(page: &str, attributes: bool) -> usize {
    let mut reader = Reader::from_str(page);
    let mut seen = 0;
    loop {
        match reader.read_event().expect("is good") {
            Event::Eof => return seen,
            Event::Start(tag) | Event::Empty(tag) if attributes => {
                seen += tag
                    .attributes()
                    .map(|a| a.expect("is good").value.len())
                    .sum::<usize>();
            }
            _ => seen += 1,
        }
    }
}

criterion_group!(benches, pages);
criterion_main!(benches);
