//! Queued callbacks as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::form;
use crate::queue::{Callback, Entry, State};

/// What is in the place of a value.
const MASK: &str = "…";

/// The longest name of a parameter that is shown; Twilio's are shorter.
const LONGEST_NAME: usize = 64;

/// What is known of a callback without what its caller sent.
pub(super) fn entry(entry: &Entry) -> Value {
    let (state, next_try) = match entry.state {
        State::Waiting { next_try } => ("waiting", Some(next_try)),
        State::Claimed => ("delivering", None),
        State::Dead => ("dead", None),
    };
    json!({
        "id": entry.id.to_string(),
        "route": entry.route,
        "key": entry.key,
        "reason": entry.reason,
        "state": state,
        "received_seconds": seconds(entry.received),
        "since_seconds": seconds(entry.since),
        "next_try_seconds": next_try.map(seconds),
        "attempts": entry.attempts,
        "last_error": entry.last_error,
        "bytes": entry.size,
    })
}

/// The request. Without `reveal`, it has no value of a header or a parameter, and nothing of another body than a form.
pub(super) fn request(callback: &Callback, reveal: bool) -> Value {
    let (path, query) = match callback.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*callback.target, None),
    };
    let headers = callback.headers.iter().map(|(name, value)| {
        let value = reveal.then(|| String::from_utf8_lossy(value.as_bytes()));
        json!({ "name": name.as_str(), "value": value.as_deref().unwrap_or(MASK) })
    });
    let is_form = form::is_form(&callback.headers);
    let text = str::from_utf8(&callback.body).ok();
    let (text, base64) = match (reveal, text) {
        (false, _) => (None, None),
        (true, Some(text)) => (Some(text), None),
        (true, None) => (None, Some(BASE64_STANDARD.encode(&callback.body))),
    };
    json!({
        "client_addr": callback.client,
        "method": callback.method.as_str(),
        "path": path,
        "query": query.map(|query| parameters(query.as_bytes(), reveal)),
        "headers": headers.collect::<Vec<_>>(),
        "body": {
            "bytes": callback.body.len(),
            "parameters": is_form.then(|| parameters(&callback.body, reveal)),
            "text": text,
            "base64": base64,
        },
    })
}

fn parameters(form: &[u8], reveal: bool) -> Vec<Value> {
    let parameters = form.split(|byte| *byte == b'&');
    let parameters = parameters.filter(|parameter| !parameter.is_empty());
    let parameters = parameters.map(|parameter| {
        let (name, value) = form::parse(parameter).next().unwrap_or_default();
        let name = String::from_utf8_lossy(&name);
        let value = reveal.then(|| String::from_utf8_lossy(&value));
        let is_shown = reveal || (parameter.contains(&b'=') && is_name(&name));
        json!({
            "name": if is_shown { &*name } else { MASK },
            "value": value.as_deref().unwrap_or(MASK),
        })
    });
    parameters.collect()
}

/// Whether a text before a `=` is the name of a parameter. If a body isn't quite a form, a caller's words may stand where names do.
fn is_name(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.[]".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.len() <= LONGEST_NAME
        && text.bytes().all(is_good)
}

/// In seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
