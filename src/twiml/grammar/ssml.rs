//! SSML, the speech markup within `<Say>`: <https://www.twilio.com/docs/voice/twiml/say/text-speech#use-ssml>. Names are
//! lower-case; twilio-go writes them capitalised (`<Break>`), which Twilio does not know (twilio-go#220).

use super::{
    element::{Element, SCHEMA, any, attribute, element, one_of},
    value::ValueType,
};

/// What `<Say>` may hold.
pub(super) const SSML: &str = "break emphasis lang p phoneme prosody s say-as sub w";

pub(super) const ELEMENTS: &[Element] = &[
    element("break").attributes(&[
        one_of(
            "strength",
            &["none", "x-weak", "weak", "medium", "strong", "x-strong"],
        ),
        attribute("time", ValueType::Duration),
    ]),
    element("emphasis")
        .children("break emphasis lang phoneme prosody say-as sub w")
        .allows_text()
        .attributes(&[one_of("level", &["strong", "moderate", "reduced"])]),
    element("lang")
        .children(SSML)
        .allows_text()
        .attributes(&[attribute("xml:lang", ValueType::Language)]),
    element("p")
        .children("break emphasis lang phoneme prosody s say-as sub w")
        .allows_text(),
    element("phoneme").requires_text(SCHEMA).attributes(&[
        one_of(
            "alphabet",
            &[
                "ipa",
                "x-sampa",
                "x-amazon-jyutping",
                "x-amazon-pinyin",
                "x-amazon-pron-kana",
                "x-amazon-yomigana",
            ],
        ),
        any("ph"),
    ]),
    element("prosody")
        .children(SSML)
        .allows_text()
        .attributes(&[any("volume"), any("rate"), any("pitch")]),
    element("s")
        .children("break emphasis lang phoneme prosody say-as sub w")
        .allows_text(),
    element("say-as").requires_text(SCHEMA).attributes(&[
        one_of(
            "interpret-as",
            &[
                "characters",
                "spell-out",
                "cardinal",
                "number",
                "ordinal",
                "digits",
                "fraction",
                "unit",
                "date",
                "time",
                "address",
                "expletive",
                "telephone",
            ],
        ),
        one_of(
            "format",
            &[
                "mdy", "dmy", "ymd", "md", "dm", "ym", "my", "d", "m", "y", "yyyymmdd",
            ],
        ),
        any("role"), // in twilio-java until 2022
    ]),
    element("sub")
        .requires_text(SCHEMA)
        .attributes(&[any("alias")]),
    element("w")
        .children("break emphasis phoneme prosody say-as sub")
        .allows_text()
        .attributes(&[any("role")]),
];
