//! Errors as the log and the status show them. An error may repeat what an app or a client has sent, and with it what a caller
//! has said, so every error that one of them may have had a hand in goes through here.

use std::error::Error;

use crate::twiml;

/// An error with all that caused it, in one line. Of the names in it, which stand in backticks, only those are left that
/// Twilio's grammar, XML or HTML has.
pub fn describe_error(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words = format!("{words}: {}", cut_at_quote(&inner.to_string()));
        source = inner.source();
    }
    twiml::redact(&words)
}

/// A library's words up to the first thing that it quotes: h2 repeats what a peer gave as its reason to go, hyper a trailer.
fn cut_at_quote(words: &str) -> String {
    match words.split_once('"') {
        Some((before, _)) => format!("{before}\"…\""),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use super::*;

    #[derive(Debug)]
    struct Failure(io::Error);

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"failed\" `Say`")
        }
    }

    impl Error for Failure {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn causes_are_named_and_what_they_quote_is_not() {
        for (cause, described) in [
            ("no route to host", "no route to host"),
            ("gone (b\"+15550100 \\\" Ann\")", "gone (b\"…\""),
            (
                "Header { name: \"Ann\", value: [65] }",
                "Header { name: \"…\"",
            ),
            ("unknown `Ann` in `Say`", "unknown `•••` in `Say`"),
            ("an odd ` Ann", "an odd ` •••"),
        ] {
            let failure = Failure(io::Error::other(cause));
            let expected = format!("\"failed\" `Say`: {described}");
            assert_eq!(describe_error(&failure), expected);
        }
    }
}
