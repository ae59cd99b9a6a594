//! What any server takes (h2spec's "generic").

use super::*;

pub(super) fn all() -> Vec<Case> {
    let mut cases = vec![case(
        "1/1 a client connection preface",
        &[&ping(1)],
        Event::Pong(1),
    )];
    cases.extend(streams());
    cases.extend(frames());
    cases.extend(exchanges());
    cases.extend(field_blocks());
    cases
}

/// SETTINGS_INITIAL_WINDOW_SIZE 0, so that the response waits.
fn no_window() -> Vec<u8> {
    setting(4, 0)
}

fn streams() -> Vec<Case> {
    let half_closed = |name, frames: &[&[u8]]| {
        let bytes = [no_window(), get(1), frames.concat()].concat();
        case(name, &[&bytes], Event::AnyData)
    };
    vec![
        case(
            "2/1 PRIORITY on an idle stream",
            &[&priority(1, 0, 255), &ping(1)],
            Event::Pong(1),
        ),
        half_closed(
            "2/2 WINDOW_UPDATE on a half-closed stream",
            &[&window_update(1, 1)],
        ),
        half_closed(
            "2/3 PRIORITY on a half-closed stream",
            &[&priority(1, 0, 255), &window_update(1, 1)],
        ),
        case(
            "2/4 RST_STREAM on a half-closed stream",
            &[&get(1), &reset(1, 8), &ping(1)],
            Event::PongOrEnd(1),
        ),
        steps(
            "2/5 PRIORITY on a closed stream",
            vec![
                send(&[&get(1)]),
                Step::Wait(Event::End(1)),
                send(&[&priority(1, 0, 255), &ping(1)]),
                Step::Wait(Event::Pong(1)),
            ],
        ),
    ]
}

fn frames() -> Vec<Case> {
    let served = |name, bytes: &[&[u8]]| case(name, bytes, Event::Response(1));
    let padded_data = frame(DATA, PADDED | END_STREAM, 1, b"\x06test\0\0\0\0\0\0");
    let padded = [&[6][..], &head("GET"), &[0; 6]].concat();
    let with_priority = [&[0, 0, 0, 0, 255][..], &head("GET")].concat();
    let whole = END_HEADERS | END_STREAM;
    vec![
        served("3.1/1 a DATA frame", &[&post(1), &data(END_STREAM, 1)]),
        served(
            "3.1/2 multiple DATA frames",
            &[&post(1), &data(0, 1), &data(END_STREAM, 1)],
        ),
        served("3.1/3 a DATA frame with padding", &[&post(1), &padded_data]),
        served("3.2/1 a HEADERS frame", &[&get(1)]),
        served(
            "3.2/2 a HEADERS frame with padding",
            &[&headers(whole | PADDED, 1, &padded)],
        ),
        served(
            "3.2/3 a HEADERS frame with priority",
            &[&headers(whole | 0x20, 1, &with_priority)],
        ),
        served(
            "3.3/1 PRIORITY with priority 1",
            &[&priority(1, 0, 0), &get(1)],
        ),
        served(
            "3.3/2 PRIORITY with priority 256",
            &[&priority(1, 0, 255), &get(1)],
        ),
        served(
            "3.3/3 PRIORITY with a stream dependency",
            &[&priority(3, 1, 0), &get(1)],
        ),
        served(
            "3.3/4 PRIORITY with exclusive",
            &[&priority(1, 1 << 31, 0), &get(1)],
        ),
        served(
            "3.3/5 PRIORITY for an idle stream, then HEADERS for a lower one",
            &[&priority(3, 0, 255), &get(1)],
        ),
        case(
            "3.4/1 RST_STREAM",
            &[&get(1), &reset(1, 8), &ping(1)],
            Event::PongOrEnd(1),
        ),
        case("3.5/1 SETTINGS", &[&setting(3, 100)], Event::SettingsAck),
        case("3.7/1 PING", &[&ping(7)], Event::Pong(7)),
        case(
            "3.8/1 GOAWAY",
            &[&frame(GOAWAY, 0, 0, &[0; 8]), &ping(1)],
            Event::PongOrEnd(1),
        ),
        served(
            "3.9/1 WINDOW_UPDATE with stream 0",
            &[&setting(4, 0), &window_update(0, 1), &get(1)],
        ),
        case(
            "3.9/2 WINDOW_UPDATE with stream 1",
            &[&setting(4, 0), &get(1), &window_update(1, 1)],
            Event::Data(1),
        ),
        served(
            "3.10/1 CONTINUATION",
            &[
                &headers(END_STREAM, 1, &head("GET")),
                &continuation(END_HEADERS, 1),
            ],
        ),
        served(
            "3.10/2 multiple CONTINUATION frames",
            &[
                &headers(END_STREAM, 1, &head("GET")),
                &continuation(0, 1),
                &continuation(END_HEADERS, 1),
            ],
        ),
    ]
}

fn exchanges() -> Vec<Case> {
    let served = |name, bytes: &[&[u8]]| case(name, bytes, Event::Response(1));
    let whole = END_HEADERS | END_STREAM;
    let trailers = headers(whole, 1, &block(&[("x-test", b"ok")]));
    vec![
        served("4/1 a GET request", &[&get(1)]),
        served("4/2 a HEAD request", &[&headers(whole, 1, &head("HEAD"))]),
        served("4/3 a POST request", &[&post(1), &data(END_STREAM, 1)]),
        served(
            "4/4 a POST request with trailers",
            &[
                &post_with(&[("trailer", b"x-test")]),
                &data(0, 1),
                &trailers,
            ],
        ),
    ]
}

fn field_blocks() -> Vec<Case> {
    let served = |name, more: &[u8]| {
        let block = [&head("GET"), more].concat();
        case(
            name,
            &[&headers(END_HEADERS | END_STREAM, 1, &block)],
            Event::Response(1),
        )
    };
    let before = |name, update: &[u8]| {
        let block = [update, &head("GET")].concat();
        case(
            name,
            &[&headers(END_HEADERS | END_STREAM, 1, &block)],
            Event::Response(1),
        )
    };
    // `user-agent` and `x-test` with the value `h2spec`, each with and without Huffman's code (RFC 7541, Appendix B).
    const INDEXED: &[u8] = b"\x7a\x06h2spec";
    const INDEXED_CODED: &[u8] = b"\x7a\x84\x9c\x48\xac\xa4";
    const NEW: &[u8] = b"\x40\x06x-test\x06h2spec";
    const NEW_CODED: &[u8] = b"\x40\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4";
    vec![
        served("5/1 an indexed field", &[NEW, b"\xbe"].concat()),
        served("5/2 incremental indexing, indexed name", INDEXED),
        served(
            "5/3 incremental indexing, indexed name (Huffman)",
            INDEXED_CODED,
        ),
        served("5/4 incremental indexing, new name", NEW),
        served("5/5 incremental indexing, new name (Huffman)", NEW_CODED),
        served("5/6 without indexing, indexed name", b"\x0f\x2b\x06h2spec"),
        served(
            "5/7 without indexing, indexed name (Huffman)",
            b"\x0f\x2b\x84\x9c\x48\xac\xa4",
        ),
        served(
            "5/8 without indexing, new name",
            b"\x00\x06x-test\x06h2spec",
        ),
        served(
            "5/9 without indexing, new name (Huffman)",
            b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4",
        ),
        served("5/10 never indexed, indexed name", b"\x1f\x2b\x06h2spec"),
        served(
            "5/11 never indexed, indexed name (Huffman)",
            b"\x1f\x2b\x84\x9c\x48\xac\xa4",
        ),
        served("5/12 never indexed, new name", b"\x10\x06x-test\x06h2spec"),
        served(
            "5/13 never indexed, new name (Huffman)",
            b"\x10\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4",
        ),
        before("5/14 a dynamic table size update", b"\x3f\x61"),
        before(
            "5/15 multiple dynamic table size updates",
            b"\x3f\x61\x3f\xe1\x1f",
        ),
    ]
}
