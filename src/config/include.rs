//! `include`: files beside the main one that have routes and apps, each named or matched by a pattern.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::diagnostic::{Diagnostic, quote, quote_key};
use super::files::Files;
use super::pattern::NamePattern;
use super::reader::Reader;
use super::report::{Location, NamedPath};
use super::value::parse_text;
use crate::twiml;

/// What an included file may have.
const KEYS: [&str; 2] = ["route", "upstreams"];

const ONLY: &str =
    "only [[route]] and [upstreams.NAME] can stand in it, so write this in the main file";

/// What the main file includes.
pub(super) struct Included {
    pub(super) files: Vec<IncludedFile>,
    /// Whether no file is missing because of an error.
    pub(super) are_all_read: bool,
}

/// One file.
pub(super) struct IncludedFile {
    pub(super) path: NamedPath,
    pub(super) content: Bytes,
}

/// Reads `include`, and each file that it names or matches: once, however often that is. `main_path` is the main file's own.
pub(super) fn read_files(main: &mut Reader<'_>, main_path: &Path, files: &mut Files) -> Included {
    let main_path = canonical(main_path);
    let mut included = Vec::new();
    let mut seen = HashSet::new();
    let mut are_all_read = true;
    for (location, written) in main.located_list("include", parse_text) {
        let Some(paths) = location.take(find(written, &location, &main_path, files)) else {
            are_all_read = false;
            continue;
        };
        for path in paths
            .into_iter()
            .filter(|path| seen.insert(canonical(&path.path)))
        {
            match location.take(files.read_named(&path)) {
                Some(content) => included.push(IncludedFile { path, content }),
                None => are_all_read = false,
            }
        }
    }
    Included {
        files: included,
        are_all_read,
    }
}

/// Reports what can't stand in an included file, also if it can in the main one.
pub(super) fn finish(file: &Reader<'_>, main: &Reader<'_>) {
    for (name, location) in file.unknown_keys() {
        let key = quote_key(name);
        let meant = twiml::suggest(name, KEYS.into_iter());
        let help = match meant.filter(|_| !main.knows(name)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => ONLY.to_owned(),
        };
        location.key_error(format!("an included file can't have {key}"), help);
    }
}

/// The paths of the files.
fn find(
    written: &str,
    location: &Location<'_>,
    main_path: &Path,
    files: &mut Files,
) -> Result<Vec<NamedPath>, Diagnostic> {
    let folder = Path::new(written).parent();
    if folder.is_some_and(|folder| folder.to_string_lossy().contains('*')) {
        let what = "has a `*` in the name of a folder";
        return Err(Diagnostic::about(written, what)
            .help("a pattern matches the files of one folder: \"routes.d/*.toml\""));
    }
    let path = location.resolve(written);
    let Some(pattern) = NamePattern::of_path(&path.path) else {
        if canonical(&path.path) == main_path {
            return Err(Diagnostic::new("the file includes itself").help("name another one"));
        }
        if path.path.is_dir() {
            let pattern = format!("{}/*.toml", written.trim_end_matches('/'));
            let error = Diagnostic::about(written, "is a folder");
            return Err(error.help_with_value(format!("write {}", quote(&pattern))));
        }
        return Ok(vec![path]);
    };
    let mut paths = files
        .list(&pattern)
        .map_err(|error| Diagnostic::in_file(path.shown.parent().unwrap_or(&path.shown), error))?;
    if paths.is_empty() {
        let note = Diagnostic::about(written, "matches no file");
        location.note(note.help("a file that comes later is taken up"));
    }
    // `include = "*.toml"` is about the files beside this one.
    paths.retain(|path| canonical(path) != main_path);
    let named = paths.into_iter().map(|found| {
        let name = found.file_name().unwrap_or_default();
        let shown = path.shown.with_file_name(name);
        NamedPath { path: found, shown }
    });
    Ok(named.collect())
}

/// The path by which a file is the same whatever it is called.
fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
