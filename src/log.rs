//! What is said: one JSON object a line on stdout, text where it is a terminal; the level by `RUST_LOG`.

use std::io::{self, IsTerminal};

use tracing::error;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Begins to log. Dropping the guard writes out what is left.
pub fn begin() -> WorkerGuard {
    // Lines are written by a thread of their own: a stalled journal must not stall a call.
    let (writer, guard) = NonBlocking::new(io::stdout());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    // A second beginning, in a test of several instances, keeps the first.
    let _ = if io::stdout().is_terminal() {
        log.with_ansi(true).try_init()
    } else {
        log.json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        // The message may hold what was being worked on; the place is enough to find it.
        error!(place, "a panic: please report it");
    }));
    guard
}
