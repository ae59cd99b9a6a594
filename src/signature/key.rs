//! A secret that Twilio signs with. It becomes the key of an HMAC as soon as it is read; its text isn't kept, and nothing prints it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::headers::{Algorithm, Signature};

/// A secret that Twilio signs with.
pub(super) struct SigningKey {
    hmac: KeyedHmac,
    /// How it is called in logs and the status: a SharedKey's id, or the line of an auth token.
    name: Box<str>,
    /// Signs no request: it is tried only for the time that this takes.
    is_decoy: bool,
    /// When it last signed a valid request, in seconds since 1970; 0 if it never has.
    last_match: AtomicU64,
}

#[derive(Clone)]
enum KeyedHmac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl KeyedHmac {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        match algorithm {
            Algorithm::HmacSha1 => Self::Sha1(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            Algorithm::HmacSha256 => Self::Sha256(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
        }
    }
}

impl SigningKey {
    pub(super) fn new(algorithm: Algorithm, secret: &[u8], name: String) -> Self {
        Self {
            hmac: KeyedHmac::new(algorithm, secret),
            name: name.into(),
            is_decoy: false,
            last_match: AtomicU64::new(0),
        }
    }

    pub(super) fn decoy(algorithm: Algorithm) -> Self {
        Self {
            is_decoy: true,
            ..Self::new(algorithm, b"", String::new())
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    #[cfg(test)]
    pub(super) fn is_decoy(&self) -> bool {
        self.is_decoy
    }

    /// When it last signed a valid request, in seconds since 1970.
    pub(super) fn last_match(&self) -> Option<u64> {
        Some(self.last_match.load(Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// Records that it signed a valid request now. Returns whether that was the first one.
    pub(super) fn record_match(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(1, |since| since.as_secs());
        self.last_match.swap(now, Relaxed) == 0
    }

    /// Whether it makes this signature of these parts. The comparison takes the same time wherever they differ.
    pub(super) fn is_signature(&self, signature: &Signature, parts: &[&[u8]]) -> bool {
        let signature = signature.as_bytes();
        let is_equal = match &self.hmac {
            KeyedHmac::Sha1(hmac) => update(hmac, parts).verify_slice(signature).is_ok(),
            KeyedHmac::Sha256(hmac) => update(hmac, parts).verify_slice(signature).is_ok(),
        };
        is_equal && !self.is_decoy
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The signature of these parts.
pub(super) fn compute_hmac(algorithm: Algorithm, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match KeyedHmac::new(algorithm, secret) {
        KeyedHmac::Sha1(hmac) => update(&hmac, parts).finalize().into_bytes().to_vec(),
        KeyedHmac::Sha256(hmac) => update(&hmac, parts).finalize().into_bytes().to_vec(),
    }
}

fn update<M: Mac + Clone>(keyed: &M, parts: &[&[u8]]) -> M {
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_valid_request_of_a_key_is_told_from_the_later_ones() {
        let key = SigningKey::new(Algorithm::HmacSha1, b"12345", "a".to_owned());
        let now = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("a clock after 1970").as_secs()
        };
        assert_eq!(key.last_match(), None);
        let before = now();
        assert!(key.record_match());
        let recorded = key.last_match().expect("it has signed a request");
        assert!((before..=now()).contains(&recorded));
        assert!(!key.record_match());
    }
}
