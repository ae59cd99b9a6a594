//! Errors in one line, with what caused them. An error may repeat what an upstream or a client has sent, and with it what a
//! caller has said, so the log and the status show such errors by [`describe_error`] only.

use std::error::Error;

use crate::twiml;

/// An error and its sources in one line, without what a caller may have said: of the names in backticks only those are left
/// that Twilio's grammar, XML or HTML has, and quotes in the sources are cut.
pub fn describe_error(error: &dyn Error) -> String {
    twiml::redact(&join_sources(error, cut_at_quote))
}

/// An error and its sources in one line, as they are: for a user who looks at a response of their own app.
pub fn error_chain(error: &dyn Error) -> String {
    join_sources(error, |words| words)
}

fn join_sources(error: &dyn Error, shorten: impl Fn(String) -> String) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words = format!("{words}: {}", shorten(inner.to_string()));
        source = inner.source();
    }
    words
}

/// Cuts a library's words after the first quote: h2 repeats a peer's reason to go away, hyper repeats a trailer.
fn cut_at_quote(words: String) -> String {
    match words.split_once('"') {
        Some((before, _)) => format!("{before}\"…\""),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("\"failed\" `Say`")]
    struct Outer(#[source] io::Error);

    #[test]
    fn sources_are_named_and_their_quotes_are_cut() {
        for (source, described) in [
            ("no route to host", "no route to host"),
            ("gone (b\"+15550100 \\\" Ann\")", "gone (b\"…\""),
            (
                "Header { name: \"Ann\", value: [65] }",
                "Header { name: \"…\"",
            ),
            ("unknown `Ann` in `Say`", "unknown `•••` in `Say`"),
            ("an odd ` Ann", "an odd ` •••"),
        ] {
            let error = Outer(io::Error::other(source));
            let expected = format!("\"failed\" `Say`: {described}");
            assert_eq!(describe_error(&error), expected);
            let whole = format!("\"failed\" `Say`: {source}");
            assert_eq!(error_chain(&error), whole);
        }
    }
}
