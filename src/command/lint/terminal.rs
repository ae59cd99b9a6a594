//! Findings on a terminal, as compilers show theirs.

use std::io::{self, IsTerminal, Write};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anstream::{AutoStream, ColorChoice};
use terminal_size::{Width, terminal_size};

use super::document::{Finding, LintResult};
use super::source::{Source, printable};
use crate::twiml;

/// The renderer for standard output, if that is a terminal.
pub(super) fn renderer() -> Option<Renderer> {
    let out = io::stdout();
    let renderer = match AutoStream::choice(&out) {
        ColorChoice::Never => Renderer::plain(),
        ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => Renderer::styled(),
    };
    let wide = terminal_size().map(|(Width(columns), _)| usize::from(columns));
    let renderer = match wide {
        Some(columns) => renderer.term_width(columns),
        None => renderer,
    };
    out.is_terminal().then_some(renderer)
}

/// Prints every finding.
pub(super) fn write(
    result: &LintResult<'_>,
    renderer: &Renderer,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = printable(result.document.name());
    let source = result.document.source();
    for finding in &result.findings {
        let group = group(&name, &source, finding);
        writeln!(out, "{}\n", renderer.render(&[group]))?;
    }
    Ok(())
}

fn group<'a>(name: &'a str, source: &Source, finding: &'a Finding) -> Group<'a> {
    let level = match finding.level {
        twiml::Level::Error => Level::ERROR,
        twiml::Level::Warning => Level::WARNING,
    };
    let line = finding.line(source);
    let snippet = Snippet::source(line.text)
        .path(name)
        .line_start(finding.position.line as usize)
        .annotation(AnnotationKind::Primary.span(line.marked));
    let help = finding
        .help
        .as_deref()
        .map(|help| Level::HELP.message(help));
    level
        .primary_title(printable(&finding.message))
        .id(finding.code.to_string())
        .element(snippet)
        .elements(help)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::document::Document;
    use super::*;
    use crate::twiml::{Kind, Rules, Strictness};

    fn render(bytes: &[u8], renderer: &Renderer) -> String {
        let document = Document::read("voice.xml", &mut &bytes[..]).expect("bytes");
        let result = document.lint(&Rules::new(Kind::Voice, Strictness::Twilio));
        let mut out = Vec::new();
        write(&result, renderer, &mut out).expect("a vector");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_finding_is_shown_as_compilers_do() {
        let document = b"<Response>\r\n\t<say>Hello</say>\r\n</Response>";
        assert_eq!(
            render(document, &Renderer::plain()),
            "warning[12200]: unknown element `<say>` in `<Response>`\n \
             --> voice.xml:2:3\n  \
             |\n\
             2 |     <say>Hello</say>\n  \
             |      ^^^\n  \
             |\n  \
             = help: did you mean `<Say>`?\n\n"
        );
        assert!(render(document, &Renderer::styled()).starts_with("\u{1b}[1m"));
    }

    #[test]
    fn any_document_is_shown_on_any_terminal() {
        let long = format!("<Response>{}<x/></Response>", " ".repeat(60_000));
        let documents: [&[u8]; 8] = [
            b"",
            b"\n\n",
            b"\x89PNG\r\n\x1a\n\0\0\0",
            b"\xff\xfe<\0a\0>\0",
            b"\xff\xfe<\0a\0>\0x",
            b"<?xml version='1.0' encoding='UTF-16'?><Response/>",
            b"<Response>\r<\xe9/></Response>",
            long.as_bytes(),
        ];
        for width in [0, 1, 20, 80] {
            for document in documents {
                let renderer = Renderer::plain().term_width(width);
                assert!(render(document, &renderer).contains("--> voice.xml:"));
            }
        }
    }

    proptest! {
        #[test]
        fn no_control_characters_reach_the_terminal(
            inside in prop_oneof![".*", "(<\\PC>|[\t\r\n\u{9b}\u{301}語👩‍👧 ])*"],
            width in 0..200_usize,
        ) {
            let document = format!("<Response><x/>{inside}<y {inside}/></Response>");
            let shown = render(document.as_bytes(), &Renderer::plain().term_width(width));
            prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'));
        }
    }
}
