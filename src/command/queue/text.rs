//! Queued callbacks as the proxy describes them, and as text.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::{format_duration, format_rfc3339_millis};
use serde::Deserialize;

/// The longest duration that is a time of this era, in seconds.
const LONGEST: f64 = 1e10;

/// What is known of a callback.
#[derive(Deserialize)]
pub(super) struct Callback {
    id: String,
    route: String,
    key: String,
    reason: String,
    state: String,
    received_seconds: f64,
    next_try_seconds: Option<f64>,
    attempts: u32,
    last_error: Option<String>,
    bytes: u64,
}

/// A callback with its request.
#[derive(Deserialize)]
pub(super) struct Details {
    #[serde(flatten)]
    callback: Callback,
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    client_addr: String,
    method: String,
    path: String,
    query: Option<Vec<Pair>>,
    headers: Vec<Pair>,
    body: Body,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Body {
    bytes: u64,
    parameters: Option<Vec<Pair>>,
    text: Option<String>,
    base64: Option<String>,
}

impl Callback {
    pub(super) fn to_line(&self) -> String {
        let Self {
            id,
            route,
            key,
            attempts,
            ..
        } = self;
        let age = self.age();
        let state = self.describe_state();
        let failed = match attempts {
            0 => String::new(),
            1 => ", 1 attempt failed".to_owned(),
            attempts => format!(", {attempts} attempts failed"),
        };
        let error = self.last_error.as_ref();
        let error = error.map(|error| format!(": {}", printable(error)));
        let error = error.unwrap_or_default();
        let (route, key) = (printable(route), printable(key));
        format!("{id}: {route}, {key}, received {age} ago, {state}{failed}{error}")
    }

    fn describe_state(&self) -> String {
        match (&*self.state, self.next_try_seconds) {
            ("waiting", Some(next)) => {
                let wait = time(next).duration_since(SystemTime::now());
                let wait = wait.map(whole_seconds).unwrap_or_default();
                match wait.as_secs() {
                    0 => "due now".to_owned(),
                    _ => format!("due in {}", format_duration(wait)),
                }
            }
            ("delivering", _) => "being delivered".to_owned(),
            ("dead", _) => "a dead letter".to_owned(),
            (other, _) => other.to_owned(),
        }
    }

    fn age(&self) -> String {
        let age = time(self.received_seconds).elapsed().unwrap_or_default();
        format_duration(whole_seconds(age)).to_string()
    }
}

impl Details {
    pub(super) fn to_text(&self) -> String {
        let callback = &self.callback;
        let received = format_rfc3339_millis(time(callback.received_seconds));
        let mut text = String::new();
        let facts = [
            ("id", callback.id.clone()),
            ("route", callback.route.clone()),
            ("key", callback.key.clone()),
            ("received", format!("{received}, {} ago", callback.age())),
            ("from", self.request.client_addr.clone()),
            ("queued for", callback.reason.clone()),
            ("state", callback.describe_state()),
            ("attempts", callback.attempts.to_string()),
            (
                "last error",
                callback.last_error.clone().unwrap_or_default(),
            ),
            ("size", format!("{} bytes", callback.bytes)),
        ];
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            line(&mut text, &format!("{name:<11} {}", printable(value)));
        }
        line(&mut text, "");
        let Request {
            method,
            path,
            query,
            headers,
            body,
            ..
        } = &self.request;
        line(&mut text, &printable(&format!("{method} {path}")));
        write_pairs(&mut text, "?", query.as_deref());
        write_pairs(&mut text, "", Some(headers));
        line(&mut text, "");
        line(&mut text, &format!("body of {} bytes", body.bytes));
        match (&body.parameters, &body.text, &body.base64) {
            (Some(parameters), ..) => write_pairs(&mut text, "", Some(parameters)),
            (None, Some(body), _) => line(&mut text, &printable(body)),
            (None, None, Some(base64)) => line(&mut text, &format!("in base64: {base64}")),
            (None, None, None) => {}
        }
        text.trim_end().to_owned()
    }
}

fn write_pairs(text: &mut String, before: &str, pairs: Option<&[Pair]>) {
    for Pair { name, value } in pairs.unwrap_or_default() {
        line(text, &printable(&format!("{before}{name}: {value}")));
    }
}

fn line(text: &mut String, words: &str) {
    writeln!(text, "{words}").expect("writing to memory does not fail");
}

/// Without control characters: a terminal would act on them, and anyone who can call the app could send them.
fn printable(text: &str) -> String {
    let chars = text.chars();
    chars
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

fn time(seconds: f64) -> SystemTime {
    let since = Duration::try_from_secs_f64(seconds.min(LONGEST)).unwrap_or_default();
    UNIX_EPOCH + since
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs_f64().round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn now() -> f64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.expect("after 1970").as_secs_f64()
    }

    fn waiting() -> Value {
        json!({
            "id": "17", "route": "calls", "key": "CA1", "reason": "connect", "state": "waiting",
            "received_seconds": now() - 7200.0, "since_seconds": now() - 7200.0,
            "next_try_seconds": now() - 1.0, "attempts": 2, "last_error": "connection refused\u{1b}[2J",
            "bytes": 812,
        })
    }

    #[test]
    fn a_line_says_what_waits_and_why_and_has_no_control_characters() {
        let callback: Callback = serde_json::from_value(waiting()).expect("a callback");
        let line = callback.to_line();
        assert!(line.starts_with("17: calls, CA1, received 2h"), "{line}");
        let end = "due now, 2 attempts failed: connection refused\u{FFFD}[2J";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn a_callback_is_shown_with_its_request() {
        let mut details = waiting();
        details["request"] = json!({
            "client_addr": "192.0.2.1", "method": "POST", "path": "/status",
            "query": [{ "name": "a", "value": "…" }],
            "headers": [{ "name": "x-twilio-signature", "value": "…" }],
            "body": {
                "bytes": 30, "parameters": [{ "name": "From", "value": "…" }],
                "text": null, "base64": null,
            },
        });
        let details: Details = serde_json::from_value(details).expect("a callback");
        let text = details.to_text();
        for line in [
            "id          17",
            "queued for  connect",
            "from        192.0.2.1",
            "POST /status",
            "?a: …",
            "x-twilio-signature: …",
            "body of 30 bytes",
            "From: …",
        ] {
            assert!(
                text.lines().any(|own| own == line),
                "{line} isn't in {text}"
            );
        }
    }
}
