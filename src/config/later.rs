//! What the contract has and this version doesn't act on yet. To accept it in silence would be a promise broken: someone
//! who writes `signature = "enforce"` believes to be protected. To turn a thing on, take its line out and read its key.

/// Keys, each after the section in which it stands (`""` is the file itself).
pub(super) const KEYS: &[(&str, &str)] =
    &[("", "signature"), ("server", "tls"), ("upstream", "tls")];

/// Words, each after the key that it would be given to.
pub(super) const WORDS: &[(&str, &str)] = &[("signature", "report"), ("signature", "enforce")];
