//! Whatever a caller sends, what goes out is TwiML, and says what the caller sent.

use form_urlencoded::Serializer;
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::fallback::draft::Draft;
use crate::fallback::template::Template;
use crate::twiml::{Twiml, well_formed};

/// Pages with values wherever Twilio's grammar lets one stand, also where it wants a certain one.
const PAGES: &[&str] = &[
    "<Response><Say>{{a}}</Say></Response>",
    "<?xml version='1.0' encoding='ISO-8859-1'?><Response><Say>{{a}}]]{{b}}&gt;</Say></Response>",
    "<Response><Dial callerId='{{a}}' action=\"/x?a={{b}}&amp;c={{c}}\"><Number>{{a}}</Number></Dial></Response>",
    "<Response><Enqueue action='{{a}}' waitUrl=\"{{b}}//x\">{{c}}</Enqueue></Response>",
    "<Response><Enqueue workflowSid='WW0123456789abcdef0123456789abcdef'><Task>{\"a\": \"{{a}}\", \"b\": \"{{b}}\"}</Task></Enqueue></Response>",
    "<Response><Play>{{a}}{{b}}</Play><Redirect>{{c}}//x</Redirect></Response>",
    "<Response><Redirect>https://x.example/?a={{a}}&amp;b={{b}}</Redirect></Response>",
    "<Response><Dial><Conference participantLabel='{{a}}'>{{b}}</Conference></Dial></Response>",
];

/// What templates and values are made of, with all that could end what a value stands in.
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

/// What may stand in a `<Say>`, and what had better not.
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

/// What could end that.
const ENDS: &[&str] = &[
    "", "]]", "]]>", "--", "-->", "?>", "'", "\"", "<", "&", ">", "x='1'", "amp;",
];

/// A page as somebody who knows little of XML may have written it.
fn template() -> impl Strategy<Value = String> {
    vec(select(FRAGMENTS), 1..4).prop_map(|fragments| says(&fragments.concat()))
}

/// What is left of a value in a page.
fn sayable(value: &str) -> String {
    let is_sayable =
        |c: &char| well_formed(format!("<a>{}</a>", escaped(*c)).as_bytes(), None).is_ok();
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
    fn whatever_a_caller_sends_the_page_is_twiml(page in select(PAGES), query in form(), form in form()) {
        let page = good(page).fill(&Parameters::new(&query, &form));
        prop_assert!(page.len() <= LARGEST);
        let rules = rules(Kind::Voice).at(Strictness::Twilio);
        prop_assert!(Twiml::parse(page, Some("utf-8"), &rules).is_ok());
    }

    #[test]
    fn a_value_is_read_as_it_was_sent(value in soup()) {
        let page = good("<Response><Dial callerId='{{a}}' callReason=\"{{a}}\">{{a}}</Dial></Response>");
        let form = Serializer::new(String::new()).append_pair("a", &value).finish();
        let page = text(&page.fill(&Parameters::new(b"", form.as_bytes())));
        let document = roxmltree::Document::parse(&page).expect("XML");
        let dial = document.root_element().first_child().expect("an element");
        let value = sayable(&value);
        for read in [dial.attribute("callerId"), dial.attribute("callReason"), Some(dial.text().unwrap_or_default())] {
            prop_assert_eq!(read, Some(value.as_str()));
        }
    }

    /// The look at where values stand is enough on its own: no value makes the page another document.
    #[test]
    fn a_template_that_is_taken_is_well_formed_with_any_value(
        page in template(),
        a in select(ENDS),
        b in select(ENDS),
    ) {
        let Ok(draft) = Draft::of(&page) else { return Ok(()) };
        if let Ok(template) = Template::judged(&draft, &rules(Kind::Voice)) {
            let form = Serializer::new(String::new()).append_pair("a", a).append_pair("b", b).finish();
            let filled = template.filled(&Parameters::new(b"", form.as_bytes())).expect("it is short");
            prop_assert_eq!(well_formed(&filled, Some("utf-8")).err(), None);
        }
    }
}
