//! What a user types, and what comes of it.

use std::fs;
use std::process::Output;

use support::understudy;

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn written(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    fs::write(&path, text).expect("a file");
    let path = path.to_string_lossy().into_owned();
    (folder, path)
}

#[test]
fn check_sums_up_a_good_configuration() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/understudy.toml");
    let (code, text) = said(&understudy(&["check", "--config", example]));
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("ok") && text.contains("incoming-call"),
        "{text}"
    );
}

#[test]
fn check_and_run_say_every_mistake_at_once_and_exit_78() {
    let (_folder, path) = written(
        "[server]\nlisten = 8080\n[upstream]\nurl = \"http://127.0.0.1:1\"\n[defaults]\ndedline = \"8s\"\n\
         [[route]]\nname = \"a\"\npath = \"/v\"\nkind = \"fax\"\n\
         [[route]]\nname = \"b\"\npath = \"/v\"\nkind = \"voice\"\ndeadline = \"20s\"\nfallback = \"nowhere.xml\"\n\
         [[route]]\nname = \"c\"\npath = \"/v\"\nkind = \"voice\"\n",
    );
    for command in ["check", "run"] {
        let (code, text) = said(&understudy(&[command, "--config", &path]));
        assert_eq!(code, Some(78), "{text}");
        for wanted in [
            "understudy.toml:2:10: server.listen: ",
            "understudy.toml:6:1: defaults: unknown key `dedline`",
            "did you mean",
            "understudy.toml:10:8: route[0].kind: \"fax\"",
            "understudy.toml:15:12: route[1].deadline: ",
            "understudy.toml:16:12: route[1].fallback: ",
            "nowhere.xml",
            "understudy.toml:19:8: route[2].path: route \"a\" at 9:8",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
        }
    }
}

#[test]
fn wrong_usage_exits_2_and_help_shows_an_example() {
    for arguments in [
        &["dance"][..],
        &["run"],
        &["run", "--config", "a", "--upstream", "http://a"],
        &["check"],
        &[],
    ] {
        assert_eq!(said(&understudy(arguments)).0, Some(2), "{arguments:?}");
    }
    for command in ["run", "check", "demo"] {
        let (code, text) = said(&understudy(&[command, "--help"]));
        assert_eq!(code, Some(0));
        assert!(text.contains("Example"), "{text}");
    }
    assert_eq!(
        said(&understudy(&["--version"])).1.trim(),
        concat!("understudy ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn an_argument_that_is_no_url_is_said() {
    let (code, text) = said(&understudy(&["run", "--upstream", "ftp://a"]));
    assert_eq!(code, Some(78));
    assert!(text.contains("--upstream"), "{text}");
}
