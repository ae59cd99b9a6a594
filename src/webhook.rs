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

    /// What kind of TwiML Twilio expects in response; none where that isn't certain, as for callbacks and whatever isn't a webhook.
    ///
    /// | the request has | it expects |
    /// |---|---|
    /// | a parameter of [`CALLBACK_MARKS`] | nothing |
    /// | `EventType` with `ConversationSid` or `ChannelSid` | nothing: a webhook of Conversations, or of Chat |
    /// | `MessageStatus` other than `received` | nothing: a status callback |
    /// | `CallSid` and `CallStatus` | voice TwiML, also for `<Sms action>` with its `SmsStatus` |
    /// | `SmsStatus` other than `received` | nothing: a status callback |
    /// | `MessageSid` or `SmsSid`, beginning with `SM` or `MM`, and no `CallSid` | messaging TwiML |
    /// | anything else | nothing |
    pub fn kind(&self) -> Option<Kind> {
        let mut seen = Seen::default();
        for (name, value) in self.iter() {
            let value = value.as_ref();
            match name.as_ref() {
                mark if CALLBACK_MARKS.contains(&mark) => return None,
                "MessageStatus" if value != "received" => return None,
                "SmsStatus" => seen.sms_status |= value != "received",
                "EventType" => seen.event = true,
                "ConversationSid" | "ChannelSid" => seen.conversation = true,
                "CallSid" => seen.call |= !value.is_empty(),
                "CallStatus" => seen.call_status |= !value.is_empty(),
                "MessageSid" | "SmsSid" if is_inbound_sid(value) => seen.message = true,
                "MessageSid" | "SmsSid" => seen.other_message = true,
                _ => {}
            }
        }
        seen.kind()
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

/// Parameters that only callbacks have, and other requests to which Twilio expects no TwiML in response.
const CALLBACK_MARKS: [&str; 8] = [
    "CallbackSource", // <https://www.twilio.com/docs/voice/api/call-resource#statuscallback>
    "RecordingStatus", // recordingStatusCallback
    "StatusCallbackEvent", // conferences, and their participants
    "StreamEvent",    // <Stream statusCallback>
    "StreamSid",      // the same
    "TranscriptionEvent", // <Transcription statusCallbackUrl>
    "TranscriptionStatus", // transcribeCallback
    "UnstableSpeechResult", // <Gather partialResultCallback>
];

/// What [`Parameters::kind`] decides by.
#[derive(Default)]
struct Seen {
    call: bool,
    call_status: bool,
    /// The identifier of an inbound message.
    message: bool,
    /// The identifier of something else where that of a message may stand.
    other_message: bool,
    /// An `SmsStatus` that no inbound message has.
    sms_status: bool,
    event: bool,
    conversation: bool,
}

impl Seen {
    fn kind(&self) -> Option<Kind> {
        if self.event && self.conversation {
            None
        } else if self.call {
            self.call_status.then_some(Kind::Voice)
        } else {
            let is_inbound = self.message && !self.other_message && !self.sms_status;
            is_inbound.then_some(Kind::Messaging)
        }
    }
}

/// Whether an identifier is one of an inbound message. Conversations have others (`IM…`).
fn is_inbound_sid(value: &str) -> bool {
    value.starts_with("SM") || value.starts_with("MM")
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
    fn the_kind_is_what_the_parameters_certainly_ask_for() {
        for (form, kind) in [
            ("CallSid=CA1&CallStatus=ringing", Some(Kind::Voice)),
            (
                "CallSid=CA1&CallStatus=in-progress&Digits=1",
                Some(Kind::Voice),
            ),
            (
                "CallSid=CA1&CallStatus=in-progress&AnsweredBy=human",
                Some(Kind::Voice),
            ),
            (
                "CallSid=CA1&CallStatus=in-progress&SmsSid=SM1&SmsStatus=sending",
                Some(Kind::Voice),
            ),
            ("MessageSid=SM1&Body=hi", Some(Kind::Messaging)),
            ("MessageSid=MM1&NumMedia=1", Some(Kind::Messaging)),
            (
                "SmsSid=SM1&SmsStatus=received&MessageSid=SM1",
                Some(Kind::Messaging),
            ),
            (
                "MessageSid=SM1&MessageStatus=received&Body=hi",
                Some(Kind::Messaging),
            ),
            ("SmsSid=SM1&SmsStatus=delivered", None),
            ("MessageStatus=read&MessageSid=SM1", None),
            ("CallSid=CA1", None),
            ("CallStatus=ringing", None),
            ("CallSid=CA1&CallStatus=", None),
            ("CallSid=CA1&SmsSid=SM1&SmsStatus=received", None),
            (
                "CallSid=CA1&CallStatus=completed&CallbackSource=call-progress-events",
                None,
            ),
            (
                "CallSid=CA1&CallStatus=completed&RecordingStatus=completed",
                None,
            ),
            (
                "CallSid=CA1&CallStatus=in-progress&TranscriptionStatus=completed",
                None,
            ),
            (
                "CallSid=CA1&CallStatus=in-progress&TranscriptionEvent=transcription-content",
                None,
            ),
            (
                "CallSid=CA1&CallStatus=in-progress&UnstableSpeechResult=",
                None,
            ),
            ("CallSid=CA1&StreamSid=MZ1&StreamEvent=stream-started", None),
            (
                "CallSid=CA1&ConferenceSid=CF1&StatusCallbackEvent=participant-join",
                None,
            ),
            (
                "CallSid=CA1&MachineDetectionDuration=4000&AnsweredBy=human",
                None,
            ),
            ("CallSid=CA1&For=payment-card-number&Attempt=1", None),
            ("MessageSid=IM1&Body=hi", None),
            ("MessageSid=IM1&SmsSid=SM1&Body=hi", None),
            ("EventType=onMessageAdd&ConversationSid=CH1&Body=hi", None),
            (
                "EventType=onMessageAdded&ConversationSid=CH1&MessageSid=SM1",
                None,
            ),
            ("EventType=onMessageSend&ChannelSid=CH1", None),
            ("hello=world", None),
            ("", None),
        ] {
            assert_eq!(of(form).kind(), kind, "{form}");
        }
        assert_eq!(
            Parameters::new(b"CallSid=CA1&CallStatus=ringing", b"").kind(),
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
