//! The files in `config/` that people copy: they are valid, complete, and document the true defaults.

use std::fs;
use std::path::Path;

use understudy::proxy::RouteSettings;
use understudy::twiml::{self, Rules, Strictness};

use super::{APP, assert_same_except_fallback, fails, files_in, lines_of, loads, loads_text};

#[test]
fn every_example_is_valid() {
    let configs = files_in("config", "toml");
    assert_eq!(configs.len(), 2, "{configs:?}");
    let mut read: Vec<_> = (configs.iter())
        .flat_map(|path| loads(path).files)
        .map(|file| file.path)
        .collect();
    read.sort();

    let documents = files_in("config/fallback", "xml");
    assert_eq!(documents.len(), 4, "{documents:?}");
    assert_eq!(
        read,
        [documents, configs].concat(),
        "each is loaded, or named by one that is"
    );
}

#[test]
fn the_packaged_configuration_is_valid_and_matches_every_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let documents = folder.path().join("fallback");
    fs::create_dir(&documents).expect("a folder");
    for document in files_in("config/fallback", "xml") {
        fs::copy(
            &document,
            documents.join(document.file_name().expect("a name")),
        )
        .expect("a copy");
    }
    let config = folder.path().join("understudy.toml");
    fs::copy("config/packaging/understudy.toml", &config).expect("a copy");
    let installed = loads(&config);
    assert!(installed.notes.is_empty());
    let built_in = loads_text(APP);
    assert_eq!(installed.server, built_in.server);
    assert_eq!(installed.proxy.upstreams, built_in.proxy.upstreams);
    let routes: Vec<_> = installed.proxy.routes.iter().collect();
    assert_eq!(routes.len(), 1);
    assert_eq!(installed.files.len(), 3, "itself and two documents");
}

#[test]
fn each_example_document_is_valid_for_its_kind() {
    for document in files_in("config/fallback", "xml") {
        let name = document
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let kind = if name.starts_with("voice.") {
            twiml::Kind::Voice
        } else {
            twiml::Kind::Messaging
        };
        let text = fs::read_to_string(&document).expect("a document");
        let verb = if kind == twiml::Kind::Voice {
            "<Say "
        } else {
            "<Message>"
        };
        assert!(text.contains(verb), "{name}");
        twiml::validate(text.into(), None, &Rules::new(kind, Strictness::Strict))
            .expect("strictly valid");
    }
}

#[test]
fn the_documented_values_are_the_defaults() {
    let documented = loads(Path::new("config/understudy.toml"));
    let built_in = loads_text(APP);
    assert_eq!(documented.server, built_in.server);
    assert_eq!(documented.proxy.upstreams, built_in.proxy.upstreams);
    assert_eq!(
        documented.proxy.trusted_proxies,
        built_in.proxy.trusted_proxies
    );
    assert_same_except_fallback(&documented.proxy.unmatched, &built_in.proxy.unmatched);
    for route in &documented.proxy.routes {
        let pattern = route.pattern.clone();
        let (name, kind) = (route.name.clone(), route.kind);
        let expected = RouteSettings {
            name,
            kind,
            pattern,
            ..built_in.proxy.unmatched.clone()
        };
        assert_same_except_fallback(route, &expected);
    }
}

#[test]
fn every_key_is_documented() {
    let documented = fs::read_to_string("config/understudy.toml").expect("it is there");
    let uncommented = |line: &'static str| line.trim_start_matches("# ");
    let documented: &'static str = documented.leak();
    assert!(documented.contains("\n# include = ["));
    for section in [
        "[server]",
        "[upstream]",
        "[defaults]",
        "[[grammar.element]]",
        "[[route]]",
    ] {
        let keys = keys_of(section);
        assert!(keys.len() >= 3, "{section}: {keys:?}");
        for key in keys {
            let within = section.trim_matches(['[', ']']);
            let given = [
                format!("{key} = "),
                format!("[{within}.{key}]"),
                format!("[defaults.{key}]"),
            ];
            let found = documented.lines().any(|line| {
                let line = uncommented(line);
                given.iter().any(|given| line.starts_with(given))
            });
            assert!(found, "{section} {key}");
        }
    }
}

/// The keys that may stand in a section, as the error about an unknown key lists them.
fn keys_of(section: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), format!("{section}\n\"?\" = 1\n")).expect("written");
    let errors = lines_of(&fails(file.path()));
    let complaint = errors
        .iter()
        .find(|line| line.contains("unknown key"))
        .expect("a complaint");
    complaint
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}
