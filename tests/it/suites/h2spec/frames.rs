//! Frames, streams and flow control (RFC 9113 §3 to 7).

use super::*;

const PROTOCOL: Event = Event::ConnectionError(&[PROTOCOL_ERROR]);
const SIZE: Event = Event::ConnectionError(&[FRAME_SIZE_ERROR]);
const WHOLE: u8 = END_HEADERS | END_STREAM;

pub(super) fn all() -> Vec<Case> {
    let mut cases = formats();
    cases.extend(states());
    cases.extend(definitions());
    cases.extend(settings());
    cases.extend(windows());
    cases
}

fn formats() -> Vec<Case> {
    let unknown = frame(0x16, 0, 0, &[0; 8]);
    let reserved = {
        let mut ping = ping(3);
        ping[5] |= 0x80;
        ping
    };
    let long = vec![b'x'; 16_384];
    let longer = vec![b'x'; 16_385];
    let long_fields = [head("GET"), block(&[("x-dummy", &[b'y'; 4000])]).repeat(5)].concat();
    vec![
        // That the server's first frame is SETTINGS is what every case waits for.
        case(
            "3.5/1 a client connection preface",
            &[&ping(1)],
            Event::Pong(1),
        ),
        case(
            "4.1/1 a frame with an unknown type",
            &[&unknown, &ping(2)],
            Event::Pong(2),
        ),
        case(
            "4.1/2 a frame with an undefined flag",
            &[&frame(PING, 0x16, 0, &[3; 8])],
            Event::Pong(3),
        ),
        case(
            "4.1/3 a frame with the reserved bit",
            &[&reserved],
            Event::Pong(3),
        ),
        case(
            "4.2/1 DATA of 2^14 bytes",
            &[&post(1), &frame(DATA, END_STREAM, 1, &long)],
            Event::Response(1),
        ),
        case(
            "4.2/2 DATA beyond SETTINGS_MAX_FRAME_SIZE",
            &[&post(1), &frame(DATA, END_STREAM, 1, &longer)],
            Event::StreamError(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.2/3 HEADERS beyond SETTINGS_MAX_FRAME_SIZE",
            &[&headers(WHOLE, 1, &long_fields)],
            SIZE,
        ),
        case(
            "4.3/1 an invalid header block fragment",
            &[&headers(WHOLE, 1, b"\x40")],
            Event::ConnectionError(&[COMPRESSION_ERROR]),
        ),
        case(
            "4.3/2 PRIORITY while sending a header block",
            &[
                &headers(0, 1, &head("GET")),
                &priority(1, 0, 255),
                &continuation(END_HEADERS, 1),
            ],
            PROTOCOL,
        ),
        case(
            "4.3/3 HEADERS to another stream while sending a header block",
            &[
                &headers(0, 1, &head("GET")),
                &get(3),
                &continuation(END_HEADERS, 1),
            ],
            PROTOCOL,
        ),
        case(
            "5.4.1/1 an invalid PING closes the connection",
            &[&frame(PING, 0, 3, &[0; 8])],
            PROTOCOL,
        ),
        case(
            "5.4.1/2 an invalid PING gets GOAWAY",
            &[&frame(PING, 0, 3, &[0; 8])],
            Event::GoAway(PROTOCOL_ERROR),
        ),
        case(
            "5.5/1 an unknown extension frame",
            &[&unknown, &ping(4)],
            Event::Pong(4),
        ),
        case(
            "5.5/2 an unknown extension frame within a header block",
            &[
                &headers(END_STREAM, 1, &head("GET")),
                &unknown,
                &continuation(END_HEADERS, 1),
            ],
            PROTOCOL,
        ),
    ]
}

fn states() -> Vec<Case> {
    const CLOSED: &[u32] = &[STREAM_CLOSED];
    const CLOSED_OR_PROTOCOL: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
    let after_response = |name, bytes: Vec<u8>, event| {
        let wait = Step::Wait(Event::End(1));
        steps(
            name,
            vec![send(&[&get(1)]), wait, Step::Send(bytes), Step::Wait(event)],
        )
    };
    // One more than is allowed at once, none of which can end.
    let too_many: Vec<u8> = (0..=100).flat_map(|at| get(at * 2 + 1)).collect();
    vec![
        case(
            "5.1/1 idle: DATA",
            &[&data(END_STREAM, 1)],
            Event::StreamError(CLOSED_OR_PROTOCOL),
        ),
        case("5.1/2 idle: RST_STREAM", &[&reset(1, 8)], PROTOCOL),
        case(
            "5.1/3 idle: WINDOW_UPDATE",
            &[&window_update(1, 100)],
            PROTOCOL,
        ),
        case(
            "5.1/4 idle: CONTINUATION",
            &[&frame(CONTINUATION, END_HEADERS, 1, &head("GET"))],
            PROTOCOL,
        ),
        case(
            "5.1/5 half closed (remote): DATA",
            &[&get(1), &data(END_STREAM, 1)],
            Event::StreamError(CLOSED),
        ),
        case(
            "5.1/6 half closed (remote): HEADERS",
            &[&get(1), &get(1)],
            Event::StreamError(CLOSED),
        ),
        case(
            "5.1/7 half closed (remote): CONTINUATION",
            &[&get(1), &continuation(END_HEADERS, 1)],
            Event::StreamError(CLOSED_OR_PROTOCOL),
        ),
        case(
            "5.1/8 closed: DATA after RST_STREAM",
            &[&post(1), &reset(1, 8), &data(END_STREAM, 1)],
            Event::StreamError(CLOSED),
        ),
        case(
            "5.1/9 closed: HEADERS after RST_STREAM",
            &[&post(1), &reset(1, 8), &get(1)],
            Event::StreamError(CLOSED),
        ),
        case(
            "5.1/10 closed: CONTINUATION after RST_STREAM",
            &[&post(1), &reset(1, 8), &continuation(END_HEADERS, 1)],
            Event::StreamError(CLOSED_OR_PROTOCOL),
        ),
        after_response(
            "5.1/11 closed: DATA",
            data(END_STREAM, 1),
            Event::StreamError(CLOSED),
        ),
        after_response(
            "5.1/12 closed: HEADERS",
            get(1),
            Event::ConnectionError(CLOSED),
        ),
        after_response(
            "5.1/13 closed: CONTINUATION",
            continuation(END_HEADERS, 1),
            Event::ConnectionError(CLOSED_OR_PROTOCOL),
        ),
        case("5.1.1/1 an even stream identifier", &[&get(2)], PROTOCOL),
        case(
            "5.1.1/2 a smaller stream identifier",
            &[&get(5), &get(3)],
            PROTOCOL,
        ),
        case(
            "5.1.2/1 more streams than are allowed at once",
            &[&setting(4, 0), &too_many],
            Event::StreamError(&[PROTOCOL_ERROR, REFUSED_STREAM]),
        ),
        case(
            "5.3.1/1 HEADERS that depends on itself",
            &[&headers(
                WHOLE | 0x20,
                1,
                &[&[0, 0, 0, 1, 255][..], &head("GET")].concat(),
            )],
            Event::StreamError(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.3.1/2 PRIORITY that depends on itself",
            &[&priority(2, 2, 255)],
            Event::StreamError(&[PROTOCOL_ERROR]),
        ),
    ]
}

fn definitions() -> Vec<Case> {
    let begun = headers(END_STREAM, 1, &head("GET"));
    let padded = |length: u8, rest: &[u8]| [&[length], rest].concat();
    let too_padded = padded(head("GET").len() as u8 + 2, &head("GET"));
    let four = post_with(&[("content-length", b"4")]);
    vec![
        case(
            "6.1/1 DATA with stream 0",
            &[&data(END_STREAM, 0)],
            PROTOCOL,
        ),
        case(
            "6.1/2 DATA on a stream that isn't open",
            &[&headers(WHOLE, 1, &head("POST")), &data(END_STREAM, 1)],
            Event::StreamError(&[STREAM_CLOSED]),
        ),
        case(
            "6.1/3 DATA with an invalid pad length",
            &[&four, &frame(DATA, PADDED | END_STREAM, 1, b"\x06Test")],
            PROTOCOL,
        ),
        case(
            "6.2/1 HEADERS without END_HEADERS, then PRIORITY",
            &[
                &headers(0, 1, &head("GET")),
                &priority(1, 0, 255),
                &continuation(END_HEADERS, 1),
            ],
            PROTOCOL,
        ),
        case(
            "6.2/2 HEADERS to another stream while sending HEADERS",
            &[
                &headers(0, 1, &head("GET")),
                &get(3),
                &continuation(END_HEADERS, 1),
            ],
            PROTOCOL,
        ),
        case(
            "6.2/3 HEADERS with stream 0",
            &[&headers(WHOLE, 0, &head("GET"))],
            PROTOCOL,
        ),
        case(
            "6.2/4 HEADERS with an invalid pad length",
            &[&headers(WHOLE | PADDED, 1, &too_padded)],
            Event::StreamError(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.3/1 PRIORITY with stream 0",
            &[&priority(0, 0, 255)],
            PROTOCOL,
        ),
        case(
            "6.3/2 PRIORITY of another length than 5",
            &[
                &get(1),
                &frame(crate::tls::frames::PRIORITY, 0, 1, &[0x80, 0, 0, 1]),
            ],
            Event::StreamError(&[FRAME_SIZE_ERROR]),
        ),
        case("6.4/1 RST_STREAM with stream 0", &[&reset(0, 8)], PROTOCOL),
        case(
            "6.4/2 RST_STREAM on an idle stream",
            &[&reset(1, 8)],
            PROTOCOL,
        ),
        case(
            "6.4/3 RST_STREAM of another length than 4",
            &[&post(1), &frame(RST_STREAM, 0, 1, &[0; 3])],
            SIZE,
        ),
        case("6.7/1 PING", &[&ping(5)], Event::Pong(5)),
        case(
            "6.7/2 PING with ACK",
            &[&frame(PING, ACK, 0, &[6; 8]), &ping(7)],
            Event::Pong(7),
        ),
        case(
            "6.7/3 PING with another stream than 0",
            &[&frame(PING, 0, 1, &[0; 8])],
            PROTOCOL,
        ),
        case(
            "6.7/4 PING of another length than 8",
            &[&frame(PING, 0, 0, &[0; 6])],
            SIZE,
        ),
        case(
            "6.8/1 GOAWAY with another stream than 0",
            &[&frame(GOAWAY, 0, 1, &[0; 8])],
            PROTOCOL,
        ),
        case(
            "6.10/1 multiple CONTINUATION frames behind HEADERS",
            &[&begun, &continuation(0, 1), &continuation(END_HEADERS, 1)],
            Event::Response(1),
        ),
        case(
            "6.10/2 CONTINUATION, then another frame",
            &[
                &headers(0, 1, &head("POST")),
                &continuation(0, 1),
                &data(END_STREAM, 1),
            ],
            PROTOCOL,
        ),
        case(
            "6.10/3 CONTINUATION with stream 0",
            &[&begun, &continuation(END_HEADERS, 0)],
            PROTOCOL,
        ),
        case(
            "6.10/4 CONTINUATION behind HEADERS with END_HEADERS",
            &[&get(1), &continuation(END_HEADERS, 1)],
            PROTOCOL,
        ),
        case(
            "6.10/5 CONTINUATION behind CONTINUATION with END_HEADERS",
            &[
                &begun,
                &continuation(END_HEADERS, 1),
                &continuation(END_HEADERS, 1),
            ],
            PROTOCOL,
        ),
        case(
            "6.10/6 CONTINUATION behind DATA",
            &[&post(1), &data(END_STREAM, 1), &continuation(0, 1)],
            PROTOCOL,
        ),
        case(
            "7/1 GOAWAY with an unknown code",
            &[&frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]), &ping(8)],
            Event::PongOrEnd(8),
        ),
        case(
            "7/2 RST_STREAM with an unknown code",
            &[&post(1), &reset(1, 0xff), &ping(9)],
            Event::PongOrEnd(9),
        ),
    ]
}

fn settings() -> Vec<Case> {
    let two = [
        &[0, 4][..],
        &100u32.to_be_bytes(),
        &[0, 4],
        &1u32.to_be_bytes(),
    ]
    .concat();
    vec![
        case(
            "6.5/1 SETTINGS with ACK and payload",
            &[&frame(SETTINGS, ACK, 0, &[0])],
            SIZE,
        ),
        case(
            "6.5/2 SETTINGS with another stream than 0",
            &[&frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100])],
            PROTOCOL,
        ),
        case(
            "6.5/3 SETTINGS of a length that isn't a multiple of 6",
            &[&frame(SETTINGS, 0, 0, &[0, 3, 0])],
            SIZE,
        ),
        case(
            "6.5.2/1 SETTINGS_ENABLE_PUSH 2",
            &[&setting(2, 2)],
            PROTOCOL,
        ),
        case(
            "6.5.2/2 SETTINGS_INITIAL_WINDOW_SIZE above the maximum",
            &[&setting(4, 1 << 31)],
            Event::ConnectionError(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.5.2/3 SETTINGS_MAX_FRAME_SIZE below the initial value",
            &[&setting(5, 16_383)],
            PROTOCOL,
        ),
        case(
            "6.5.2/4 SETTINGS_MAX_FRAME_SIZE above the maximum",
            &[&setting(5, 1 << 24)],
            PROTOCOL,
        ),
        case(
            "6.5.2/5 an unknown setting",
            &[&setting(0xff, 1), &ping(1)],
            Event::Pong(1),
        ),
        case(
            "6.5.3/1 SETTINGS_INITIAL_WINDOW_SIZE twice",
            &[&frame(SETTINGS, 0, 0, &two), &get(1)],
            Event::Data(1),
        ),
        case(
            "6.5.3/2 SETTINGS is acknowledged",
            &[&setting(2, 0)],
            Event::SettingsAck,
        ),
    ]
}

fn windows() -> Vec<Case> {
    const MOST: u32 = (1 << 31) - 1;
    vec![
        case(
            "6.9/1 WINDOW_UPDATE of 0",
            &[&window_update(0, 0)],
            PROTOCOL,
        ),
        case(
            "6.9/2 WINDOW_UPDATE of 0 on a stream",
            &[&post(1), &window_update(1, 0)],
            Event::StreamError(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.9/3 WINDOW_UPDATE of another length than 4",
            &[&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])],
            SIZE,
        ),
        case(
            "6.9.1/1 an initial window of 1",
            &[&setting(4, 1), &get(1)],
            Event::Data(1),
        ),
        case(
            "6.9.1/2 a window above 2^31-1",
            &[&window_update(0, MOST), &window_update(0, MOST)],
            Event::GoAway(FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1/3 a window above 2^31-1 on a stream",
            &[&post(1), &window_update(1, MOST), &window_update(1, MOST)],
            Event::Reset(FLOW_CONTROL_ERROR),
        ),
        steps(
            "6.9.2/1 SETTINGS_INITIAL_WINDOW_SIZE changes after HEADERS",
            vec![
                send(&[&setting(4, 0), &get(1)]),
                Step::Wait(Event::Response(1)),
                send(&[&setting(4, 1)]),
                Step::Wait(Event::Data(1)),
            ],
        ),
        steps(
            "6.9.2/2 a window that becomes negative",
            vec![
                send(&[&setting(4, 3), &get(1)]),
                Step::Wait(Event::Data(3)),
                // It is -1 now, and 1 with two more.
                send(&[&setting(4, 2), &window_update(1, 2)]),
                Step::Wait(Event::Data(1)),
            ],
        ),
        case(
            "6.9.2/3 SETTINGS_INITIAL_WINDOW_SIZE above the maximum",
            &[&setting(4, 1 << 31)],
            Event::ConnectionError(&[FLOW_CONTROL_ERROR]),
        ),
    ]
}
