//! What every store of callbacks can do.

use std::collections::BTreeMap;
use std::fmt;
use std::num::ParseIntError;
use std::pin::Pin;
use std::str::FromStr;
use std::time::SystemTime;

use tokio::sync::watch;

use super::callback::Callback;

/// What a store's methods return.
pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// Says that something may be claimed that could not be claimed before, other than by time.
///
/// `changed()` returns at once if that happened since it was last asked, so nothing is missed between a claim that found nothing
/// and the wait.
pub type Changes = watch::Receiver<()>;

/// Where callbacks wait.
///
/// Callbacks of one route and key are claimed in the order in which they were appended, and never two of them at the same time.
/// All methods may be called from any thread that runs in a tokio runtime, and none blocks it.
pub trait Store: Send + Sync {
    /// Stores a callback durably: once it returns, the callback survives a crash of this process and of its machine. Whether
    /// it survives a power cut of a server that stores it depends on that server. Many at once share one write. The callback
    /// waits, and is due since it was received. If the future is dropped, it may be stored or not.
    ///
    /// # Errors
    ///
    /// It isn't stored; for what reason, says the error. If the reason goes away, a later one is stored.
    fn append(&self, callback: Callback) -> Future<'_, Result<Id, Error>>;

    /// Whether a callback of this route and key waits, or is claimed at the moment. A newer one may not be delivered before it.
    /// It is also true if that can't be known.
    ///
    /// # Errors
    ///
    /// The store can't be asked.
    fn is_waiting<'a>(&'a self, route: &'a str, key: &'a str) -> Future<'a, Result<bool, Error>>;

    /// Claims the oldest callback of a key of this route that is due at `now` and not claimed; of several such keys, the one whose
    /// oldest has been due for the longest time.
    ///
    /// # Errors
    ///
    /// The store can't be asked. A callback that can't be read any more is not an error: it becomes a dead letter.
    fn claim<'a>(
        &'a self,
        route: &'a str,
        now: SystemTime,
    ) -> Future<'a, Result<Option<Claim>, Error>>;

    /// Ends a claim. It isn't durable at once: after a crash a callback may be delivered again that was delivered shortly before.
    ///
    /// # Errors
    ///
    /// The store can't be reached, and the callback will be claimed again.
    fn finish(&self, claim: Claim, ending: Ending) -> Future<'_, Result<(), Error>>;

    /// Tells when to ask for a claim again.
    fn changes(&self) -> Changes;

    /// When time alone will let the next callback of a route be claimed; `None`: no time will. It may be in the past.
    fn next_due(&self, route: &str) -> Option<SystemTime>;

    /// Counts of all routes that have anything stored, also of those that are not in the configuration any more. It is cheap: it
    /// asks no server.
    fn summary(&self) -> Summary;

    /// The first `limit` callbacks of a filter with an id greater than `after`, in the order of their ids.
    ///
    /// # Errors
    ///
    /// The store can't be asked.
    fn list<'a>(
        &'a self,
        filter: Filter<'a>,
        after: Option<Id>,
        limit: usize,
    ) -> Future<'a, Result<Vec<Entry>, Error>>;

    /// One callback with its request; `None`: it does not exist, or not any more.
    ///
    /// # Errors
    ///
    /// The store can't be asked, or the callback can't be read any more.
    fn find(&self, id: Id) -> Future<'_, Result<Option<(Entry, Callback)>, Error>>;

    /// Makes callbacks due at once, and gives back how many it found. A dead letter waits again, without its attempts, with a new
    /// id, behind those of its key that wait already.
    ///
    /// # Errors
    ///
    /// The store can't be asked; some may have been changed.
    fn retry<'a>(&'a self, ids: &'a [Id], now: SystemTime) -> Future<'a, Result<usize, Error>>;

    /// Erases callbacks, and gives back how many it found. One that is claimed is left alone.
    ///
    /// # Errors
    ///
    /// The store can't be asked; some may be gone.
    fn remove<'a>(&'a self, ids: &'a [Id]) -> Future<'a, Result<usize, Error>>;

    /// Sets the most that is stored, in bytes. What is stored already stays, even if it is more.
    fn set_max_size(&self, max_size: u64);

    /// Writes what isn't durable yet, and closes files and connections. Every later call fails.
    fn close(&self) -> Future<'_, ()>;
}

/// The number of a stored callback. Among those of a key that wait, a greater one is newer. It is the callback's as long as that
/// waits, and another one when it has become a dead letter or waits again.
///
/// It is written `17`; or `2-17`, the 17th of the second file, after upgrades in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl Id {
    /// So many bits count within a file.
    pub(super) const BITS: u32 = 40;

    /// The number `count` of a file.
    pub(super) const fn new(file: u32, count: u64) -> Self {
        Self(((file as u64) << Self::BITS) | count)
    }

    /// The file that it is in.
    pub(super) const fn file(self) -> u32 {
        (self.0 >> Self::BITS) as u32
    }

    const fn count(self) -> u64 {
        self.0 & ((1 << Self::BITS) - 1)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file() {
            0 => write!(f, "{}", self.count()),
            file => write!(f, "{file}-{}", self.count()),
        }
    }
}

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let invalid = |_: ParseIntError| ParseIdError(text.to_owned());
        let (file, count) = text.split_once('-').unwrap_or(("0", text));
        let (file, count): (u32, u64) = (
            file.parse().map_err(invalid)?,
            count.parse().map_err(invalid)?,
        );
        let id = Self::new(file & 0xFF_FFFF, count & ((1 << Self::BITS) - 1));
        if id.file() == file && id.count() == count {
            Ok(id)
        } else {
            Err(ParseIdError(text.to_owned()))
        }
    }
}

/// A text that is not an id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a valid id of a callback: it is a number such as 17, or two such as 2-17")]
pub struct ParseIdError(String);

/// The right to deliver one callback. Nobody else has it until the claim is finished. A dropped one gives the callback back as it
/// was.
pub struct Claim {
    /// Its number.
    pub id: Id,
    /// What is to be delivered.
    pub callback: Callback,
    /// How many deliveries have failed before.
    pub attempts: u32,
    /// Since when it waits: when it was received, or retried as a dead letter. Its age counts from here.
    pub since: SystemTime,
    give_back: Option<Box<dyn FnOnce() + Send>>,
}

impl Claim {
    /// A claim whose `give_back` is called if it is dropped and not disarmed. Only a store makes one.
    pub fn new(
        id: Id,
        callback: Callback,
        attempts: u32,
        since: SystemTime,
        give_back: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self {
            id,
            callback,
            attempts,
            since,
            give_back: Some(Box::new(give_back)),
        }
    }

    /// It has ended, and isn't to be given back. A store does this when it is finished.
    pub fn disarm(&mut self) {
        self.give_back = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(give_back) = self.give_back.take() {
            give_back();
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("id", &self.id)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The app has it; it is erased.
    Delivered,
    /// It failed, and is due again.
    Retry {
        /// When it is due.
        at: SystemTime,
        /// Why it failed, in words.
        error: String,
    },
    /// It failed, and isn't tried again: a dead letter.
    Dead {
        /// When.
        at: SystemTime,
        /// Why it failed, in words.
        error: String,
    },
}

/// What is known of a stored callback without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: Id,
    /// The route's name.
    pub route: String,
    /// What it is about.
    pub key: String,
    /// Why it was queued, as a label of metrics.
    pub reason: String,
    /// When it came.
    pub received: SystemTime,
    /// Since when it waits, or is dead.
    pub since: SystemTime,
    /// What becomes of it.
    pub state: State,
    /// How many deliveries have failed.
    pub attempts: u32,
    /// Why the last one failed, in words.
    pub last_error: Option<String>,
    /// How much it counts towards `max_size`, in bytes.
    pub size: u64,
}

/// What becomes of a stored callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits to be delivered.
    Waiting {
        /// From when on it may be; one that isn't the oldest of its key has to wait for the older ones too.
        next_try: SystemTime,
    },
    /// It is being delivered.
    Claimed,
    /// It is a dead letter.
    Dead,
}

/// Which callbacks are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Only this route's; `None`: all.
    pub route: Option<&'a str>,
    /// Only dead letters, or only the others; `None`: all.
    pub is_dead: Option<bool>,
}

/// Counts of all that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// By the name of the route.
    pub routes: BTreeMap<String, RouteSummary>,
    /// How much is stored, in bytes, as it counts towards `max_size`.
    pub bytes: u64,
    /// How many were found damaged since the start, and can't be delivered.
    pub damaged: u64,
}

/// Counts of one route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSummary {
    /// How many wait or are being delivered.
    pub waiting: u64,
    /// How many dead letters are kept.
    pub dead: u64,
    /// How much waiting ones and dead letters count towards `max_size`, in bytes.
    pub bytes: u64,
    /// Since when the oldest one waits.
    pub oldest: Option<SystemTime>,
    /// When the next one is due; it may be in the past.
    pub next_try: Option<SystemTime>,
    /// Why the last delivery that failed did, in words.
    pub last_error: Option<String>,
}

/// Why a store didn't do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// So much is stored that this one would be more than `max_size`.
    #[error("the queue is full: {max_size} bytes are the most that it may hold")]
    Full {
        /// The limit, in bytes.
        max_size: u64,
    },
    /// No store of this kind takes such a large one.
    #[error("the callback has {size} bytes, and the queue takes at most {limit} bytes at once")]
    TooLarge {
        /// Its size, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The disk refused: it is full, read-only or broken.
    #[error("the queue can't be read or written: {0}")]
    Io(String),
    /// The server that stores can't be reached.
    #[error("the server of the queue can't be reached: {0}")]
    Away(String),
    /// What was stored is not what is there now.
    #[error("callback {0} is damaged")]
    Damaged(Id),
    /// The store has been closed.
    #[error("the queue is closed")]
    Closed,
}

impl Error {
    /// Its label in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::TooLarge { .. } => "too_large",
            Self::Io(_) => "io",
            Self::Away(_) => "away",
            Self::Damaged(_) => "damaged",
            Self::Closed => "closed",
        }
    }
}
