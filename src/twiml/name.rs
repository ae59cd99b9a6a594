//! A name found in a page, fit to be quoted in backticks: bounded in length, without a backtick of its own, and with its longer
//! numbers masked, because a page that went wrong may have a phone number where a name should be.

use std::fmt;

/// An element, attribute or entity name as it stood in the page, made safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

/// Longest name shown. TwiML's longest is 33 characters.
const SHOWN: usize = 64;
/// A run of digits longer than this may be a phone number; no TwiML name has any at all.
const DIGITS: usize = 4;

impl Name {
    pub(super) fn new(raw: &[u8]) -> Self {
        let mut shown = String::new();
        let mut digits = 0;
        for c in String::from_utf8_lossy(&raw[..raw.len().min(4 * SHOWN)])
            .chars()
            .take(SHOWN)
        {
            digits = if c.is_numeric() { digits + 1 } else { 0 };
            shown.push(match c {
                _ if digits > DIGITS => '#',
                // It would end the quotation in which a name is shown, and what follows would not be taken for a name.
                '`' => '\'',
                c => c,
            });
        }
        Self(shown.into())
    }

    /// A name that is known, and so is no number.
    pub(super) fn of(known: &str) -> Self {
        Self(known.into())
    }

    /// Whether it is the root element of an HTML page.
    pub(super) fn is_html(&self) -> bool {
        self.0.eq_ignore_ascii_case("html")
    }

    /// The name as shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
