//! One line per invalid document, with its error and the byte where it is.

use super::*;
use bytes::Bytes;

fn syntax(document: impl AsRef<[u8]>) -> (SyntaxError, usize) {
    let error = reject(document);
    let Problem::Syntax(syntax) = error.problem() else {
        panic!("{error:?}");
    };
    (syntax.clone(), error.position().byte)
}

macro_rules! syntax_err {
    ($($test:ident($document:expr) => $error:expr, at $byte:expr;)*) => {
        $(#[test] fn $test() { assert_eq!(syntax($document), ($error, $byte)); })*
    };
}

mod document {
    use super::*;

    syntax_err! {
        empty("") => SyntaxError::NoRoot, at 0;
        only_space(" \n") => SyntaxError::NoRoot, at 2;
        only_a_comment("<!-- -->") => SyntaxError::NoRoot, at 8;
        text_only("Submitted successfully!") => SyntaxError::BeforeRoot, at 0;
        text_before("x<Response/>") => SyntaxError::BeforeRoot, at 0;
        reference_before("&#32;<Response/>") => SyntaxError::BeforeRoot, at 0;
        cdata_before("<![CDATA[]]><Response/>") => SyntaxError::Markup, at 0;
        end_tag_before("</Response>") => SyntaxError::EndTag, at 0;
        text_after("<Response/>x") => SyntaxError::AfterRoot, at 11;
        reference_after("<Response/>&#32;") => SyntaxError::AfterRoot, at 11;
        cdata_after("<Response/><![CDATA[]]>") => SyntaxError::Markup, at 11;
        end_tag_after("<Response/></Response>") => SyntaxError::AfterRoot, at 11;
        second_root("<Response/>\n<Response/>") => SyntaxError::SecondRoot(name("Response")), at 12;
        doctype("<!DOCTYPE Response><Response/>") => SyntaxError::Doctype, at 0;
        doctype_of_html("<!doctype html><html></html>") => SyntaxError::HtmlDoctype, at 0;
        doctype_after_declaration("<?xml version='1.0'?>\n<!DOCTYPE r [<!ENTITY a 'b'>]><r/>") => SyntaxError::Doctype, at 22;
        php_source("<?php\nrequire \"Services/Twilio.php\";\n") => SyntaxError::Unclosed(Construct::Pi), at 0;
    }
}

mod declaration_errors {
    use super::*;

    syntax_err! {
        after_space(" <?xml version=\"1.0\"?><Response/>") => SyntaxError::DeclarationNotFirst, at 1;
        after_line("\n<?xml version=\"1.0\"?><Response/>") => SyntaxError::DeclarationNotFirst, at 1;
        after_comment("<!----><?xml version=\"1.0\"?><Response/>") => SyntaxError::DeclarationNotFirst, at 7;
        within("<Response><?xml version=\"1.0\"?></Response>") => SyntaxError::DeclarationNotFirst, at 10;
        empty("<?xml?><Response/>") => SyntaxError::DeclarationVersion, at 5;
        no_version("<?xml encoding='UTF-8'?><Response/>") => SyntaxError::DeclarationVersion, at 6;
        version_2("<?xml version='2.0'?><Response/>") => SyntaxError::DeclarationVersion, at 15;
        version_unquoted("<?xml version=1.0?><Response/>") => SyntaxError::DeclarationVersion, at 6;
        quotes_differ("<?xml version='1.0\"?><Response/>") => SyntaxError::DeclarationVersion, at 6;
        no_space_between("<?xml version='1.0'encoding='UTF-8'?><Response/>") => SyntaxError::DeclarationEncoding, at 19;
        encoding_with_space("<?xml version='1.0' encoding=' UTF-8'?><Response/>") => SyntaxError::DeclarationEncoding, at 30;
        standalone_upper("<?xml version='1.0' standalone='YES'?><Response/>") => SyntaxError::DeclarationStandalone, at 32;
        order("<?xml version='1.0' standalone='no' encoding='UTF-8'?><Response/>") => SyntaxError::DeclarationEnd, at 36;
        unknown_part("<?xml version='1.0' valid='no'?><Response/>") => SyntaxError::DeclarationEnd, at 20;
        unclosed("<?xml version='1.0'") => SyntaxError::Unclosed(Construct::Declaration), at 19;
        reserved("<?XML version='1.0'?><Response/>") => SyntaxError::PiReserved, at 0;
    }
}

mod tags {
    use super::*;

    syntax_err! {
        no_name("<Response>1 < 2</Response>") => SyntaxError::TagName, at 13;
        digit("<Response><1/></Response>") => SyntaxError::TagName, at 11;
        ends_in_name("<Response><Sa") => SyntaxError::Unclosed(Construct::Tag), at 13;
        ends_after_angle("<Response><") => SyntaxError::Unclosed(Construct::Tag), at 11;
        ends_in_value("<Response><Say voice=\"al") => SyntaxError::Unclosed(Construct::Tag), at 24;
        truncated("<Response>\n<Say>hello</Say>\n") => SyntaxError::UnclosedElement(name("Response")), at 28;
        truncated_in_end_tag("<Response></Resp") => SyntaxError::Unclosed(Construct::Tag), at 16;
        mismatched("<Response><Say></Response>")
            => SyntaxError::Mismatched { open: name("Say"), close: name("Response") }, at 15;
        mismatched_case("<Response></response>")
            => SyntaxError::Mismatched { open: name("Response"), close: name("response") }, at 10;
        longer_end("<Response></Responses>")
            => SyntaxError::Mismatched { open: name("Response"), close: name("Responses") }, at 10;
        end_without_name("<Response></>") => SyntaxError::EndTag, at 12;
        end_after_space("<Response></ Response>") => SyntaxError::EndTag, at 12;
        end_with_attribute("<Response></Response a='b'>") => SyntaxError::EndTag, at 21;
        slash_alone("<Response><Hangup / ></Response>") => SyntaxError::AttributeName, at 19;
        slash_at_end("<Response><Hangup /") => SyntaxError::Unclosed(Construct::Tag), at 19;
        cdata_in_lower_case("<Response><![cdata[x]]></Response>") => SyntaxError::Markup, at 10;
    }
}

mod attribute_errors {
    use super::*;

    syntax_err! {
        no_value("<Response><Say a></Say></Response>") => SyntaxError::AttributeEquals(name("a")), at 16;
        unquoted("<Response><Say a=b></Say></Response>") => SyntaxError::AttributeQuote(name("a")), at 17;
        no_space("<Response><Say a='1'b='2'/></Response>") => SyntaxError::AttributeSpace, at 20;
        no_name("<Response><Say ='1'/></Response>") => SyntaxError::AttributeName, at 15;
        less("<Response><Say a='<'/></Response>") => SyntaxError::AttributeLess(name("a")), at 18;
        open_quote("<Response><Say a='1></Say></Response>") => SyntaxError::AttributeLess(name("a")), at 20;
        twice("<Response><Say a='1' b='2' a='1'/></Response>") => SyntaxError::DuplicateAttribute(name("a")), at 27;
        twice_on_the_root("<Response a='1' a=''/>") => SyntaxError::DuplicateAttribute(name("a")), at 16;
        bare_ampersand("<Response><Play a='/?a=1&b=2'/></Response>") => SyntaxError::Ampersand, at 24;
        too_many(many(MAX_ATTRIBUTES + 1)) => SyntaxError::TooManyAttributes, at 10 + " a000=''".len() * MAX_ATTRIBUTES;
    }

    fn many(count: usize) -> String {
        let attributes: String = (0..count).map(|i| format!(" a{i:03}=''")).collect();
        format!("<Response{attributes}/>")
    }

    #[test]
    fn as_many_as_allowed() {
        assert_eq!(
            check_well_formed(many(MAX_ATTRIBUTES).as_bytes(), None),
            Ok(())
        );
    }
}

mod text {
    use super::*;

    syntax_err! {
        bare_ampersand("<Response>A & B</Response>") => SyntaxError::Ampersand, at 12;
        in_a_query("<Response>sip:a@b?c=d&e=f</Response>") => SyntaxError::Ampersand, at 21;
        html_entity("<Response>&nbsp;</Response>") => SyntaxError::UnknownEntity(name("nbsp")), at 10;
        no_digits("<Response>&#;</Response>") => SyntaxError::CharacterReference, at 10;
        upper_x("<Response>&#X58;</Response>") => SyntaxError::CharacterReference, at 10;
        no_semicolon("<Response>&#65</Response>") => SyntaxError::CharacterReference, at 10;
        nul("<Response>&#0;</Response>") => SyntaxError::IllegalReference, at 10;
        surrogate("<Response>&#xD800;</Response>") => SyntaxError::IllegalReference, at 10;
        noncharacter("<Response>&#xFFFE;</Response>") => SyntaxError::IllegalReference, at 10;
        huge("<Response>&#99999999999999999999;</Response>") => SyntaxError::IllegalReference, at 10;
        cdata_end("<Response>a]]]>b</Response>") => SyntaxError::CdataEnd, at 12;
        form_feed("<Response>\x0c</Response>") => SyntaxError::IllegalCharacter(0x0C), at 10;
        nul_itself("<Response>\0</Response>") => SyntaxError::IllegalCharacter(0), at 10;
        ffff("<Response>é\u{FFFF}</Response>") => SyntaxError::IllegalCharacter(0xFFFF), at 12;
        first_error_wins("<Response>&</Response>\0") => SyntaxError::Ampersand, at 10;
        dashes("<Response><!-- a -- b --></Response>") => SyntaxError::CommentDashes, at 17;
        three_dashes("<Response><!-- a ---></Response>") => SyntaxError::CommentDashes, at 17;
        comment_unclosed("<Response><!-- </Response>") => SyntaxError::Unclosed(Construct::Comment), at 10;
        cdata_unclosed("<Response><![CDATA[ </Response>") => SyntaxError::Unclosed(Construct::Cdata), at 10;
        pi_unclosed("<Response><?a </Response>") => SyntaxError::Unclosed(Construct::Pi), at 10;
        pi_without_target("<Response><? a?></Response>") => SyntaxError::PiTarget, at 12;
        pi_without_space("<Response><?a+?></Response>") => SyntaxError::PiSpace, at 13;
        too_deep_in_the_grammar(format!("<Response><Say>{}", "<prosody>".repeat(MAX_DEPTH)))
            => SyntaxError::TooDeep, at 15 + 9 * (MAX_DEPTH - 2) + 1;
        too_deep("<Response>".repeat(MAX_DEPTH + 1)) => SyntaxError::TooDeep, at 10 * MAX_DEPTH + 1;
    }
}

#[test]
fn what_is_legal_passes() {
    for document in [
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
        let document = Bytes::copy_from_slice(document.as_bytes());
        assert_eq!(
            validate(document.clone(), None, &rules)
                .expect("is legal")
                .into_bytes(),
            document
        );
    }
}

mod root {
    use super::*;

    #[test]
    fn must_be_response_in_this_spelling() {
        for document in [
            "<response/>",
            "<Responses/>",
            "<html></html>",
            "<x:Response/>",
        ] {
            assert_eq!(
                (reject(document).reason(), reject(document).code()),
                (Reason::Root, 12102),
                "{document}"
            );
        }
    }

    #[test]
    fn comes_before_syntax_errors() {
        for document in [
            "<response>",
            "<head/><Response/>",
            "<html><body><br></body></html>",
            "<soap:Envelope a=b>",
        ] {
            let error = reject(document);
            assert_eq!(
                (error.reason(), error.code(), error.position().byte),
                (Reason::Root, 12102, 1),
                "{document}"
            );
        }
    }
}

mod recognized {
    use super::*;

    fn words(document: &str) -> String {
        let error = reject(document);
        let help = error.finding().help().unwrap_or_default();
        format!("{} {error}: {help}", error.code())
    }

    #[test]
    fn an_html_page_is_named_as_one() {
        let help = "this may be an error page of the app's framework or of a web server before it";
        for (document, root) in [
            ("<html>\n<head><title>502</title></head><hr></html>", "html"),
            ("<!-- nginx --><HTML><BODY>x</BODY></HTML>", "HTML"),
        ] {
            let root = format!(
                "an HTML page, not TwiML: the root element is `<{root}>`, not `<Response>`"
            );
            assert_eq!(words(document), format!("12102 {root}: {help}"));
        }
        for document in [
            "<!DOCTYPE html>\n<html></html>",
            "\n<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"><html>",
        ] {
            let doctype = "an HTML page, not TwiML: it begins with its DOCTYPE";
            assert_eq!(
                words(document),
                format!("12100 {doctype}: {help}"),
                "{document}"
            );
        }
        assert_eq!(
            words("<!DOCTYPE Response><Response/>"),
            "12100 a DOCTYPE: TwiML has no DOCTYPE: leave it out"
        );
    }

    #[test]
    fn a_message_of_php_is_named_as_one() {
        let document = "<?xml version=\"1.0\"?><Response/>";
        let bold = "<br />\n<b>Warning</b>:  Undefined variable $a in <b>/a.php</b> on line <b>3</b><br />\n";
        for document in [
            format!("{bold}{document}"),
            format!("<Response/>{bold}"),
            format!("\nNotice: Undefined index: From in /a.php on line 3\n{document}"),
            format!("PHP Deprecated:  Function a() is deprecated\n{document}"),
            "<br />\n<b>Fatal error</b>:  Uncaught Error".to_owned(),
            format!("<br />\n<font size='1'><table class='xdebug-error xe-warning'>{document}"),
        ] {
            assert_eq!(
                words(&document),
                "12100 a message printed by PHP, outside the TwiML document: \
                 let PHP write its messages to its log: `display_errors = Off` in php.ini",
                "{document}"
            );
        }
        assert!(words("Warnings <Response/>").contains("text before the root element"));
        assert!(words("<br/><Response/>").contains("the root element is `<br>`"));
    }

    #[test]
    fn a_charset_is_named_as_it_was_written() {
        let document = b"<?xml version='1.0' encoding='latin1'?><Response>\x81</Response>";
        assert!(
            check_well_formed(document, None).is_ok(),
            "every byte is a character"
        );
        let document = b"<?xml version='1.0' encoding='us-ascii'?><Response/>";
        let error =
            check_well_formed(&[b"\xEF\xBB\xBF", &document[..]].concat(), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "declared as us-ascii, but the bytes are UTF-8"
        );
        let error = check_well_formed(b"<Response>\xFF</Response>", Some("Utf8")).unwrap_err();
        assert_eq!(error.to_string(), "bytes that are not valid Utf8");
    }
}

#[test]
fn a_position_counts_lines_and_characters() {
    let position = reject("<Response>\r\n<Say>\u{1F370}é\r</Say>\n  &\n</Response>").position();
    assert_eq!((position.line, position.column, position.byte), (4, 3, 33));
}

#[test]
fn a_path_leads_to_the_error() {
    assert_eq!(
        reject("<Response><Gather><Say>&</Say></Gather></Response>").path(),
        "Response/Gather/Say"
    );
}

#[test]
fn nothing_printed_repeats_text_or_numbers() {
    for document in [
        "<Response>+15551234567&</Response>",
        "<Response><Dial a15551234567='' a15551234567=''/></Response>",
    ] {
        let error = reject(document);
        assert!(
            !format!("{error} {error:?} {}", error.path()).contains("5551234567"),
            "{error:?}"
        );
    }
}
