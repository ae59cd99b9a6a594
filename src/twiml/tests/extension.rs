//! Extensions of the grammar.

use super::*;
use bytes::Bytes;

fn rules(extensions: &[Extension]) -> Rules {
    Rules::with_extensions(Kind::Voice, Strictness::Strict, extensions).expect("they are valid")
}

fn extension(element: &str, parents: &[&str], children: &[&str], attributes: &[&str]) -> Extension {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Extension {
        element: element.into(),
        parents: owned(parents),
        children: owned(children),
        attributes: owned(attributes),
        text: false,
    }
}

fn is_valid(document: &str, rules: &Rules) -> bool {
    validate(Bytes::copy_from_slice(document.as_bytes()), None, rules).is_ok()
}

#[test]
fn a_new_element_may_be_in_the_response() {
    let rules = rules(&[
        extension("Teleport", &[], &["Say", "Beam"], &["to"]),
        extension("Beam", &["Gather"], &[], &[]),
    ]);
    assert!(is_valid(
        "<Response><Teleport to=''><Say>x</Say><Beam/></Teleport></Response>",
        &rules
    ));
    assert!(is_valid(
        "<Response><Gather><Beam/></Gather></Response>",
        &rules
    ));
    assert!(!is_valid("<Response><Beam/></Response>", &rules));
    assert!(!is_valid(
        "<Response><Teleport from=''/></Response>",
        &rules
    ));
    assert!(!is_valid(
        "<Response><Teleport>x</Teleport></Response>",
        &rules
    ));
}

#[test]
fn a_new_element_is_one_of_the_grammar() {
    let names = ["Say", "Teleport"];
    let has = |rules: &Rules| names.map(|name| rules.has_element(name));
    assert_eq!(has(&rules(&[])), [true, false]);
    let extended = rules(&[extension("Teleport", &[], &[], &[])]);
    assert_eq!(has(&extended), [true, true]);
}

#[test]
fn a_new_element_with_parents_is_not_in_the_response_whatever_else_extends_it() {
    let rules = rules(&[
        extension("Beam", &["Gather"], &[], &[]),
        extension("Beam", &[], &[], &["colour"]),
    ]);
    let in_gather = "<Response><Gather><Beam colour=''/></Gather></Response>";
    assert!(is_valid(in_gather, &rules));
    assert!(!is_valid("<Response><Beam/></Response>", &rules));
}

#[test]
fn a_known_element_can_be_extended() {
    let rules = rules(&[Extension {
        text: true,
        ..extension("Gather", &[], &["Prompt"], &["mood", "input"])
    }]);
    assert!(is_valid(
        "<Response><Gather mood='good' input='dtmf'>x<Prompt/></Gather></Response>",
        &rules
    ));
    assert!(
        !is_valid("<Response><Gather input='telepathy'/></Response>", &rules),
        "what is known stays as it is"
    );
}

#[test]
fn a_new_noun_of_start_is_a_warning_until_it_is_added() {
    let document = "<Response><Start><Telemetry/></Start></Response>";
    assert!(!is_valid(document, &rules(&[])), "by strict rules");
    let added = |parents| rules(&[extension("Telemetry", parents, &[], &[])]);
    assert!(is_valid(document, &added(&["Start", "Stop"])));
    let in_connect = added(&["Connect"]).with_strictness(Strictness::Twilio);
    assert!(
        is_valid(document, &in_connect),
        "an extension may be incomplete"
    );
}

#[test]
fn every_error_is_reported_at_once() {
    let extensions = [extension("Tele port", &["Gahter"], &["Sey"], &["a=b"])];
    let errors = Rules::with_extensions(Kind::Voice, Strictness::Strict, &extensions)
        .expect_err("they are not valid");
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
