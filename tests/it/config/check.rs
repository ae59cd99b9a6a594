//! `understudy check`: the summary of a valid configuration, and the errors of an invalid one.

use std::path::Path;
use std::process::ExitCode;

use understudy::command::check;

use super::fails;

#[test]
fn check_summarizes_a_valid_configuration() {
    let (status, out, err) = checked("config/understudy.toml");
    assert_eq!((status.as_str(), err.as_str()), (exit(0).as_str(), ""));
    assert_eq!(
        out,
        concat!(
            "config/understudy.toml: ok — 6 routes, 5 files read\n",
            "  incoming-call        voice      /voice     8s\n",
            "  incoming-call-fr     voice      /fr/voice  8s\n",
            "  incoming-message     messaging  /sms       8s\n",
            "  incoming-message-fr  messaging  /fr/sms    8s\n",
            "  call-status          callback   /status/*  8s\n",
            "  everything-else      auto       /*         8s\n",
        )
    );
    let (_, out, _) = checked("tests/it/config/valid/inherited.toml");
    assert!(
        out.contains("  pass  GET hooks.example.com/again  1s 500ms\n"),
        "{out}"
    );
}

#[test]
fn check_prints_every_error() {
    let path = "tests/it/config/invalid/names.toml";
    let (status, out, err) = checked(path);
    assert_eq!((status.as_str(), out.as_str()), (exit(78).as_str(), ""));
    assert_eq!(err, format!("{}\n", fails(Path::new(path))));
}

/// Exit status, standard output, standard error.
fn checked(path: &str) -> (String, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = check::run(Path::new(path), false, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (format!("{status:?}"), text(out), text(err))
}

/// The debug text of an exit status, which can't be compared itself.
fn exit(status: u8) -> String {
    format!("{:?}", ExitCode::from(status))
}
