//! What the demo's upstream does to callers: good responses first, and what takes long last, so that the table fills from the
//! top.

use std::time::Duration;

use bytes::Bytes;

use super::upstream::{Step, response};
use crate::twiml::Kind;

/// One thing that the upstream does to a caller.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The last segment of its path.
    slug: &'static str,
    pub(super) script: Vec<Step>,
}

const HEALTHY: &str = "healthy";
const VOICE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Say>Thank you for calling. You are next in line.</Say></Response>";
const MESSAGE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Message>Your appointment is confirmed.</Message></Response>";
const ERROR_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Oops</title></head><body>Something went wrong.</body></html>";
const STACK_TRACE: &str = "Traceback (most recent call last):\n  File \"app.py\", line 12, in voice\nKeyError: 'Digits'\n";

impl Scenario {
    /// Where it is requested.
    pub(super) fn path(&self) -> String {
        match self.kind {
            Kind::Voice => format!("/voice/{}", self.slug),
            Kind::Messaging => format!("/sms/{}", self.slug),
        }
    }

    /// Whether the upstream responds as it should.
    pub(super) fn is_healthy(&self) -> bool {
        self.slug == HEALTHY
    }
}

/// Every scenario but [`refusal`].
pub(super) fn scenarios() -> Vec<Scenario> {
    [healthy(), statuses(), documents(), connections()]
        .into_iter()
        .flatten()
        .collect()
}

/// The last scenario, for which the upstream is stopped.
pub(super) fn refusal() -> Scenario {
    voice("refuses connections", "refused", vec![])
}

fn healthy() -> Vec<Scenario> {
    vec![
        voice("answers a call well", HEALTHY, twiml(VOICE)),
        message("answers a message well", HEALTHY, twiml(MESSAGE)),
    ]
}

fn statuses() -> Vec<Scenario> {
    let location = [("Location", "/voice/308")];
    vec![
        voice(
            "answers 500 and a stack trace",
            "500",
            send("500 Internal Server Error", "text/plain", STACK_TRACE),
        ),
        message(
            "answers a message with 503",
            "503",
            send("503 Service Unavailable", "text/html", ERROR_PAGE),
        ),
        voice(
            "redirects to itself with 308",
            "308",
            vec![Step::Send(response(
                "308 Permanent Redirect",
                &location,
                "",
            ))],
        ),
    ]
}

fn documents() -> Vec<Scenario> {
    let text = "All lines are busy. ".repeat(5_000);
    let long = format!("<Response><Say>{text}</Say></Response>");
    let html = "text/html; charset=utf-8";
    let lower_case = "<response><Say>Hello</Say></response>";
    let open = "<Response><Say>Hello</Response>";
    let ampersand = "<Response><Message>Tom & Jerry</Message></Response>";
    let json = send("200 OK", "application/json", VOICE);
    vec![
        voice(
            "sends an error page with 200",
            "error-page",
            send("200 OK", html, ERROR_PAGE),
        ),
        voice("writes <response>", "root", twiml(lower_case)),
        voice("leaves an element open", "malformed", twiml(open)),
        message("replies \"Tom & Jerry\"", "ampersand", twiml(ampersand)),
        voice("calls its TwiML JSON", "json", json),
        voice("sends an empty document", "empty", twiml("")),
        voice("sends a document of 100 KB", "large", twiml(&long)),
    ]
}

fn connections() -> Vec<Scenario> {
    let whole = response("200 OK", &[("Content-Type", "text/xml")], VOICE);
    let cut = |bytes: usize| Step::Send(whole.slice(..whole.len() - bytes));
    let rest = whole.slice(whole.len() - 100..);
    let ssh = Step::Send(Bytes::from_static(b"SSH-2.0-OpenSSH_9.2p1\r\n"));
    let slow = Step::Trickle(rest, Duration::from_secs(1));
    vec![
        voice("hangs up within a response", "truncated", vec![cut(40)]),
        message("crashes before it answers", "reset", vec![Step::Reset]),
        voice(
            "speaks another protocol",
            "protocol",
            vec![ssh, Step::Stall],
        ),
        voice("is silent", "silent", vec![Step::Stall]),
        message("stops within a reply", "stall", vec![cut(40), Step::Stall]),
        voice("sends one byte a second", "trickle", vec![cut(100), slow]),
    ]
}

fn voice(name: &'static str, slug: &'static str, script: Vec<Step>) -> Scenario {
    Scenario {
        name,
        kind: Kind::Voice,
        slug,
        script,
    }
}

fn message(name: &'static str, slug: &'static str, script: Vec<Step>) -> Scenario {
    Scenario {
        kind: Kind::Messaging,
        ..voice(name, slug, script)
    }
}

fn twiml(document: &str) -> Vec<Step> {
    send("200 OK", "text/xml", document)
}

fn send(status: &str, content_type: &str, body: &str) -> Vec<Step> {
    vec![Step::Send(response(
        status,
        &[("Content-Type", content_type)],
        body,
    ))]
}
