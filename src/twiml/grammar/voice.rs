//! The verbs of Voice TwiML: <https://www.twilio.com/docs/voice/twiml>. [`super::nouns`] has the elements within them.

use super::{
    element::{
        DIAL_RECORD, Element, RECORDING_EVENTS, TRIM, TRIM_OR_BOOLEAN, any, attribute, boolean,
        element, error, integer, method, one_of, some_of, url, warning,
    },
    ssml::SSML,
    value::ValueType,
};

pub(super) const VERBS: &[Element] = &[
    element("Response")
        .children(
            "Annotate Connect Dial Echo Enqueue Gather Hangup Leave Pause Pay Play \
             Prompt Queue Record Redirect Refer Reject Say Sms Start Stop",
        )
        .attributes(&[attribute("version", ValueType::Version).fails(12101)]),
    element("Annotate")
        .children("BillingReferenceTag")
        .requires_child(error(13110))
        .unique_children(error(13111))
        .unlisted_child(warning(13112)),
    element("Connect")
        .children(
            "AiSession Assistant Autopilot Conversation ConversationRelay \
             ConversationRelaySession Room Connect/Stream VirtualAgent",
        )
        .attributes(&[url("action"), method("method"), integer("timeout")]),
    element("Dial")
        .children("Application Client Conference Number Queue Sim Sip WhatsApp")
        .unlisted_child(warning(13215))
        .exclusive_child("Conference", warning(13000))
        .allows_text()
        .text_type(ValueType::PhoneNumber, warning(13223))
        .attributes(&[
            url("action"),
            method("method").warns(13210),
            integer("timeout").warns(13212),
            boolean("hangupOnStar").warns(13213),
            integer("timeLimit").warns(13216),
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
            attribute("callReason", ValueType::MaxCharacters(50)), // in the documentation, in no SDK
            boolean("transcribe"),                                 // in the old XSD
            url("transcribeCallback"),                             // in the old XSD
            any("ifMachine"), // legacy, known only from error 13211
        ]),
    element("Echo"),
    element("Enqueue")
        .children("Task TaskAttributes")
        // An error in Twilio's dictionary; but Twilio's SDKs write it, so it may work.
        .requires_text(warning(14204))
        .unless("workflowSid Task TaskAttributes")
        .max_characters(64, error(14205))
        .attributes(&[
            url("action").fails(14203),
            integer("maxQueueSize"),
            method("method").warns(14201),
            url("waitUrl").fails(14202),
            method("waitUrlMethod").warns(14206),
            // Only the form is checked: which SIDs exist in the account is not known here.
            attribute("workflowSid", ValueType::Sid("WW")).warns(14220),
        ]),
    element("Gather")
        .children("Pause Play Say")
        .unlisted_child(warning(13320))
        .attributes(&[
            some_of("input", &["dtmf", "speech"]).warns(13326),
            url("action"),
            method("method").warns(13312),
            integer("timeout").warns(13313),
            attribute("speechTimeout", ValueType::IntegerOr("auto")).warns(13327),
            integer("maxSpeechTime").warns(13328),
            boolean("profanityFilter").warns(13333),
            attribute("finishOnKey", ValueType::Keys).warns(13310),
            integer("numDigits").warns(13314),
            url("partialResultCallback"),
            method("partialResultCallbackMethod").warns(13329),
            attribute("language", ValueType::Language).warns(13331),
            any("hints"),
            boolean("bargeIn").warns(13332),
            boolean("debug"),
            boolean("actionOnEmptyResult").warns(13338),
            any("speechModel"),
            boolean("enhanced"),
            any("acknowledgeSoundUrl"), // in twilio-python until 2017
        ]),
    element("Hangup").children("Parameter"),
    element("Leave"),
    element("Pause").attributes(&[integer("length").warns(13910)]),
    element("Pay").children("Parameter Prompt").attributes(&[
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
        integer("timeout"),
        integer("maxAttempts"),
        boolean("securityCode"),
        any("postalCode"),
        integer("minPostalCodeLength"),
        any("paymentConnector"),
        one_of("paymentMethod", &["ach-debit", "credit-card"]),
        one_of("tokenType", &["one-time", "reusable", "payment-method"]),
        // Twilio's SDKs put plain words here, in their tests.
        attribute("chargeAmount", ValueType::Amount).warns(64003),
        any("currency"),
        any("description"),
        some_of("validCardTypes", CARD_TYPES),
        attribute("language", ValueType::Language),
        any("credentialSid"), // in twilio-java until 2018
    ]),
    element("Play")
        .allows_text()
        .text_type(ValueType::Url, error(11100))
        .attributes(&[
            integer("loop").warns(13410),
            attribute("digits", ValueType::Dtmf).warns(13430),
        ]),
    element("Prompt").children("Pause Play Say").attributes(&[
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
        attribute("attempt", ValueType::Integers),
        boolean("requireMatchingInputs"),
    ]),
    element("Record").attributes(&[
        url("action"),
        method("method").warns(13610),
        integer("timeout").warns(13611),
        attribute("finishOnKey", ValueType::Keys).warns(13613),
        integer("maxLength").warns(13612),
        boolean("playBeep").warns(13616),
        one_of("trim", TRIM_OR_BOOLEAN).warns(13699),
        url("recordingStatusCallback"),
        method("recordingStatusCallbackMethod"),
        some_of("recordingStatusCallbackEvent", RECORDING_EVENTS).warns(13621),
        boolean("transcribe").warns(13614),
        url("transcribeCallback").fails(13257),
        any("recordingConfigurationId"),
    ]),
    // An empty one requests the current document again.
    element("Redirect")
        .allows_text()
        .text_type(ValueType::Url, error(11100))
        .attributes(&[method("method").warns(13710)]),
    element("Refer")
        .children("Refer/Sip")
        .attributes(&[url("action"), method("method")]),
    element("Reject")
        .children("Parameter")
        .attributes(&[one_of("reason", &["rejected", "busy"]).warns(13810)]),
    element("Say")
        .children(SSML)
        .requires_text(warning(13520))
        .unless(SSML)
        .max_characters(4096, warning(13521)) // Polly takes 3,000 billed characters; which ones are billed depends on the markup
        .attributes(&[
            attribute("voice", ValueType::Voice).warns(13511),
            integer("loop").warns(13510),
            attribute("language", ValueType::Language).warns(13512),
            any("rate"), // legacy, known only from error 13513
        ]),
    element("Sms")
        .requires_text(warning(14103))
        .max_characters(1600, warning(14103))
        .attributes(&[
            any("to").warns(14101),
            any("from").warns(14102),
            url("action"),
            method("method").warns(14104),
            url("statusCallback").warns(14105),
        ]),
    element("Start")
        .children("MediaFilter Recording Siprec Stream Transcription")
        .unlisted_child(error(14300))
        .attributes(&[url("action"), method("method")]),
    element("Stop")
        // `Recording` is in the documentation of error 14300, in no SDK.
        .children("MediaFilter Recording Siprec Stream Transcription")
        .unlisted_child(error(14300)),
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
