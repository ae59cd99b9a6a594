//! A text that is never printed, is compared in constant time, and is overwritten in memory when it is no longer needed.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret: a token or a key, in printable ASCII without blanks.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// The text without the blanks around it; none if it is empty or has blanks within.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_valid.then(|| Self(Zeroizing::new(text.into())))
    }

    /// Whether the secret is this text. Takes the same time wherever the two differ.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(text).into()
    }

    /// The text itself, to be used or sent, and not to be printed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_its_text_and_is_never_printed() {
        let secret = Secret::new(" hunter2\n").expect("a secret");
        assert!(secret.matches(b"hunter2") && !secret.matches(b"hunter") && !secret.matches(b""));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn empty_texts_and_texts_with_blanks_are_not_secrets() {
        assert!(Secret::new(" \n").is_none() && Secret::new("two words").is_none());
    }
}
