//! Faults of the connection: it isn't made, it stands still, it ends too soon.

use bytes::Bytes;

use super::fault::{Behaviour, Expected, Fault, UNCHANGED};
use support::{Script, millis, response};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100\r\n\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n";
const PART_OF_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: te";
const PART_OF_DOCUMENT: &str = "<Response><Say>Hel";

faults! {
    // No connection.
    refused: Fault::new(Behaviour::Refuses, "connect", Expected::Error(502)),
    no_connection_in_time: Fault::new(Behaviour::Overflows, "connect_timeout", Expected::Error(502)),

    // Standstill.
    stall_before_the_head: stalls(Script::new(), Expected::Error(504)),
    stall_within_the_head: stalls(Script::new().send(PART_OF_HEAD), Expected::Error(504)),
    stall_within_a_body_of_known_length: stalls(part(HEAD), Expected::Endless),
    stall_within_a_chunked_body: stalls(part(&[CHUNKED, "12\r\n"].concat()), Expected::Endless),
    head_byte_by_byte: {
        let (head, body) = document();
        let script = Script::new().trickle([head, body].concat(), millis(60));
        Fault::scripted(script, "deadline", Expected::Error(504))
    },
    body_byte_by_byte: {
        let (head, body) = document();
        Fault::scripted(Script::new().send(head).trickle(body, millis(60)), "deadline", UNCHANGED)
    },

    // An end before the head is complete.
    end_before_the_head: resets(Script::new().close()),
    reset_before_the_head: resets(Script::new().reset()),
    end_within_the_head: resets(Script::new().send(PART_OF_HEAD).close()),
    reset_within_the_head: resets(Script::new().send(PART_OF_HEAD).reset()),
    end_after_an_interim_head: resets(Script::new().send("HTTP/1.1 100 Continue\r\n\r\n").close()),

    // An end before the body is complete.
    end_within_a_body_of_known_length: truncates(part(HEAD).close()),
    reset_within_a_body_of_known_length: truncates(part(HEAD).reset()),
    end_within_a_chunk: truncates(part_of_chunk().close()),
    end_between_chunks: {
        truncates(Script::new().send([CHUNKED, "12\r\n", PART_OF_DOCUMENT, "\r\n"].concat()).close())
    },
    reset_within_a_chunked_body: truncates(part_of_chunk().reset()),
    reset_within_a_body_until_close: truncates(part(UNTIL_CLOSE).reset()),
}

fn stalls(script: Script, streamed: Expected) -> Fault {
    Fault::scripted(script.stall(), "deadline", streamed)
}

fn resets(script: Script) -> Fault {
    Fault::scripted(script, "reset", Expected::Error(502))
}

fn truncates(script: Script) -> Fault {
    Fault::scripted(script, "truncated", Expected::Truncated)
}

fn part(head: &str) -> Script {
    Script::new().send([head, PART_OF_DOCUMENT].concat())
}

fn part_of_chunk() -> Script {
    part(&[CHUNKED, "64\r\n"].concat())
}

/// A good response: its head, its body.
fn document() -> (Bytes, Bytes) {
    let headers = [("Content-Type", "text/xml")];
    let mut head = response("200 OK", &headers, "<Response><!--ab--></Response>");
    let body = head.split_off(head.len() - 30);
    (head, body)
}
