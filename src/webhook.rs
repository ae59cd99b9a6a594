//! The parameters of a webhook request: which TwiML Twilio expects in response, whether the message is an opt-out, and Twilio's
//! identifier of the call or message. They hold personal data, so nothing but that identifier is logged.

use std::borrow::Cow;

use crate::form;
use crate::twiml::Kind;

/// Keywords that unsubscribe a phone number, to which only Twilio may reply
/// (<https://www.twilio.com/docs/messaging/guides/how-to-use-opt-out-keywords>).
const OPT_OUT_KEYWORDS: [&str; 8] = [
    "stop",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
];

/// The parameters of a request: those of its query, then those of its form.
#[derive(Clone, Copy)]
pub struct Parameters<'a> {
    query: &'a [u8],
    form: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// The parameters of this query and this form, either of which may be empty.
    pub fn new(query: &'a [u8], form: &'a [u8]) -> Self {
        Self { query, form }
    }

    /// Each parameter, decoded: its name and its value. What isn't UTF-8 is replaced by U+FFFD.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let parameters = form::parse(self.query).chain(form::parse(self.form));
        parameters.map(|(name, value)| (decode_utf8(name), decode_utf8(value)))
    }

    /// The kind of TwiML that Twilio expects in response. `None` where that isn't certain, as for callbacks and other requests.
    ///
    /// | the request has | Twilio expects |
    /// |---|---|
    /// | a parameter of [`CALLBACK_PARAMETERS`] | nothing |
    /// | `EventType` with `ConversationSid` or `ChannelSid` | nothing: a webhook of Conversations, or of Chat |
    /// | `MessageStatus` other than `received` | nothing: a status callback |
    /// | `CallSid` and `CallStatus` | voice TwiML, also for `<Sms action>` with its `SmsStatus` |
    /// | `SmsStatus` other than `received` | nothing: a status callback |
    /// | `MessageSid` or `SmsSid`, beginning with `SM` or `MM`, and no `CallSid` | messaging TwiML |
    /// | anything else | nothing |
    pub fn twiml_kind(&self) -> Option<Kind> {
        let mut seen = Seen::default();
        for (name, value) in self.iter() {
            let value = value.as_ref();
            match name.as_ref() {
                name if CALLBACK_PARAMETERS.contains(&name) => return None,
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

    /// Whether the message is an opt-out, which gets no reply from us.
    pub fn is_opt_out(&self) -> bool {
        self.iter().any(|(name, value)| match name.as_ref() {
            "OptOutType" => true,
            "Body" => OPT_OUT_KEYWORDS.contains(&value.trim().to_ascii_lowercase().as_str()),
            _ => false,
        })
    }

    /// The identifier of the call or message in Twilio's own logs.
    pub fn sid(&self) -> Option<String> {
        let mut sids = self.iter().filter(|(name, value)| {
            matches!(name.as_ref(), "CallSid" | "MessageSid" | "SmsSid") && is_sid(value)
        });
        sids.next().map(|(_, sid)| sid.into_owned())
    }
}

/// Parameters that only callbacks and similar requests have, for which Twilio expects no TwiML in response.
const CALLBACK_PARAMETERS: [&str; 8] = [
    "CallbackSource", // <https://www.twilio.com/docs/voice/api/call-resource#statuscallback>
    "RecordingStatus", // recordingStatusCallback
    "StatusCallbackEvent", // conferences, and their participants
    "StreamEvent",    // <Stream statusCallback>
    "StreamSid",      // the same
    "TranscriptionEvent", // <Transcription statusCallbackUrl>
    "TranscriptionStatus", // transcribeCallback
    "UnstableSpeechResult", // <Gather partialResultCallback>
];

fn decode_utf8(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    }
}

/// What [`Parameters::twiml_kind`] depends on.
#[derive(Default)]
struct Seen {
    call: bool,
    call_status: bool,
    /// The identifier of an inbound message.
    message: bool,
    /// Another identifier in the place of that of an inbound message.
    other_message: bool,
    /// An `SmsStatus` other than that of an inbound message.
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

/// Whether this identifies an inbound message. Messages of Conversations have other identifiers (`IM…`).
fn is_inbound_sid(value: &str) -> bool {
    value.starts_with("SM") || value.starts_with("MM")
}

/// Whether this is an identifier: two letters and 32 hexadecimal digits. Anything else might be a phone number.
fn is_sid(value: &str) -> bool {
    value.len() == 34
        && value.is_char_boundary(2)
        && value[..2].bytes().all(|byte| byte.is_ascii_uppercase())
        && value[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(form: &str) -> Parameters<'_> {
        Parameters::new(b"", form.as_bytes())
    }

    #[test]
    fn the_kind_is_known_only_where_the_parameters_leave_no_doubt() {
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
            assert_eq!(of(form).twiml_kind(), kind, "{form}");
        }
        assert_eq!(
            Parameters::new(b"CallSid=CA1&CallStatus=ringing", b"").twiml_kind(),
            Some(Kind::Voice)
        );
    }

    #[test]
    fn an_opt_out_has_a_type_or_a_keyword() {
        for (form, is_opt_out) in [
            ("Body=STOP", true),
            ("Body=+stop%0A", true),
            ("Body=UnSubscribe", true),
            ("Body=please+stop", false),
            ("OptOutType=STOP&Body=Arr%C3%AAt", true),
            ("Body=hello", false),
        ] {
            assert_eq!(of(form).is_opt_out(), is_opt_out, "{form}");
        }
    }

    #[test]
    fn only_a_well_formed_identifier_is_returned() {
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
