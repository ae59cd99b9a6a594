//! Waiting with a bound.

use std::time::Duration;

/// How long a test waits for what must happen: long enough for a machine that is busy with something else.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// How long a poll that found nothing new waits for the next.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The future's output.
///
/// # Panics
///
/// If it takes longer than [`TIMEOUT`].
pub async fn wait_for<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(TIMEOUT, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {TIMEOUT:?} in vain for {what}"),
    }
}

/// Waits until it is so.
///
/// # Panics
///
/// If it isn't within [`TIMEOUT`].
pub async fn wait_until(what: &str, is_so: impl AsyncFn() -> bool) {
    let poll = async {
        while !is_so().await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    wait_for(what, poll).await;
}

/// So many milliseconds.
pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
