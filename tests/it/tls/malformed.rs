//! Requests of HTTP/2 that are malformed (RFC 9113 §8.1.1) are refused, or reach the app as the one request that we have read.

use super::frames::{Connection, DATA, END_HEADERS, END_STREAM, End, HEADERS, block, frame};
use super::http2::{DOCUMENT, NAME, showing};
use super::pki::Authority;
use support::{FakeUpstream, Sidecar};

type Fields<'f> = Vec<(&'f str, &'f [u8])>;

/// The fields of a good request for this path.
fn head<'f>(method: &'f str, path: &'f [u8]) -> Fields<'f> {
    vec![
        (":method", method.as_bytes()),
        (":scheme", b"https"),
        (":authority", NAME.as_bytes()),
        (":path", path),
    ]
}

/// A good GET with these fields too.
fn get<'f>(more: &[(&'f str, &'f [u8])]) -> Vec<u8> {
    let fields = [head("GET", b"/voice/x"), more.to_vec()].concat();
    whole(&fields)
}

/// A request without a body.
fn whole(fields: &[(&str, &[u8])]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

/// A POST with these fields too and this body.
fn post(more: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    let fields = [head("POST", b"/voice/x"), more.to_vec()].concat();
    let fields = frame(HEADERS, END_HEADERS, 1, &block(&fields));
    [fields, frame(DATA, END_STREAM, 1, body)].concat()
}

/// The same with trailers.
fn post_with_trailers(trailers: &[(&str, &[u8])]) -> Vec<u8> {
    let fields = frame(HEADERS, END_HEADERS, 1, &block(&head("POST", b"/voice/x")));
    let body = frame(DATA, 0, 1, b"a=1");
    let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(trailers));
    [fields, body, trailers].concat()
}

struct Bench {
    authority: Authority,
    app: FakeUpstream,
    sidecar: Sidecar,
}

impl Bench {
    async fn new() -> Self {
        let (authority, app) = (Authority::new(), FakeUpstream::with_document(DOCUMENT));
        let sidecar = showing(&authority, &app, "workers = 1").await;
        Self {
            authority,
            app,
            sidecar,
        }
    }

    /// What becomes of a request on a connection of its own.
    async fn request(&self, request: &[u8]) -> End {
        let mut connection = Connection::open(&self.authority, &self.sidecar, NAME).await;
        connection.send(request).await;
        connection.end_of(1).await
    }

    /// Each of these is refused, and the app never has all of it.
    async fn refuses(&self, requests: Vec<Vec<u8>>) {
        for request in requests {
            let before = self.app.requests().len();
            let end = self.request(&request).await;
            assert!(end.is_refusal(), "{end:?}: {}", request.escape_ascii());
            for seen in self.app.requests().drain(..).skip(before) {
                // The head may have gone on before its body turned out to be wrong; then the body never ends.
                let announced = seen
                    .header("content-length")
                    .is_some_and(|length| length != "0");
                assert!(announced && seen.body.is_empty(), "{seen:?}");
            }
        }
    }

    /// The request is answered by the app: as the app saw it.
    async fn passes(&self, request: &[u8]) -> support::Request {
        let end = self.request(request).await;
        assert_eq!(end, End::Status(200), "{}", request.escape_ascii());
        self.app.requests().pop().expect("it came")
    }
}

#[tokio::test]
async fn a_length_is_said_once_or_the_same_and_the_body_has_it() {
    let bench = Bench::new().await;
    let length = |value: &'static str| ("content-length", value.as_bytes());
    for lengths in [&["5", "5"][..], &["5", "05", "5"], &["005"], &["5"]] {
        let lengths: Vec<_> = lengths.iter().map(|value| length(value)).collect();
        let seen = bench.passes(&post(&lengths, b"hello")).await;
        assert_eq!(seen.headers("content-length").collect::<Vec<_>>(), ["5"]);
        assert_eq!(seen.payload(), b"hello");
    }
    let mut wrong: Vec<_> = [
        &["5", "6"][..],
        &["6", "5"],
        &["5", "5", "4"],
        &["5, 5"],
        &["5,5"],
        &["5", "5, 5"],
        &["5", ""],
        &[""],
        &["+5"],
        &["-5"],
        &["0x5"],
        &["5.0"],
        &[" 5"],
        &["5 "],
        &["99999999999999999999"],
        // A body that is shorter or longer than it.
        &["4"],
        &["6"],
        &["0"],
    ]
    .into_iter()
    .map(|values| {
        let lengths: Vec<_> = values.iter().map(|value| length(value)).collect();
        post(&lengths, b"hello")
    })
    .collect();
    wrong.push(get(&[length("5")]));
    wrong.push(get(&[length("5"), length("5")]));
    bench.refuses(wrong).await;
    let none = bench.passes(&get(&[length("0"), length("0")])).await;
    assert!(none.headers("content-length").count() <= 1);
}

#[tokio::test]
async fn a_value_has_no_blank_at_its_ends_and_what_we_refuse_is_counted_once() {
    let bench = Bench::new().await;
    let names = [
        "x-a",
        "content-type",
        "cookie",
        "x-twilio-signature",
        "user-agent",
        "te",
    ];
    let values: [&[u8]; 6] = [b" a", b"a ", b"\ta", b"a\t", b" ", b"\t"];
    let requests = names
        .iter()
        .flat_map(|name| values.map(|value| get(&[(name, value)])));
    bench.refuses(requests.collect()).await;
    assert_eq!(bench.app.requests().len(), 0);
    // A request with such a `te` is none to the library already.
    let seen_by_us = (names.len() - 1) * values.len();
    let rejected = [("route", "voice"), ("outcome", "rejected")];
    bench
        .sidecar
        .wait_for_metric("understudy_requests_total", &rejected, seen_by_us as f64)
        .await;
    let all = bench.sidecar.metric("understudy_requests_total", &[]).await;
    assert_eq!(all, seen_by_us as f64);
    let seen = bench
        .passes(&get(&[("x-a", b"a b\tc"), ("x-b", b"")]))
        .await;
    assert_eq!(
        (seen.header("x-a"), seen.header("x-b")),
        (Some("a b\tc"), Some(""))
    );
}

#[tokio::test]
async fn a_path_is_a_path() {
    let bench = Bench::new().await;
    let wrong: [&[u8]; 16] = [
        b"",
        b"#",
        b"#x",
        b"?x=1",
        b"?",
        b"voice/x",
        b"*",
        b"**",
        b" /voice/x",
        b"/voice/x ",
        b"/voice/ x",
        b"\t/voice/x",
        b"/voice/x\ty",
        b"https://a.example/voice/x",
        b"//a.example/voice/\x00",
        b"/voice/\x7f",
    ];
    bench
        .refuses(wrong.iter().map(|path| whole(&head("GET", path))).collect())
        .await;
    // The host may stand in a field alone.
    let by_field = |path: &'static [u8]| {
        whole(&[
            (":method", &b"GET"[..]),
            (":scheme", b"https"),
            (":path", path),
            ("host", NAME.as_bytes()),
        ])
    };
    bench
        .refuses(wrong.iter().map(|path| by_field(path)).collect())
        .await;
    assert_eq!(bench.app.requests().len(), 0);
    assert_eq!(
        bench.passes(&by_field(b"/voice/x?y")).await.target(),
        "/voice/x?y"
    );
    assert_eq!(
        bench.passes(&whole(&head("OPTIONS", b"*"))).await.target(),
        "*"
    );
}

/// h2 drops a fragment before anyone sees it (`http::uri::PathAndQuery` does), so such a request can't be refused yet. What
/// matters holds: what we route by, check and forward is the same.
#[tokio::test]
async fn a_fragment_in_a_path_is_refused_or_never_leaves() {
    let bench = Bench::new().await;
    for path in [
        "/voice/x#y",
        "/voice/x?a#y?b",
        "/voice/x#",
        "/voice/x#/../pass",
    ] {
        let before = bench.app.requests().len();
        let end = bench.request(&whole(&head("GET", path.as_bytes()))).await;
        match &bench.app.requests()[before..] {
            [] => assert!(end.is_refusal(), "{path}: {end:?}"),
            [seen] => {
                let (kept, _) = path.split_once('#').expect("it has one");
                assert_eq!((end, seen.target()), (End::Status(200), kept), "{path}");
            }
            _ => panic!("{path} became several requests"),
        }
    }
}

#[tokio::test]
async fn pseudo_fields_stand_first_once_and_are_those_of_a_request() {
    let bench = Bench::new().await;
    let without = |name: &str| {
        let mut fields = head("GET", b"/voice/x");
        fields.retain(|(own, _)| *own != name);
        whole(&fields)
    };
    let late = |field: (&'static str, &'static [u8])| {
        let mut fields = head("GET", b"/voice/x");
        fields.retain(|(own, _)| *own != field.0);
        fields.extend([("x-a", &b"b"[..]), field]);
        whole(&fields)
    };
    let mut wrong = vec![
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        late((":path", b"/voice/x")),
        late((":method", b"GET")),
        late((":authority", NAME.as_bytes())),
        get(&[("host", b"other.example")]),
        get(&[("X-Upper", b"a")]),
        get(&[("x a", b"a")]),
        get(&[("x:a", b"a")]),
        get(&[("", b"a")]),
        get(&[("x-a", b"a\r\nb: c")]),
        get(&[("x-a", b"a\nb")]),
        get(&[("x-a", b"a\x00b")]),
        get(&[("connection", b"close")]),
        get(&[("keep-alive", b"timeout=5")]),
        get(&[("proxy-connection", b"close")]),
        get(&[("transfer-encoding", b"chunked")]),
        get(&[("upgrade", b"websocket")]),
        get(&[("te", b"gzip")]),
    ];
    for field in [
        (":path", &b"/voice/y"[..]),
        (":method", b"POST"),
        (":scheme", b"https"),
        (":authority", NAME.as_bytes()),
        (":status", b"200"),
        (":protocol", b"websocket"),
        (":unknown", b"x"),
    ] {
        let fields = [head("GET", b"/voice/x"), vec![field]].concat();
        wrong.push(whole(&fields));
    }
    bench.refuses(wrong).await;
    assert_eq!(bench.app.requests().len(), 0);
}

/// h2 drops pseudo-fields in trailers before anyone sees them, so such a request can't be refused yet. No trailer goes on.
#[tokio::test]
async fn trailers_are_refused_or_never_leave() {
    let bench = Bench::new().await;
    for trailers in [
        &[(":path", &b"/voice/y"[..])][..],
        &[(":method", b"GET"), ("x-a", b"b")],
        &[("x-a", b"b"), (":authority", b"other.example")],
        &[(":status", b"200")],
        &[("x-a", b" b ")],
        &[("x-a", b"b")],
        &[("content-length", b"9")],
        &[("transfer-encoding", b"chunked")],
        &[("connection", b"close")],
        &[("X-Upper", b"b")],
    ] {
        let before = bench.app.requests().len();
        let end = bench.request(&post_with_trailers(trailers)).await;
        match &bench.app.requests()[before..] {
            [] => assert!(end.is_refusal(), "{trailers:?}: {end:?}"),
            [seen] => {
                assert_eq!((seen.method(), seen.target()), ("POST", "/voice/x"));
                for (name, _) in trailers {
                    let name = name.trim_start_matches(':');
                    assert!(
                        seen.header(name)
                            .is_none_or(|value| ["chunked", "3"].contains(&value)),
                        "{seen:?}"
                    );
                }
                let has_end =
                    seen.body.ends_with(b"0\r\n\r\n") || seen.header("content-length") == Some("3");
                let whole = seen.payload() == b"a=1" && has_end;
                assert!(whole || end.is_refusal(), "{end:?}: {seen:?}");
            }
            _ => panic!("{trailers:?} became several requests"),
        }
    }
}
