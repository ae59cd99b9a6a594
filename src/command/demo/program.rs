//! What the demo plays: healthy answers first, what takes long last, so that the table fills from the top.

use std::time::Duration;

use super::app::{Script, answer};
use crate::twiml::Kind;

/// One thing that the app does to a caller.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The last part of its path.
    slug: &'static str,
    pub(super) script: Script,
}

impl Fault {
    fn call(name: &'static str, slug: &'static str, script: Script) -> Self {
        let kind = Kind::Voice;
        Self {
            name,
            kind,
            slug,
            script,
        }
    }

    fn message(name: &'static str, slug: &'static str, script: Script) -> Self {
        let kind = Kind::Messaging;
        Self {
            name,
            kind,
            slug,
            script,
        }
    }

    /// Where it is called.
    pub(super) fn path(&self) -> String {
        match self.kind {
            Kind::Voice => format!("/voice/{}", self.slug),
            Kind::Messaging => format!("/sms/{}", self.slug),
        }
    }

    /// Whether the app answers as it should.
    pub(super) fn is_none(&self) -> bool {
        self.slug == HEALTHY
    }
}

const HEALTHY: &str = "healthy";
const VOICE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Say>Thank you for calling. You are next in line.</Say></Response>";
const REPLY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Message>Your appointment is confirmed.</Message></Response>";
const ERROR_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Oops</title></head><body>Something went wrong.</body></html>";
const STACK_TRACE: &str = "Traceback (most recent call last):\n  File \"app.py\", line 12, in voice\nKeyError: 'Digits'\n";

/// Everything but the last act.
pub(super) fn faults() -> Vec<Fault> {
    [healthy(), statuses(), pages(), connections()]
        .into_iter()
        .flatten()
        .collect()
}

/// The last act, for which the app goes down.
pub(super) fn refusal() -> Fault {
    Fault::call("refuses connections", "refused", Script::new())
}

fn healthy() -> Vec<Fault> {
    vec![
        Fault::call("answers a call well", HEALTHY, Script::twiml(VOICE)),
        Fault::message("answers a message well", HEALTHY, Script::twiml(REPLY)),
    ]
}

fn statuses() -> Vec<Fault> {
    let elsewhere = [("Location", "/voice/308")];
    vec![
        Fault::call("answers 500 and a stack trace", "500", {
            Script::page("500 Internal Server Error", "text/plain", STACK_TRACE)
        }),
        Fault::message("answers a message with 503", "503", {
            Script::page("503 Service Unavailable", "text/html", ERROR_PAGE)
        }),
        Fault::call("redirects to itself with 308", "308", {
            Script::new().send(answer("308 Permanent Redirect", &elsewhere, ""))
        }),
    ]
}

fn pages() -> Vec<Fault> {
    let long = format!(
        "<Response><Say>{}</Say></Response>",
        "All lines are busy. ".repeat(5_000)
    );
    vec![
        Fault::call("sends an error page with 200", "error-page", {
            Script::page("200 OK", "text/html; charset=utf-8", ERROR_PAGE)
        }),
        Fault::call("writes <response>", "root", {
            Script::twiml("<response><Say>Hello</Say></response>")
        }),
        Fault::call("leaves an element open", "malformed", {
            Script::twiml("<Response><Say>Hello</Response>")
        }),
        Fault::message("replies \"Tom & Jerry\"", "ampersand", {
            Script::twiml("<Response><Message>Tom & Jerry</Message></Response>")
        }),
        Fault::call(
            "calls its TwiML JSON",
            "json",
            Script::page("200 OK", "application/json", VOICE),
        ),
        Fault::call("sends an empty page", "empty", Script::twiml("")),
        Fault::call("sends a page of 100 KB", "large", Script::twiml(long)),
    ]
}

fn connections() -> Vec<Fault> {
    let page = answer("200 OK", &[("Content-Type", "text/xml")], VOICE);
    let half = page.slice(..page.len() - 40);
    let (first, rest) = (
        page.slice(..page.len() - 100),
        page.slice(page.len() - 100..),
    );
    vec![
        Fault::call(
            "hangs up within the page",
            "truncated",
            Script::new().send(half.clone()).close(),
        ),
        Fault::message("crashes before it answers", "reset", Script::new().reset()),
        Fault::call("speaks another protocol", "protocol", {
            Script::new().send("SSH-2.0-OpenSSH_9.2p1\r\n").stall()
        }),
        Fault::call("is silent", "silent", Script::new().stall()),
        Fault::message(
            "stops within a reply",
            "stall",
            Script::new().send(half).stall(),
        ),
        Fault::call("sends one byte a second", "trickle", {
            Script::new()
                .send(first)
                .trickle(rest, Duration::from_secs(1))
        }),
    ]
}
