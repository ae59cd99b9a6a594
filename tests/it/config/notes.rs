//! Notes: what is not an error, and yet may not be meant.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{loads, notes_of};

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
