//! What the verbs of a call act on, and what those nouns hold in turn: <https://www.twilio.com/docs/voice/twiml>.

use super::{
    Attribute, DIAL_RECORD, Element, RECORDING_EVENTS, SCHEMA, TRIM, TRIM_OR_BOOLEAN, Value, any,
    attribute, boolean, element, error, method, one_of, some_of, url, warning, whole,
};

pub(super) const NOUNS: &[Element] = &[
    //
    // Nouns of <Annotate>
    //
    element("BillingReferenceTag")
        .needs_text(SCHEMA)
        .at_most(128, error(13120)),
    //
    // Nouns of <Connect>
    //
    element("AiSession").takes(&[any("aiConnector"), any("aiSessionConfiguration")]),
    // Gone from twilio-python and twilio-ruby in 2026, still in the others.
    element("Assistant")
        .holds("Language Parameter")
        .takes(&[any("id"), any("interruptByDtmf")])
        .and(CONVERSATION),
    element("Autopilot").needs_text(SCHEMA),
    element("Conversation").takes(&[
        any("serviceInstanceSid"),
        boolean("inboundAutocreation"),
        whole("routingAssignmentTimeout"),
        whole("inboundTimeout"),
        url("url"),
        method("method"),
        one_of("record", DIAL_RECORD),
        one_of("trim", TRIM),
        url("recordingStatusCallback"),
        method("recordingStatusCallbackMethod"),
        some_of("recordingStatusCallbackEvent", RECORDING_EVENTS),
        url("statusCallback"),
        method("statusCallbackMethod"),
        some_of(
            "statusCallbackEvent",
            &[
                "call-initiated",
                "call-ringing",
                "call-answered",
                "call-in-progress",
                "call-completed",
            ],
        ),
    ]),
    element("ConversationRelay")
        .holds("Failover Language Parameter")
        .takes(&[
            attribute("url", Value::Socket),
            any("events"),
            any("eotThreshold"),
            any("applicationReconnect"),
            any("asrSmartFormat"),
            any("conversationConfiguration"),
            any("conversationId"),
            any("customerName"),
            any("eagerEotThreshold"),
            any("echoPromptFiltering"),
            any("elevenlabsLanguageTextNormalization"),
            any("includeInPrompt"),
            any("partialPromptOnHangup"),
            any("ttsLanguageTextNormalization"),
            any("ttsTextNormalization"),
            any("turnDetection"),
            // twilio-python and twilio-ruby write these four so …
            any("backgroundNoiseReduction"),
            any("speechTimeout"),
            any("deepgramSmartFormat"),
            any("ignoreBackchannel"),
            // … and the other SDKs so.
            any("backgroundnoisereduction"),
            any("speechtimeout"),
            any("deepgramsmartformat"),
            any("ignorebackchannel"),
        ])
        .and(CONVERSATION),
    // Announced in Twilio's changelog of 2026-11-18, in no SDK yet: what it takes is not known.
    element("Failover").unchecked(),
    element("ConversationRelaySession").takes(&[any("connector"), any("sessionConfiguration")]),
    element("Room").needs_text(SCHEMA).takes(&[
        any("participantIdentity"),
        url("statusCallback"), // in Twilio's samples of 2019
        any("mediaRegion"),    // in Twilio's samples of 2019
    ]),
    element("VirtualAgent").holds("Config Parameter").takes(&[
        any("connectorName"),
        any("language"),
        boolean("sentimentAnalysis"),
        url("statusCallback"),
        url("statuscallback"), // so written in Twilio's samples
        method("statusCallbackMethod"),
    ]),
    //
    // Nouns of <Dial>
    //
    element("Application")
        .holds("ApplicationSid Parameter")
        .text()
        .takes(&[
            url("url"),
            method("method"),
            any("customerId"),
            boolean("copyParentTo"),
        ])
        .and(CALL_STATUS),
    element("ApplicationSid").needs_text(SCHEMA),
    element("Client")
        .holds("Identity Parameter")
        .text()
        .takes(&[
            url("url"),
            method("method"),
            url("clientNotificationUrl"), // in the documentation, in no SDK
        ])
        .and(CALL_STATUS),
    element("Conference")
        .holds("Conference/Task")
        .needs_text(warning(13237))
        .at_most(128, warning(13237))
        .takes(&[
            boolean("muted").warns(13230),
            one_of("beep", &["true", "false", "onEnter", "onExit"]).warns(13235),
            boolean("startConferenceOnEnter").warns(13232),
            boolean("endConferenceOnExit").warns(13231),
            url("waitUrl").warns(13233),
            method("waitMethod").warns(13234),
            whole("maxParticipants"),
            one_of(
                "record",
                &["do-not-record", "record-from-start", "true", "false"],
            ),
            one_of(
                "region",
                &["us1", "us2", "ie1", "sg1", "br1", "au1", "jp1", "de1"],
            ),
            // Whether it is a live participant can't be seen from here.
            attribute("coach", Value::Sid("CA")).warns(13240),
            one_of("trim", TRIM_OR_BOOLEAN).warns(13239),
            some_of(
                "statusCallbackEvent",
                &[
                    "start",
                    "end",
                    "join",
                    "leave",
                    "mute",
                    "hold",
                    "modify",
                    "speaker",
                    "announcement",
                ],
            ),
            url("statusCallback"),
            method("statusCallbackMethod"),
            url("recordingStatusCallback"),
            method("recordingStatusCallbackMethod"),
            some_of("recordingStatusCallbackEvent", RECORDING_EVENTS),
            url("eventCallbackUrl"),
            one_of("jitterBufferSize", &["large", "medium", "small", "off"]),
            attribute("participantLabel", Value::Label(128)).fails(16023),
            any("recordingConfigurationId"),
            any("whisper"),   // in twilio-java until 2019
            method("method"), // in the old XSD
            url("url"),       // in the old XSD
        ]),
    // No SDK knows it, errors 14230 to 14239 do.
    element("Conference/Task")
        .text()
        .form(Value::Json, error(14231))
        .takes(&[
            attribute("workflowSid", Value::Sid("WW")).warns(14230),
            whole("priority").warns(14232),
            whole("timeout").warns(14233),
        ]),
    element("Number")
        .needs_text(warning(13223))
        .form(Value::PhoneNumber, warning(13223))
        .takes(&[
            attribute("sendDigits", Value::Dtmf).warns(13222),
            url("url"),
            method("method").warns(13221),
            any("byoc"),
        ])
        .and(CALL_STATUS_AND_MACHINE),
    // Also a verb of its own.
    element("Queue")
        // The dictionary has an error for it, 14212; with a reservation there is no name.
        .needs_text(warning(14212))
        .unless("reservationSid")
        .at_most(64, error(14213))
        .takes(&[
            url("url").fails(14211),
            method("method").warns(14210),
            // Whether it is one of the account's can't be seen from here.
            attribute("reservationSid", Value::Sid("WR")).warns(14215),
            any("postWorkActivitySid"),
            any("postworkActivitySid"), // in the old XSD
        ]),
    element("Sim").needs_text(SCHEMA),
    element("Sip")
        .holds("Headers Uri")
        .needs_text(warning(13243))
        .unless("Uri")
        .form(Value::SipUri, warning(13243))
        .takes(&[
            any("username").warns(13249),
            any("password").warns(13249),
            url("url"),
            method("method").warns(13241),
        ])
        .and(CALL_STATUS_AND_MACHINE),
    element("WhatsApp")
        .needs_text(SCHEMA)
        .takes(&[url("url"), method("method")])
        .and(CALL_STATUS),
    //
    // Nouns of <Enqueue>, <Refer>, <Start> and <Stop>
    //
    element("Task")
        .needs_text(SCHEMA)
        .form(Value::Json, error(14221))
        .takes(&[
            whole("priority"),
            whole("timeout"),
            any("workflowSid"), // in the old XSD
        ]),
    element("TaskAttributes").needs_text(SCHEMA), // in the old XSD: the former name of Task
    element("Refer/Sip")
        .needs_text(SCHEMA)
        .form(Value::SipUri, warning(13243)),
    element("Recording").takes(&[
        any("name"), // in the page of error 14300, in no SDK
        url("recordingStatusCallback"),
        method("recordingStatusCallbackMethod"),
        some_of("recordingStatusCallbackEvent", RECORDING_EVENTS),
        one_of("trim", TRIM),
        one_of("track", &["inbound", "outbound", "both"]),
        one_of("channels", &["mono", "dual"]),
        any("recordingConfigurationId"),
    ]),
    element("Siprec").holds("Parameter").takes(&[
        any("name"),
        any("connectorName"),
        one_of("track", TRACKS),
        url("statusCallback"),
        method("statusCallbackMethod"),
    ]),
    // `name` says which filter is started or stopped.
    element("MediaFilter").holds("Parameter").takes(&[
        any("name"),
        one_of("track", TRACKS),
        one_of("filterType", &["noise"]),
        any("model"),
    ]),
    element("Stream")
        .holds("Parameter")
        .takes(&[one_of("track", TRACKS).warns(31941)])
        .and(STREAM),
    // A stream in both directions can send only what comes in: documentation of <Connect><Stream>, error 31941.
    element("Connect/Stream")
        .holds("Parameter")
        .takes(&[attribute(
            "track",
            Value::OneOfNot(&["inbound_track"], &["outbound_track", "both_tracks"]),
        )
        .fails(31941)])
        .and(STREAM),
    element("Transcription").holds("Config Parameter").takes(&[
        any("name"),
        one_of("track", TRACKS),
        url("statusCallbackUrl"),
        method("statusCallbackMethod"),
        any("inboundTrackLabel"),
        any("outboundTrackLabel"),
        boolean("partialResults"),
        any("languageCode"),
        any("transcriptionEngine"),
        boolean("profanityFilter"),
        any("speechModel"),
        any("hints"),
        boolean("enableAutomaticPunctuation"),
        any("intelligenceService"),
        boolean("enableProviderData"), // in the documentation, in no SDK
        any("conversationConfiguration"), // in the documentation, in no SDK
        any("conversationId"),         // in the documentation, in no SDK
    ]),
    //
    // Nouns of nouns
    //
    element("Config").takes(&[any("name"), any("value")]),
    element("Header").takes(&[any("name"), any("value")]),
    element("Headers").holds("Header"),
    element("Identity").needs_text(SCHEMA),
    element("Language").takes(&[
        any("code"),
        any("ttsProvider"),
        any("voice"),
        any("transcriptionProvider"),
        any("speechModel"),
        any("asrSmartFormat"),
        any("hints"),
        any("ttsTextNormalization"),
        any("ttsLanguageTextNormalization"),
    ]),
    element("Parameter").takes(&[any("name"), any("value")]),
    element("Uri")
        .text()
        .form(Value::SipUri, warning(13243))
        .takes(&[
            any("priority"),
            any("weight"),
            any("username"),
            any("password"),
        ]),
];

/// Where a stream goes to.
const STREAM: &[Attribute] = &[
    any("name"),
    any("connectorName"),
    // May be relative: documentation of <Stream>.
    attribute("url", Value::SocketOrRelative).warns(31922),
    url("statusCallback"),
    method("statusCallbackMethod"),
    any("audioFormat"),
    any("sampleRate"),
];

/// How an assistant talks and listens.
const CONVERSATION: &[Attribute] = &[
    any("language"),
    any("ttsLanguage"),
    any("transcriptionLanguage"),
    any("ttsProvider"),
    any("voice"),
    any("transcriptionProvider"),
    any("speechModel"),
    boolean("profanityFilter"),
    boolean("dtmfDetection"),
    any("welcomeGreeting"),
    boolean("partialPrompts"),
    one_of("welcomeGreetingInterruptible", INTERRUPTIBLE),
    one_of("interruptible", INTERRUPTIBLE),
    boolean("preemptible"),
    any("hints"),
    any("intelligenceService"),
    one_of("reportInputDuringAgentSpeech", INTERRUPTIBLE), // SDKs say boolean
    any("elevenlabsTextNormalization"),
    any("interruptSensitivity"),
    any("debug"),
];

/// Callbacks on a call's progress.
const CALL_STATUS: &[Attribute] = &[
    some_of(
        "statusCallbackEvent",
        &["initiated", "ringing", "answered", "completed"],
    ),
    url("statusCallback"),
    method("statusCallbackMethod"),
];

/// The same, and answering machine detection.
const CALL_STATUS_AND_MACHINE: &[Attribute] = &[
    CALL_STATUS[0],
    CALL_STATUS[1],
    CALL_STATUS[2],
    any("machineDetection"),
    method("amdStatusCallbackMethod"),
    url("amdStatusCallback"),
    whole("machineDetectionTimeout"),
    whole("machineDetectionSpeechThreshold"),
    whole("machineDetectionSpeechEndThreshold"),
    whole("machineDetectionSilenceTimeout"),
];

const INTERRUPTIBLE: &[&str] = &["none", "dtmf", "speech", "any", "true", "false"];

const TRACKS: &[&str] = &["inbound_track", "outbound_track", "both_tracks"];
