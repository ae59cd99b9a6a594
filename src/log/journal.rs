//! Lines as systemd's journal takes them from a service's streams: each begins with its priority (`sd-daemon(3)`), so that
//! `journalctl -p warning` finds what it should.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Level, Metadata};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::fmt::MakeWriter;

/// How a line of an error begins (`LOG_ERR`).
pub(super) const ERROR: &str = "<3>";

/// Whether a stream is the journal's: systemd says which one is, by device and inode (`systemd.exec(5)`, `JOURNAL_STREAM`).
/// A stream that was sent elsewhere since isn't.
pub(super) fn is_at(stream: &impl AsFd) -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stream = stream.as_fd().try_clone_to_owned();
    let metadata = stream.and_then(|stream| File::from(stream).metadata());
    metadata.is_ok_and(|at| format!("{}:{}", at.dev(), at.ino()) == journal)
}

/// Writes each line behind its priority.
pub(super) struct Prioritised(pub(super) NonBlocking);

impl<'a> MakeWriter<'a> for Prioritised {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        self.line(*metadata.level())
    }
}

impl Prioritised {
    fn line(&self, level: Level) -> Line {
        let writer = self.0.clone();
        Line {
            priority: priority(level),
            writer,
        }
    }
}

/// A line that is still to be written, all at once.
pub(super) struct Line {
    priority: &'static str,
    writer: NonBlocking,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // In one piece with what it is for: the writer behind takes lines of all threads.
        self.writer
            .write_all(&[self.priority.as_bytes(), line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The priority of syslog that fits (`syslog(3)`).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => ERROR,
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}
