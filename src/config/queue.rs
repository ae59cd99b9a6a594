//! `[queue]`: where callbacks wait, how many, and for how long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::diagnostic::Diagnostic;
use super::reader::Reader;
use super::value::{parse_age, parse_size, parse_text};
use crate::queue::{Place, Settings};

/// A callback with the largest body that a request may have by default, and its headers.
const SMALLEST: u64 = 1 << 20;

/// `[queue]`.
pub(super) struct Queue {
    /// None if it is not given or not valid.
    pub(super) settings: Option<Settings>,
    pub(super) is_given: bool,
}

/// Reads `[queue]`.
pub(super) fn read(file: &mut Reader<'_>) -> Queue {
    let is_given = file.has("queue");
    let mut table = file.table("queue");
    let path = table.read("path", parse_folder);
    let url = table.read("url", parse_nats);
    let mut max_size = 1 << 30;
    table.set("max_size", &mut max_size, parse_queue_size);
    let mut max_age = Duration::from_secs(24 * 60 * 60);
    table.set("max_age", &mut max_age, parse_age);
    match (table.has("path"), table.has("url")) {
        (true, true) => table.at("url").error(
            "`path` is given too, and callbacks wait in one place",
            "keep one of the two",
        ),
        (false, false) if is_given => table.expect("path", "path = \"/var/lib/understudy/queue\""),
        _ => {}
    }
    table.finish();
    let place = path.map(Place::Folder).or_else(|| url.map(Place::Nats));
    let settings = place.map(|place| Settings {
        place,
        max_size,
        max_age,
    });
    Queue { settings, is_given }
}

fn parse_folder(value: &DeValue<'_>) -> Result<PathBuf, Diagnostic> {
    let text = parse_text(value)?;
    if Path::new(text).is_absolute() && !text.contains('\0') {
        return Ok(text.into());
    }
    Err(Diagnostic::about(text, "is not an absolute path")
        .help("write \"/var/lib/understudy/queue\""))
}

fn parse_nats(value: &DeValue<'_>) -> Result<String, Diagnostic> {
    let text = parse_text(value)?;
    let rest = text.strip_prefix("nats://");
    let rest = rest.or_else(|| text.strip_prefix("tls://"));
    let has_host = rest.is_some_and(|rest| {
        let host = rest.rsplit('@').next().unwrap_or_default();
        !host.is_empty() && !host.starts_with(':') && !host.contains(['/', ' ', '?', '#'])
    });
    if has_host {
        return Ok(text.to_owned());
    }
    // It may have a password, which is not repeated.
    Err(Diagnostic::new("this is not the URL of a NATS server")
        .help("write \"nats://127.0.0.1:4222\""))
}

fn parse_queue_size(value: &DeValue<'_>) -> Result<u64, Diagnostic> {
    let size = parse_size(value)?;
    if size >= SMALLEST {
        return Ok(size);
    }
    Err(
        Diagnostic::new(format!("{size} bytes may not be enough for one callback"))
            .help("write \"1MiB\" or more"),
    )
}
