//! Names from a document, made safe to print in backticks: of bounded length, without backticks, and with long numbers
//! masked, because a broken document may have a phone number where a name should be.

use std::fmt;

/// An element, attribute or entity name from a document, made safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

/// The longest name that is shown, in characters. TwiML's longest is 33 characters.
const MAX_SHOWN: usize = 64;
/// The digits of a longer run are masked. No TwiML name has any digits at all.
const MAX_DIGITS: usize = 4;

impl Name {
    /// A name as the document has it.
    pub(super) fn new(raw: &[u8]) -> Self {
        let mut shown = String::new();
        let mut digits = 0;
        for c in String::from_utf8_lossy(&raw[..raw.len().min(4 * MAX_SHOWN)])
            .chars()
            .take(MAX_SHOWN)
        {
            digits = if c.is_numeric() { digits + 1 } else { 0 };
            shown.push(match c {
                _ if digits > MAX_DIGITS => '#',
                // A backtick would end the quotation in which the name is printed, and `redact` would not mask the rest.
                '`' => '\'',
                c => c,
            });
        }
        Self(shown.into())
    }

    /// A name of the grammar, which needs no masking.
    pub(super) fn known(name: &str) -> Self {
        Self(name.into())
    }

    /// Whether this is the name of HTML's root element.
    pub(super) fn is_html(&self) -> bool {
        self.0.eq_ignore_ascii_case("html")
    }

    /// The name as it is printed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
