//! A grammar can be added to.

use super::*;

fn rules(additions: &[Extension]) -> Rules {
    Rules::with(Kind::Voice, Strictness::Strict, additions).expect("are good additions")
}

fn addition(element: &str, parents: &[&str], children: &[&str], attributes: &[&str]) -> Extension {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Extension {
        element: element.into(),
        parents: owned(parents),
        children: owned(children),
        attributes: owned(attributes),
        text: false,
    }
}

fn passes(page: &str, rules: &Rules) -> bool {
    Twiml::parse(Bytes::copy_from_slice(page.as_bytes()), None, rules).is_ok()
}

#[test]
fn a_new_verb_stands_in_the_response() {
    let rules = rules(&[
        addition("Teleport", &[], &["Say", "Beam"], &["to"]),
        addition("Beam", &["Gather"], &[], &[]),
    ]);
    assert!(passes(
        "<Response><Teleport to=''><Say>x</Say><Beam/></Teleport></Response>",
        &rules
    ));
    assert!(passes(
        "<Response><Gather><Beam/></Gather></Response>",
        &rules
    ));
    assert!(!passes("<Response><Beam/></Response>", &rules));
    assert!(!passes("<Response><Teleport from=''/></Response>", &rules));
    assert!(!passes(
        "<Response><Teleport>x</Teleport></Response>",
        &rules
    ));
}

#[test]
fn a_known_verb_can_get_more() {
    let rules = rules(&[Extension {
        text: true,
        ..addition("Gather", &[], &["Prompt"], &["mood", "input"])
    }]);
    assert!(passes(
        "<Response><Gather mood='good' input='dtmf'>x<Prompt/></Gather></Response>",
        &rules
    ));
    assert!(
        !passes("<Response><Gather input='telepathy'/></Response>", &rules),
        "what is known stays as it is"
    );
}

#[test]
fn a_new_noun_of_start_is_a_warning_until_it_is_added() {
    let page = "<Response><Start><Telemetry/></Start></Response>";
    assert!(!passes(page, &rules(&[])), "by strict rules");
    let added = |parents| rules(&[addition("Telemetry", parents, &[], &[])]);
    assert!(passes(page, &added(&["Start", "Stop"])));
    let elsewhere = added(&["Connect"]).at(Strictness::Twilio);
    assert!(
        passes(page, &elsewhere),
        "an addition is known only in part"
    );
}

#[test]
fn every_error_is_told_at_once() {
    let additions = [addition("Tele port", &["Gahter"], &["Sey"], &["a=b"])];
    let errors = Rules::with(Kind::Voice, Strictness::Strict, &additions).expect_err("are bad");
    let words: Vec<_> = errors.iter().map(ExtensionError::to_string).collect();
    assert_eq!(
        words,
        [
            "`Tele port` is not a name that XML allows",
            "`a=b` is not a name that XML allows",
            "`Tele port` names an element that is not known, `Gahter`",
            "`Tele port` names an element that is not known, `Sey`",
        ]
    );
}
