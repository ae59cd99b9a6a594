//! `understudy check`: reads a configuration exactly as `run` would, without listening, and prints all its errors.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use humantime::format_duration;

use super::exit_status;
use crate::config::Config;
use crate::log::describe_error;
use crate::proxy::{RouteSettings, Settings, SharedState, Snapshot};
use crate::upstream::{ProbeError, Upstream};

/// Checks a configuration: prints a summary on `out`, and errors and notes on `err`, one a line. With `probe` it asks every
/// upstream once. If nobody reads them, the exit status still counts.
pub fn run(path: &Path, probe: bool, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match Config::load(path) {
        Ok(config) => {
            let _ = print_summary(path, &config, out);
            for note in &config.notes {
                let _ = writeln!(err, "{note}");
            }
            if probe && !probe_upstreams(config.proxy, out, err) {
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(errors) => {
            let _ = writeln!(err, "{errors}");
            ExitCode::from(exit_status::EX_CONFIG)
        }
    }
}

/// Asks every upstream once, as the breaker of its first route does. Returns whether all are there.
fn probe_upstreams(settings: Settings, out: &mut dyn Write, err: &mut dyn Write) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(err, "no upstream can be asked from here: {error}");
            return false;
        }
    };
    let snapshot = Snapshot::new(settings, &SharedState::new(), None);
    let mut are_all_there = true;
    for upstream in &snapshot.upstreams {
        let probed = runtime.block_on(probe(&snapshot, upstream));
        let (name, url) = (&upstream.settings.name, upstream.settings.url());
        let _ = match probed {
            Ok(()) => writeln!(out, "  upstream {name} at {url}: ok"),
            Err(error) => {
                are_all_there = false;
                let error = describe_error(&error);
                writeln!(err, "upstream {name} at {url}: {error}")
            }
        };
    }
    are_all_there
}

async fn probe(snapshot: &Snapshot, upstream: &Upstream) -> Result<(), ProbeError> {
    let mut routes = snapshot.all_routes();
    match routes.find(|route| route.settings.upstream == upstream.settings.name) {
        Some(route) => snapshot.probe(route).await,
        None => upstream.probe(None, None).await,
    }
}

fn print_summary(path: &Path, config: &Config, out: &mut dyn Write) -> io::Result<()> {
    let routes = &config.proxy.routes;
    let files = config.files.iter().filter(|file| !file.is_pattern());
    writeln!(
        out,
        "{}: ok — {}, {} read",
        path.display(),
        count("route", routes.len()),
        count("file", files.count())
    )?;
    let rows: Vec<_> = routes.iter().map(row).collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let (name_width, kind_width, pattern_width) = (width(0), width(1), width(2));
    for [name, kind, pattern, deadline] in &rows {
        writeln!(
            out,
            "  {name:name_width$}  {kind:kind_width$}  {pattern:pattern_width$}  {deadline}"
        )?;
    }
    out.flush()
}

fn row(route: &RouteSettings) -> [String; 4] {
    [
        route.name.clone(),
        route.kind.as_str().to_owned(),
        pattern(route),
        format_duration(route.deadline).to_string(),
    ]
}

/// What a route matches: `/voice`, `GET,POST hooks.example.com/voice/*`.
fn pattern(route: &RouteSettings) -> String {
    let pattern = &route.pattern;
    let methods: Vec<_> = pattern.methods.iter().map(http::Method::as_str).collect();
    let space = if methods.is_empty() { "" } else { " " };
    let host = pattern.host.as_deref().unwrap_or_default();
    format!("{}{space}{host}{}", methods.join(","), pattern.path)
}

fn count(noun: &str, count: usize) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
