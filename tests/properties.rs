//! What holds for any document: no panic, no quadratic time, nothing valid by `strict` that is not valid by `twilio`, and both XML
//! parsers accept it, also after another program has read and rewritten it.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "most of quick-xml's events pass as they are"
)]

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use nix::time::{ClockId, clock_gettime};
use proptest::{collection::vec, prelude::*, sample::select};
use quick_xml::{
    Reader, Writer,
    escape::{escape, resolve_predefined_entity, unescape},
    events::{BytesStart, BytesText, Event},
};
use understudy::fallback::check_with_second_parser;
use understudy::twiml::{
    Kind, Report, Rules, Strictness, Twiml, check_well_formed, decode_lossy, guess_kind, lint,
    validate,
};

const KINDS: [Kind; 2] = [Kind::Voice, Kind::Messaging];
const CHARSETS: &[Option<&str>] = &[
    None,
    Some("utf-8"),
    Some("iso-8859-1"),
    Some("utf-16"),
    Some("shift_jis"),
    Some("iso-2022-jp"),
    Some("klingon"),
];

/// Parts of documents, whole and broken.
const PIECES: &[&str] = &[
    "<Response>",
    "</Response>",
    "<Response/>",
    "<Say>",
    "</Say>",
    "<Say voice=\"alice\">",
    "<Gather input='dtmf speech'>",
    "</Gather>",
    "<Dial>",
    "</Dial>",
    "<Number>",
    "</Number>",
    "<Conference endConferenceOnExit='",
    "'>",
    "</Conference>",
    "<Start>",
    "</Start>",
    "<Stream url='wss://x'/>",
    "<Message>",
    "</Message>",
    "<Body>",
    "</Body>",
    "<prosody>",
    "</prosody>",
    "<Enqueue>",
    "</Enqueue>",
    "<Task>",
    "</Task>",
    "{\"a\":1}",
    "<amazon:effect>",
    "</amazon:effect>",
    "<say>",
    "</say>",
    " method='get'",
    " a='1'",
    " a=\"1\"",
    "+15551234567",
    "text",
    " ",
    "\n",
    "\r\n",
    "é",
    "🍰",
    "&amp;",
    "&#233;",
    "&#xE9;",
    "&#0;",
    "&nbsp;",
    "&",
    "<",
    ">",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "--",
    "<?pi ",
    "?>",
    "<?xml ",
    "<?xml version='1.0' encoding='",
    "iso-8859-1",
    "utf-16",
    "'?>",
    "<!DOCTYPE x>",
    "\0",
    "\u{1}",
    "\u{FFFE}",
    "\u{FEFF}",
    "'",
    "\"",
    "=",
    "/>",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    vec(select(PIECES), 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        soup(),
        (soup(), vec(any::<u8>(), 0..8), soup()).prop_map(|(a, b, c)| [a, b, c].concat())
    ]
}

/// Well-formed documents with names that the grammar knows, but not always where it allows them.
fn tree() -> impl Strategy<Value = String> {
    let names = || {
        select(
            &[
                "Say", "Play", "Gather", "Dial", "Number", "Sip", "Message", "Body", "break", "p",
                "say", "Start",
            ][..],
        )
    };
    let attributes = select(
        &[
            "",
            " method='POST'",
            " method='x'",
            " voice='a&amp;b'",
            " loop = \"2\"",
            " zé='<'",
        ][..],
    );
    let attributes = attributes.prop_map(|a| a.replace('<', "&lt;"));
    let text = select(
        &[
            "",
            "x",
            " ",
            "\n",
            "a &lt; b",
            "é&#x1F370;",
            "<![CDATA[<&]]>",
            "<!-- c -->",
            "<?p i?>",
            "]]&gt;",
        ][..],
    );
    let leaf = (names(), attributes.clone(), text.clone())
        .prop_map(|(name, attributes, text)| format!("<{name}{attributes}>{text}</{name}>"));
    let tree = leaf.prop_recursive(6, 40, 5, move |inner| {
        (names(), attributes.clone(), text.clone(), vec(inner, 0..5)).prop_map(
            |(name, attributes, text, inner)| {
                format!("<{name}{attributes}>{text}{}</{name}>", inner.concat())
            },
        )
    });
    vec(tree, 0..5).prop_map(|verbs| {
        format!(
            "<?xml version='1.0'?>\n<Response>{}</Response>\n",
            verbs.concat()
        )
    })
}

/// Valid documents. Together they have all elements whose rules can be errors.
const VALID: &[(Kind, &str)] = &[
    (
        Kind::Voice,
        "<Response version='2010-04-01'><Annotate><BillingReferenceTag>a</BillingReferenceTag></Annotate>\
         <Say voice='alice'>a<break/><p>b</p></Say><Play loop='2'>https://a/b</Play></Response>",
    ),
    (
        Kind::Voice,
        "<Response><Start><Stream url='wss://a'><Parameter name='a' value='b'/></Stream><Siprec name='a'/></Start>\
         <Stop><Stream name='a'/></Stop><Connect><Stream url='wss://a' track='inbound_track'/></Connect></Response>",
    ),
    (
        Kind::Voice,
        "<Response><Enqueue workflowSid='WW0123456789abcdef0123456789abcdef' waitUrl='/a' method='GET'>\
         <Task priority='1'>{\"a\":1}</Task></Enqueue><Enqueue action='https://a'>support</Enqueue></Response>",
    ),
    (
        Kind::Voice,
        "<Response><Dial action='/a'><Queue url='/a' method='POST'>b</Queue></Dial><Dial><Conference participantLabel='a' \
         endConferenceOnExit='true' trim='do-not-trim'>room<Task>{\"a\":1}</Task></Conference></Dial></Response>",
    ),
    (
        Kind::Voice,
        "<Response><Gather input='dtmf' actionOnEmptyResult='true'><Say>a</Say></Gather><Pay action='/a'><Prompt \
         for='postal-code'><Say>a</Say></Prompt></Pay><Record transcribeCallback='/a'/><Redirect>/a</Redirect></Response>",
    ),
    (
        Kind::Voice,
        "<Response><Connect action='/a'><ConversationRelay url='wss://a'><Language code='fr'/></ConversationRelay>\
         </Connect><Refer><Sip>sip:a@b</Sip></Refer><Dial><Sip><Uri>sip:a@b</Uri></Sip></Dial></Response>",
    ),
    (
        Kind::Messaging,
        "<Response><Message to='+1'><Body>a</Body><Media>https://a/b.png</Media></Message><Redirect>/a</Redirect>\
         <Sms>a</Sms></Response>",
    ),
];

/// An element or an attribute that Twilio may add.
#[derive(Clone, Debug)]
enum Unknown {
    Element(String),
    Attribute(String),
}

impl Unknown {
    /// The document with this in one of the places where it may be.
    fn insert_into(self, document: &str, index: prop::sample::Index) -> String {
        let root = document.find('>').expect("has a root");
        let end = document.rfind("</").expect("has a root");
        let (insertion, offsets): (_, Vec<usize>) = match self {
            // After any tag within the root.
            Self::Element(element) => {
                let places = document.match_indices('>').map(|(at, _)| at + 1);
                (
                    element,
                    places.filter(|at| (root + 1..=end).contains(at)).collect(),
                )
            }
            // After the name in any start tag.
            Self::Attribute(attribute) => {
                let tags = document.match_indices('<').map(|(at, _)| at + 1);
                let names = tags.filter(|at| !document[*at..].starts_with('/'));
                let is_end = |c: char| !c.is_alphanumeric();
                let ends = names.map(|at| at + document[at..].find(is_end).expect("the tag ends"));
                (format!(" {attribute}"), ends.collect())
            }
        };
        let at = offsets[index.index(offsets.len())];
        format!("{}{insertion}{}", &document[..at], &document[at..])
    }
}

fn unknown() -> impl Strategy<Value = Unknown> {
    let content = select(
        &[
            "",
            "text",
            "<Say>a</Say>",
            "<Start><Say/></Start>",
            "<Task>{</Task>",
            "<Zzz a='b'/>",
            "{\"a\":",
        ][..],
    );
    let value = select(&["", "true", "1", "/a", "ftp://a", "a b", "&amp;"][..]);
    prop_oneof![
        ("Zz[a-zA-Z]{0,9}", content)
            .prop_map(|(name, content)| Unknown::Element(format!("<{name}>{content}</{name}>"))),
        ("zz[a-zA-Z]{0,9}", value)
            .prop_map(|(name, value)| Unknown::Attribute(format!("{name}='{value}'"))),
    ]
}

fn parse(
    document: &[u8],
    charset: Option<&str>,
    kind: Kind,
    strictness: Strictness,
) -> Option<Twiml> {
    validate(
        Bytes::copy_from_slice(document),
        charset,
        &Rules::new(kind, strictness),
    )
    .ok()
}

fn codes(report: &Report) -> Vec<(u32, String)> {
    let mut codes: Vec<_> = report
        .findings()
        .iter()
        .map(|f| (f.code(), f.path().to_owned()))
        .collect();
    codes.sort();
    codes
}

/// The document as another program would write it, with every reference resolved and escaped again.
fn rewrite(document: &str) -> String {
    let mut reader = Reader::from_str(document);
    let mut writer = Writer::new(Vec::new());
    let mut text = String::new();
    loop {
        let event = reader.read_event().expect("it was accepted");
        match &event {
            // A parser reads every line end as one character (XML 1.0 §2.11), and behind the root there can be no `&#13;`.
            Event::Text(run) => text.push_str(&run.replace("\r\n", "\n").replace('\r', "\n")),
            Event::GeneralRef(reference) => {
                match reference.resolve_char_ref().expect("it was accepted") {
                    Some(character) => text.push(character),
                    None => text
                        .push_str(resolve_predefined_entity(reference).expect("it was accepted")),
                }
            }
            _ => {
                let run = std::mem::take(&mut text);
                writer
                    .write_event(Event::Text(BytesText::from_escaped(escape(&run))))
                    .expect("fits into memory");
            }
        }
        match event {
            Event::Eof => return String::from_utf8(writer.into_inner()).expect("is UTF-8"),
            Event::Text(_) | Event::GeneralRef(_) => {}
            Event::Start(tag) => writer
                .write_event(Event::Start(rewrite_tag(&tag)))
                .expect("fits into memory"),
            Event::Empty(tag) => writer
                .write_event(Event::Empty(rewrite_tag(&tag)))
                .expect("fits into memory"),
            other => writer.write_event(other).expect("fits into memory"),
        }
    }
}

fn rewrite_tag(tag: &BytesStart<'_>) -> BytesStart<'static> {
    let mut rewritten = BytesStart::new(tag.name().as_ref().to_owned());
    for attribute in tag.attributes() {
        let attribute = attribute.expect("it was accepted");
        let value = unescape(&attribute.value).expect("it was accepted");
        rewritten.push_attribute((attribute.key.as_ref(), &*value));
    }
    rewritten
}

/// `PROPTEST_CASES` can raise the number of cases.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.max(2000),
        failure_persistence: None,
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_document_makes_it_panic(document in bytes(), charset in select(CHARSETS)) {
        let well_formed = check_well_formed(&document, charset).is_ok();
        let _ = guess_kind(&document, charset);
        let text = decode_lossy(&document, charset);
        if well_formed {
            prop_assert_eq!(check_with_second_parser(&text), Ok(()), "{}", text);
        }
        for kind in KINDS {
            let report = lint(&document, charset, &Rules::new(kind, Strictness::Twilio));
            for finding in report.findings() {
                let _ = (finding.to_string(), finding.help());
                prop_assert!(finding.position().byte <= document.len() && finding.width() > 0);
            }
            let is_text = parse(&document, charset, kind, Strictness::Twilio).is_some_and(|document| document.is_plain_text());
            prop_assert!(well_formed || is_text || !report.is_valid(Strictness::Twilio));
        }
    }

    #[test]
    fn an_excerpt_shows_the_position_and_no_number(document in bytes(), charset in select(CHARSETS)) {
        for kind in KINDS {
            let result = validate(document.clone().into(), charset, &Rules::new(kind, Strictness::Strict));
            let Err(error) = result else { continue };
            let excerpt = error.excerpt();
            let (length, column, width) = (excerpt.text.chars().count(), excerpt.column as usize, excerpt.width as usize);
            prop_assert!(length <= 162 && (1..=length + 1).contains(&column), "{excerpt:?}");
            prop_assert!(width >= 1 && column + width <= length.max(column) + 1, "{excerpt:?}");
            let is_digit = |c: char| c.is_numeric();
            let numbers = excerpt.text.split(|c| !is_digit(c)).filter(|run| run.chars().count() > 1).count();
            prop_assert_eq!(numbers, 0, "{:?}", excerpt);
        }
    }

    #[test]
    fn strict_accepts_nothing_that_twilio_rejects(document in prop_oneof![soup(), tree().prop_map(String::into_bytes)]) {
        for kind in KINDS {
            let strict = parse(&document, None, kind, Strictness::Strict);
            let twilio = parse(&document, None, kind, Strictness::Twilio);
            prop_assert!(strict.is_none() || twilio.is_some());
            prop_assert!(strict.is_none_or(|document| document.warnings().is_empty()));
            if let Some(twilio) = twilio {
                prop_assert_eq!(twilio.bytes(), &document);
            }
        }
    }

    #[test]
    fn a_rewritten_document_stays_valid(document in prop_oneof![tree(), soup().prop_map(|b| String::from_utf8_lossy(&b).into_owned())]) {
        for kind in KINDS {
            let accepted = parse(document.as_bytes(), None, kind, Strictness::Twilio);
            if accepted.is_none_or(|document| document.is_plain_text()) {
                continue;
            }
            let again = rewrite(&document);
            let rules = Rules::new(kind, Strictness::Twilio);
            let (before, after) = (lint(document.as_bytes(), None, &rules), lint(again.as_bytes(), None, &rules));
            prop_assert!(after.is_valid(Strictness::Twilio), "{}\n{:?}", again, after);
            prop_assert_eq!(codes(&before), codes(&after), "{}", again);
        }
    }

    #[test]
    fn unknown_names_are_at_most_warnings(
        (document, at, insertion) in (select(VALID), any::<prop::sample::Index>(), unknown())
    ) {
        let changed = insertion.insert_into(document.1, at);
        let rules = Rules::new(document.0, Strictness::Twilio);
        let report = lint(changed.as_bytes(), None, &rules);
        prop_assert!(report.is_valid(Strictness::Twilio), "{changed}\n{report:#?}");
        prop_assert!(!report.findings().is_empty(), "{changed}");
    }

    #[test]
    fn both_parsers_accept_a_well_formed_tree(document in tree()) {
        prop_assert!(check_well_formed(document.as_bytes(), None).is_ok());
        prop_assert_eq!(check_with_second_parser(&document), Ok(()));
    }
}

/// The time that this thread has been running, however busy the machine is.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("Linux counts it")
        .into()
}

/// A megabyte of everything that could be slow. Linear work takes milliseconds, also in a debug build; quadratic work would take
/// hours, so the limit can be generous.
#[test]
fn no_document_takes_quadratic_time() {
    const SIZE: usize = 1 << 20;
    let fill = |head: &str, piece: &str, tail: &str| {
        format!("{head}{}{tail}", piece.repeat(SIZE / piece.len()))
    };
    let attributes: String = (0..256).map(|i| format!(" é{i}='x'")).collect();
    let same_bucket: String = (0..200).map(|i| format!(" a{:03}bc=''", i)).collect();
    let documents: &[Cow<'_, str>] = &[
        fill("<Response>", "<x/>", "</Response>").into(),
        fill("<Response>", "<Start/>", "</Response>").into(),
        fill("<Response><Start>", "<x/>", "</Start></Response>").into(),
        fill("<Response>", "<Say a='1' b='2'/>", "</Response>").into(),
        fill("<Response>", "<Say loop='x'/>", "</Response>").into(),
        fill("<Response>", "t<Say/>", "</Response>").into(),
        fill("<Response>", "<x>", "").into(),
        fill("<Response><Say>", "<prosody>", "").into(),
        fill("<Response><Say>", "x", "</Say></Response>").into(),
        fill("<Response><Say>", "<p>&amp;é</p>", "</Say></Response>").into(),
        fill("<Response><Say>", "]", "</Say></Response>").into(),
        fill("<Response><Say>", "&#38;", "</Say></Response>").into(),
        fill("<Response>", " ", "</Response>").into(),
        fill("<Response>", "<!---->", "</Response>").into(),
        fill("<Response>", "<!--", "</Response>").into(),
        fill("<Response>", "<?a?>", "</Response>").into(),
        fill("<Response>", "<![CDATA[]]>", "</Response>").into(),
        fill("<Response><Say voice='", "é", "'/></Response>").into(),
        fill(
            "<Response><Record recordingStatusCallbackEvent='",
            "x ",
            "'/></Response>",
        )
        .into(),
        fill(
            "<Response><Enqueue><Task>",
            "[",
            "</Task></Enqueue></Response>",
        )
        .into(),
        fill("<Response ", "é", "=''/>").into(),
        fill("<", "é", "/>").into(),
        fill("<Response>", &format!("<Say{attributes}/>"), "</Response>").into(),
        fill("<Response>", &format!("<Say{same_bucket}/>"), "</Response>").into(),
        fill(
            "<?xml version='1.0' encoding='shift_jis'?><Response>",
            "<x/>",
            "</Response>",
        )
        .into(),
        fill("<?xml version='1.0' encoding='", "a", "'?><Response/>").into(),
        fill("<?xml version='1.0'", " ", "?><Response/>").into(),
        fill("", "\n", "<Response>&</Response>").into(),
        fill("<Response>", "\r", "&</Response>").into(),
    ];
    for document in documents {
        for kind in KINDS {
            let start = thread_time();
            let report = lint(
                document.as_bytes(),
                None,
                &Rules::new(kind, Strictness::Twilio),
            );
            let words: usize = report
                .findings()
                .iter()
                .map(|f| f.to_string().len() + f.path().len())
                .sum();
            let took = thread_time() - start;
            assert!(
                took < Duration::from_secs(20),
                "{took:?} for {}… ({words})",
                document.chars().take(60).collect::<String>()
            );
        }
    }
}

#[test]
fn a_rewritten_document_with_windows_line_ends_stays_valid() {
    let document = "<Response/>\r\n";
    let again = rewrite(document);
    assert!(parse(again.as_bytes(), None, Kind::Voice, Strictness::Strict).is_some());
}
