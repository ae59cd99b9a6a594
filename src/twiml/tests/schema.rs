//! One line per document, with the level, the code and the path of each finding.

use super::*;

fn findings(kind: Kind, document: &str) -> Vec<String> {
    let report = lint(
        document.as_bytes(),
        None,
        &Rules::new(kind, Strictness::Twilio),
    );
    report
        .findings()
        .iter()
        .map(|f| format!("{} {} {}", f.level(), f.code(), f.path()))
        .collect()
}

/// The findings in each of these parts of a `<Response>`.
macro_rules! finds {
    ($kind:expr; $($test:ident($document:expr) => [$($finding:expr),*];)*) => {
        $(#[test] fn $test() {
            let none: &[&str] = &[$($finding),*];
            assert_eq!(findings($kind, &format!("<Response>{}</Response>", $document)), none);
        })*
    };
}

mod elements {
    use super::*;

    finds! { Kind::Voice;
        none("") => [];
        misspelt("<say>x</say>") => ["warning 12200 Response/say"];
        what_it_holds_is_passed_over("<say><x a='b'>t</x></say>") => ["warning 12200 Response/say"];
        noun_as_verb("<Stream url='wss://x'/>") => ["warning 12200 Response/Stream"];
        of_the_other_kind("<Message>x</Message>") => ["warning 12200 Response/Message"];
        verb_in_say("<Say>x<Pause/></Say>") => ["warning 12200 Response/Say/Pause"];
        verb_in_gather("<Gather><Hangup/></Gather>")
            => ["warning 12200 Response/Gather/Hangup", "warning 13320 Response/Gather/Hangup"];
        verb_in_dial("<Dial><Say>x</Say></Dial>")
            => ["warning 12200 Response/Dial/Say", "warning 13215 Response/Dial/Say"];
        noun_in_start("<Start><Number>1</Number></Start>")
            => ["warning 12200 Response/Start/Number", "error 14300 Response/Start/Number"];
        noun_in_stop("<Stop><Room>1</Room></Stop>")
            => ["warning 12200 Response/Stop/Room", "error 14300 Response/Stop/Room"];
        unknown_noun_in_start("<Start><Clarify/></Start>")
            => ["warning 12200 Response/Start/Clarify", "warning 14300 Response/Start/Clarify"];
        noun_as_twilio_go_writes_it("<Start><SipRec name='a'/></Start>")
            => ["warning 12200 Response/Start/SipRec", "warning 14300 Response/Start/SipRec"];
        media_filter("<Start><MediaFilter name='a' track='inbound_track' filterType='noise' model='m'>\
            <Parameter name='b' value='c'/></MediaFilter></Start><Stop><MediaFilter name='a'/></Stop>") => [];
        nothing_is_known_of_failover(
            "<Connect><ConversationRelay url='wss://x'><Failover a='b'>c<d/></Failover></ConversationRelay></Connect>"
        ) => [];
        unknown_child_for_the_needed_one("<Annotate><Tag/></Annotate>") => [
            "warning 13110 Response/Annotate", "warning 12200 Response/Annotate/Tag",
            "warning 13112 Response/Annotate/Tag"
        ];
        unknown_attribute_for_the_needed_child("<Annotate tag='x'/>")
            => ["warning 13110 Response/Annotate", "warning 12200 Response/Annotate@tag"];
        stop_recording("<Stop><Recording name='a'/></Stop>") => [];
        two_meanings_of_sip("<Refer><Sip>sip:a@b</Sip></Refer><Dial><Sip><Uri>sip:a@b</Uri></Sip></Dial>") => [];
        attribute_of_one_meaning("<Refer><Sip username='x'>sip:a@b</Sip></Refer>")
            => ["warning 12200 Response/Refer/Sip@username"];
        capital_ssml("<Say><P>x</P></Say>") => ["warning 12200 Response/Say/P"];
        ssml("<Say><p><s>a<break time='1.5s'/></s></p><say-as interpret-as='date'>1</say-as><w>a</w></Say>") => [];
        empty_annotate("<Annotate/>") => ["error 13110 Response/Annotate"];
        other_in_annotate("<Annotate><BillingReferenceTag>a</BillingReferenceTag><X/></Annotate>")
            => ["warning 12200 Response/Annotate/X", "warning 13112 Response/Annotate/X"];
        two_in_annotate(
            "<Annotate><BillingReferenceTag>a</BillingReferenceTag><BillingReferenceTag>b</BillingReferenceTag></Annotate>"
        ) => ["error 13111 Response/Annotate/BillingReferenceTag"];
        conference_and_number("<Dial><Conference>a</Conference><Number>1</Number></Dial>")
            => ["warning 13000 Response/Dial"];
        two_numbers("<Dial><Number>1</Number><Number>2</Number></Dial>") => [];
        two_conferences("<Dial><Conference>a</Conference></Dial><Dial><Conference>b</Conference></Dial>") => [];
    }
}

mod attributes {
    use super::*;

    finds! { Kind::Voice;
        unknown("<Gather partialresultcallback='/x'/>") => ["warning 12200 Response/Gather@partialresultcallback"];
        of_another("<Dial statusCallbackEvent='ringing'/>") => ["warning 12200 Response/Dial@statusCallbackEvent"];
        both_spellings(
            "<Connect><ConversationRelay url='wss://x' speechTimeout='1' speechtimeout='1'/></Connect>"
        ) => [];
        open_sets("<Say voice='Polly.Nobody-Generative' language='xx-YY'>x</Say>") => [];
        bad_voice("<Say voice='en-gb'>x</Say>") => ["warning 13511 Response/Say@voice"];
        bad_loop("<Say loop='twice'>x</Say>") => ["warning 13510 Response/Say@loop"];
        referenced("<Gather numDigits='&#49;' input='dtmf&#x20;speech' method='&#80;OST'/>") => [];
        referenced_and_bad("<Gather numDigits='&#65;'/>") => ["warning 13314 Response/Gather@numDigits"];
        unknown_value("<Dial><Conference endConferenceOnExit='maybe'>a</Conference></Dial>")
            => ["warning 13231 Response/Dial/Conference@endConferenceOnExit"];
        empty_value("<Enqueue method=''>a</Enqueue>") => ["warning 14201 Response/Enqueue@method"];
        bad_method("<Enqueue method='PUT'>a</Enqueue>") => ["warning 14201 Response/Enqueue@method"];
        list("<Record recordingStatusCallbackEvent='in-progress  completed'/>") => [];
        list_with_commas("<Record recordingStatusCallbackEvent='in-progress,completed'/>")
            => ["warning 13621 Response/Record@recordingStatusCallbackEvent"];
        list_of_others("<Record recordingStatusCallbackEvent='ringing'/>")
            => ["warning 13621 Response/Record@recordingStatusCallbackEvent"];
        empty_urls("<Dial><Conference waitUrl=''>a</Conference></Dial><Gather finishOnKey=''/>") => [];
        url_with_reference("<Enqueue waitUrl='/x?a=1&amp;b=2'>a</Enqueue>") => [];
        url_of_another_scheme("<Enqueue waitUrl='ftp://x/y'>a</Enqueue>") => ["error 14202 Response/Enqueue@waitUrl"];
        url_of_an_unknown_scheme("<Play>store://x/y</Play>") => ["warning 11100 Response/Play"];
        url_without_host("<Enqueue action='https:///y'>a</Enqueue>") => ["error 14203 Response/Enqueue@action"];
        url_with_space("<Enqueue action='/a b'>a</Enqueue>") => ["warning 14203 Response/Enqueue@action"];
        plain_socket("<Start><Stream url='ws://x'/></Start>") => ["warning 31922 Response/Start/Stream@url"];
        relative_socket("<Start><Stream url='/media?a=b'/></Start>") => [];
        track_of_a_stream_in_one_direction("<Start><Stream url='wss://x' track='both_tracks'/></Start>") => [];
        track_of_a_stream_in_both_directions("<Connect><Stream url='wss://x' track='both_tracks'/></Connect>")
            => ["error 31941 Response/Connect/Stream@track"];
        unknown_track("<Connect><Stream url='wss://x' track='left_track'/></Connect>")
            => ["warning 31941 Response/Connect/Stream@track"];
        only_track("<Connect><Stream url='wss://x' track='inbound_track'/></Connect>") => [];
        refused_by_the_live_schema("<Connect><ConversationRelay url='wss://x' interruptByDtmf='true'/></Connect>")
            => ["warning 12200 Response/Connect/ConversationRelay@interruptByDtmf"];
        of_xml_schema("<Say xsi:nil='true' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'>x</Say>") => [];
        namespace("<Say xmlns='http://x'>x</Say>") => ["warning 12200 Response/Say@xmlns"];
        long_label(format!("<Dial><Conference participantLabel='{}'>a</Conference></Dial>", "x".repeat(129)))
            => ["error 16023 Response/Dial/Conference@participantLabel"];
    }

    #[test]
    fn version_is_one_of_two() {
        assert_eq!(
            findings(Kind::Voice, "<Response version='2010-04-01'/>"),
            [""; 0]
        );
        assert_eq!(
            findings(Kind::Voice, "<Response version='2027-01-31'/>"),
            ["warning 12101 Response@version"]
        );
        assert_eq!(
            findings(Kind::Messaging, "<Response version='banana'/>"),
            ["error 12101 Response@version"]
        );
    }
}

mod text {
    use super::*;

    finds! { Kind::Voice;
        in_response("x<Hangup/>y") => ["warning 12200 Response"];
        in_gather("<Gather>\n press 1 <Say>x</Say></Gather>") => ["warning 12200 Response/Gather"];
        space_is_no_text("\n <Gather>\t<Pause/>\r\n</Gather> ") => [];
        cdata_is_text("<![CDATA[x]]>") => ["warning 12200 Response"];
        empty_say("<Say/><Say></Say><Say> </Say>")
            => ["warning 13520 Response/Say", "warning 13520 Response/Say", "warning 13520 Response/Say"];
        say_of_speech_markup("<Say><break/></Say>") => [];
        say_as_long_as_may_be(format!("<Say>{}&amp;é<!-- - --></Say>", "x".repeat(4094))) => [];
        say_too_long(format!("<Say>{}<![CDATA[&]]>é!</Say>", "x".repeat(4094))) => ["warning 13521 Response/Say"];
        say_too_long_in_parts(format!("<Say><p>{0}</p>{0}</Say>", "x".repeat(2049))) => ["warning 13521 Response/Say"];
        empty_redirect("<Redirect/><Redirect></Redirect>") => [];
        bad_redirect("<Redirect>\n ftp://x\n</Redirect>") => ["error 11100 Response/Redirect"];
        relative_redirect("<Redirect>../next?a=1&amp;b=2</Redirect>") => [];
        enqueue("<Enqueue>support</Enqueue>") => [];
        enqueue_with_workflow(
            "<Enqueue workflowSid='WW0123456789abcdef0123456789abcdef'><Task>{\"a\":1}</Task></Enqueue>"
        ) => [];
        enqueue_without_name("<Enqueue/>") => ["warning 14204 Response/Enqueue"];
        long_queue(format!("<Enqueue>{}</Enqueue>", "x".repeat(65))) => ["error 14205 Response/Enqueue"];
        broken_task("<Enqueue><Task>{\"a\":}</Task></Enqueue>") => ["error 14221 Response/Enqueue/Task"];
        task_in_loose_json("<Enqueue><Task>{'a': [1,], b: 2}</Task></Enqueue>") => ["warning 14221 Response/Enqueue/Task"];
        task_with_a_line_break("<Enqueue><Task>{\"a\":\"b\nc\"}</Task></Enqueue>") => ["warning 14221 Response/Enqueue/Task"];
        task_with_nan("<Enqueue><Task>{\"a\":NaN}</Task></Enqueue>") => ["warning 14221 Response/Enqueue/Task"];
        task_with_a_comment("<Enqueue><Task>{/*a*/\"a\":1}</Task></Enqueue>") => ["warning 14221 Response/Enqueue/Task"];
        task_of_a_new_format("<Enqueue><Task format='yaml'>{\"a\":}</Task></Enqueue>")
            => ["warning 12200 Response/Enqueue/Task@format", "warning 14221 Response/Enqueue/Task"];
        task_of_words("<Enqueue><Task>foo</Task></Enqueue>") => ["warning 14221 Response/Enqueue/Task"];
        escaped_task("<Enqueue><Task>{&quot;a&quot;: &#49;}</Task></Enqueue>") => [];
        task_in_cdata("<Enqueue><Task><![CDATA[{\"a\": \"&\"}]]></Task></Enqueue>") => [];
        dequeue_by_reservation("<Dial><Queue reservationSid='WR0123456789abcdef0123456789abcdef'/></Dial>") => [];
        number("<Dial>415-123-4567</Dial><Dial><Number>+14151234567</Number></Dial>") => [];
        no_number("<Dial><Number/></Dial>") => ["warning 13223 Response/Dial/Number"];
        words_for_a_number("<Dial>number</Dial>") => ["warning 13223 Response/Dial"];
        sip_without_scheme("<Dial><Sip>kate@example.com</Sip></Dial>") => [];
        long_tag(format!("<Annotate><BillingReferenceTag>{}</BillingReferenceTag></Annotate>", "x".repeat(129)))
            => ["error 13120 Response/Annotate/BillingReferenceTag"];
    }
}

mod messages {
    use super::*;

    finds! { Kind::Messaging;
        usual("<Message>x</Message><Redirect>/y</Redirect><Sms>z</Sms>") => [];
        with_media("<Message to='+1' from='+2'><Body>x</Body><Media>https://x/y.png</Media></Message>") => [];
        only_media("<Message><Media>https://x/y.png</Media></Message>") => [];
        empty("<Message/><Sms/>") => ["warning 14103 Response/Message", "warning 14103 Response/Sms"];
        long(format!("<Message><Body>{}</Body></Message>", "x".repeat(1601))) => ["warning 14103 Response/Message"];
        verb_of_calls("<Say>x</Say>") => ["warning 12200 Response/Say", "warning 14110 Response/Say"];
        misplaced("<Body>x</Body>") => ["warning 12200 Response/Body", "warning 14110 Response/Body"];
    }

    #[test]
    fn plain_text_sends_nothing_and_warns() {
        for document in ["OK", "Created", " \n", "\n{\"success\": true}"] {
            assert_eq!(
                findings(Kind::Messaging, document),
                ["warning 12200 "],
                "{document}"
            );
            assert_eq!(
                findings(Kind::Voice, document),
                ["error 12100 "],
                "{document}"
            );
        }
        for document in ["", "OK <b>", "x<Response/>"] {
            assert_eq!(
                findings(Kind::Messaging, document),
                ["error 12100 "],
                "{document}"
            );
        }
    }

    #[test]
    fn plain_text_is_known_for_what_it_is() {
        let parse = |document: &'static str, strictness| {
            validate(
                document.into(),
                None,
                &Rules::new(Kind::Messaging, strictness),
            )
        };
        assert!(parse("OK", Strictness::Twilio).is_ok_and(|document| document.is_plain_text()));
        assert!(
            parse("<Response/>", Strictness::Twilio)
                .is_ok_and(|document| !document.is_plain_text())
        );
        let error = parse("OK", Strictness::Strict).expect_err("is nothing strict");
        assert_eq!((error.reason(), error.code()), (Reason::Malformed, 12200));
    }
}

mod strictness {
    use super::*;

    fn parse(document: &'static str, strictness: Strictness) -> Result<Vec<u32>, (Reason, u32)> {
        let document = validate(document.into(), None, &Rules::new(Kind::Voice, strictness));
        document
            .map(|document| document.warnings().iter().map(Finding::code).collect())
            .map_err(|f| (f.reason(), f.code()))
    }

    #[test]
    fn a_warning_passes_and_is_kept() {
        let document = "<Response><say>x</say><Say voice='x'>x</Say></Response>";
        assert_eq!(parse(document, Strictness::Twilio), Ok(vec![12200, 13511]));
        assert_eq!(
            parse(document, Strictness::Strict),
            Err((Reason::Schema, 12200))
        );
    }

    #[test]
    fn an_error_decides_before_a_warning() {
        let document = "<Response><say>x</say><Start><Say/></Start></Response>";
        assert_eq!(
            parse(document, Strictness::Twilio),
            Err((Reason::Schema, 14300))
        );
        assert_eq!(
            parse(document, Strictness::Strict),
            Err((Reason::Schema, 14300))
        );
    }

    #[test]
    fn a_document_that_is_no_xml_has_no_other_finding() {
        assert_eq!(
            findings(Kind::Voice, "<Response><Start><X/></Start></response>"),
            ["error 12100 Response"]
        );
        assert_eq!(
            findings(Kind::Voice, "<response><Start><X/></Start></response>"),
            ["error 12102 "]
        );
    }

    #[test]
    fn no_error_is_lost_among_many_warnings() {
        let document = format!(
            "<Response>{}<Start><Say/></Start><y/></Response>",
            "<x/>".repeat(2 * MAX_FINDINGS)
        );
        let findings = findings(Kind::Voice, &document);
        assert_eq!(
            (findings.len(), &*findings[MAX_FINDINGS]),
            (MAX_FINDINGS + 1, "error 14300 Response/Start/Say")
        );
    }
}

mod words {
    use super::*;

    fn words(document: &str) -> Vec<(String, String)> {
        let report = lint(
            document.as_bytes(),
            None,
            &Rules::new(Kind::Voice, Strictness::Twilio),
        );
        report
            .findings()
            .iter()
            .map(|f| (f.to_string(), f.help().unwrap_or_default()))
            .collect()
    }

    fn word(document: &str) -> (String, String) {
        words(document).swap_remove(0)
    }

    fn pair(message: &str, help: &str) -> (String, String) {
        (message.into(), help.into())
    }

    #[test]
    fn say_what_was_found_and_what_would_be_right() {
        assert_eq!(
            word("<Response><say/></Response>"),
            pair(
                "unknown element `<say>` in `<Response>`",
                "did you mean `<Say>`?"
            )
        );
        assert_eq!(
            word("<Response><Stream/></Response>"),
            pair(
                "`<Stream>` can't stand in `<Response>`",
                "`<Stream>` may stand in `<Connect>`, `<Start>` or `<Stop>`"
            )
        );
        assert_eq!(
            word("<Response><Message/></Response>"),
            pair(
                "`<Message>` can't stand in `<Response>`: it is Messaging TwiML",
                ""
            )
        );
        assert_eq!(
            word("<Response><Say Voice='alice'>x</Say></Response>"),
            pair(
                "unknown attribute `Voice` on `<Say>`",
                "did you mean `voice`?"
            )
        );
        assert_eq!(
            word("<Response><Gather method='PUT'/></Response>"),
            pair(
                "bad value for `method` on `<Gather>`: expected `GET` or `POST`",
                ""
            )
        );
    }

    #[test]
    fn never_repeat_text_or_values() {
        let document = "<Response>5551234567<Dial timeLimit='5551234567' n5551234567='1'>
            <Number sendDigits='x5551234567'/><n5551234567/></Dial></Response>";
        let all = format!(
            "{:?}",
            lint(
                document.as_bytes(),
                None,
                &Rules::new(Kind::Voice, Strictness::Twilio)
            )
        );
        assert!(!all.contains("5551234567"), "{all}");
    }

    #[test]
    fn a_place_has_a_width() {
        let document = "<Response>\n  <Gather method='PUT IT'/>\n  two words\n</Response>";
        let report = lint(
            document.as_bytes(),
            None,
            &Rules::new(Kind::Voice, Strictness::Twilio),
        );
        let places: Vec<_> = report
            .findings()
            .iter()
            .map(|f| (f.position().line, f.position().column, f.width()))
            .collect();
        assert_eq!(places, [(2, 19, 6), (3, 3, 9)]);
    }
}

#[test]
fn the_kind_is_guessed_by_the_verbs() {
    let guess = |document: &str| guess_kind(document.as_bytes(), None);
    assert_eq!(
        guess("<Response><Message>x</Message></Response>"),
        Some(Kind::Messaging)
    );
    assert_eq!(
        guess("<Response><Sms>x</Sms><Redirect/></Response>"),
        Some(Kind::Messaging)
    );
    assert_eq!(
        guess("<Response><Sms>x</Sms><Say>x</Say></Response>"),
        Some(Kind::Voice)
    );
    assert_eq!(
        guess("<Response><Message>x</Message><Say>x</Say></Response>"),
        Some(Kind::Voice)
    );
    assert_eq!(guess("<Response><Redirect/></Response>"), None);
    assert_eq!(guess("<Response>"), None);
}

/// An unknown value of a set that Twilio may add to is never an error.
#[test]
fn only_a_value_that_is_certainly_wrong_is_an_error() {
    use super::grammar::{Grammar, ValueType};
    for kind in [Kind::Voice, Kind::Messaging] {
        let grammar = Grammar::of(kind);
        for id in (0..).take(grammar.tags().count()) {
            for name in grammar.definition(id).attributes() {
                let rule = grammar
                    .attribute(id, name.as_bytes())
                    .expect("it is listed");
                let is_certain = matches!(
                    rule.value_type,
                    ValueType::Url
                        | ValueType::Json
                        | ValueType::Label(_)
                        | ValueType::OneOfNot(..)
                        | ValueType::Version
                );
                assert!(rule.code.level == Level::Warning || is_certain, "{name}");
            }
        }
    }
}

#[test]
fn the_attribute_of_another_element_is_not_a_typo() {
    let help = |document: &str| {
        let rules = Rules::new(Kind::Voice, Strictness::Twilio);
        lint(document.as_bytes(), None, &rules).findings()[0].help()
    };
    for attribute in ["muted", "statusCallback", "ttsLanguage"] {
        let document = format!("<Response><Say {attribute}='x'>x</Say></Response>");
        assert_eq!(help(&document), None, "{attribute}");
    }
    assert_eq!(
        help("<Response><Connect><Stream languag='x' tracks='x'/></Connect></Response>"),
        None
    );
    assert_eq!(
        help("<Response><Gather finishOnkey='x'/></Response>").as_deref(),
        Some("did you mean `finishOnKey`?")
    );
}

/// No attribute or child is listed twice, and every child is defined: else compiling the grammar would panic.
#[test]
fn the_table_is_consistent() {
    use super::grammar::Grammar;
    for kind in [Kind::Voice, Kind::Messaging] {
        let grammar = Grammar::of(kind);
        for id in (0..).take(grammar.tags().count()) {
            let rules = grammar.definition(id);
            for names in [rules.attributes(), rules.children()] {
                let mut sorted = names.to_vec();
                sorted.sort();
                sorted.dedup();
                assert_eq!(sorted.len(), names.len(), "{names:?}");
                assert!(names.len() <= 64, "a bit for each");
            }
            for child in rules.children() {
                assert!(grammar.tags().any(|tag| tag == child), "{child}");
            }
        }
    }
}

#[test]
fn a_document_with_only_warnings_is_valid_unless_it_must_be_strictly() {
    let is_valid = |document: &str| {
        let rules = Rules::new(Kind::Voice, Strictness::Twilio);
        let report = lint(document.as_bytes(), None, &rules);
        [Strictness::Twilio, Strictness::Strict].map(|strictness| report.is_valid(strictness))
    };
    assert_eq!(is_valid("<Response><Say>a</Say></Response>"), [true, true]);
    assert_eq!(is_valid("<Response><say>a</say></Response>"), [true, false]);
    assert_eq!(is_valid("<response/>"), [false, false]);
}
