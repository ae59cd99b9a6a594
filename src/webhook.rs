//! What a webhook's own parameters say about it. They are a caller's data: nothing here is printed but identifiers of Twilio's.

use std::borrow::Cow;

use http::{HeaderMap, header};

use crate::twiml::Kind;

/// Words that unsubscribe a phone number, which nobody but Twilio may answer
/// (<https://www.twilio.com/docs/messaging/guides/how-to-use-opt-out-keywords>).
const STOP_WORDS: [&str; 8] = [
    "stop",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
];

/// The parameters of a request: its query's, then its form's.
#[derive(Clone, Copy)]
pub struct Parameters<'a> {
    query: &'a [u8],
    form: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// Those of this query and this form, either of which may be empty.
    pub fn new(query: &'a [u8], form: &'a [u8]) -> Self {
        Self { query, form }
    }

    /// The value of the first parameter of this name.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value)
    }

    /// Each parameter, decoded.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        form_urlencoded::parse(self.query).chain(form_urlencoded::parse(self.form))
    }

    /// What a TwiML answer to it would be; none for callbacks and what isn't a webhook.
    pub fn kind(&self) -> Option<Kind> {
        let (mut call, mut message) = (false, false);
        for (name, value) in self.iter() {
            match name.as_ref() {
                "MessageStatus" | "CallbackSource" | "RecordingStatus" | "TranscriptionStatus" => {
                    return None;
                }
                "SmsStatus" if value != "received" => return None,
                "MessageSid" | "SmsSid" => message = true,
                "CallSid" => call = true,
                _ => {}
            }
        }
        match (message, call) {
            (true, _) => Some(Kind::Messaging),
            (false, true) => Some(Kind::Voice),
            (false, false) => None,
        }
    }

    /// Whether it is an opt-out, which gets no answer of ours.
    pub fn opts_out(&self) -> bool {
        self.iter().any(|(name, value)| match name.as_ref() {
            "OptOutType" => true,
            "Body" => STOP_WORDS.contains(&value.trim().to_ascii_lowercase().as_str()),
            _ => false,
        })
    }

    /// The identifier by which Twilio's own logs know it.
    pub fn sid(&self) -> Option<String> {
        let mut sids = self.iter().filter(|(name, value)| {
            matches!(name.as_ref(), "CallSid" | "MessageSid" | "SmsSid") && is_sid(value)
        });
        sids.next().map(|(_, sid)| sid.into_owned())
    }
}

/// Two letters and 32 hexadecimal digits; anything else might be somebody's number.
fn is_sid(value: &str) -> bool {
    value.len() == 34
        && value.is_char_boundary(2)
        && value[..2].bytes().all(|byte| byte.is_ascii_uppercase())
        && value[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a request's body is a form. Parameters such as the charset don't matter.
pub fn is_form(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes())
        .unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(form: &str) -> Parameters<'_> {
        Parameters::new(b"", form.as_bytes())
    }

    #[test]
    fn the_kind_is_told_by_the_parameters_and_a_callback_has_none() {
        for (form, kind) in [
            ("CallSid=CA1&CallStatus=ringing", Some(Kind::Voice)),
            ("MessageSid=SM1&Body=hi", Some(Kind::Messaging)),
            (
                "SmsSid=SM1&SmsStatus=received&MessageSid=SM1",
                Some(Kind::Messaging),
            ),
            ("SmsSid=SM1&SmsStatus=delivered", None),
            ("MessageStatus=read&MessageSid=SM1", None),
            ("CallSid=CA1&CallbackSource=call-progress-events", None),
            ("CallSid=CA1&RecordingStatus=completed", None),
            ("CallSid=CA1&TranscriptionStatus=completed", None),
            ("hello=world", None),
            ("", None),
        ] {
            assert_eq!(of(form).kind(), kind, "{form}");
        }
        assert_eq!(
            Parameters::new(b"CallSid=CA1", b"").kind(),
            Some(Kind::Voice)
        );
    }

    #[test]
    fn an_opt_out_is_known_by_its_type_or_its_word() {
        for (form, opts_out) in [
            ("Body=STOP", true),
            ("Body=+stop%0A", true),
            ("Body=UnSubscribe", true),
            ("Body=please+stop", false),
            ("OptOutType=STOP&Body=Arr%C3%AAt", true),
            ("Body=hello", false),
        ] {
            assert_eq!(of(form).opts_out(), opts_out, "{form}");
        }
    }

    #[test]
    fn only_what_looks_like_an_identifier_is_one() {
        let sid = "CAa606dc9b2253f556495c14158a38d9e7";
        assert_eq!(
            of(&format!("From=%2B1&CallSid={sid}")).sid().as_deref(),
            Some(sid)
        );
        assert_eq!(of("CallSid=%2B12025550147").sid(), None);
        assert_eq!(
            of("CallSid=CA%C3%A9606dc9b2253f556495c14158a38d9e7").sid(),
            None
        );
    }
}
