//! Which server is used, and how.

use std::time::Duration;

/// Which server is used, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `nats://host:4222`, `tls://user:password@host`, `nats://token@host`; several servers are separated by commas, and the first user
    /// and password are those of all.
    pub url: String,
    /// The name of the stream, and the beginning of its subjects: letters, digits, `-` and `_`. Instances with the same one share
    /// their queue.
    pub name: String,
    /// The most that is stored, in bytes, as the server counts them.
    pub max_size: u64,
    /// A claim that isn't renewed for so long can be taken over by another instance. It is renewed three times as often.
    pub lease: Duration,
}

impl Settings {
    /// The default name.
    pub const NAME: &str = "understudy";

    /// The default lease.
    pub const LEASE: Duration = Duration::from_secs(15);
}

/// The URL may have a password in it.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("max_size", &self.max_size)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// Why a store can't be opened, even if the server can be reached.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not a valid URL of a NATS server.
    #[error("this is not a valid URL of a NATS server: {0}")]
    Url(String),
    /// The name is not a valid name of a stream.
    #[error(
        "`{0}` is not a valid name of a stream: only letters, digits, `-` and `_` may be in it"
    )]
    Name(String),
    /// The thread that talks to the server can't be started.
    #[error("the thread of the queue can't be started: {0}")]
    Thread(#[from] std::io::Error),
}
