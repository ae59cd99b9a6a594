//! Speech markup within `<Say>`: <https://www.twilio.com/docs/voice/twiml/say/text-speech#use-ssml>. Names are lower-case;
//! twilio-go writes them capitalised (`<Break>`), which Twilio does not know (twilio-go#220).

use super::{Element, SCHEMA, Value, any, attribute, element, one_of};

/// What `<Say>` may hold.
pub(super) const SSML: &str = "break emphasis lang p phoneme prosody s say-as sub w";

pub(super) const ELEMENTS: &[Element] = &[
    element("break").takes(&[
        one_of(
            "strength",
            &["none", "x-weak", "weak", "medium", "strong", "x-strong"],
        ),
        attribute("time", Value::Duration),
    ]),
    element("emphasis")
        .holds("break emphasis lang phoneme prosody say-as sub w")
        .text()
        .takes(&[one_of("level", &["strong", "moderate", "reduced"])]),
    element("lang")
        .holds(SSML)
        .text()
        .takes(&[attribute("xml:lang", Value::Language)]),
    element("p")
        .holds("break emphasis lang phoneme prosody s say-as sub w")
        .text(),
    element("phoneme").needs_text(SCHEMA).takes(&[
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
        .holds(SSML)
        .text()
        .takes(&[any("volume"), any("rate"), any("pitch")]),
    element("s")
        .holds("break emphasis lang phoneme prosody say-as sub w")
        .text(),
    element("say-as").needs_text(SCHEMA).takes(&[
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
    element("sub").needs_text(SCHEMA).takes(&[any("alias")]),
    element("w")
        .holds("break emphasis phoneme prosody say-as sub")
        .text()
        .takes(&[any("role")]),
];
