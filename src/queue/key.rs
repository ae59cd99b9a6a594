//! What a callback is about. Callbacks of one key are delivered in the order in which they came.

use std::borrow::Cow;

use crate::form;

/// The parameters that may say what a callback is about, the one that holds most callbacks together first. The events of a
/// conference name a participant's call too, except for those of its beginning and its end.
const SUBJECTS: [&[u8]; 12] = [
    b"ConferenceSid",
    b"CallSid",
    b"MessageSid",
    b"SmsSid",
    b"ConversationSid",
    b"ChannelSid",
    b"FaxSid",
    b"TaskSid",
    b"ExecutionSid",
    b"RecordingSid",
    b"TranscriptionSid",
    b"StreamSid",
];

/// The longest identifier; Twilio's have 34 characters.
const LONGEST: usize = 64;

/// The key of a request: the identifier that it is about, else its path. Where the body is not a form, `form` is empty.
pub fn key_of(path: &str, query: &str, form: &[u8]) -> String {
    let mut found: [Option<String>; SUBJECTS.len()] = Default::default();
    // The form first: Twilio writes it, and the app's owner may have written the query.
    for (name, value) in form::parse(form).chain(form::parse(query.as_bytes())) {
        let place = SUBJECTS.iter().position(|subject| **subject == *name);
        if let Some(place) = place.filter(|place| found[*place].is_none()) {
            found[place] = identifier(value);
        }
    }
    let first = found.into_iter().flatten().next();
    first.unwrap_or_else(|| path.to_owned())
}

/// The value, if it is an identifier.
fn identifier(value: Cow<'_, [u8]>) -> Option<String> {
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let is_identifier = (1..=LONGEST).contains(&value.len()) && value.iter().all(is_good);
    let text = String::from_utf8(value.into_owned()).ok();
    text.filter(|_| is_identifier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The key of a recorded webhook.
    fn recorded(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/requests");
        let bytes = fs::read(folder.join(name)).expect("a recorded request");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.expect("an empty line") + 4);
        let head = str::from_utf8(head).expect("ASCII");
        let target = head.split(' ').nth(1).expect("a target");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        key_of(path, query, body)
    }

    #[test]
    fn the_key_of_a_real_webhook_is_what_it_is_about() {
        for (name, kind) in [
            ("voice-status-callback.http", "CA"),
            ("recording-status-callback.http", "CA"),
            ("sms-status-delivered.http", "SM"),
            ("sms-status-failed.http", "SM"),
            ("whatsapp-status-read.http", "SM"),
            ("voice-incoming-get.http", "CA"),
            ("sms-incoming-get.http", "SM"),
        ] {
            let key = recorded(name);
            assert!(key.starts_with(kind) && key.len() == 34, "{name}: {key}");
        }
    }

    #[test]
    fn all_events_of_a_conference_have_its_key() {
        for form in [
            "StatusCallbackEvent=conference-start&ConferenceSid=CF1",
            "CallSid=CA1&StatusCallbackEvent=participant-join&ConferenceSid=CF1",
            "ConferenceSid=CF1&StatusCallbackEvent=conference-end",
        ] {
            assert_eq!(key_of("/c", "", form.as_bytes()), "CF1");
        }
    }

    #[test]
    fn the_form_is_asked_before_the_query_and_the_path_last() {
        for (query, form, expected) in [
            ("CallSid=CA2", "CallSid=CA1", "CA1"),
            ("MessageSid=SM1", "CallSid=CA1", "CA1"),
            ("MessageSid=SM1", "A=b", "SM1"),
            ("", "", "/c/1"),
            ("", "CallSid=", "/c/1"),
            ("CallSid=CA2", "CallSid=a+b", "CA2"),
            ("", "CallSid=%2B12025550147", "/c/1"),
            ("", "Body=CallSid=CA1", "/c/1"),
        ] {
            assert_eq!(
                key_of("/c/1", query, form.as_bytes()),
                expected,
                "{query} {form}"
            );
        }
        let long = format!("CallSid={}", "a".repeat(LONGEST + 1));
        assert_eq!(key_of("/c/1", "", long.as_bytes()), "/c/1");
    }
}
