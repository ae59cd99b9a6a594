use super::*;

fn pattern(text: &str) -> Pattern {
    let mut words = text.split(' ');
    let path = words.next().expect("a path");
    let mut pattern = Pattern {
        path: Path::parse(path).expect("a good path"),
        host: None,
        methods: Vec::new(),
    };
    for word in words {
        match word.parse::<Method>() {
            Ok(method) if word.chars().all(|c| c.is_ascii_uppercase()) => {
                pattern.methods.push(method)
            }
            _ => pattern.host = Some(word.to_owned()),
        }
    }
    pattern
}

fn table(patterns: &[&'static str]) -> RouteTable<&'static str> {
    RouteTable::new(patterns.iter().map(|text| (pattern(text), *text)))
}

fn find(table: &RouteTable<&'static str>, method: Method, host: &str, path: &str) -> &'static str {
    table.find(&method, host, path).copied().unwrap_or("-")
}

#[test]
fn an_exact_path_wins_over_a_prefix_and_a_longer_prefix_over_a_shorter() {
    let table = table(&["/voice", "/voice/*", "/voice/menu/*", "/voice/menu/1", "/*"]);
    for (path, route) in [
        ("/voice", "/voice"),
        ("/voice/", "/voice/*"),
        ("/voice/x", "/voice/*"),
        ("/voice/menu", "/voice/*"),
        ("/voice/menu/1", "/voice/menu/1"),
        ("/voice/menu/1/", "/voice/menu/*"),
        ("/voicemail", "/*"),
        ("/", "/*"),
    ] {
        assert_eq!(find(&table, Method::POST, "", path), route, "{path}");
    }
}

#[test]
fn a_path_that_no_pattern_matches_has_no_route() {
    let table = table(&["/voice", "/sms/*"]);
    for path in ["/", "/voice/", "/Voice", "/sms", "*", "", "/%76oice"] {
        assert_eq!(find(&table, Method::POST, "", path), "-", "{path}");
    }
}

#[test]
fn a_final_dot_of_the_host_does_not_matter() {
    let table = table(&["/v a.example"]);
    for (host, route) in [
        ("a.example", "/v a.example"),
        ("A.example.", "/v a.example"),
        ("a.example..", "-"),
        (".", "-"),
        ("", "-"),
    ] {
        assert_eq!(find(&table, Method::POST, host, "/v"), route, "{host}");
    }
}

#[test]
fn host_and_method_are_more_specific_than_none() {
    let table = table(&[
        "/v",
        "/v GET",
        "/v a.example",
        "/v a.example GET",
        "/w b.example",
    ]);
    for (method, host, path, route) in [
        (Method::POST, "x", "/v", "/v"),
        (Method::GET, "x", "/v", "/v GET"),
        (Method::POST, "A.Example", "/v", "/v a.example"),
        (Method::GET, "a.example", "/v", "/v a.example GET"),
        (Method::GET, "a.example", "/w", "-"),
    ] {
        assert_eq!(find(&table, method, host, path), route);
    }
}

#[test]
fn a_request_that_no_exact_route_takes_gets_the_prefix_route() {
    let table = table(&["/v POST", "/*"]);
    assert_eq!(find(&table, Method::GET, "", "/v"), "/*");
}

#[test]
fn patterns_conflict_if_a_request_matches_both_and_neither_is_more_specific() {
    for (one, other, conflict) in [
        ("/v", "/v", true),
        ("/v GET", "/v POST", false),
        ("/v GET POST", "/v POST", true),
        ("/v GET", "/v", false),
        ("/v a.example", "/v", false),
        ("/v a.example", "/v a.example", true),
        ("/v", "/v/*", false),
    ] {
        assert_eq!(
            pattern(one).conflicts_with(&pattern(other)),
            conflict,
            "{one} / {other}"
        );
    }
}

#[test]
fn a_path_longer_than_every_prefix_is_cut_to_the_longest() {
    let table = table(&["/a/*"]);
    assert_eq!(find(&table, Method::GET, "", &"/".repeat(1 << 20)), "-");
}

#[test]
fn a_path_that_is_not_valid_gives_its_error() {
    for (text, error) in [
        ("voice", Error::NotAbsolute),
        ("", Error::NotAbsolute),
        ("/v?x=1", Error::NotOnlyPath),
        ("/v#x", Error::NotOnlyPath),
        ("/v x", Error::NotEncoded),
        ("/é", Error::NotEncoded),
        ("/v*", Error::Star),
        ("/*/v", Error::Star),
        ("/*/*", Error::Star),
    ] {
        assert_eq!(Path::parse(text), Err(error), "{text}");
    }
}

#[test]
fn every_kind_is_listed_by_its_name() {
    for (name, kind) in Kind::ALL {
        assert_eq!(kind.as_str(), name);
    }
}
