//! A text that is never printed, is compared in a time that doesn't depend on where it differs, and is overwritten in memory when
//! it is no longer needed.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// This text, without the blanks around it; none if it is empty or has blanks within.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| Self(Zeroizing::new(text.into())))
    }

    /// Whether this is it.
    pub fn is(&self, text: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(text).into()
    }

    /// The text itself, to be sent to whom it opens.
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
        self.is(other.0.as_bytes())
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_it_was_made_of_and_never_shows_it() {
        let secret = Secret::new(" hunter2\n").expect("a secret");
        assert!(secret.is(b"hunter2") && !secret.is(b"hunter") && !secret.is(b""));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn nothing_and_blanks_within_are_no_secret() {
        assert!(Secret::new(" \n").is_none() && Secret::new("two words").is_none());
    }
}
