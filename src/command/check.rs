//! `understudy check`: reads a configuration exactly as `run` would, opens nothing, and says everything that is wrong with it.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use humantime::format_duration;

use super::EX_CONFIG;
use crate::config::Config;
use crate::proxy::RouteSettings;

/// Checks the configuration at this path. What is good is summed up on `out`; what is wrong or needless goes to `err`, one
/// line each. A reader that has gone away takes nothing from the verdict.
pub fn run(config: &Path, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match Config::load(config) {
        Ok(found) => {
            let _ = summary(config, &found, out);
            for note in &found.notes {
                let _ = writeln!(err, "{note}");
            }
            ExitCode::SUCCESS
        }
        Err(errors) => {
            let _ = writeln!(err, "{errors}");
            ExitCode::from(EX_CONFIG)
        }
    }
}

fn summary(path: &Path, config: &Config, out: &mut dyn Write) -> io::Result<()> {
    let (routes, files) = (&config.site.routes, config.files.len());
    let (routes_word, files_word) = (plural("route", routes.len()), plural("file", files));
    writeln!(
        out,
        "{}: ok — {routes_word}, {files_word} read",
        path.display()
    )?;
    let name_width = width(routes, |route| route.name.as_str());
    let kind_width = width(routes, |route| route.kind.as_str());
    let paths: Vec<_> = routes.iter().map(matched).collect();
    let path_width = width(&paths, String::as_str);
    for (route, path) in routes.iter().zip(&paths) {
        let (name, kind) = (&route.name, route.kind.as_str());
        let deadline = format_duration(route.deadline);
        writeln!(
            out,
            "  {name:name_width$}  {kind:kind_width$}  {path:path_width$}  {deadline}"
        )?;
    }
    out.flush()
}

/// What a route matches, in a few words: `/voice`, `GET,POST hooks.example.com/voice/*`.
fn matched(route: &RouteSettings) -> String {
    let pattern = &route.pattern;
    let methods: Vec<_> = pattern.methods.iter().map(http::Method::as_str).collect();
    let space = if methods.is_empty() { "" } else { " " };
    let host = pattern.host.as_deref().unwrap_or_default();
    format!("{}{space}{host}{}", methods.join(","), pattern.path)
}

fn plural(noun: &str, count: usize) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn width<T>(rows: &[T], column: impl Fn(&T) -> &str) -> usize {
    rows.iter()
        .map(|row| column(row).chars().count())
        .max()
        .unwrap_or(0)
}
