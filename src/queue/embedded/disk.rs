//! Whether the disk can be written at the moment.

use std::path::Path;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::queue::store::Error;

/// After a failed write none is tried for so long; each further failure doubles it.
const MIN_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// So many bytes of the disk are left free, since erasing needs some too.
const RESERVE: u64 = 4 << 20;

/// Remembers the last failure, until a write succeeds.
#[derive(Default)]
pub(super) struct Disk {
    failure: Option<Failure>,
}

struct Failure {
    error: String,
    until: Instant,
    backoff: Duration,
}

impl Disk {
    pub(super) fn record_failure(&mut self, error: &str) {
        let backoff = self.failure.as_ref().map_or(MIN_BACKOFF, |failure| {
            (failure.backoff * 2).min(MAX_BACKOFF)
        });
        if self.failure.is_none() {
            warn!(error, "queue can't be written");
        }
        self.failure = Some(Failure {
            error: error.to_owned(),
            until: Instant::now() + backoff,
            backoff,
        });
    }

    pub(super) fn record_success(&mut self) {
        if self.failure.take().is_some() {
            info!("queue written again");
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Before this time no write is tried, after a failure.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.failure.as_ref().map(|failure| failure.until)
    }

    /// # Errors
    ///
    /// The last failure, while no write is to be tried.
    pub(super) fn check_pause(&self) -> Result<(), Error> {
        match &self.failure {
            Some(failure) if Instant::now() < failure.until => {
                Err(Error::Io(failure.error.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is space for so many bytes and the reserve. When the engine itself meets a full disk, its file must be
    /// opened again.
    pub(super) fn check_space(folder: &Path, bytes: u64) -> Result<(), Error> {
        let Ok(disk) = rustix::fs::statvfs(folder) else {
            return Ok(());
        };
        if disk.f_bavail.saturating_mul(disk.f_frsize) >= RESERVE + bytes * 2 {
            return Ok(());
        }
        Err(Error::Io("no space is left on the disk".to_owned()))
    }
}
