//! Lines as systemd's journal takes them from a service's streams: each begins with its priority (`sd-daemon(3)`), so that
//! `journalctl -p warning` finds what it should.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Level, Metadata};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::fmt::MakeWriter;

/// The prefix of a line that reports an error (`LOG_ERR`).
pub(super) const ERROR: &str = "<3>";

/// Whether a stream goes to the journal: systemd names that stream by device and inode (`systemd.exec(5)`,
/// `JOURNAL_STREAM`). A stream that was redirected since then has others.
pub(super) fn is_journal(stream: &impl AsFd) -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stream = stream.as_fd().try_clone_to_owned();
    let metadata = stream.and_then(|stream| File::from(stream).metadata());
    metadata.is_ok_and(|own| format!("{}:{}", own.dev(), own.ino()) == journal)
}

/// Writes each line with its priority in front.
pub(super) struct PriorityWriter(pub(super) NonBlocking);

impl<'a> MakeWriter<'a> for PriorityWriter {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter {
        self.line(*metadata.level())
    }
}

impl PriorityWriter {
    fn line(&self, level: Level) -> LineWriter {
        LineWriter {
            priority: priority(level),
            writer: self.0.clone(),
        }
    }
}

/// Writes one line.
pub(super) struct LineWriter {
    priority: &'static str,
    writer: NonBlocking,
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Prefix and line go out in one write: the writer takes lines from every thread.
        self.writer
            .write_all(&[self.priority.as_bytes(), line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The level as a priority of syslog (`syslog(3)`).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => ERROR,
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}
