//! What may answer a call: <https://www.twilio.com/docs/voice/twiml>. The verbs; [`super::nouns`] has what
//! they act on.

use super::{
    DIAL_RECORD, Element, RECORDING_EVENTS, TRIM, TRIM_OR_BOOLEAN, Value, any, attribute, boolean,
    element, error, method, one_of, some_of, ssml::SSML, url, warning, whole,
};

pub(super) const VERBS: &[Element] = &[
    element("Response")
        .holds(
            "Annotate Connect Dial Echo Enqueue Gather Hangup Leave Pause Pay Play \
             Prompt Queue Record Redirect Refer Reject Say Sms Start Stop",
        )
        .takes(&[attribute("version", Value::Version).fails(12101)]),
    element("Annotate")
        .holds("BillingReferenceTag")
        .needs_child(error(13110))
        .each_once(error(13111))
        .stray(warning(13112)),
    element("Connect")
        .holds(
            "AiSession Assistant Autopilot Conversation ConversationRelay \
             ConversationRelaySession Room Connect/Stream VirtualAgent",
        )
        .takes(&[url("action"), method("method"), whole("timeout")]),
    element("Dial")
        .holds("Application Client Conference Number Queue Sim Sip WhatsApp")
        .stray(warning(13215))
        .alone("Conference", warning(13000))
        .text()
        .form(Value::PhoneNumber, warning(13223))
        .takes(&[
            url("action"),
            method("method").warns(13210),
            whole("timeout").warns(13212),
            boolean("hangupOnStar").warns(13213),
            whole("timeLimit").warns(13216),
            any("callerId"),
            one_of("record", DIAL_RECORD).warns(13217),
            one_of("trim", TRIM),
            url("recordingStatusCallback").warns(13256),
            method("recordingStatusCallbackMethod"),
            some_of("recordingStatusCallbackEvent", RECORDING_EVENTS),
            boolean("answerOnBridge").warns(13219),
            one_of("ringTone", RING_TONES).warns(13220),
            one_of("recordingTrack", &["both", "inbound", "outbound"]),
            boolean("sequential").warns(13218),
            url("referUrl"),
            method("referMethod"),
            one_of("events", &["call-progress-event"]),
            any("recordingConfigurationId"),
            any("passports"),
            attribute("callReason", Value::AtMost(50)), // in the documentation, in no SDK
            boolean("transcribe"),                      // in the old XSD
            url("transcribeCallback"),                  // in the old XSD
            any("ifMachine"),                           // legacy: only its error 13211 is left
        ]),
    element("Echo"),
    element("Enqueue")
        .holds("Task TaskAttributes")
        // The dictionary has an error for it; Twilio's SDKs emit it, so it is not beyond doubt.
        .needs_text(warning(14204))
        .unless("workflowSid Task TaskAttributes")
        .at_most(64, error(14205))
        .takes(&[
            url("action").fails(14203),
            whole("maxQueueSize"),
            method("method").warns(14201),
            url("waitUrl").fails(14202),
            method("waitUrlMethod").warns(14206),
            // Whether it is one of the account's can't be seen from here.
            attribute("workflowSid", Value::Sid("WW")).warns(14220),
        ]),
    element("Gather")
        .holds("Pause Play Say")
        .stray(warning(13320))
        .takes(&[
            some_of("input", &["dtmf", "speech"]).warns(13326),
            url("action"),
            method("method").warns(13312),
            whole("timeout").warns(13313),
            attribute("speechTimeout", Value::WholeOr("auto")).warns(13327),
            whole("maxSpeechTime").warns(13328),
            boolean("profanityFilter").warns(13333),
            attribute("finishOnKey", Value::Keys).warns(13310),
            whole("numDigits").warns(13314),
            url("partialResultCallback"),
            method("partialResultCallbackMethod").warns(13329),
            attribute("language", Value::Language).warns(13331),
            any("hints"),
            boolean("bargeIn").warns(13332),
            boolean("debug"),
            boolean("actionOnEmptyResult").warns(13338),
            any("speechModel"),
            boolean("enhanced"),
            any("acknowledgeSoundUrl"), // in twilio-python until 2017
        ]),
    element("Hangup").holds("Parameter"),
    element("Leave"),
    element("Pause").takes(&[whole("length").warns(13910)]),
    element("Pay").holds("Parameter Prompt").takes(&[
        one_of("input", &["dtmf"]),
        url("action").fails(64016),
        one_of(
            "bankAccountType",
            &[
                "consumer-checking",
                "consumer-savings",
                "commercial-checking",
                "commercial-savings",
            ],
        ),
        url("statusCallback"),
        method("statusCallbackMethod"),
        whole("timeout"),
        whole("maxAttempts"),
        boolean("securityCode"),
        any("postalCode"),
        whole("minPostalCodeLength"),
        any("paymentConnector"),
        one_of("paymentMethod", &["ach-debit", "credit-card"]),
        one_of("tokenType", &["one-time", "reusable", "payment-method"]),
        // Twilio's SDKs put plain words there, in their tests.
        attribute("chargeAmount", Value::Amount).warns(64003),
        any("currency"),
        any("description"),
        some_of("validCardTypes", CARD_TYPES),
        attribute("language", Value::Language),
        any("credentialSid"), // in twilio-java until 2018
    ]),
    element("Play")
        .text()
        .form(Value::Url, error(11100))
        .takes(&[
            whole("loop").warns(13410),
            attribute("digits", Value::Dtmf).warns(13430),
        ]),
    element("Prompt").holds("Pause Play Say").takes(&[
        one_of(
            "for",
            &[
                "payment-card-number",
                "expiration-date",
                "security-code",
                "postal-code",
                "payment-processing",
                "bank-account-number",
                "bank-routing-number",
            ],
        ),
        some_of(
            "errorType",
            &[
                "timeout",
                "invalid-card-number",
                "invalid-card-type",
                "invalid-date",
                "invalid-security-code",
                "internal-error",
                "input-matching-failed",
                // In Twilio's samples, in no SDK:
                "invalid-bank-routing-number",
                "invalid-bank-account-number",
                "invalid-postal-code",
            ],
        ),
        some_of("cardType", CARD_TYPES),
        attribute("attempt", Value::Wholes),
        boolean("requireMatchingInputs"),
    ]),
    element("Record").takes(&[
        url("action"),
        method("method").warns(13610),
        whole("timeout").warns(13611),
        attribute("finishOnKey", Value::Keys).warns(13613),
        whole("maxLength").warns(13612),
        boolean("playBeep").warns(13616),
        one_of("trim", TRIM_OR_BOOLEAN).warns(13699),
        url("recordingStatusCallback"),
        method("recordingStatusCallbackMethod"),
        some_of("recordingStatusCallbackEvent", RECORDING_EVENTS).warns(13621),
        boolean("transcribe").warns(13614),
        url("transcribeCallback").fails(13257),
        any("recordingConfigurationId"),
    ]),
    // Empty: loops the current document.
    element("Redirect")
        .text()
        .form(Value::Url, error(11100))
        .takes(&[method("method").warns(13710)]),
    element("Refer")
        .holds("Refer/Sip")
        .takes(&[url("action"), method("method")]),
    element("Reject")
        .holds("Parameter")
        .takes(&[one_of("reason", &["rejected", "busy"]).warns(13810)]),
    element("Say")
        .holds(SSML)
        .needs_text(warning(13520))
        .unless(SSML)
        .at_most(4096, warning(13521)) // Polly takes 3,000 billed characters; which ones are billed depends on the markup
        .takes(&[
            attribute("voice", Value::Voice).warns(13511),
            whole("loop").warns(13510),
            attribute("language", Value::Language).warns(13512),
            any("rate"), // legacy: only its error 13513 is left
        ]),
    element("Sms")
        .needs_text(warning(14103))
        .at_most(1600, warning(14103))
        .takes(&[
            any("to").warns(14101),
            any("from").warns(14102),
            url("action"),
            method("method").warns(14104),
            url("statusCallback").warns(14105),
        ]),
    element("Start")
        .holds("MediaFilter Recording Siprec Stream Transcription")
        .stray(error(14300))
        .takes(&[url("action"), method("method")]),
    element("Stop")
        // No SDK has `Recording` here; the page of error 14300 does.
        .holds("MediaFilter Recording Siprec Stream Transcription")
        .stray(error(14300)),
];

const RING_TONES: &[&str] = &[
    "at", "au", "be", "bg", "br", "ch", "cl", "cn", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr",
    "hu", "il", "in", "it", "jp", "lt", "mx", "my", "nl", "no", "nz", "ph", "pl", "pt", "ru", "se",
    "sg", "th", "tw", "uk", "us", "us-old", "ve", "za",
];

const CARD_TYPES: &[&str] = &[
    "visa",
    "mastercard",
    "amex",
    "maestro",
    "discover",
    "optima",
    "jcb",
    "diners-club",
    "enroute",
];
