//! The configuration: which errors it reports, what its values mean, and that the examples are valid.

mod check;
mod documents;
mod examples;
mod grammar;
mod notes;
mod variables;

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use understudy::config::{Config, Errors, SourceFile};
use understudy::fallback::{BUILT_IN_MESSAGING, BUILT_IN_VOICE, Fallback};
use understudy::proxy::{AfterDeadline, RouteSettings, WhenDown};
use understudy::queue::Place;
use understudy::route::{self, Kind};
use understudy::signature::Policy;
use understudy::twiml::{self, Strictness};
use understudy::upstream::{Address, Host};
use understudy::webhook::Parameters;

const APP: &str = "[upstream]\nurl = \"http://127.0.0.1:3000\"\n";

#[test]
fn each_invalid_file_gives_exactly_the_errors_that_it_names() {
    let files = files_in("tests/it/config/invalid", "toml");
    assert!(
        files.len() >= 28,
        "only {} fixtures were found",
        files.len()
    );
    for file in files {
        let text = String::from_utf8_lossy(&fs::read(&file).expect("a fixture")).into_owned();
        let named = text.lines().map_while(|line| named_error(&file, line));
        let named: Vec<_> = named.collect();
        assert!(
            !named.is_empty() || text.is_empty(),
            "{} names no error",
            file.display()
        );
        assert_eq!(lines_of(&fails(&file)), named, "{}", file.display());
    }
}

#[test]
fn each_valid_file_loads() {
    let files = files_in("tests/it/config/valid", "toml");
    assert!(files.len() >= 4, "only {} fixtures were found", files.len());
    for file in files {
        let text = fs::read_to_string(&file).expect("a fixture");
        let expected = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# reads: "));
        let config = loads(&file);
        let files = config.files.iter().filter(|file| !file.is_pattern());
        let found = format!(
            "{} routes, {} files",
            config.proxy.routes.len(),
            files.count()
        );
        assert_eq!(Some(found.as_str()), expected, "{}", file.display());
        let named = text
            .lines()
            .filter_map(|line| line.strip_prefix("# note: "));
        let named: Vec<_> = named
            .map(|note| format!("{}:{note}", file.display()))
            .collect();
        assert_eq!(notes_of(&config), named, "{}", file.display());
    }
}

#[test]
fn the_defaults_are_as_specified() {
    let Config {
        server,
        proxy,
        files,
        notes,
    } = loads_text(APP);
    assert_eq!(
        server.listen,
        ["127.0.0.1:8080".parse().expect("an address")]
    );
    assert_eq!(server.admin, "127.0.0.1:9464".parse().expect("an address"));
    assert_eq!(
        Ok(server.workers),
        std::thread::available_parallelism().map_err(drop)
    );
    assert_eq!(
        (server.drain, server.header_timeout, server.keep_alive),
        (secs(20), secs(10), secs(75))
    );
    assert_eq!(server.shutdown_delay, secs(0));
    assert_eq!(server.tunnel_idle_timeout, secs(60 * 60));
    assert_eq!(server.max_connections, 10_000);
    assert!(!server.proxy_protocol);
    let trusted: Vec<_> = proxy
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        trusted.join(" "),
        "127.0.0.0/8 ::1/128 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"
    );
    assert_eq!(
        (
            proxy.upstreams[0].connect_timeout,
            proxy.upstreams[0].idle_timeout
        ),
        (Duration::from_millis(250), secs(3))
    );
    assert_eq!(proxy.routes.len(), 0);
    assert_eq!((files.len(), notes.len()), (1, 0));

    let unmatched = proxy.unmatched;
    assert_eq!(
        (unmatched.name.as_str(), unmatched.kind),
        ("unmatched", Kind::Pass)
    );
    assert_eq!(unmatched.pattern.path.to_string(), "/*");
    assert_eq!(
        (unmatched.deadline, unmatched.validate),
        (secs(8), Some(Strictness::Twilio))
    );
    assert_eq!(
        (unmatched.max_request_body, unmatched.max_in_flight),
        (256 * 1024, 1024)
    );
    assert_eq!(
        (unmatched.pass_status, unmatched.after_deadline),
        (vec![http::StatusCode::UNAUTHORIZED], AfterDeadline::Drain)
    );
    assert!(!unmatched.access_log);
    assert_eq!(
        document(&unmatched.fallback, twiml::Kind::Voice, ""),
        BUILT_IN_VOICE
    );
    assert_eq!(
        document(&unmatched.fallback, twiml::Kind::Messaging, ""),
        BUILT_IN_MESSAGING
    );
}

#[test]
fn where_callbacks_are_queued_and_on_which_routes_is_read() {
    let config = loads(Path::new("tests/it/config/valid/queue.toml"));
    let queue = config.proxy.queue.expect("it is given");
    assert_eq!(
        queue.place,
        Place::Folder("/var/lib/understudy/queue".into())
    );
    assert_eq!(
        (queue.max_size, queue.max_age),
        (2 << 20, secs(30 * 24 * 60 * 60))
    );
    let when_down = config.proxy.routes.iter().map(|route| route.when_down);
    let expected = [WhenDown::Queue, WhenDown::Queue, WhenDown::Error];
    assert_eq!(when_down.collect::<Vec<_>>(), expected);

    let nats = format!("{APP}[queue]\nurl = \"nats://user:secret@nats.internal:4222\"\n");
    let queue = loads_text(&nats).proxy.queue.expect("it is given");
    assert!(matches!(queue.place, Place::Nats(url) if url.ends_with("nats.internal:4222")));
    assert_eq!(
        (queue.max_size, queue.max_age),
        (1 << 30, secs(24 * 60 * 60))
    );
}

#[test]
fn a_route_inherits_the_defaults_that_it_does_not_override() {
    let config = loads(Path::new("tests/it/config/valid/inherited.toml"));
    let [inherits, own, on_address] = config.proxy.routes.as_slice() else {
        panic!("three routes")
    };

    assert_same_except_fallback(
        inherits,
        &RouteSettings {
            name: "inherits".into(),
            kind: Kind::Auto,
            ..config.proxy.unmatched.clone()
        },
    );
    assert_eq!(
        (inherits.deadline, inherits.validate),
        (secs(14), Some(Strictness::Strict))
    );
    assert_eq!((inherits.max_request_body, inherits.max_in_flight), (1, 1));
    assert_eq!(
        (inherits.pass_status.len(), inherits.after_deadline),
        (0, AfterDeadline::Cancel)
    );
    assert!(inherits.access_log && !own.access_log);

    assert_eq!(
        (own.deadline, own.validate),
        (Duration::from_millis(1500), None)
    );
    assert_eq!((own.max_request_body, own.max_in_flight), (1024 * 1536, 16));
    assert_eq!(
        (own.pass_status.len(), own.after_deadline),
        (2, AfterDeadline::Drain)
    );
    assert_eq!(own.pattern.host.as_deref(), Some("hooks.example.com"));
    assert_eq!(own.pattern.methods, [http::Method::GET]);
    assert_eq!(on_address.pattern.host.as_deref(), Some("[::1]"));
    assert_eq!(on_address.pattern.methods.len(), 2);

    let upstream = config.proxy.upstreams[0].clone();
    assert_eq!(
        upstream.address,
        Address::Tcp(Host::Name("app_1.example".into()), 65535)
    );
    assert_eq!(
        (upstream.connect_timeout, upstream.idle_timeout),
        (secs(1), secs(3600))
    );
}

#[test]
fn a_route_may_override_the_signature_policy() {
    let proxy = loads(Path::new("tests/it/config/valid/signature.toml")).proxy;
    let [inherits, reports, open] = proxy.routes.as_slice() else {
        panic!("three routes")
    };
    assert!(matches!(inherits.signature, Policy::Enforce(_)));
    assert!(matches!(reports.signature, Policy::Report(_)));
    assert!(matches!(open.signature, Policy::Off));
    assert!(matches!(proxy.unmatched.signature, Policy::Enforce(_)));
    assert!(matches!(
        loads_text(APP).proxy.unmatched.signature,
        Policy::Off
    ));
}

#[test]
fn the_server_section_sets_addresses_and_limits() {
    let Config { server, proxy, .. } = loads(Path::new("tests/it/config/valid/server.toml"));
    let listen: Vec<_> = server.listen.iter().map(ToString::to_string).collect();
    assert_eq!(
        listen,
        ["127.0.0.1:0", "[::1]:8080", "127.0.0.1:0"],
        "port 0 is another port each time"
    );
    assert_eq!(
        (server.admin.to_string().as_str(), server.workers.get()),
        ("[::]:9000", 3)
    );
    assert_eq!(
        (server.drain, server.header_timeout, server.keep_alive),
        (Duration::from_millis(1), secs(60), secs(60))
    );
    assert_eq!(server.shutdown_delay, secs(3));
    assert_eq!(server.tunnel_idle_timeout, secs(24 * 60 * 60));
    assert_eq!(server.max_connections, 1);
    assert!(server.proxy_protocol);
    let trusted: Vec<_> = proxy
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        trusted,
        ["::1/128", "10.1.0.0/16"],
        "one address is a block of one"
    );
    assert_eq!(
        proxy.upstreams[0].address,
        Address::Tcp(
            Host::Address("2001:db8::1".parse().expect("an address")),
            80
        )
    );
}

#[test]
fn a_fallback_document_is_a_file_or_inline() {
    let config = loads(Path::new("tests/it/config/valid/documents.toml"));
    let said = |word: &str| format!("<Response><Say>{word}</Say></Response>");
    let texted = "<Response><Message>file</Message></Response>\n";
    let file = said("file") + "\n";
    let documents = [
        (file.as_str(), BUILT_IN_MESSAGING),
        (BUILT_IN_VOICE, texted),
        (&said("inline"), BUILT_IN_MESSAGING),
        (&file, BUILT_IN_MESSAGING),
        (&said("inline"), texted),
        (BUILT_IN_VOICE, BUILT_IN_MESSAGING),
    ];
    assert_eq!(config.proxy.routes.len(), documents.len());
    for (route, (voice, messaging)) in config.proxy.routes.iter().zip(documents) {
        assert_eq!(
            document(&route.fallback, twiml::Kind::Voice, ""),
            voice,
            "{}",
            route.name
        );
        assert_eq!(
            document(&route.fallback, twiml::Kind::Messaging, ""),
            messaging,
            "{}",
            route.name
        );
    }
    let read: Vec<_> = config
        .files
        .iter()
        .map(|file| {
            file.path
                .strip_prefix("tests/it/config/valid")
                .expect("beside it")
        })
        .collect();
    assert_eq!(
        read,
        ["documents.toml", "twiml/voice.xml", "twiml/messaging.xml"].map(Path::new),
        "each once"
    );
}

#[test]
fn a_failed_load_lists_the_files_to_watch() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, document) = (
        folder.path().join("u.toml"),
        folder.path().join("voice.xml"),
    );
    let paths = |files: &[SourceFile]| {
        files
            .iter()
            .map(|file| file.path.clone())
            .collect::<Vec<_>>()
    };

    let errors = fails(&path);
    assert_eq!(
        errors.to_string(),
        format!(
            "{}: there is no such file; name one that exists",
            path.display()
        )
    );
    assert_eq!(paths(errors.files()), std::slice::from_ref(&path));

    let route =
        "[[route]]\nname = \"x\"\npath = \"/x\"\nkind = \"voice\"\nfallback = \"voice.xml\"\n";
    fs::write(&path, format!("{APP}{route}")).expect("written");
    assert!(errors.files()[0].has_changed());
    let errors = fails(&path);
    assert_eq!(
        paths(errors.files()),
        [path.clone(), document.clone()],
        "also the document that isn't there"
    );

    fs::write(&document, "<Response/>").expect("written");
    assert!(errors.files()[1].has_changed());
    assert!(loads(&path).files.iter().all(|file| !file.has_changed()));
}

#[test]
fn a_file_that_a_pattern_matches_may_come_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, routes) = (folder.path().join("u.toml"), folder.path().join("r"));
    fs::write(&path, format!("include = \"r/*.toml\"\n{APP}")).expect("written");
    let config = loads(&path);
    let pattern = &config.files[1];
    assert!(pattern.is_pattern() && pattern.path == routes.join("*.toml"));
    fs::create_dir(&routes).expect("a folder");
    fs::write(routes.join("a.xml"), "").expect("written");
    assert!(!pattern.has_changed());
    fs::write(routes.join("a.toml"), "").expect("written");
    assert!(pattern.has_changed());
    let config = loads(&path);
    assert_eq!((config.files.len(), config.notes.len()), (3, 0));
    fs::remove_file(routes.join("a.toml")).expect("it was there");
    assert!(config.files[1].has_changed());
}

#[test]
fn an_included_file_that_can_not_be_read_causes_no_other_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("u.toml");
    let route = "[[route]]\nname = \"x\"\npath = \"/x\"\nkind = \"voice\"\nupstream = \"texts\"\n";
    let texts = format!("include = \"texts.toml\"\n{APP}{route}");
    fs::write(&path, texts).expect("written");
    assert_eq!(lines_of(&fails(&path)).len(), 1);
    let included = folder.path().join("texts.toml");
    fs::write(&included, "[upstreams.texts").expect("written");
    assert_eq!(lines_of(&fails(&path)).len(), 1);
    fs::write(&included, "[upstreams.text]\nurl = \"http://app\"\n").expect("written");
    assert!(fails(&path).to_string().contains("did you mean \"text\"?"));
    fs::write(&included, "[upstreams.texts]\nurl = \"http://app\"\n").expect("written");
    loads(&path);
}

#[test]
fn a_directory_or_device_is_reported() {
    assert_eq!(
        fails(Path::new("config")).to_string(),
        "config: is a directory; name a file in it"
    );
    assert!(
        fails(Path::new("/dev/zero"))
            .to_string()
            .starts_with("/dev/zero: is not a regular file")
    );
    assert!(
        fails(Path::new("tests/it/config.rs"))
            .to_string()
            .starts_with("tests/it/config.rs:")
    );
}

#[test]
fn an_upstream_url_alone_is_a_configuration() {
    let config = Config::for_upstream("http://127.0.0.1:3000", None, None).expect("a good URL");
    let written = loads(Path::new("config/minimal.toml"));
    assert_eq!(config.server, written.server);
    assert_eq!(config.proxy.upstreams, written.proxy.upstreams);
    assert_eq!(config.proxy.trusted_proxies, written.proxy.trusted_proxies);
    let [route] = config.proxy.routes.as_slice() else {
        panic!("one route")
    };
    assert_same_except_fallback(
        route,
        &RouteSettings {
            name: "default".into(),
            ..written.proxy.routes[0].clone()
        },
    );
    assert_eq!(
        (route.kind, route.pattern.path.clone()),
        (Kind::Auto, route::Path::Prefix("/".into()))
    );
    assert_eq!(
        document(&route.fallback, twiml::Kind::Voice, ""),
        BUILT_IN_VOICE
    );

    let config = Config::for_upstream("http://app", Some("0.0.0.0:0"), Some("[::1]:1"))
        .expect("good arguments");
    assert_eq!(
        config.server.listen,
        ["0.0.0.0:0".parse().expect("an address")]
    );
    assert_eq!(config.server.admin, "[::1]:1".parse().expect("an address"));
}

#[test]
fn all_invalid_arguments_are_reported_at_once() {
    let errors =
        Config::for_upstream("localhost:3000", Some(":80"), Some("x")).expect_err("all wrong");
    assert_eq!(
        lines_of(&errors),
        [
            r#"--upstream: "localhost:3000" begins with neither `http://` nor `https://`; write "http://localhost:3000""#,
            r#"--listen: ":80" is not an IP address with a port; write "0.0.0.0:80""#,
            r#"--admin: "x" is not an IP address with a port; write "127.0.0.1:8080""#,
        ]
    );
    let errors =
        Config::for_upstream("http://app", Some("127.0.0.1:9464"), None).expect_err("the admin's");
    assert_eq!(
        lines_of(&errors),
        [
            "--listen: the admin listener has the same address (127.0.0.1:9464); give one of the two another port",
        ]
    );
}

#[test]
fn a_document_of_ten_thousand_routes_is_read_once() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("v.xml"), "<Response/>").expect("written");
    let path = folder.path().join("u.toml");
    let route = |i| {
        format!(
            "[[route]]\nname = \"r{i}\"\npath = \"/x\"\nhost = \"h{i}\"\n\
             kind = \"voice\"\nfallback = \"v.xml\"\n"
        )
    };
    let routes: String = (0..10_000).map(route).collect();
    fs::write(&path, format!("{APP}{routes}")).expect("written");
    let config = loads(&path);
    assert_eq!((config.proxy.routes.len(), config.files.len()), (10_000, 2));
}

#[test]
fn a_document_that_is_too_long_for_twilio_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, document) = (folder.path().join("u.toml"), folder.path().join("v.xml"));
    let route = "[[route]]\nname = \"x\"\npath = \"/x\"\nkind = \"voice\"\nfallback = \"v.xml\"\n";
    fs::write(&path, format!("{APP}{route}")).expect("written");
    let of_length = |bytes: usize| {
        let text = format!("<Response>{}</Response>", " ".repeat(bytes - 21));
        fs::write(&document, text).expect("written");
    };
    of_length(65_536);
    loads(&path);
    of_length(65_537);
    let said = "the document has 65537 bytes and Twilio takes at most 65536; make it shorter";
    let (path, document) = (path.display(), document.display());
    let expected = format!("{path}:7:12: route[0].fallback: {document}: {said}");
    assert_eq!(fails(Path::new(&path.to_string())).to_string(), expected);
}

#[test]
fn no_text_causes_a_panic() {
    let whole = fs::read_to_string("config/understudy.toml").expect("it is there");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("u.toml");
    for (at, _) in whole.char_indices().step_by(23) {
        for wedge in ["", "\"", "[[", "= {", "\u{0}é\n"] {
            fs::write(
                &path,
                format!(
                    "{}{wedge}{}",
                    &whole[..at],
                    &whole[at + whole[at..].chars().next().map_or(0, char::len_utf8)..]
                ),
            )
            .expect("written");
            if let Err(errors) = Config::load(&path) {
                assert_ne!(
                    errors.to_string(),
                    "",
                    "an error without a word, cut at {at}"
                );
            }
        }
    }
}

/// The error that a line of a fixture names: `# error: …` in the fixture itself, `# error in FILE: …` in one that it includes.
fn named_error(fixture: &Path, line: &str) -> Option<String> {
    let named = line.strip_prefix("# error")?;
    let (file, error) = named.split_once(": ")?;
    let file = match file.strip_prefix(" in ") {
        Some(included) => fixture.with_file_name(included),
        None => fixture.to_owned(),
    };
    Some(format!("{}:{error}", file.display()))
}

fn files_in(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the project");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .collect();
    paths.sort();
    paths
}

fn loads(path: &Path) -> Config {
    Config::load(path).unwrap_or_else(|errors| panic!("{errors}"))
}

fn loads_text(text: &str) -> Config {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("written");
    loads(file.path())
}

fn fails(path: &Path) -> Errors {
    match Config::load(path) {
        Ok(_) => panic!("{} loads", path.display()),
        Err(errors) => errors,
    }
}

/// The notes except those on permissions of files, which in a checkout depend on its umask.
fn notes_of(config: &Config) -> Vec<String> {
    let notes = config.notes.iter().map(ToString::to_string);
    notes
        .filter(|note| !note.contains("others than its owner may read it"))
        .collect()
}

fn lines_of(errors: &Errors) -> Vec<String> {
    errors.to_string().lines().map(str::to_owned).collect()
}

/// The fallback document for a request with this form.
fn document(fallback: &Fallback, kind: twiml::Kind, form: &str) -> Bytes {
    fallback.document(kind, &Parameters::new(b"", form.as_bytes()))
}

fn assert_same_except_fallback(one: &RouteSettings, other: &RouteSettings) {
    let same =
        |one: &dyn Debug, other: &dyn Debug| assert_eq!(format!("{one:?}"), format!("{other:?}"));
    let document = &one.fallback;
    same(
        one,
        &RouteSettings {
            fallback: document.clone(),
            ..other.clone()
        },
    );
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
