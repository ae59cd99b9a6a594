//! Requests that are malformed (RFC 9113 §8).

use super::*;

const REFUSED: Event = Event::StreamError(&[PROTOCOL_ERROR]);

pub(super) fn all() -> Vec<Case> {
    let whole = END_HEADERS | END_STREAM;
    let refused = |name, bytes: &[&[u8]]| case(name, bytes, REFUSED);
    let without = |name: &str| {
        let mut fields = fields("GET");
        fields.retain(|(own, _)| *own != name);
        headers(whole, 1, &block(&fields))
    };
    let trailers = |fields: &[(&str, &[u8])]| headers(END_HEADERS, 1, &block(fields));
    let late = [vec![("x-test", &b"ok"[..])], fields("GET")].concat();
    let empty_path = {
        let mut fields = fields("GET");
        fields[2].1 = b"";
        headers(whole, 1, &block(&fields))
    };
    let one = post_with(&[("content-length", b"1")]);
    let promise = frame(
        5,
        END_HEADERS,
        1,
        &[&3u32.to_be_bytes()[..], &head("GET")].concat(),
    );
    vec![
        refused(
            "8.1/1 a second HEADERS without END_STREAM",
            &[&post(1), &data(0, 1), &trailers(&[("x-test", b"ok")])],
        ),
        refused(
            "8.1.2/1 a field name in uppercase",
            &[&get_with(&[("X-TEST", b"ok")])],
        ),
        refused(
            "8.1.2.1/1 an unknown pseudo-header field",
            &[&get_with(&[(":test", b"ok")])],
        ),
        refused(
            "8.1.2.1/2 a pseudo-header field of responses",
            &[&get_with(&[(":status", b"200")])],
        ),
        refused(
            "8.1.2.1/3 a pseudo-header field as trailer",
            &[
                &post(1),
                &data(0, 1),
                &trailers(&[(":method", b"200"), ("x-test", b"ok")]),
            ],
        ),
        refused(
            "8.1.2.1/4 a pseudo-header field behind a regular one",
            &[&headers(whole, 1, &block(&late))],
        ),
        refused(
            "8.1.2.2/1 a connection-specific field",
            &[&get_with(&[("connection", b"keep-alive")])],
        ),
        refused(
            "8.1.2.2/2 TE with another value than trailers",
            &[&get_with(&[
                ("trailers", b"test"),
                ("te", b"trailers, deflate"),
            ])],
        ),
        refused("8.1.2.3/1 an empty :path", &[&empty_path]),
        refused("8.1.2.3/2 no :method", &[&without(":method")]),
        refused("8.1.2.3/3 no :scheme", &[&without(":scheme")]),
        refused("8.1.2.3/4 no :path", &[&without(":path")]),
        refused(
            "8.1.2.3/5 :method twice",
            &[&get_with(&[(":method", b"GET")])],
        ),
        refused(
            "8.1.2.3/6 :scheme twice",
            &[&get_with(&[(":scheme", b"https")])],
        ),
        refused(
            "8.1.2.3/7 :path twice",
            &[&get_with(&[(":path", b"/pass/x")])],
        ),
        refused(
            "8.1.2.6/1 a length that isn't that of DATA",
            &[&one, &data(END_STREAM, 1)],
        ),
        refused(
            "8.1.2.6/2 a length that isn't the sum of several DATA",
            &[&one, &data(0, 1), &data(END_STREAM, 1)],
        ),
        case(
            "8.2/1 PUSH_PROMISE",
            &[&promise],
            Event::ConnectionError(&[PROTOCOL_ERROR]),
        ),
    ]
}
