//! Where callbacks wait, how many, and for how long.

use std::path::PathBuf;
use std::time::Duration;

/// Where callbacks wait, how many, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where.
    pub place: Place,
    /// How much may be stored, in bytes.
    pub max_size: u64,
    /// How long a callback may wait before it becomes a dead letter.
    pub max_age: Duration,
}

/// Where callbacks wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a folder of this process alone.
    Folder(PathBuf),
    /// In JetStream, at the NATS server of this URL.
    Nats(String),
}
