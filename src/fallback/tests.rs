//! Documents as they are read and as they are sent: what is rejected and where, which variant is chosen, and what holds for any
//! values.

mod properties;

use super::*;
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{Rules, Strictness};

fn rules(kind: Kind) -> Rules {
    Rules::new(kind, Strictness::Strict)
}

fn parse(document: &str) -> Result<Document, Error> {
    Document::parse(
        Bytes::copy_from_slice(document.as_bytes()),
        &rules(Kind::Voice),
    )
}

fn valid(document: &str) -> Document {
    parse(document).unwrap_or_else(|error| panic!("{document}: {error}"))
}

fn render(document: &str, form: &str) -> String {
    text(&valid(document).render(&Parameters::new(b"", form.as_bytes())))
}

fn text(document: &Bytes) -> String {
    String::from_utf8(document.to_vec()).expect("a document is UTF-8")
}

fn says(words: &str) -> String {
    format!("<Response><Say>{words}</Say></Response>")
}

#[test]
fn a_byte_order_mark_is_not_sent() {
    for words in ["Hello", "Hello {{From}}"] {
        let document = says(words);
        let sent = render(&format!("\u{feff}{document}"), "From=you");
        assert_eq!(sent, document.replace("{{From}}", "you"));
    }
    let at = reject(&format!("\u{feff}{}", says("{{")));
    assert!(at.starts_with("1:16"), "{at}");
}

#[test]
fn a_declaration_of_another_charset_is_an_error() {
    for charset in ["UTF-8", "utf-8", "utf8"] {
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"{charset}\"?>{}",
            says("é")
        );
        assert_eq!(render(&document, ""), document);
    }
    for charset in ["ISO-8859-1", "UTF-16", "windows-1252", "unknown"] {
        for words in ["e", "é", "{{From}}"] {
            let document = format!(
                "<?xml version='1.0' encoding='{charset}'?>\n{}",
                says(words)
            );
            for mark in ["", "\u{feff}"] {
                let error = reject(&format!("{mark}{document}"));
                let expected = format!(
                    "1:31 declared as {charset}, but a fallback document is sent as UTF-8; write encoding=\"UTF-8\", and save it so"
                );
                assert_eq!(error, expected);
            }
        }
    }
}

/// The position and the message of the error in a document.
fn reject(document: &str) -> String {
    let error = parse(document).map(drop).expect_err(document);
    let position = error
        .position()
        .map(|position| format!("{}:{}", position.line, position.column));
    format!("{} {error}", position.unwrap_or_default())
}

#[test]
fn the_built_in_documents_are_valid() {
    for (kind, document) in [
        (Kind::Voice, BUILT_IN_VOICE),
        (Kind::Messaging, BUILT_IN_MESSAGING),
    ] {
        let parsed = Document::parse(document.into(), &rules(kind)).expect("valid");
        assert_eq!(parsed.render(&Parameters::new(b"", b"")), document);
        assert!(Document::parse(empty_response(), &rules(kind)).is_ok());
    }
}

#[test]
fn a_document_without_placeholders_is_shared() {
    let document = valid(&says("}} { {x} is no placeholder"));
    let parameters = Parameters::new(b"x=1", b"");
    let (one, other) = (document.render(&parameters), document.render(&parameters));
    assert_eq!(one.as_ptr(), other.as_ptr());
}

#[test]
fn a_value_replaces_its_placeholder() {
    for (document, form, expected) in [
        ("{{From}}", "From=%2B12025550147", "+12025550147"),
        ("{{ Body }}|{{\tBody\n}}", "Body=a+b%20c", "a b c|a b c"),
        ("{{a}}{{b}}{{a}}", "a=1&b=2", "121"),
        ("[{{From}}]", "To=1", "[]"),
        ("[{{From}}]", "from=1&From", "[]"),
        ("{{a}}", "a=first&a=second", "first"),
        ("{{SipHeader_X-Id}}", "SipHeader_X-Id=7", "7"),
        ("{a:{{a}}}", "a=1", "{a:1}"),
        (
            "{{City}}",
            "City=K%C3%B6ln+%F0%9F%8D%B0",
            "K\u{f6}ln \u{1F370}",
        ),
        ("{{a}}", "a=%3C%3E%26%22%27", "&lt;&gt;&amp;&quot;&apos;"),
        ("{{a}}>", "a=]]", "&#93;&#93;>"),
        ("{{a}}", "a=%00b%1Bc%EF%BF%BEd%EF%BF%BF%7F", "bcd\u{7F}"),
        ("{{a}}", "a=%09%0A%0D", "&#9;&#10;&#13;"),
        ("{{a}}", "a=%FF", "\u{FFFD}"),
        ("{{a}}", "a={{b}}&b=1", "{{b}}"),
    ] {
        assert_eq!(
            render(&says(document), form),
            says(expected),
            "{document} {form}"
        );
    }
}

#[test]
fn the_query_goes_before_the_form() {
    let parameters = Parameters::new(b"a=query&b=%2B1", b"a=form&c=2");
    let document = valid(&says("{{a}} {{b}} {{c}}")).render(&parameters);
    assert_eq!(text(&document), says("query +1 2"));
}

#[test]
fn a_value_can_be_in_an_attribute_of_either_quotes() {
    let document =
        "<Response><Dial action='/x?a=1&amp;from={{a}}' callerId=\"{{a}}\">{{b}}</Dial></Response>";
    let expected = "<Response><Dial action='/x?a=1&amp;from=&apos;&quot;&lt;' callerId=\"&apos;&quot;&lt;\">+1</Dial></Response>";
    assert_eq!(render(document, "a='%22<&b=%2B1"), expected);
}

#[test]
fn values_that_would_make_the_document_invalid_are_left_out() {
    let long = "x".repeat(RESPONSE_LIMIT);
    let queue = "<Response><Enqueue action='{{action}}'>{{queue}}</Enqueue></Response>";
    for (document, form, expected) in [
        (says("{{a}}"), format!("a={long}"), says("")),
        (
            says("{{a}}{{b}}"),
            format!("b=1&a={}", "<".repeat(RESPONSE_LIMIT / 4)),
            says(""),
        ),
        (
            queue.into(),
            "action=ftp://x&queue=a".into(),
            queue.replace("{{action}}", "").replace("{{queue}}", ""),
        ),
        (
            queue.into(),
            format!("queue={}", "x".repeat(65)),
            queue.replace("{{action}}", "").replace("{{queue}}", ""),
        ),
        (
            queue.into(),
            format!("queue={}", "x".repeat(64)),
            queue
                .replace("{{action}}", "")
                .replace("{{queue}}", &"x".repeat(64)),
        ),
    ] {
        assert_eq!(render(&document, &form), expected);
    }
    let room = RESPONSE_LIMIT - says("").len();
    assert_eq!(
        render(&says("{{a}}"), &format!("a={}", &long[..room])).len(),
        RESPONSE_LIMIT
    );
    assert_eq!(
        render(&says("{{a}}"), &format!("a={}", &long[..=room])),
        says("")
    );
}

#[test]
fn an_invalid_placeholder_is_rejected_where_it_is() {
    let no_name = "this is not a valid placeholder: a fallback document has no logic, only parameters of the request; write the name of one, `{{From}}`";
    for (wrong, said) in [
        ("{{#if From}}x{{/if}}", no_name),
        ("{{> footer}}", no_name),
        ("{{a.b}}", no_name),
        ("{{a b}}", no_name),
        ("{{&a}}", no_name),
        ("{{! hush }}", no_name),
        ("{{\u{e9}}}", no_name),
        ("{{}}", no_name),
        ("{{ }}", no_name),
        ("{{a{{b}}", no_name),
        (
            "{{{a}}}",
            "`{{{` is not a valid placeholder: what comes from a request is always escaped; write `{{From}}`",
        ),
        (
            "{{a",
            "no `}}` closes this `{{`; write `{{From}}`, or `{&#123;` for the two braces themselves",
        ),
        (
            "{{a}",
            "no `}}` closes this `{{`; write `{{From}}`, or `{&#123;` for the two braces themselves",
        ),
    ] {
        let document = format!("<Response>\n<Say>\u{e9} {{{{ok}}}} {wrong}</Say></Response>");
        assert_eq!(reject(&document), format!("2:15 {said}"), "{wrong}");
    }
    assert_eq!(render(&says("{&#123;"), ""), says("{&#123;"));
}

#[test]
fn a_placeholder_is_valid_in_text_and_attributes_only() {
    let said = "a value can't stand here, only in text or in an attribute's value: not in a name, a comment or CDATA";
    for document in [
        "{{a}}<Response/>",
        "<{{a}}/>",
        "<Res{{a}}ponse/>",
        "<Response {{a}}/>",
        "<Response {{a}}='1'/>",
        "<Response v{{a}}='1'/>",
        "<Response version={{a}}/>",
        "<Response version={{a}}''/>",
        "<Response version=''{{a}}/>",
        "<Response/{{a}}>",
        "<Response/>{{a}}",
        "<Response></Response{{a}}>",
        "<Response><!-- {{a}} --></Response>",
        "<Response><!-- {{b}} --><{{a}}/></Response>",
        "<Response><?pi {{a}}?></Response>",
        "<Response><?{{a}}?></Response>",
        "<Response><Say><![CDATA[{{a}}]]></Say></Response>",
        "<Response><Say>{{ok}}<![CDATA[a]]{{a}}>]]></Say></Response>",
    ] {
        let wrong = document
            .find("{{b")
            .or_else(|| document.find("{{a"))
            .expect("it is there");
        assert_eq!(
            reject(document),
            format!("1:{} {said}", wrong + 1),
            "{document}"
        );
    }
}

#[test]
fn an_invalid_template_is_rejected_with_the_position() {
    for (document, said) in [
        (
            "<Response>\n<Say>{{a}}</Response>",
            "2:11 not valid Voice TwiML with `1` for each value: `</Response>` closes `<Say>`; close `<Say>` first",
        ),
        (
            "<Response><say/>{{a}}</Response>",
            "1:12 not valid Voice TwiML with `1` for each value: unknown element `<say>` in `<Response>`; did you mean `<Say>`?",
        ),
        (
            "<Response><Say>&{{a}};</Say></Response>",
            "1:16 not valid Voice TwiML with `1` for each value: a bare `&`; write `&amp;`",
        ),
        (
            "<Response><Say>{{a}}{{b}}</Say><Enqueue method='{{a}}'>x</Enqueue></Response>",
            "1:49 not valid Voice TwiML with `1` for each value: bad value for `method` on `<Enqueue>`: expected `GET` or `POST`",
        ),
        (
            "<Response><Say language='fr-{{a}}'>x</Say></Response>",
            "1:26 not valid Voice TwiML with `1` for each value: bad value for `language` on `<Say>`: expected a language such as `en-US`",
        ),
        (
            "<Response><Say>]{{a}}]{{b}}></Say></Response>",
            "1:16 not valid Voice TwiML with each value empty: `]]>` in text; write `]]&gt;`",
        ),
        (
            "<Response><Redirect>https://{{a}}/x</Redirect></Response>",
            "1:21 not valid Voice TwiML with each value empty: bad text in `<Redirect>`: expected a relative URL, or one that begins with `https://` or `http://`",
        ),
        (
            "<Response>{{a}}</Response>",
            "1:11 not valid Voice TwiML with `1` for each value: text",
        ),
        (
            "<Response/><!-- {{-->",
            "1:17 no `}}` closes this `{{`; write `{{From}}`, or `{&#123;` for the two braces themselves",
        ),
        ("<Response><Message>x</Message></Response>", ""),
    ] {
        let found = reject(document);
        assert!(found.contains(said), "{document}: {found}");
    }
}

#[test]
fn a_document_that_only_one_parser_accepts_is_rejected_with_the_position() {
    let error = Error::SecondParser {
        message: "tag not closed".into(),
        position: error::position("<Response>\n<Say/></Response>", 11),
    };
    let position = error.position().expect("it is in the document");
    assert_eq!((position.line, position.column), (2, 1));
    assert_eq!(
        error.to_string(),
        "this is well-formed XML for understudy, but not for the second parser, quick-xml: tag not closed; write it in a simpler way"
    );
}

#[test]
fn the_first_variant_that_matches_wins() {
    let variant = |param: &str, is, document| Variant {
        param: param.into(),
        pattern: Pattern::parse(is).expect("valid"),
        document: valid(&says(document)),
    };
    let variants = vec![
        variant("To", "+33*", "french {{To}}"),
        variant("To", "+3*", "near"),
        variant("Digits", "1", "one"),
        variant("Empty", "", "empty"),
        variant("Any", "*", "any"),
    ];
    let voice = DocumentSet::new(valid(&says("else {{To}}")), variants);
    let messaging =
        Document::parse(BUILT_IN_MESSAGING.into(), &rules(Kind::Messaging)).expect("valid");
    let fallback = Fallback::new(voice, messaging);
    for (form, said) in [
        ("To=%2B33123&Digits=1", "french +33123"),
        ("Digits=1&To=%2B32", "near"),
        ("To=33", "else 33"),
        ("To=whatsapp:%2B33", "else whatsapp:+33"),
        ("Digits=1", "one"),
        ("Digits=11", "else "),
        ("Digits=2&Digits=1", "else "),
        ("to=%2B33", "else "),
        ("Empty=", "empty"),
        ("Empty=x", "else "),
        ("Any=", "any"),
        ("", "else "),
    ] {
        let parameters = Parameters::new(b"", form.as_bytes());
        assert_eq!(
            text(&fallback.document(Kind::Voice, &parameters)),
            says(said),
            "{form}"
        );
        assert_eq!(
            fallback.document(Kind::Messaging, &parameters),
            BUILT_IN_MESSAGING
        );
    }
}

#[test]
fn a_star_is_valid_only_at_the_end() {
    let exactly = |text: &str| Ok(Pattern::Exact(text.to_owned()));
    let beginning = |text: &str| Ok(Pattern::Prefix(text.to_owned()));
    assert_eq!(Pattern::parse("+33"), exactly("+33"));
    assert_eq!(Pattern::parse(""), exactly(""));
    assert_eq!(Pattern::parse("+33*"), beginning("+33"));
    assert_eq!(Pattern::parse("*"), beginning(""));
    for text in ["*1", "a*b", "a*b*", "**"] {
        assert_eq!(Pattern::parse(text), Err(PatternError), "{text}");
    }
}

#[test]
fn a_pattern_covers_what_it_matches() {
    for (one, other, covers) in [
        ("1", "1", true),
        ("1", "2", false),
        ("+3*", "+33*", true),
        ("+33*", "+3*", false),
        ("+33*", "+33", true),
        ("+33", "+33*", false),
        ("*", "", true),
    ] {
        let is = |text| Pattern::parse(text).expect("valid");
        assert_eq!(is(one).covers(&is(other)), covers, "{one} {other}");
    }
}
