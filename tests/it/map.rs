//! Who may import whom: arrows point down only, between modules and between the files of a module. Reads the source, so that the
//! map in `lib.rs` stays true.

mod source;

use std::collections::BTreeSet;

pub(crate) use source::files_of;

use source::{Names, Source};

/// Every module, from the ground up, with the modules it may import; a module never imports one that stands below it in this list.
const MODULES: &[(&str, &[&str])] = &[
    ("twilio", &[]),
    ("deadline", &[]),
    ("route", &[]),
    ("form", &[]),
    ("twiml", &[]),
    ("secret", &[]),
    ("signature", &["form", "secret"]),
    ("log", &["twiml"]),
    ("tls", &[]),
    ("tcp", &[]),
    ("notify", &[]),
    ("breaker", &[]),
    ("drill", &[]),
    ("queue", &["form", "log"]),
    ("body", &[]),
    ("webhook", &["form", "twiml"]),
    ("response", &["twiml"]),
    (
        "upstream",
        &["body", "log", "signature", "tcp", "tls", "twilio"],
    ),
    (
        "fallback",
        &["breaker", "twilio", "twiml", "upstream", "webhook"],
    ),
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
            "form",
            "log",
            "metrics",
            "failure",
            "queue",
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
        &[
            "body", "deadline", "proxy", "log", "secret", "tcp", "tls", "upstream",
        ],
    ),
    (
        "config",
        &[
            "breaker",
            "proxy",
            "fallback",
            "queue",
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
        &[
            "config",
            "proxy",
            "queue",
            "recent_failures",
            "server",
            "tls",
        ],
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
            "queue",
            "reload",
            "secret",
            "server",
            "form",
            "upstream",
        ],
    ),
];

/// These stand on top and may import every module.
const TOP: &[&str] = &["command", "lib", "main"];

/// Modules whose files still stand on one another in a circle. It only ever gets shorter.
const CIRCULAR: &[&str] = &[];

#[test]
fn modules_import_only_what_stands_below_them() {
    let source = Source::read();
    for file in source.modules() {
        let Some((module, allowed)) = MODULES.iter().find(|(module, _)| is_in(file, module)) else {
            continue;
        };
        let is_known = |name: &String| MODULES.iter().any(|(module, _)| module == name);
        for path in source.references(file) {
            let imported = path.first().filter(|name| is_known(name) || is_top(name));
            assert!(
                imported.is_none_or(|name| name == module || allowed.contains(&name.as_str())),
                "{} may not import {}",
                file.join("::"),
                path.join("::")
            );
        }
    }
}

/// A file stands on its children and on every file that defines something that it refers to. What children need of their parent
/// belongs into a child below them; the parent may re-export it.
#[test]
fn files_of_a_module_stand_on_one_another_in_one_direction() {
    let source = Source::read();
    let mut circular = BTreeSet::new();
    for file in source.modules().filter(|file| !file.is_empty()) {
        if let Some(circle) = circle(&source, file) {
            let module = file[0].as_str();
            assert!(CIRCULAR.contains(&module), "a circle: {circle:#?}");
            circular.insert(module);
        }
    }
    let solved: Vec<_> = CIRCULAR
        .iter()
        .filter(|module| !circular.contains(*module))
        .collect();
    assert!(
        solved.is_empty(),
        "{solved:?} have no circle any more: take them out of CIRCULAR"
    );
}

#[test]
fn the_list_of_modules_is_whole_and_points_down() {
    let source = Source::read();
    for name in source.modules().filter_map(|file| file.first()) {
        let is_known = MODULES.iter().any(|(module, _)| module == name);
        assert!(is_known || is_top(name), "{name} is in no list");
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
fn names_of_modules_are_in_the_map_of_the_library() {
    let map = std::fs::read_to_string("src/lib.rs").expect("there is a library");
    for (module, _) in MODULES {
        assert!(
            map.contains(&format!("[`{module}`]")),
            "{module} isn't in the map"
        );
    }
}

fn is_in(file: &Names, module: &str) -> bool {
    file.first().is_some_and(|name| name == module)
}

fn is_top(name: &str) -> bool {
    TOP.contains(&name)
}

/// The way from a file of a module back to itself, along files of the same module; none if there is no such way.
fn circle(source: &Source, start: &Names) -> Option<Vec<String>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        let file = way.last().expect("a way has a beginning");
        for next in source.stands_on(file) {
            let way = [&way[..], &[next]].concat();
            if next == start {
                return Some(way.iter().map(|file| file.join("::")).collect());
            }
            if is_in(next, &start[0]) && seen.insert(next) {
                ways.push(way);
            }
        }
    }
    None
}
