//! One line per bad input, with its fault and the byte where it stands.

use super::*;

fn syntax(page: impl AsRef<[u8]>) -> (Syntax, usize) {
    let fault = fault(page);
    let Fact::Syntax(syntax) = fault.fact() else {
        panic!("{fault:?}");
    };
    (syntax.clone(), fault.place().byte)
}

macro_rules! syntax_err {
    ($($test:ident($page:expr) => $fault:expr, at $byte:expr;)*) => {
        $(#[test] fn $test() { assert_eq!(syntax($page), ($fault, $byte)); })*
    };
}

mod document {
    use super::*;

    syntax_err! {
        empty("") => Syntax::NoRoot, at 0;
        only_space(" \n") => Syntax::NoRoot, at 2;
        only_a_comment("<!-- -->") => Syntax::NoRoot, at 8;
        text_only("Submitted successfully!") => Syntax::BeforeRoot, at 0;
        text_before("x<Response/>") => Syntax::BeforeRoot, at 0;
        reference_before("&#32;<Response/>") => Syntax::BeforeRoot, at 0;
        cdata_before("<![CDATA[]]><Response/>") => Syntax::Markup, at 0;
        end_tag_before("</Response>") => Syntax::EndTag, at 0;
        text_after("<Response/>x") => Syntax::AfterRoot, at 11;
        reference_after("<Response/>&#32;") => Syntax::AfterRoot, at 11;
        cdata_after("<Response/><![CDATA[]]>") => Syntax::Markup, at 11;
        end_tag_after("<Response/></Response>") => Syntax::AfterRoot, at 11;
        second_root("<Response/>\n<Response/>") => Syntax::SecondRoot(name("Response")), at 12;
        doctype("<!DOCTYPE Response><Response/>") => Syntax::Doctype, at 0;
        doctype_of_html("<!doctype html><html></html>") => Syntax::HtmlDoctype, at 0;
        doctype_after_declaration("<?xml version='1.0'?>\n<!DOCTYPE r [<!ENTITY a 'b'>]><r/>") => Syntax::Doctype, at 22;
        php_source("<?php\nrequire \"Services/Twilio.php\";\n") => Syntax::Unclosed(Construct::Pi), at 0;
    }
}

mod declaration_faults {
    use super::*;

    syntax_err! {
        after_space(" <?xml version=\"1.0\"?><Response/>") => Syntax::DeclarationNotFirst, at 1;
        after_line("\n<?xml version=\"1.0\"?><Response/>") => Syntax::DeclarationNotFirst, at 1;
        after_comment("<!----><?xml version=\"1.0\"?><Response/>") => Syntax::DeclarationNotFirst, at 7;
        within("<Response><?xml version=\"1.0\"?></Response>") => Syntax::DeclarationNotFirst, at 10;
        empty("<?xml?><Response/>") => Syntax::DeclarationVersion, at 5;
        no_version("<?xml encoding='UTF-8'?><Response/>") => Syntax::DeclarationVersion, at 6;
        version_2("<?xml version='2.0'?><Response/>") => Syntax::DeclarationVersion, at 15;
        version_unquoted("<?xml version=1.0?><Response/>") => Syntax::DeclarationVersion, at 6;
        quotes_differ("<?xml version='1.0\"?><Response/>") => Syntax::DeclarationVersion, at 6;
        no_space_between("<?xml version='1.0'encoding='UTF-8'?><Response/>") => Syntax::DeclarationEncoding, at 19;
        encoding_with_space("<?xml version='1.0' encoding=' UTF-8'?><Response/>") => Syntax::DeclarationEncoding, at 30;
        standalone_upper("<?xml version='1.0' standalone='YES'?><Response/>") => Syntax::DeclarationStandalone, at 32;
        order("<?xml version='1.0' standalone='no' encoding='UTF-8'?><Response/>") => Syntax::DeclarationEnd, at 36;
        unknown_part("<?xml version='1.0' valid='no'?><Response/>") => Syntax::DeclarationEnd, at 20;
        unclosed("<?xml version='1.0'") => Syntax::Unclosed(Construct::Declaration), at 19;
        reserved("<?XML version='1.0'?><Response/>") => Syntax::PiReserved, at 0;
    }
}

mod tags {
    use super::*;

    syntax_err! {
        no_name("<Response>1 < 2</Response>") => Syntax::TagName, at 13;
        digit("<Response><1/></Response>") => Syntax::TagName, at 11;
        ends_in_name("<Response><Sa") => Syntax::Unclosed(Construct::Tag), at 13;
        ends_after_angle("<Response><") => Syntax::Unclosed(Construct::Tag), at 11;
        ends_in_value("<Response><Say voice=\"al") => Syntax::Unclosed(Construct::Tag), at 24;
        truncated("<Response>\n<Say>hello</Say>\n") => Syntax::UnclosedElement(name("Response")), at 28;
        truncated_in_end_tag("<Response></Resp") => Syntax::Unclosed(Construct::Tag), at 16;
        mismatched("<Response><Say></Response>")
            => Syntax::Mismatched { open: name("Say"), close: name("Response") }, at 15;
        mismatched_case("<Response></response>")
            => Syntax::Mismatched { open: name("Response"), close: name("response") }, at 10;
        longer_end("<Response></Responses>")
            => Syntax::Mismatched { open: name("Response"), close: name("Responses") }, at 10;
        end_without_name("<Response></>") => Syntax::EndTag, at 12;
        end_after_space("<Response></ Response>") => Syntax::EndTag, at 12;
        end_with_attribute("<Response></Response a='b'>") => Syntax::EndTag, at 21;
        slash_alone("<Response><Hangup / ></Response>") => Syntax::AttributeName, at 19;
        slash_at_end("<Response><Hangup /") => Syntax::Unclosed(Construct::Tag), at 19;
        cdata_spelt_wrong("<Response><![cdata[x]]></Response>") => Syntax::Markup, at 10;
    }
}

mod attribute_faults {
    use super::*;

    syntax_err! {
        no_value("<Response><Say a></Say></Response>") => Syntax::AttributeEquals(name("a")), at 16;
        unquoted("<Response><Say a=b></Say></Response>") => Syntax::AttributeQuote(name("a")), at 17;
        no_space("<Response><Say a='1'b='2'/></Response>") => Syntax::AttributeSpace, at 20;
        no_name("<Response><Say ='1'/></Response>") => Syntax::AttributeName, at 15;
        less("<Response><Say a='<'/></Response>") => Syntax::AttributeLess(name("a")), at 18;
        open_quote("<Response><Say a='1></Say></Response>") => Syntax::AttributeLess(name("a")), at 20;
        twice("<Response><Say a='1' b='2' a='1'/></Response>") => Syntax::DuplicateAttribute(name("a")), at 27;
        twice_on_the_root("<Response a='1' a=''/>") => Syntax::DuplicateAttribute(name("a")), at 16;
        bare_ampersand("<Response><Play a='/?a=1&b=2'/></Response>") => Syntax::Ampersand, at 24;
        too_many(many(MAX_ATTRIBUTES + 1)) => Syntax::TooManyAttributes, at 10 + " a000=''".len() * MAX_ATTRIBUTES;
    }

    fn many(count: usize) -> String {
        let attributes: String = (0..count).map(|i| format!(" a{i:03}=''")).collect();
        format!("<Response{attributes}/>")
    }

    #[test]
    fn as_many_as_allowed() {
        assert_eq!(well_formed(many(MAX_ATTRIBUTES).as_bytes(), None), Ok(()));
    }
}

mod text {
    use super::*;

    syntax_err! {
        bare_ampersand("<Response>A & B</Response>") => Syntax::Ampersand, at 12;
        in_a_query("<Response>sip:a@b?c=d&e=f</Response>") => Syntax::Ampersand, at 21;
        html_entity("<Response>&nbsp;</Response>") => Syntax::UnknownEntity(name("nbsp")), at 10;
        no_digits("<Response>&#;</Response>") => Syntax::CharacterReference, at 10;
        upper_x("<Response>&#X58;</Response>") => Syntax::CharacterReference, at 10;
        no_semicolon("<Response>&#65</Response>") => Syntax::CharacterReference, at 10;
        nul("<Response>&#0;</Response>") => Syntax::IllegalReference, at 10;
        surrogate("<Response>&#xD800;</Response>") => Syntax::IllegalReference, at 10;
        noncharacter("<Response>&#xFFFE;</Response>") => Syntax::IllegalReference, at 10;
        huge("<Response>&#99999999999999999999;</Response>") => Syntax::IllegalReference, at 10;
        cdata_end("<Response>a]]]>b</Response>") => Syntax::CdataEnd, at 12;
        form_feed("<Response>\x0c</Response>") => Syntax::IllegalCharacter(0x0C), at 10;
        nul_itself("<Response>\0</Response>") => Syntax::IllegalCharacter(0), at 10;
        ffff("<Response>é\u{FFFF}</Response>") => Syntax::IllegalCharacter(0xFFFF), at 12;
        first_fault_wins("<Response>&</Response>\0") => Syntax::Ampersand, at 10;
        dashes("<Response><!-- a -- b --></Response>") => Syntax::CommentDashes, at 17;
        three_dashes("<Response><!-- a ---></Response>") => Syntax::CommentDashes, at 17;
        comment_unclosed("<Response><!-- </Response>") => Syntax::Unclosed(Construct::Comment), at 10;
        cdata_unclosed("<Response><![CDATA[ </Response>") => Syntax::Unclosed(Construct::Cdata), at 10;
        pi_unclosed("<Response><?a </Response>") => Syntax::Unclosed(Construct::Pi), at 10;
        pi_without_target("<Response><? a?></Response>") => Syntax::PiTarget, at 12;
        pi_without_space("<Response><?a+?></Response>") => Syntax::PiSpace, at 13;
        too_deep_in_the_grammar(format!("<Response><Say>{}", "<prosody>".repeat(MAX_DEPTH)))
            => Syntax::TooDeep, at 15 + 9 * (MAX_DEPTH - 2) + 1;
        too_deep("<Response>".repeat(MAX_DEPTH + 1)) => Syntax::TooDeep, at 10 * MAX_DEPTH + 1;
    }
}

#[test]
fn what_is_legal_passes() {
    for page in [
        "<Response/>",
        " \t\r\n<Response/> \n",
        "\u{FEFF}<?xml version=\"1.0\"?><Response/>",
        "<?xml\nversion = '1.12'  encoding = 'utf-8' standalone='no' ?><!-- a --><?b?><Response/><?c d?><!---->",
        "<?xml-stylesheet href=''?><Response/>",
        "<Response ></Response\n>",
        "<Response><Say\n><amazon:effect name='whispered' é·='>'>a > b ]] &#x1F370;&apos;</amazon:effect></Say></Response>",
        "<Response><![CDATA[<&]]]]><![CDATA[>]]></Response>",
        "<Response><?a  ??></Response>",
    ] {
        let rules = Rules::new(Kind::Voice, Strictness::Twilio);
        let page = Bytes::copy_from_slice(page.as_bytes());
        assert_eq!(
            Twiml::parse(page.clone(), None, &rules)
                .expect("is legal")
                .into_bytes(),
            page
        );
    }
}

mod root {
    use super::*;

    #[test]
    fn must_be_response_in_this_spelling() {
        for page in [
            "<response/>",
            "<Responses/>",
            "<html></html>",
            "<x:Response/>",
        ] {
            assert_eq!(
                (fault(page).reason(), fault(page).code()),
                (Reason::Root, 12102),
                "{page}"
            );
        }
    }

    #[test]
    fn is_named_first_whatever_is_malformed_later() {
        for page in [
            "<response>",
            "<head/><Response/>",
            "<html><body><br></body></html>",
            "<soap:Envelope a=b>",
        ] {
            let fault = fault(page);
            assert_eq!(
                (fault.reason(), fault.code(), fault.place().byte),
                (Reason::Root, 12102, 1),
                "{page}"
            );
        }
    }
}

mod culprits {
    use super::*;

    fn words(page: &str) -> String {
        let fault = fault(page);
        let help = fault.finding().help().unwrap_or_default();
        format!("{} {fault}: {help}", fault.code())
    }

    #[test]
    fn an_html_page_is_named_as_one() {
        let help = "this may be an error page of the app's framework or of a web server before it";
        for (page, root) in [
            ("<html>\n<head><title>502</title></head><hr></html>", "html"),
            ("<!-- nginx --><HTML><BODY>x</BODY></HTML>", "HTML"),
        ] {
            let root = format!(
                "an HTML page, not TwiML: the root element is `<{root}>`, not `<Response>`"
            );
            assert_eq!(words(page), format!("12102 {root}: {help}"));
        }
        for page in [
            "<!DOCTYPE html>\n<html></html>",
            "\n<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"><html>",
        ] {
            let doctype = "an HTML page, not TwiML: it begins with its DOCTYPE";
            assert_eq!(words(page), format!("12100 {doctype}: {help}"), "{page}");
        }
        assert_eq!(
            words("<!DOCTYPE Response><Response/>"),
            "12100 a DOCTYPE: TwiML has no DOCTYPE: leave it out"
        );
    }

    #[test]
    fn a_message_of_phps_is_named_as_one() {
        let document = "<?xml version=\"1.0\"?><Response/>";
        let bold = "<br />\n<b>Warning</b>:  Undefined variable $a in <b>/a.php</b> on line <b>3</b><br />\n";
        for page in [
            format!("{bold}{document}"),
            format!("<Response/>{bold}"),
            format!("\nNotice: Undefined index: From in /a.php on line 3\n{document}"),
            format!("PHP Deprecated:  Function a() is deprecated\n{document}"),
            "<br />\n<b>Fatal error</b>:  Uncaught Error".to_owned(),
            format!("<br />\n<font size='1'><table class='xdebug-error xe-warning'>{document}"),
        ] {
            assert_eq!(
                words(&page),
                "12100 a message printed by PHP, outside the TwiML document: \
                 let PHP write its messages to its log: `display_errors = Off` in php.ini",
                "{page}"
            );
        }
        assert!(words("Warnings <Response/>").contains("text before the root element"));
        assert!(words("<br/><Response/>").contains("the root element is `<br>`"));
    }

    #[test]
    fn a_charset_is_named_as_it_was_written() {
        let page = b"<?xml version='1.0' encoding='latin1'?><Response>\x81</Response>";
        assert!(well_formed(page, None).is_ok(), "every byte is a character");
        let page = b"<?xml version='1.0' encoding='us-ascii'?><Response/>";
        let fault = well_formed(&[b"\xEF\xBB\xBF", &page[..]].concat(), None).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "declared as us-ascii, but the bytes are UTF-8"
        );
        let fault = well_formed(b"<Response>\xFF</Response>", Some("Utf8")).unwrap_err();
        assert_eq!(fault.to_string(), "bytes that are not valid Utf8");
    }
}

#[test]
fn a_place_counts_lines_and_characters() {
    let place = fault("<Response>\r\n<Say>\u{1F370}é\r</Say>\n  &\n</Response>").place();
    assert_eq!((place.line, place.column, place.byte), (4, 3, 33));
}

#[test]
fn a_path_leads_to_the_fault() {
    assert_eq!(
        fault("<Response><Gather><Say>&</Say></Gather></Response>").path(),
        "Response/Gather/Say"
    );
}

#[test]
fn nothing_printed_repeats_text_or_numbers() {
    for page in [
        "<Response>+15551234567&</Response>",
        "<Response><Dial a15551234567='' a15551234567=''/></Response>",
    ] {
        let fault = fault(page);
        assert!(
            !format!("{fault} {fault:?} {}", fault.path()).contains("5551234567"),
            "{fault:?}"
        );
    }
}
