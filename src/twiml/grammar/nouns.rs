//! The nouns of Voice TwiML, which are the elements within verbs, and the elements within those:
//! <https://www.twilio.com/docs/voice/twiml>.

use super::{
    element::{
        Attribute, DIAL_RECORD, Element, RECORDING_EVENTS, SCHEMA, TRIM, TRIM_OR_BOOLEAN, any,
        attribute, boolean, element, error, integer, method, one_of, some_of, url, warning,
    },
    value::ValueType,
};

pub(super) const NOUNS: &[Element] = &[
    //
    // Nouns of <Annotate>
    //
    element("BillingReferenceTag")
        .requires_text(SCHEMA)
        .max_characters(128, error(13120)),
    //
    // Nouns of <Connect>
    //
    element("AiSession").attributes(&[any("aiConnector"), any("aiSessionConfiguration")]),
    // Gone from twilio-python and twilio-ruby in 2026, still in the others.
    element("Assistant")
        .children("Language Parameter")
        .attributes(&[any("id"), any("interruptByDtmf")])
        .shared_attributes(CONVERSATION),
    element("Autopilot").requires_text(SCHEMA),
    element("Conversation").attributes(&[
        any("serviceInstanceSid"),
        boolean("inboundAutocreation"),
        integer("routingAssignmentTimeout"),
        integer("inboundTimeout"),
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
        .children("Failover Language Parameter")
        .attributes(&[
            attribute("url", ValueType::WebSocketUrl),
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
            // twilio-python and twilio-ruby spell these four like this …
            any("backgroundNoiseReduction"),
            any("speechTimeout"),
            any("deepgramSmartFormat"),
            any("ignoreBackchannel"),
            // … and the other SDKs like this.
            any("backgroundnoisereduction"),
            any("speechtimeout"),
            any("deepgramsmartformat"),
            any("ignorebackchannel"),
        ])
        .shared_attributes(CONVERSATION),
    // Announced in Twilio's changelog of 2026-11-18, but in no SDK yet: its attributes are not known.
    element("Failover").unchecked(),
    element("ConversationRelaySession")
        .attributes(&[any("connector"), any("sessionConfiguration")]),
    element("Room").requires_text(SCHEMA).attributes(&[
        any("participantIdentity"),
        url("statusCallback"), // in Twilio's samples of 2019
        any("mediaRegion"),    // in Twilio's samples of 2019
    ]),
    element("VirtualAgent")
        .children("Config Parameter")
        .attributes(&[
            any("connectorName"),
            any("language"),
            boolean("sentimentAnalysis"),
            url("statusCallback"),
            url("statuscallback"), // spelled like this in Twilio's samples
            method("statusCallbackMethod"),
        ]),
    //
    // Nouns of <Dial>
    //
    element("Application")
        .children("ApplicationSid Parameter")
        .allows_text()
        .attributes(&[
            url("url"),
            method("method"),
            any("customerId"),
            boolean("copyParentTo"),
        ])
        .shared_attributes(CALL_STATUS),
    element("ApplicationSid").requires_text(SCHEMA),
    element("Client")
        .children("Identity Parameter")
        .allows_text()
        .attributes(&[
            url("url"),
            method("method"),
            url("clientNotificationUrl"), // in the documentation, in no SDK
        ])
        .shared_attributes(CALL_STATUS),
    element("Conference")
        .children("Conference/Task")
        .requires_text(warning(13237))
        .max_characters(128, warning(13237))
        .attributes(&[
            boolean("muted").warns(13230),
            one_of("beep", &["true", "false", "onEnter", "onExit"]).warns(13235),
            boolean("startConferenceOnEnter").warns(13232),
            boolean("endConferenceOnExit").warns(13231),
            url("waitUrl").warns(13233),
            method("waitMethod").warns(13234),
            integer("maxParticipants"),
            one_of(
                "record",
                &["do-not-record", "record-from-start", "true", "false"],
            ),
            one_of(
                "region",
                &["us1", "us2", "ie1", "sg1", "br1", "au1", "jp1", "de1"],
            ),
            // Only the form is checked: which participants are in the call is not known here.
            attribute("coach", ValueType::Sid("CA")).warns(13240),
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
            attribute("participantLabel", ValueType::Label(128)).fails(16023),
            any("recordingConfigurationId"),
            any("whisper"),   // in twilio-java until 2019
            method("method"), // in the old XSD
            url("url"),       // in the old XSD
        ]),
    // In the documentation of errors 14230 to 14239, in no SDK.
    element("Conference/Task")
        .allows_text()
        .text_type(ValueType::Json, error(14231))
        .attributes(&[
            attribute("workflowSid", ValueType::Sid("WW")).warns(14230),
            integer("priority").warns(14232),
            integer("timeout").warns(14233),
        ]),
    element("Number")
        .requires_text(warning(13223))
        .text_type(ValueType::PhoneNumber, warning(13223))
        .attributes(&[
            attribute("sendDigits", ValueType::Dtmf).warns(13222),
            url("url"),
            method("method").warns(13221),
            any("byoc"),
        ])
        .shared_attributes(CALL_STATUS_AND_MACHINE),
    // Also a verb.
    element("Queue")
        // Error 14212 in Twilio's dictionary; but with a reservation there is no name.
        .requires_text(warning(14212))
        .unless("reservationSid")
        .max_characters(64, error(14213))
        .attributes(&[
            url("url").fails(14211),
            method("method").warns(14210),
            // Only the form is checked: which SIDs exist in the account is not known here.
            attribute("reservationSid", ValueType::Sid("WR")).warns(14215),
            any("postWorkActivitySid"),
            any("postworkActivitySid"), // in the old XSD
        ]),
    element("Sim").requires_text(SCHEMA),
    element("Sip")
        .children("Headers Uri")
        .requires_text(warning(13243))
        .unless("Uri")
        .text_type(ValueType::SipUri, warning(13243))
        .attributes(&[
            any("username").warns(13249),
            any("password").warns(13249),
            url("url"),
            method("method").warns(13241),
        ])
        .shared_attributes(CALL_STATUS_AND_MACHINE),
    element("WhatsApp")
        .requires_text(SCHEMA)
        .attributes(&[url("url"), method("method")])
        .shared_attributes(CALL_STATUS),
    //
    // Nouns of <Enqueue>, <Refer>, <Start> and <Stop>
    //
    element("Task")
        .requires_text(SCHEMA)
        .text_type(ValueType::Json, error(14221))
        .attributes(&[
            integer("priority"),
            integer("timeout"),
            any("workflowSid"), // in the old XSD
        ]),
    element("TaskAttributes").requires_text(SCHEMA), // in the old XSD, the former name of Task
    element("Refer/Sip")
        .requires_text(SCHEMA)
        .text_type(ValueType::SipUri, warning(13243)),
    element("Recording").attributes(&[
        any("name"), // in the documentation of error 14300, in no SDK
        url("recordingStatusCallback"),
        method("recordingStatusCallbackMethod"),
        some_of("recordingStatusCallbackEvent", RECORDING_EVENTS),
        one_of("trim", TRIM),
        one_of("track", &["inbound", "outbound", "both"]),
        one_of("channels", &["mono", "dual"]),
        any("recordingConfigurationId"),
    ]),
    element("Siprec").children("Parameter").attributes(&[
        any("name"),
        any("connectorName"),
        one_of("track", TRACKS),
        url("statusCallback"),
        method("statusCallbackMethod"),
    ]),
    // `name` tells which filter to start or stop.
    element("MediaFilter").children("Parameter").attributes(&[
        any("name"),
        one_of("track", TRACKS),
        one_of("filterType", &["noise"]),
        any("model"),
    ]),
    element("Stream")
        .children("Parameter")
        .attributes(&[one_of("track", TRACKS).warns(31941)])
        .shared_attributes(STREAM),
    // A bidirectional stream has only the inbound track: documentation of <Connect><Stream>, error 31941.
    element("Connect/Stream")
        .children("Parameter")
        .attributes(&[attribute(
            "track",
            ValueType::OneOfNot(&["inbound_track"], &["outbound_track", "both_tracks"]),
        )
        .fails(31941)])
        .shared_attributes(STREAM),
    element("Transcription")
        .children("Config Parameter")
        .attributes(&[
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
    element("Config").attributes(&[any("name"), any("value")]),
    element("Header").attributes(&[any("name"), any("value")]),
    element("Headers").children("Header"),
    element("Identity").requires_text(SCHEMA),
    element("Language").attributes(&[
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
    element("Parameter").attributes(&[any("name"), any("value")]),
    element("Uri")
        .allows_text()
        .text_type(ValueType::SipUri, warning(13243))
        .attributes(&[
            any("priority"),
            any("weight"),
            any("username"),
            any("password"),
        ]),
];

/// Attributes for where a stream goes.
const STREAM: &[Attribute] = &[
    any("name"),
    any("connectorName"),
    // A relative URL is allowed: documentation of <Stream>.
    attribute("url", ValueType::WebSocketOrRelativeUrl).warns(31922),
    url("statusCallback"),
    method("statusCallbackMethod"),
    any("audioFormat"),
    any("sampleRate"),
];

/// Attributes for how an assistant talks and listens.
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

/// Callbacks on the progress of a call.
const CALL_STATUS: &[Attribute] = &[
    some_of(
        "statusCallbackEvent",
        &["initiated", "ringing", "answered", "completed"],
    ),
    url("statusCallback"),
    method("statusCallbackMethod"),
];

/// Callbacks on the progress of a call, and answering machine detection.
const CALL_STATUS_AND_MACHINE: &[Attribute] = &[
    CALL_STATUS[0],
    CALL_STATUS[1],
    CALL_STATUS[2],
    any("machineDetection"),
    method("amdStatusCallbackMethod"),
    url("amdStatusCallback"),
    integer("machineDetectionTimeout"),
    integer("machineDetectionSpeechThreshold"),
    integer("machineDetectionSpeechEndThreshold"),
    integer("machineDetectionSilenceTimeout"),
];

const INTERRUPTIBLE: &[&str] = &["none", "dtmf", "speech", "any", "true", "false"];

const TRACKS: &[&str] = &["inbound_track", "outbound_track", "both_tracks"];
