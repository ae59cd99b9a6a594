//! What validating a document costs, beside parsers that know no TwiML: quick-xml's events, the same with attributes read, and
//! roxmltree. `cargo bench --bench validate`

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "most of quick-xml's events are only counted"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quick_xml::{Reader, events::Event};
use understudy::twiml::{Kind, Rules, Strictness, check_well_formed, validate};

/// The greeting of a phone menu, 311 bytes.
const VOICE: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?><Response><Gather input="dtmf speech" timeout="5" "#,
    r#"numDigits="1" action="/menu" method="POST"><Say voice="Polly.Joanna" language="en-US">"#,
    r#"Thanks for calling. Press 1 for sales, 2 for support.</Say></Gather>"#,
    r#"<Say>We did not receive any input. Goodbye!</Say><Hangup/></Response>"#,
);

/// About 64 KiB, the most that Twilio takes.
fn big() -> String {
    let say = r#"<Say voice="Polly.Joanna">The quick brown fox jumps over the lazy dog.</Say>"#;
    format!("<Response>{}</Response>", say.repeat(860))
}

fn bench_documents(c: &mut Criterion) {
    bench_document(c, "voice-311-bytes", VOICE.to_owned());
    bench_document(c, "big-64-kib", big());
    bench_document(c, "big-accented", big().replace('q', "é"));
}

fn bench_document(c: &mut Criterion, name: &str, document: String) {
    let rules = Rules::new(Kind::Voice, Strictness::Strict);
    let bytes = Bytes::from(document.clone());
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(document.len() as u64));
    group.bench_function("understudy", |b| {
        b.iter(|| validate(black_box(bytes.clone()), None, &rules).expect("it is valid"));
    });
    group.bench_function("understudy-form-only", |b| {
        b.iter(|| check_well_formed(black_box(&bytes), None).expect("it is valid"));
    });
    group.bench_function("quick-xml-with-attributes", |b| {
        b.iter(|| count_events(black_box(&document), true));
    });
    group.bench_function("quick-xml-events", |b| {
        b.iter(|| count_events(black_box(&document), false));
    });
    group.bench_function("roxmltree", |b| {
        b.iter(|| roxmltree::Document::parse(black_box(&document)).expect("it is valid"));
    });
    group.finish();
}

/// Reads every event, and every attribute if `attributes` is set.
fn count_events(document: &str, attributes: bool) -> usize {
    let mut reader = Reader::from_str(document);
    let mut seen = 0;
    loop {
        match reader.read_event().expect("it is valid") {
            Event::Eof => return seen,
            Event::Start(tag) | Event::Empty(tag) if attributes => {
                seen += tag
                    .attributes()
                    .map(|a| a.expect("it is valid").value.len())
                    .sum::<usize>();
            }
            _ => seen += 1,
        }
    }
}

criterion_group!(benches, bench_documents);
criterion_main!(benches);
