//! Waiting with a bound.

use std::time::Duration;

use tokio::runtime;
use tokio::task::LocalSet;

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

/// Runs a future on a paused clock, in a runtime of its own; it may spawn local tasks.
///
/// # Panics
///
/// If there can be no runtime.
pub fn run_on_paused_clock<F: Future>(future: F) -> F::Output {
    let mut builder = runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), future)
}

/// So many milliseconds.
pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
