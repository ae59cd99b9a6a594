//! The state of a key: which instance delivers its oldest callback, and how often that has failed.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::queue::encoding::{Damaged, Reader, Writer};

/// The state of a key, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The instance that delivers; empty: none does.
    pub(super) owner: String,
    /// The number of the callback to which the other fields belong.
    pub(super) id: u64,
    pub(super) attempts: u32,
    /// In milliseconds since 1970.
    pub(super) next_try: u64,
    pub(super) last_error: String,
}

impl State {
    pub(super) fn encode(&self) -> Bytes {
        let mut writer = Writer::new(128);
        writer.text(self.owner.as_bytes());
        writer.number(self.id);
        writer.number(self.attempts.into());
        writer.number(self.next_try);
        writer.text(self.last_error.as_bytes());
        writer.finish().into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes)?;
        Ok(Self {
            owner: reader.string()?,
            id: reader.number()?,
            attempts: u32::try_from(reader.number()?).map_err(|_| Damaged)?,
            next_try: reader.number()?,
            last_error: reader.string()?,
        })
    }
}

/// A route and key as the last two words of a subject. They are hashed: a subject takes no spaces or dots, and is seen by everyone who can
/// read the server's figures.
pub(super) fn token(route: &str, key: &str) -> String {
    format!("{}.{}", word(route), word(key))
}

fn word(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hex(&hash[..12])
}

/// Bytes as a text of small letters and digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of such a text; `None`: it is not one.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
