//! `understudy lint`: its findings in every format, and its exit status.

mod machines;
mod odd;

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use support::{bound, understudy};

const VOICE: &str = "<Response><Say>Hello</Say></Response>\n";
const MESSAGING: &str = "<Response><Message>Hello</Message></Response>\n";
const WARNED: &str = "<Response>\n\t<say>日本</say>\n</Response>\n";
const MALFORMED: &str = "<Response>\n  <Say>Hello\n</Response>\n";

/// A folder of documents, and the command run in it.
struct Folder(TempDir);

struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Folder {
    fn with(documents: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, document) in documents {
            fs::write(folder.path().join(name), document).expect("written");
        }
        Self(folder)
    }

    /// The documents that most tests need.
    fn usual() -> Self {
        Self::with(&[
            ("voice.xml", VOICE.as_bytes()),
            ("sms.xml", MESSAGING.as_bytes()),
            ("warned.xml", WARNED.as_bytes()),
            ("malformed.xml", MALFORMED.as_bytes()),
        ])
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        command
            .current_dir(self.0.path())
            .arg("lint")
            .args(arguments.split(' '));
        command
    }

    fn lint(&self, arguments: &str) -> Said {
        self.lint_stdin(arguments, b"")
    }

    /// With this on standard input.
    fn lint_stdin(&self, arguments: &str, input: &[u8]) -> Said {
        let mut command = self.command(arguments);
        let pipes = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("the binary runs");
        let mut pipe = child.stdin.take().expect("a pipe");
        let input = input.to_owned();
        // A command that doesn't read its input is no failure.
        let feeding = thread::spawn(move || drop(pipe.write_all(&input)));
        let _bound = bound(&child);
        let output = child.wait_with_output().expect("it ends");
        feeding.join().expect("fed");
        output.into()
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            status: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Said {
    /// Its lines on standard output, each a JSON object.
    fn objects(&self) -> Vec<Value> {
        let parsed = self.out.lines().map(serde_json::from_str);
        parsed.collect::<Result<_, _>>().expect("JSON lines")
    }
}

#[test]
fn a_valid_document_is_reported_in_the_words_of_twilios_console() {
    let folder = Folder::usual();
    let said = folder.lint("--kind voice voice.xml");
    assert_eq!((said.status, &*said.out), (Some(0), "Valid Voice TwiML\n"));
    assert_eq!(said.err, "");
    let said = folder.lint("--kind messaging sms.xml");
    assert_eq!(
        (said.status, &*said.out),
        (Some(0), "Valid Messaging TwiML\n")
    );
    let said = folder.lint("voice.xml sms.xml");
    let expected = "voice.xml: Valid Voice TwiML\nsms.xml: Valid Messaging TwiML\n";
    assert_eq!((said.status, &*said.out), (Some(0), expected));
}

#[test]
fn a_finding_has_its_line_and_carets() {
    let folder = Folder::usual();
    let said = folder.lint("--kind voice malformed.xml warned.xml");
    assert_eq!(said.status, Some(1));
    assert_eq!(
        said.out,
        "malformed.xml:3:1: error[12100] `</Response>` closes `<Say>`\n    \
             </Response>\n    \
             ^\n    \
             = help: close `<Say>` first\n\
         warned.xml:2:3: warning[12200] unknown element `<say>` in `<Response>`\n    \
        \u{20}   <say>日本</say>\n    \
        \u{20}    ^^^\n    \
             = help: did you mean `<Say>`?\n"
    );
}

#[test]
fn carets_stand_below_wide_characters_too() {
    let document = "<Response><Say>日本</Say><say/></Response>";
    let said = Folder::usual().lint_stdin("--kind voice -", document.as_bytes());
    let carets = said.out.lines().nth(2).expect("a line of carets");
    assert_eq!(
        carets.find('^'),
        Some(4 + "<Response><Say>1234</Say><".len())
    );
}

#[test]
fn warnings_are_valid_unless_strict() {
    let folder = Folder::usual();
    assert_eq!(folder.lint("warned.xml").status, Some(0));
    assert_eq!(folder.lint("--strict warned.xml").status, Some(1));
    assert_eq!(folder.lint("--strict voice.xml sms.xml").status, Some(0));
    for (strict, valid) in [("", true), ("--strict ", false)] {
        let said = folder.lint(&format!("{strict}--format json warned.xml"));
        assert_eq!(said.objects()[0]["valid"], valid);
    }
}

#[test]
fn the_kind_is_guessed_with_a_note() {
    let folder = Folder::with(&[
        ("sms.xml", MESSAGING.as_bytes()),
        ("empty.xml", b"<Response/>"),
    ]);
    let said = folder.lint("sms.xml empty.xml");
    assert_eq!(
        said.err,
        "sms.xml: note: validated as messaging (guessed from its verbs; choose with --kind)\n\
         empty.xml: note: validated as voice (its verbs do not say; choose with --kind)\n"
    );
    let said = folder.lint("--kind voice sms.xml");
    assert_eq!((said.status, &*said.err), (Some(0), ""));
    assert!(said.out.contains("it is Messaging TwiML"), "{}", said.out);
}

#[test]
fn standard_input_is_a_document_too() {
    let folder = Folder::usual();
    let said = folder.lint_stdin("-", VOICE.as_bytes());
    assert_eq!((said.status, &*said.out), (Some(0), "Valid Voice TwiML\n"));
    let said = folder.lint_stdin("--kind voice - voice.xml", MALFORMED.as_bytes());
    assert_eq!(said.status, Some(1));
    assert!(said.out.starts_with("-:3:1: error[12100] "), "{}", said.out);
    assert!(said.out.ends_with("voice.xml: Valid Voice TwiML\n"));
    assert_eq!(folder.lint_stdin("- -", VOICE.as_bytes()).status, Some(2));
}

#[test]
fn an_unreadable_file_is_reported_and_the_others_are_validated() {
    let folder = Folder::usual();
    let said = folder.lint("--kind voice nowhere.xml malformed.xml . voice.xml");
    assert_eq!(said.status, Some(2));
    assert_eq!(
        said.err,
        "nowhere.xml: there is no such file; name one that exists\n\
         .: is a directory; name a file in it\n"
    );
    assert!(said.out.starts_with("malformed.xml:3:1: error[12100] "));
    assert!(said.out.ends_with("voice.xml: Valid Voice TwiML\n"));
}

#[test]
fn wrong_usage_exits_2() {
    for arguments in [
        &["lint"][..],
        &["lint", "--kind", "fax", "a.xml"],
        &["lint", "--format", "xml", "a.xml"],
        &["lint", "--stric", "a.xml"],
    ] {
        let said = Said::from(understudy(arguments));
        assert_eq!((said.status, &*said.out), (Some(2), ""), "{arguments:?}");
        assert_ne!(said.err, "");
    }
    let help = Said::from(understudy(&["lint", "--help"]));
    assert_eq!(help.status, Some(0));
    for word in ["Examples:", "In CI:", "--format sarif", "Exit status:"] {
        assert!(help.out.contains(word), "{word}\n{}", help.out);
    }
}

#[test]
fn a_document_over_64_kib_is_an_error_at_the_byte_that_passes_the_limit() {
    let of_length = |bytes: usize| {
        let (start, end) = ("<Response>\r\n<!--é", "--></Response>");
        let filling = "x".repeat(bytes - start.len() - end.len());
        format!("{start}{filling}{end}").into_bytes()
    };
    let text = format!("<Response>\n{}<x/></Response>", " ".repeat(40_000));
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes);
    let wide: Vec<_> = [0xff, 0xfe].into_iter().chain(utf16).collect();
    let folder = Folder::with(&[
        ("good.xml", &of_length(65_536)),
        ("long.xml", &of_length(65_537)),
        ("wide.xml", &wide),
        ("huge.xml", &[b' '; 2 << 20]),
    ]);
    for (name, expected) in [
        ("good.xml", &[][..]),
        ("long.xml", &[[11750, 2, 65_524, 65_536]]),
        (
            "wide.xml",
            &[[11750, 2, 32_757, 65_536], [12200, 2, 40_002, 80_026]],
        ),
        ("huge.xml", &[[11750, 1, 65_537, 65_536]]),
    ] {
        let said = folder.lint(&format!("--format json --kind voice {name}"));
        let document = &said.objects()[0];
        let findings = document["findings"].as_array().expect("findings");
        let place = |finding: &Value| {
            ["code", "line", "column", "byte"].map(|key| finding[key].as_u64().expect("a number"))
        };
        let found: Vec<_> = findings.iter().map(place).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(said.status, Some(i32::from(!expected.is_empty())));
    }
}

#[test]
fn a_line_is_decoded_before_it_is_shown() {
    let mut document = vec![0xff, 0xfe];
    let text = "<Response>\r\n<Say>日本</Say><日本/></Response>";
    document.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    let said = Folder::usual().lint_stdin("--kind voice -", &document);
    let shown: Vec<_> = said.out.lines().take(2).collect();
    assert_eq!(
        shown,
        [
            "-:2:15: warning[12200] unknown element `<日本>` in `<Response>`",
            "    <Say>日本</Say><日本/></Response>",
        ]
    );
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let folder = Folder::usual();
    let files = ["malformed.xml"; 5_000].join(" ");
    let mut child = folder
        .command(&format!("--kind voice {files}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let _bound = bound(&child);
    let said = Said::from(child.wait_with_output().expect("it ends"));
    assert_eq!((said.status, &*said.err), (Some(1), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let folder = Folder::usual();
    let child = folder
        .command("--kind voice voice.xml")
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn();
    let child = child.expect("the binary runs");
    let _bound = bound(&child);
    let said = Said::from(child.wait_with_output().expect("it ends"));
    assert_eq!(said.status, Some(2));
    assert!(said.err.starts_with("the findings can't be written: "));
}

#[test]
fn a_configuration_can_add_to_the_grammar() {
    let folder = Folder::with(&[
        ("voice.xml", b"<Response><Teleport mood='good'/></Response>"),
        (
            "good.toml",
            b"[upstream]\nurl = \"http://127.0.0.1:3000\"\n[[grammar.element]]\nkind = \"voice\"\n\
              name = \"Teleport\"\nattributes = \"mood\"\n",
        ),
        ("bad.toml", b"[upstream]\nurl = 1\n"),
    ]);
    let said = folder.lint("--strict --kind voice voice.xml");
    assert_eq!(said.status, Some(1), "{}", said.out);
    let said = folder.lint("--strict --kind voice --config good.toml voice.xml");
    assert_eq!((said.status, &*said.out), (Some(0), "Valid Voice TwiML\n"));
    let said = folder.lint("--config bad.toml voice.xml");
    assert_eq!((said.status, &*said.out), (Some(78), ""));
    assert!(said.err.starts_with("bad.toml:2:7: upstream.url: "));
}
