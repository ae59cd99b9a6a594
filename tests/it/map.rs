//! Who may import whom: arrows point down only. Reads the source, so that the map in `lib.rs` stays true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module, from the ground up, with the modules it may import; a module never imports one that stands below it in this list.
const MODULES: &[(&str, &[&str])] = &[
    ("twilio", &[]),
    ("deadline", &[]),
    ("route", &[]),
    ("twiml", &[]),
    ("secret", &[]),
    ("signature", &["secret"]),
    ("log", &["twiml"]),
    ("tls", &[]),
    ("notify", &[]),
    ("breaker", &[]),
    ("drill", &[]),
    ("body", &[]),
    ("webhook", &["twiml"]),
    ("response", &["twiml"]),
    ("upstream", &["body", "log", "signature", "tls", "twilio"]),
    ("fallback", &["twiml", "upstream", "webhook"]),
    (
        "failure",
        &[
            "response",
            "body",
            "drill",
            "signature",
            "tls",
            "twiml",
            "upstream",
        ],
    ),
    ("recent_failures", &["failure", "twiml"]),
    (
        "metrics",
        &["recent_failures", "log", "failure", "signature", "upstream"],
    ),
    (
        "proxy",
        &[
            "response",
            "body",
            "breaker",
            "deadline",
            "drill",
            "recent_failures",
            "fallback",
            "log",
            "metrics",
            "failure",
            "route",
            "signature",
            "twiml",
            "upstream",
            "webhook",
            "twilio",
        ],
    ),
    (
        "server",
        &["body", "proxy", "log", "secret", "tls", "upstream"],
    ),
    (
        "config",
        &[
            "breaker",
            "proxy",
            "fallback",
            "route",
            "secret",
            "server",
            "signature",
            "tls",
            "twilio",
            "twiml",
            "upstream",
        ],
    ),
    (
        "reload",
        &["config", "proxy", "recent_failures", "server", "tls"],
    ),
    (
        "admin",
        &[
            "breaker",
            "drill",
            "proxy",
            "recent_failures",
            "metrics",
            "failure",
            "reload",
            "secret",
            "server",
        ],
    ),
];

/// These stand on top and may import every module.
const TOP: &[&str] = &["command", "lib", "main"];

#[test]
fn rooms_import_only_what_stands_below_them() {
    for (module, allowed) in MODULES {
        for file in files_of(module) {
            let imported = imports(&file);
            let wrong: Vec<_> = imported
                .iter()
                .filter(|name| name.as_str() != *module && !allowed.contains(&name.as_str()))
                .collect();
            assert!(wrong.is_empty(), "{} imports {wrong:?}", file.display());
        }
    }
}

#[test]
fn the_list_of_rooms_is_whole_and_points_down() {
    let known: BTreeSet<&str> = MODULES
        .iter()
        .map(|(module, _)| *module)
        .chain(TOP.iter().copied())
        .collect();
    for entry in fs::read_dir(source()).expect("there is a source") {
        let path = entry.expect("it can be read").path();
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        assert!(known.contains(name.as_str()), "{name} is in no list");
    }
    for (at, (module, allowed)) in MODULES.iter().enumerate() {
        for below in *allowed {
            let found = MODULES[..at].iter().any(|(name, _)| name == below);
            assert!(
                found,
                "{module} may import {below}, which doesn't stand below it"
            );
        }
    }
}

#[test]
fn names_of_rooms_are_in_the_map_of_the_library() {
    let map = fs::read_to_string(source().join("lib.rs")).expect("there is a library");
    for (module, _) in MODULES {
        assert!(
            map.contains(&format!("[`{module}`]")),
            "{module} isn't in the map"
        );
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

pub(crate) fn files_of(module: &str) -> Vec<PathBuf> {
    let mut files = vec![source().join(format!("{module}.rs"))];
    files.retain(|file| file.is_file());
    let mut folders = vec![source().join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{module} has no file");
    files
}

/// The modules that a file names, by `crate::` or by a grouped import of it.
fn imports(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).expect("it can be read");
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split("};").next().unwrap_or_default();
                found.extend(top_names(group));
            }
            None => found.extend(name_at(rest)),
        }
    }
    found
}

/// The names at the first level of a group such as `body::RequestBody, upstream::{Pool, fields}`.
fn top_names(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    let mut start = 0;
    for (at, character) in group.char_indices().chain([(group.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(name_at(group[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

fn name_at(text: &str) -> Option<String> {
    let name: String = text
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty() && name.starts_with(|c: char| c.is_ascii_lowercase())).then_some(name)
}
