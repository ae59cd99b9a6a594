//! The log: one JSON object a line on stdout, text where stdout is a terminal; `RUST_LOG` sets the level. Lines that go to
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

pub use access::AccessLine;
pub use describe::{describe_error, error_chain};
pub use trace::TraceContext;

/// How many lines may wait to be written: some megabytes. More are dropped, and counted.
const BUFFERED_LINES: usize = 1 << 14;

/// The level without `RUST_LOG`.
const DEFAULT_LEVEL: &str = "info";

/// Counts the lines that were dropped.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines were dropped because whatever takes them (a journal, a full disk) was blocked for too long.
pub fn dropped_lines() -> u64 {
    let lines = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    lines as u64
}

/// Starts the log, and logs panics from then on. Dropping the guard writes the lines that still wait.
pub fn init() -> WorkerGuard {
    // A thread of its own writes the lines: a stalled journal must not stall a request.
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(BUFFERED_LINES)
        .finish(io::stdout());
    DROPPED.get_or_init(|| writer.error_counter());
    let writer = if journal::is_journal(&io::stdout()) {
        BoxMakeWriter::new(journal::PriorityWriter(writer))
    } else {
        BoxMakeWriter::new(writer)
    };
    let (filter, filter_error) = read_filter();
    subscribe(filter, writer);
    if let Some(error) = filter_error {
        warn!(%error, "RUST_LOG can't be read, so the level is {DEFAULT_LEVEL}; write debug, or info,understudy::access=off");
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        // The message may hold a caller's data; the place is enough to find the bug.
        error!(place, "panic: please report it");
    }));
    guard
}

fn subscribe(filter: EnvFilter, writer: BoxMakeWriter) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    // A test may start several instances in one process: the first log stays.
    let _ = if io::stdout().is_terminal() {
        let log = log.with_ansi(true).finish();
        log.with(filter_fn(is_own)).try_init()
    } else {
        let log = log
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish();
        log.with(filter_fn(is_own)).try_init()
    };
}

/// Whether a line is understudy's. Those of libraries are not logged, whatever `RUST_LOG` asks for: they may hold what was
/// sent, such as a request's path, and h2 warns of every frame that it didn't expect.
fn is_own(line: &Metadata<'_>) -> bool {
    line.target().starts_with("understudy")
}

/// The filter of `RUST_LOG`, and what is wrong with that variable.
fn read_filter() -> (EnvFilter, Option<String>) {
    let text = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    if text.trim().is_empty() {
        return (EnvFilter::new(DEFAULT_LEVEL), None);
    }
    match EnvFilter::try_new(text) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_LEVEL), Some(error.to_string())),
    }
}

/// Prints on stderr why the program can't start, where there is no log yet. In the journal each line is an error.
pub fn print_error(error: &impl ToString) {
    let mut stderr = io::stderr();
    let prefix = if journal::is_journal(&stderr) {
        journal::ERROR
    } else {
        ""
    };
    for line in error.to_string().lines() {
        // In one piece: a process that is being upgraded writes to the same place meanwhile. Without stderr there is nowhere left
        // to report to.
        let _ = stderr.write_all(format!("{prefix}{line}\n").as_bytes());
    }
}
