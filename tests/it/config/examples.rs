//! The files that people copy: they are good, whole, and say what is true.

use std::fs;
use std::path::Path;

use understudy::proxy::RouteSettings;
use understudy::twiml::{self, Rules, Strictness};

use super::{APP, fails, files_in, lines_of, loads, loads_text, same_but_for_the_page};

#[test]
fn every_file_that_people_copy_is_good() {
    let configs = files_in("config", "toml");
    assert_eq!(configs.len(), 2, "{configs:?}");
    let mut read: Vec<_> = (configs.iter())
        .flat_map(|path| loads(path).files)
        .map(|file| file.path)
        .collect();
    read.sort();

    let pages = files_in("config/fallback", "xml");
    assert_eq!(pages.len(), 4, "{pages:?}");
    assert_eq!(
        read,
        [pages, configs].concat(),
        "each is loaded, or named by one that is"
    );
}

#[test]
fn what_a_package_installs_is_good_and_takes_everything_that_twilio_sends() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("fallback");
    fs::create_dir(&pages).expect("a folder");
    for page in files_in("config/fallback", "xml") {
        fs::copy(&page, pages.join(page.file_name().expect("a name"))).expect("a copy");
    }
    let config = folder.path().join("understudy.toml");
    fs::copy("config/packaging/understudy.toml", &config).expect("a copy");
    let installed = loads(&config);
    assert!(installed.notes.is_empty());
    let built_in = loads_text(APP);
    assert_eq!(installed.server, built_in.server);
    assert_eq!(installed.site.upstreams, built_in.site.upstreams);
    let routes: Vec<_> = installed.site.routes.iter().collect();
    assert_eq!(routes.len(), 1);
    assert_eq!(installed.files.len(), 3, "itself and two pages");
}

#[test]
fn the_pages_that_people_copy_hold_for_their_kind_alone() {
    for page in files_in("config/fallback", "xml") {
        let name = page
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let kind = if name.starts_with("voice.") {
            twiml::Kind::Voice
        } else {
            twiml::Kind::Messaging
        };
        let text = fs::read_to_string(&page).expect("a page");
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
    assert_eq!(documented.site.upstreams, built_in.site.upstreams);
    assert_eq!(
        documented.site.trusted_proxies,
        built_in.site.trusted_proxies
    );
    same_but_for_the_page(&documented.site.unmatched, &built_in.site.unmatched);
    for route in &documented.site.routes {
        let pattern = route.pattern.clone();
        let (name, kind) = (route.name.clone(), route.kind);
        let expected = RouteSettings {
            name,
            kind,
            pattern,
            ..built_in.site.unmatched.clone()
        };
        same_but_for_the_page(route, &expected);
    }
}

#[test]
fn every_key_is_documented() {
    let documented = fs::read_to_string("config/understudy.toml").expect("it is there");
    let uncommented = |line: &'static str| line.trim_start_matches("# ");
    let documented: &'static str = documented.leak();
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

/// What the complaint about an unknown key says may stand in a section.
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
