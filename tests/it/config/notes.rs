//! Notes: what is not an error, but may not be meant.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{APP, loads, loads_text, notes_of};

#[test]
fn routes_that_enforce_while_unmatched_requests_are_not_checked_are_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, "*=0123456789abcdef0123456789abcdef\n").expect("a file");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).expect("our own file");
    let route = |path: &str, more: &str| {
        format!("[[route]]\nname = \"{path}\"\npath = \"{path}\"\nkind = \"voice\"\n{more}\n")
    };
    let enforcing = route("/voice", "signature = \"enforce\"");
    for (defaults, routes, is_noted) in [
        ("", &enforcing, true),
        ("signature = \"off\"", &enforcing, true),
        ("signature = \"report\"", &enforcing, true),
        ("signature = \"enforce\"", &enforcing, false),
        ("", &route("/voice", "signature = \"report\""), false),
        ("", &route("/voice", ""), false),
        // Every request matches a route.
        (
            "",
            &(enforcing.clone() + &route("/*", "signature = \"enforce\"")),
            false,
        ),
        ("", &(enforcing.clone() + &route("/*", "")), true),
        (
            "",
            &(enforcing.clone()
                + &route("/*", "signature = \"enforce\"\nhost = \"a.example.com\"")),
            true,
        ),
    ] {
        let text = format!(
            "[server]\npublic_url = \"https://hooks.example.com\"\n[upstream]\nurl = \"http://127.0.0.1:3000\"\n[signature]\ntokens_file = \"tokens\"\n[defaults]\n{defaults}\n{routes}"
        );
        fs::write(&path, text).expect("a file");
        let notes = notes_of(&loads(&path));
        assert_eq!(
            notes.len(),
            usize::from(is_noted),
            "{defaults} {routes}: {notes:?}"
        );
    }
}

#[test]
fn only_values_that_callers_choose_are_noted_and_only_where_they_act() {
    for (document, is_noted) in [
        ("<Dial>{{Digits}}</Dial>", true),
        ("<Dial><Number>+1555{{BodyText}}</Number></Dial>", true),
        (
            "<Dial><Sip>sip:{{SipHeader_X-To}}@example.com</Sip></Dial>",
            true,
        ),
        ("<Dial><Client>{{Body}}</Client></Dial>", true),
        (
            "<Dial><Client><Identity>{{Body}}</Identity></Client></Dial>",
            true,
        ),
        ("<Redirect>{{Body}}</Redirect>", true),
        ("<Play>{{Body}}</Play>", true),
        ("<Gather action='/x?{{Digits}}'/>", true),
        (
            "<Dial><Number url='/x?{{Digits}}'>+15550100</Number></Dial>",
            true,
        ),
        ("<Enqueue waitUrl='/x?{{Digits}}'>q</Enqueue>", true),
        ("<Record recordingStatusCallback='/x?{{Digits}}'/>", true),
        ("<Sms to='{{Body}}' from='+15550100'>x</Sms>", true),
        ("<Say>{{Body}}</Say>", false),
        ("<Gather hints='{{SpeechResult}}' input='speech'/>", false),
        ("<Dial>{{From}}</Dial>", false),
        ("<Redirect>/x?{{To}}&amp;{{body}}</Redirect>", false),
        (
            "<Gather action='/x?{{CallSid}}'><Say>{{Digits}}</Say></Gather>",
            false,
        ),
        (
            "<Dial><Client><Identity>x</Identity><Parameter name='x' value='{{Body}}'/></Client></Dial>",
            false,
        ),
    ] {
        let text = format!(
            "{APP}[[route]]\nname = \"x\"\npath = \"/x\"\nkind = \"voice\"\nfallback = {{ inline = \"<Response>{document}</Response>\" }}\n"
        );
        let notes = notes_of(&loads_text(&text));
        assert_eq!(notes.len(), usize::from(is_noted), "{document}: {notes:?}");
    }
}
