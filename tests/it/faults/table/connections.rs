//! Faults of the connection: it isn't made, it stands still, it ends too soon.

use super::{Behaviour, Ending, Fault, OWN};
use support::{Script, answer, millis};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100\r\n\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
const PART_OF_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: te";
const PART_OF_PAGE: &str = "<Response><Say>Hel";

pub(super) fn faults() -> Vec<Fault> {
    [no_connection(), standstill(), early_end()]
        .into_iter()
        .flatten()
        .collect()
}

fn no_connection() -> Vec<Fault> {
    let refused = Behaviour::Refuses;
    let overflows = Behaviour::Overflows;
    vec![
        Fault::new("refused", refused, "connect", Ending::Error(502)),
        Fault::new(
            "no connection in time",
            overflows,
            "connect_timeout",
            Ending::Error(502),
        ),
    ]
}

fn standstill() -> Vec<Fault> {
    let stalls =
        |name, script: Script, streamed| Fault::plays(name, script.stall(), "deadline", streamed);
    let page = answer(
        "200 OK",
        &[("Content-Type", "text/xml")],
        "<Response><!--ab--></Response>",
    );
    let (head, body) = (page.slice(..page.len() - 30), page.slice(page.len() - 30..));
    vec![
        stalls("stall before the head", Script::new(), Ending::Error(504)),
        stalls(
            "stall within the head",
            Script::new().send(PART_OF_HEAD),
            Ending::Error(504),
        ),
        stalls(
            "stall within a body of known length",
            Script::new().send([HEAD, PART_OF_PAGE].concat()),
            Ending::NeverEnds,
        ),
        stalls(
            "stall within a chunked body",
            Script::new().send([CHUNKED, "12\r\n", PART_OF_PAGE].concat()),
            Ending::NeverEnds,
        ),
        Fault::plays(
            "a head byte by byte",
            Script::new().trickle(page, millis(60)),
            "deadline",
            Ending::Error(504),
        ),
        Fault::plays(
            "a body byte by byte",
            Script::new().send(head).trickle(body, millis(60)),
            "deadline",
            OWN,
        ),
    ]
}

fn early_end() -> Vec<Fault> {
    let reset = |name, script| Fault::plays(name, script, "reset", Ending::Error(502));
    let truncated = |name, script| Fault::plays(name, script, "truncated", Ending::BreaksOff);
    let part = |head: &str| Script::new().send([head, PART_OF_PAGE].concat());
    let part_of_chunk = || Script::new().send([CHUNKED, "64\r\n", PART_OF_PAGE].concat());
    let whole_chunk = || Script::new().send([CHUNKED, "12\r\n", PART_OF_PAGE, "\r\n"].concat());
    let unsaid = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n";
    vec![
        reset("an end before the head", Script::new().close()),
        reset("a reset before the head", Script::new().reset()),
        reset(
            "an end within the head",
            Script::new().send(PART_OF_HEAD).close(),
        ),
        reset(
            "a reset within the head",
            Script::new().send(PART_OF_HEAD).reset(),
        ),
        reset("an end after an interim head", {
            let interim = "HTTP/1.1 100 Continue\r\n\r\n";
            Script::new().send(interim).close()
        }),
        truncated("a truncated body of known length", part(HEAD).close()),
        truncated("a reset within a body of known length", part(HEAD).reset()),
        truncated("an end within a chunk", part_of_chunk().close()),
        truncated("an end between chunks", whole_chunk().close()),
        truncated("a reset within a chunked body", part_of_chunk().reset()),
        truncated(
            "a reset within a body that the end ends",
            part(unsaid).reset(),
        ),
    ]
}
