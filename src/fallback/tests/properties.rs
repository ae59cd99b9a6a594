//! Whatever a caller sends, the document that is sent is TwiML and contains the caller's values.

use form_urlencoded::Serializer;
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::fallback::source::Source;
use crate::fallback::template::Template;
use crate::twiml::{check_well_formed, validate};

/// Documents with placeholders wherever Twilio's grammar allows values, also where it allows only certain ones.
const DOCUMENTS: &[&str] = &[
    "<Response><Say>{{a}}</Say></Response>",
    "<?xml version='1.0' encoding='utf-8'?><Response><Say>{{a}}]]{{b}}&gt;</Say></Response>",
    "<Response><Dial callerId='{{a}}' action=\"/x?a={{b}}&amp;c={{c}}\"><Number>{{a}}</Number></Dial></Response>",
    "<Response><Enqueue action='{{a}}' waitUrl=\"{{b}}//x\">{{c}}</Enqueue></Response>",
    "<Response><Enqueue workflowSid='WW0123456789abcdef0123456789abcdef'><Task>{\"a\": \"{{a}}\", \"b\": \"{{b}}\"}</Task></Enqueue></Response>",
    "<Response><Play>{{a}}{{b}}</Play><Redirect>{{c}}//x</Redirect></Response>",
    "<Response><Redirect>https://x.example/?a={{a}}&amp;b={{b}}</Redirect></Response>",
    "<Response><Dial><Conference participantLabel='{{a}}'>{{b}}</Conference></Dial></Response>",
];

/// Parts of templates and values, with all that could end the construct around a value.
const PIECES: &[&str] = &[
    "<",
    ">",
    "&",
    "'",
    "\"",
    "]",
    "]]",
    "]]>",
    "-",
    "--",
    "-->",
    "?>",
    "/>",
    "=",
    "amp;",
    "#",
    ";",
    "<Say>",
    "</Say>",
    "<!--",
    "<![CDATA[",
    "<?pi ",
    "</Response>",
    "<Response>",
    "<Dial callerId='",
    " a=\"",
    "{{a}}",
    "{{b}}",
    "{",
    "}",
    "x",
    "1",
    " ",
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{1}",
    "\u{FFFE}",
    "\u{FFFF}",
    "\u{85}",
    "\u{1F370}",
    "ftp://",
    "://",
    "http",
    "%",
    "+",
];

fn soup() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

fn form() -> impl Strategy<Value = Vec<u8>> {
    let of_soup = vec((select(&["a", "b", "c", "d"][..]), soup()), 0..5).prop_map(|pairs| {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(pairs);
        form.finish().into_bytes()
    });
    prop_oneof![of_soup, vec(any::<u8>(), 0..64)]
}

/// Content of a `<Say>`, valid and not.
const FRAGMENTS: &[&str] = &[
    "{{a}}",
    "{{b}}>",
    "]{{a}}",
    "<!--{{a}}-->",
    "<!-- x -->",
    "<![CDATA[x]]>",
    "<![CDATA[{{b}}]]>",
    "<?pi {{a}}?>",
    "<sub alias='{{a}}'>{{b}}</sub>",
    "<sub alias=\"]]{{b}}\">x</sub>",
    "<sub alias='{{b}}' {{a}}>x</sub>",
    "&{{a}}",
];

/// What could end those.
const ENDS: &[&str] = &[
    "", "]]", "]]>", "--", "-->", "?>", "'", "\"", "<", "&", ">", "x='1'", "amp;",
];

/// A document as an author who knows little XML may write it.
fn template() -> impl Strategy<Value = String> {
    vec(select(FRAGMENTS), 1..4).prop_map(|fragments| says(&fragments.concat()))
}

/// The characters of a value that XML can express.
fn sayable(value: &str) -> String {
    let is_sayable =
        |c: &char| check_well_formed(format!("<a>{}</a>", escaped(*c)).as_bytes(), None).is_ok();
    value.chars().filter(is_sayable).collect()
}

fn escaped(c: char) -> String {
    if c.is_ascii_punctuation() {
        "x".into()
    } else {
        c.into()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn whatever_a_caller_sends_the_document_is_twiml(document in select(DOCUMENTS), query in form(), form in form()) {
        let document = valid(document).render(&Parameters::new(&query, &form));
        prop_assert!(document.len() <= RESPONSE_LIMIT);
        let rules = rules(Kind::Voice).with_strictness(Strictness::Twilio);
        prop_assert!(validate(document, Some("utf-8"), &rules).is_ok());
    }

    #[test]
    fn a_value_is_read_as_it_was_sent(value in soup()) {
        let document = valid("<Response><Dial callerId='{{a}}' callReason=\"{{a}}\">{{a}}</Dial></Response>");
        let form = Serializer::new(String::new()).append_pair("a", &value).finish();
        let document = text(&document.render(&Parameters::new(b"", form.as_bytes())));
        let document = roxmltree::Document::parse(&document).expect("XML");
        let dial = document.root_element().first_child().expect("an element");
        let value = sayable(&value);
        for read in [dial.attribute("callerId"), dial.attribute("callReason"), Some(dial.text().unwrap_or_default())] {
            prop_assert_eq!(read, Some(value.as_str()));
        }
    }

    /// The check of the placeholders is enough on its own: no value changes the structure of the document.
    #[test]
    fn a_template_that_is_taken_is_well_formed_with_any_value(
        document in template(),
        a in select(ENDS),
        b in select(ENDS),
    ) {
        let Ok(source) = Source::parse(&document) else { return Ok(()) };
        if let Ok(template) = Template::new(&source, &rules(Kind::Voice)) {
            let form = Serializer::new(String::new()).append_pair("a", a).append_pair("b", b).finish();
            let filled = template.fill(&Parameters::new(b"", form.as_bytes())).expect("it is short");
            prop_assert_eq!(check_well_formed(&filled, Some("utf-8")).err(), None);
        }
    }
}
