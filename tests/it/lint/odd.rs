//! Input that is not TwiML, and terminals.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::run;

use super::{Folder, Said};

/// Any file is validated, in every format, and no control character of it reaches the terminal.
#[test]
fn any_file_is_validated() {
    let utf16 = |text: &str| -> Vec<u8> {
        let units = text.encode_utf16().flat_map(u16::to_be_bytes);
        [0xfe, 0xff].into_iter().chain(units).collect()
    };
    let latin1 = "<?xml version='1.0' encoding='ISO-8859-1'?><Response><é/></Response>";
    let latin1: Vec<u8> = latin1.chars().map(|c| c as u8).collect();
    let documents: [(&str, &[u8]); 19] = [
        ("nothing", b""),
        ("line-ends", b"\r\n\r\n\r\r\n\n"),
        ("text", b"OK"),
        ("binary", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff"),
        ("every-byte", &(0..=255).collect::<Vec<u8>>()),
        ("nul", b"<Response>\0</Response>"),
        ("escape", b"<Response><\x1b[31m/></Response>"),
        (
            "control-in-text",
            "<Response>\u{9b}31m\u{202e}text</Response>".as_bytes(),
        ),
        ("crlf", b"<Response>\r\n<say/>\r\n</Response>\r\n"),
        ("cr", b"<Response>\r<say/>\r</Response>\r"),
        ("tabs", b"\t<Response>\t\t<say\t/></Response>"),
        ("bom", b"\xef\xbb\xbf<Response><say/></Response>"),
        ("utf-16", &utf16("<Response>\n<日本/></Response>")),
        ("utf-16-cut", &utf16("<Response/>")[..9]),
        ("latin-1", &latin1),
        (
            "latin-1-unsaid",
            b"<Response><Say>caf\xe9</Say>\n</Response>",
        ),
        (
            "no-charset",
            b"<?xml version='1.0' encoding='martian'?><Response/>",
        ),
        (
            "wide",
            "<Response><👩‍👩‍👧/>é\u{301}<日本 語='' /></Response>".as_bytes(),
        ),
        ("no-end", b"<Response><Say>\n\n\n"),
    ];
    let deep = "<Response>".repeat(5_000);
    let long = format!("<Response>{}<x/></Response>", "y".repeat(60_000));
    let many = format!("<Response>{}</Response>", "<x/>".repeat(5_000));
    let folder = Folder::with(&documents);
    for (name, document) in [("deep", deep), ("long", long), ("many", many)] {
        fs::write(folder.0.path().join(name), document).expect("written");
    }
    let mut names: Vec<_> = fs::read_dir(folder.0.path())
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    names.sort();
    let all = names.join(" ");
    for format in ["text", "json", "sarif", "github"] {
        for kind in ["", "--kind voice ", "--kind messaging "] {
            let said = folder.lint(&format!("--strict --format {format} {kind}{all}"));
            assert_eq!(said.status, Some(1), "{}", said.err);
            assert!(!said.err.contains("panicked"), "{}", said.err);
            let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!said.out.contains(acts), "{format} {kind}");
            let widest = said.out.lines().map(|line| line.chars().count()).max();
            assert!(format != "text" || widest < Some(300), "{widest:?}");
            if format == "json" {
                assert_eq!(said.objects().len(), names.len());
            }
        }
    }
}

#[test]
fn on_a_terminal_findings_look_as_those_of_compilers() {
    let script = Path::new("/usr/bin/script");
    if !script.exists() {
        eprintln!("SKIPPED: no {}, so there is no terminal", script.display());
        return;
    }
    let folder = Folder::usual();
    let binary = env!("CARGO_BIN_EXE_understudy");
    let on_terminal = |variable: (&str, &str)| {
        let output = run(Command::new(script)
            .current_dir(folder.0.path())
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .env(variable.0, variable.1)
            .args([
                "-qec",
                &format!("{binary} lint --kind voice warned.xml"),
                "/dev/null",
            ]));
        Said::from(output)
    };
    let said = on_terminal(("NO_COLOR", "1"));
    assert_eq!(said.status, Some(0), "{}", said.err);
    let lines: Vec<_> = said.out.lines().map(str::trim_end).collect();
    assert_eq!(
        lines[..5],
        [
            "warning[12200]: unknown element `<say>` in `<Response>`",
            " --> warned.xml:2:3",
            "  |",
            "2 |     <say>日本</say>",
            "  |      ^^^",
        ]
    );
    let said = on_terminal(("COLORTERM", "truecolor"));
    assert!(
        said.out.contains("\u{1b}[33mwarning[12200]"),
        "{}",
        said.out
    );
}
