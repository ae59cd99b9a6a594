//! What is said: one JSON object a line on stdout, text where it is a terminal; the level by `RUST_LOG`. Lines that go to
//! systemd's journal begin with their priority, which the journal takes off.

mod access;
mod describe;
mod journal;
mod trace;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use tracing::{Metadata, error, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use access::Access;
pub use describe::describe_error;
pub use trace::TraceContext;

/// How many lines may wait for whoever takes them: some megabytes. More are dropped, and counted.
const WAITING: usize = 1 << 14;

/// What is said if `RUST_LOG` doesn't tell.
const USUAL: &str = "info";

/// Counts the lines that were too many for who takes them.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines were dropped, because whoever takes them (a journal, a full disk) stood still for too long.
pub fn dropped_lines() -> u64 {
    let lines = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    lines as u64
}

/// Begins to log. Dropping the guard writes out what is left.
pub fn begin() -> WorkerGuard {
    let stdout = io::stdout();
    // Lines are written by a thread of their own: a stalled journal must not stall a call.
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .finish(io::stdout());
    DROPPED.get_or_init(|| writer.error_counter());
    let writer = if journal::is_at(&stdout) {
        BoxMakeWriter::new(journal::Prioritised(writer))
    } else {
        BoxMakeWriter::new(writer)
    };
    let (filter, misread) = filter();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    // A second beginning, in a test of several instances, keeps the first.
    let _ = if stdout.is_terminal() {
        let log = log.with_ansi(true).finish();
        log.with(filter_fn(is_ours)).try_init()
    } else {
        let log = log
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish();
        log.with(filter_fn(is_ours)).try_init()
    };
    if let Some(error) = misread {
        warn!(%error, "RUST_LOG can't be read, so the level is {USUAL}; write debug, or info,understudy::access=off");
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        // The message may hold what was being worked on; the place is enough to find it.
        error!(place, "panic: please report it");
    }));
    guard
}

/// Whether a line is our own. Others are not logged, whatever `RUST_LOG` asks for: libraries write out what they were sent, a
/// request's path for one, and h2 warns of every frame that it didn't expect.
fn is_ours(line: &Metadata<'_>) -> bool {
    line.target().starts_with("understudy")
}

/// What is said, by `RUST_LOG`, and what is wrong with that.
fn filter() -> (EnvFilter, Option<String>) {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    if asked.trim().is_empty() {
        return (EnvFilter::new(USUAL), None);
    }
    match EnvFilter::try_new(asked) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(USUAL), Some(error.to_string())),
    }
}

/// Says on stderr why nothing can be begun, where there is no log yet. In the journal each line is an error.
pub fn complain(words: &impl ToString) {
    let mut stderr = io::stderr();
    let prefix = if journal::is_at(&stderr) {
        journal::ERROR
    } else {
        ""
    };
    for line in words.to_string().lines() {
        // Nobody is left to be told of a stderr that is closed.
        let _ = writeln!(stderr, "{prefix}{line}");
    }
}
