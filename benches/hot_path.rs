//! What each step costs that a request takes besides its I/O and the validation of its document: finding its route, rewriting its
//! headers and those of its response, checking its signature, counting it, and rendering its fallback document.
//! `cargo bench --bench hot_path`

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method, Request, Response, header::HOST, request, response};
use understudy::failure::Outcome;
use understudy::fallback::{BUILT_IN_MESSAGING, BUILT_IN_VOICE, Document, Fallback};
use understudy::metrics::Metrics;
use understudy::route::{Path, Pattern, RouteTable};
use understudy::secret::Secret;
use understudy::signature::{Algorithm, HEADER, Tokens, Verifier, sign};
use understudy::twiml::{Kind, Rules, Strictness};
use understudy::upstream::Names;
use understudy::upstream::headers::{Peer, rewrite_request, rewrite_response};
use understudy::webhook::Parameters;

const HOST_NAME: &str = "hooks.example.com";
const TOKEN: &str = "12345";

/// The form of a message, 560 bytes.
const FORM: &str = concat!(
    "ToCountry=US&ToState=CA&SmsMessageSid=SM0123456789abcdef0123456789abcdef&NumMedia=0&ToCity=SAN+FRANCISCO&FromZip=94105",
    "&SmsSid=SM0123456789abcdef0123456789abcdef&FromState=CA&SmsStatus=received&FromCity=SAN+FRANCISCO&Body=Hello+there%2C+is",
    "+the+shop+open+today%3F&FromCountry=US&To=%2B14155550100&ToZip=94105&NumSegments=1&MessageSid=SM0123456789abcdef0123456789",
    "abcdef&AccountSid=AC0123456789abcdef0123456789abcdef&From=%2B14155550123&ApiVersion=2010-04-01",
);

/// Looks up an exact path, one below a prefix, and one that no route has.
fn bench_routes(c: &mut Criterion) {
    for count in [1, 10_000] {
        let exact = route_table(count, |number| Path::Exact(format!("/exact/{number}")));
        let prefixes = route_table(count, |number| Path::Prefix(format!("/prefix/{number}/")));
        let last = count - 1;
        let mut group = c.benchmark_group(format!("route/{count}"));
        for (name, table, path, route) in [
            ("exact", &exact, format!("/exact/{last}"), Some(&last)),
            (
                "prefix",
                &prefixes,
                format!("/prefix/{last}/menu"),
                Some(&last),
            ),
            ("miss", &prefixes, format!("/other/{last}/menu"), None),
        ] {
            let find = || table.find(&Method::POST, HOST_NAME, black_box(&path));
            assert_eq!(find(), route, "{path}");
            group.bench_function(name, |b| b.iter(find));
        }
        group.finish();
    }
}

fn route_table(count: usize, path: impl Fn(usize) -> Path) -> RouteTable<usize> {
    let pattern = |path| Pattern {
        path,
        host: None,
        methods: Vec::new(),
    };
    RouteTable::new((0..count).map(|number| (pattern(path(number)), number)))
}

fn bench_headers(c: &mut Criterion) {
    let client = "192.0.2.1:40000".parse().expect("an address");
    let own = "192.0.2.2:8080".parse().expect("an address");
    let forwarded: &[_] = &[
        ("x-forwarded-for", "192.0.2.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", HOST_NAME),
    ];
    let mut group = c.benchmark_group("headers");
    for (name, more) in [("request", &[][..]), ("request-forwarded", forwarded)] {
        let peer = Peer::new(client, own, true);
        let headers = webhook_head(more).headers;
        let rewrite = |mut headers: HeaderMap| {
            let names = Names::of(&headers);
            rewrite_request(&mut headers, names, &peer, true, false);
            headers
        };
        assert!(rewrite(headers.clone()).contains_key("x-forwarded-for"));
        group.bench_function(name, |b| {
            b.iter_batched(|| headers.clone(), rewrite, BatchSize::SmallInput);
        });
    }
    let rewrite = |mut head: response::Parts| {
        let names = Names::of(&head.headers);
        rewrite_response(&mut head, names).expect("it is well framed");
        head
    };
    assert!(!rewrite(app_head()).headers.contains_key("connection"));
    group.bench_function("response", |b| {
        b.iter_batched(app_head, rewrite, BatchSize::SmallInput);
    });
    group.finish();
}

/// The head of a message's webhook, with these headers too.
fn webhook_head(more: &[(&str, &str)]) -> request::Parts {
    let headers = [
        (HOST.as_str(), HOST_NAME),
        (
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
        ("content-length", "560"),
        ("user-agent", "TwilioProxy/1.1"),
        ("accept", "*/*"),
        ("connection", "keep-alive"),
        (HEADER, &signature()),
        (
            "i-twilio-idempotency-token",
            "a1b2c3d4-0000-4000-8000-000000000000",
        ),
    ];
    let request = Request::builder().method(Method::POST).uri("/sms");
    let request = headers
        .iter()
        .chain(more)
        .fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
    request.body(()).expect("a request").into_parts().0
}

/// The head of an app's response, as nginx writes it.
fn app_head() -> response::Parts {
    let response = Response::builder()
        .header("server", "nginx")
        .header("date", "Sun, 29 Nov 2026 00:00:00 GMT")
        .header("content-type", "text/xml")
        .header("content-length", "311")
        .header("connection", "keep-alive");
    response.body(()).expect("a response").into_parts().0
}

fn signature() -> String {
    let secret = Secret::new(TOKEN).expect("a token");
    let url = format!("https://{HOST_NAME}/sms");
    sign(Algorithm::HmacSha1, &secret, &url, FORM.as_bytes())
}

fn bench_signatures(c: &mut Criterion) {
    let tokens = format!("AC0123456789abcdef0123456789abcdef={TOKEN}");
    let tokens = Tokens::parse(tokens.as_bytes()).expect("a token");
    let verifier = Verifier::new(&format!("https://{HOST_NAME}"), tokens);
    let head = webhook_head(&[]);
    let forged = FORM.replace("Hello", "Hullo");
    let mut group = c.benchmark_group("signature");
    for (name, form, is_valid) in [("valid", FORM, true), ("forged", &forged, false)] {
        let verify = || verifier.verify(&head, black_box(form.as_bytes()));
        assert_eq!(verify().is_ok(), is_valid);
        group.bench_function(name, |b| b.iter(verify));
    }
    group.finish();
}

/// What is counted of a request that the app answers.
fn bench_metrics(c: &mut Criterion) {
    let metrics = Metrics::new();
    let route = metrics.route("incoming-message");
    c.bench_function("metrics/request", |b| {
        b.iter(|| {
            let record = route.start();
            route.record_upstream_time(black_box(Duration::from_millis(20)));
            record.finish(Outcome::Upstream);
        });
    });
    assert!(route.requests(Outcome::Upstream) > 0);
    let routes: Vec<_> = (0..10_000)
        .map(|number| metrics.route(&format!("incoming-message-{number}")))
        .collect();
    let mut next = routes.iter().cycle();
    c.bench_function("metrics/request_on_10000_routes_in_turn", |b| {
        b.iter(|| {
            let route = next.next().expect("a circle has no end");
            let record = route.start();
            route.record_upstream_time(black_box(Duration::from_millis(20)));
            record.finish(Outcome::Upstream);
        });
    });
    let metrics = Metrics::new();
    for number in 0..1000 {
        let route = metrics.route(&format!("incoming-message-{number}"));
        route.record_upstream_time(Duration::from_millis(20));
        route.start().finish(Outcome::Upstream);
    }
    c.bench_function("metrics/scrape_of_1000_routes", |b| {
        b.iter(|| metrics.encode(&[]));
    });
}

/// A document with parameters of the request in it, which is validated again, and one without.
fn bench_fallback(c: &mut Criterion) {
    let template = "<Response><Message>Hello {{From}}, we got “{{Body}}” and will answer.</Message></Response>";
    let parameters = Parameters::new(b"", FORM.as_bytes());
    let mut group = c.benchmark_group("fallback");
    for (name, document, expected) in [
        (
            "template",
            template,
            "Hello +14155550123, we got “Hello there,",
        ),
        ("fixed", BUILT_IN_MESSAGING, "We are sorry"),
    ] {
        let messaging = parse(Kind::Messaging, document);
        let fallback = Fallback::new(parse(Kind::Voice, BUILT_IN_VOICE), messaging);
        let render = || fallback.document(Kind::Messaging, black_box(&parameters));
        let rendered = String::from_utf8(render().into()).expect("it is UTF-8");
        assert!(rendered.contains(expected), "{rendered}");
        group.bench_function(name, |b| b.iter(render));
    }
    group.finish();
}

fn parse(kind: Kind, document: &str) -> Document {
    let rules = Rules::new(kind, Strictness::Strict);
    Document::parse(Bytes::from(document.to_owned()), &rules).expect("it is valid")
}

criterion_group!(
    benches,
    bench_routes,
    bench_headers,
    bench_signatures,
    bench_metrics,
    bench_fallback
);
criterion_main!(benches);
