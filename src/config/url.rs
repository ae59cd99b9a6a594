//! Hosts and URLs: where an app is, how Twilio reaches us, and which `Host` a route is for.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use http::uri::PathAndQuery;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, quote};
use super::value::{parse_text, text_or};
use crate::upstream::{Address, Host};

/// The longest path of a Unix socket, in bytes: `sockaddr_un` has 108, one of them for the end.
const MAX_SOCKET_PATH: usize = 107;

/// Where an app is, and whether it is reached over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) address: Address,
    pub(super) is_secure: bool,
}

impl Origin {
    /// Used in place of one that is missing or not valid, so that the other keys can be read.
    pub(super) fn unknown() -> Self {
        Self {
            address: Address::Unix(PathBuf::new()),
            is_secure: false,
        }
    }
}

/// The host of a route, in lower case and without a port.
pub(super) fn parse_host(value: &DeValue<'_>) -> Result<String, Diagnostic> {
    let text = parse_text(value)?;
    let (_, authority, path) = split_url(text);
    let (host, port) = split_port(authority);
    let (what, help) = if text.parse::<Ipv6Addr>().is_ok() {
        let what = "lacks the brackets that a `Host` header has";
        (what, format!("write {}", quote(&format!("[{text}]"))))
    } else if parse_host_text(host).is_none() {
        let help = "write \"hooks.example.com\", without any `*`";
        ("is not a valid host name", help.to_owned())
    } else if authority != text || !path.is_empty() {
        ("is more than a host", format!("write {}", quote(host)))
    } else if port.is_some() {
        let what = "has a port, and hosts are compared without ports";
        (what, format!("write {}", quote(host)))
    } else {
        return Ok(host.trim_end_matches('.').to_ascii_lowercase());
    };
    Err(Diagnostic::about(text, what).help_with_value(help))
}

/// The URL of an app: scheme, host and port.
pub(super) fn parse_origin(value: &DeValue<'_>) -> Result<Origin, Diagnostic> {
    let text = text_or(value, "a URL in quotes: \"http://127.0.0.1:3000\"")?;
    parse_origin_text(text)
}

/// The same, from an argument.
pub(super) fn parse_origin_text(text: &str) -> Result<Origin, Diagnostic> {
    refuse_socket_behind_scheme(text)?;
    if let Some(path) = strip_unix(text) {
        return parse_socket(text, path);
    }
    let (scheme, authority, path) = split_url(text);
    let is_secure = scheme.eq_ignore_ascii_case("https");
    if let Some(url) = without_slashes(text) {
        let what = "has no `://` behind its scheme";
        let help = format!("write {}", quote(&url));
        return Err(Diagnostic::about(text, what).help_with_value(help));
    }
    let right = write_origin(is_secure, authority);
    if authority.contains('@') {
        // The password is not repeated.
        let what = "a name or password stands before the `@`, which would not reach the app";
        return Err(Diagnostic::new(what).help_with_value(right));
    }
    let wrong = |what, help: &str| Err(Diagnostic::about(text, what).help(help));
    let (host, port) = split_port(authority);
    let Some(host) = parse_host_text(host) else {
        let help = "write \"http://127.0.0.1:3000\" or \"http://[::1]:3000\"";
        return wrong("has no valid host", help);
    };
    if !is_secure && !scheme.eq_ignore_ascii_case("http") {
        let what = "begins with neither `http://` nor `https://`";
        return Err(Diagnostic::about(text, what).help_with_value(right));
    }
    if !matches!(path, "" | "/") {
        let what = "has more than a host and a port, but each request has its own path and query";
        return Err(Diagnostic::about(text, what).help_with_value(right));
    }
    let default = if is_secure { 443 } else { 80 };
    let Some(port) = port.map_or(Some(default), parse_port) else {
        let help = "write \"http://127.0.0.1:3000\"";
        return wrong("has no valid port, which is from 1 to 65535", help);
    };
    Ok(Origin {
        address: Address::Tcp(host, port),
        is_secure,
    })
}

/// What to write for this host and port, without a name or password before them.
fn write_origin(is_secure: bool, authority: &str) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    let (_, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
    match is_authority(authority) {
        true => format!("write {}", quote(&format!("{scheme}://{authority}"))),
        false => "write \"http://127.0.0.1:3000\"".to_owned(),
    }
}

/// The text behind `unix:`.
fn strip_unix(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked("unix:".len())?;
    scheme.eq_ignore_ascii_case("unix:").then_some(rest)
}

/// Refuses `http://unix:/run/app.sock`, as nginx writes a socket.
fn refuse_socket_behind_scheme(text: &str) -> Result<(), Diagnostic> {
    let socket = text.split_once("://").map(|(_, rest)| rest);
    match socket.filter(|socket| strip_unix(socket).is_some_and(|path| path.starts_with('/'))) {
        Some(socket) => {
            let what = "has a scheme before the socket";
            let help = format!("write {}", quote(socket));
            Err(Diagnostic::about(text, what).help_with_value(help))
        }
        None => Ok(()),
    }
}

/// The URL that was meant by `http:/app`, `http:app.internal` or `https//app`.
fn without_slashes(text: &str) -> Option<String> {
    if text.contains("://") {
        return None;
    }
    ["https", "http"].into_iter().find_map(|scheme| {
        let rest = text.strip_prefix(scheme)?;
        let authority = rest.trim_start_matches([':', '/']);
        // A host may have the name `http`, and then a port.
        let is_port = authority.bytes().all(|byte| byte.is_ascii_digit());
        (authority.len() < rest.len() && !is_port && is_authority(authority))
            .then(|| format!("{scheme}://{authority}"))
    })
}

/// The path of a Unix socket.
fn parse_socket(text: &str, path: &str) -> Result<Origin, Diagnostic> {
    let wrong = |what, help: &str| Err(Diagnostic::about(text, what).help(help));
    if !path.starts_with('/') || path.starts_with("//") {
        let what = "is not the absolute path of a socket";
        return wrong(what, "write \"unix:/run/app.sock\"");
    }
    if path.len() > MAX_SOCKET_PATH {
        let what = "has a path of more than 107 bytes, the most that a socket's address holds";
        return wrong(what, "use a shorter path");
    }
    Ok(Origin {
        address: Address::Unix(path.into()),
        is_secure: false,
    })
}

/// The URL of a fallback document, with path and query.
pub(super) fn parse_url(value: &DeValue<'_>) -> Result<(Origin, PathAndQuery), Diagnostic> {
    let text = text_or(value, "a URL in quotes: \"http://127.0.0.1:4000/voice\"")?;
    refuse_socket_behind_scheme(text)?;
    // As nginx writes it: a socket's path, a colon, then the path of the request.
    let socket = strip_unix(text);
    let (origin, path) = if let Some(rest) = socket {
        let (socket, path) = rest.split_once(':').unwrap_or((rest, ""));
        (parse_socket(text, socket)?, path)
    } else {
        let (_, _, path) = split_url(text);
        (parse_origin_text(&text[..text.len() - path.len()])?, path)
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let target = PathAndQuery::try_from(format!("{slash}{path}")).ok();
    match target.filter(|_| !path.contains('#')) {
        Some(target) => Ok((origin, target)),
        None => Err(
            Diagnostic::about(text, "has a path that is not valid in a request")
                .help("write it percent-encoded and without a fragment"),
        ),
    }
}

/// The scheme, host and port under which Twilio reaches us.
pub(super) fn parse_public_url(value: &DeValue<'_>) -> Result<String, Diagnostic> {
    let text = parse_text(value)?;
    let (scheme, authority, path) = split_url(text);
    let scheme = scheme.to_ascii_lowercase();
    let is_valid = matches!(scheme.as_str(), "http" | "https")
        && is_authority(authority)
        && matches!(path, "" | "/");
    if is_valid {
        return Ok(format!("{scheme}://{authority}"));
    }
    Err(Diagnostic::about(text, "is not a valid public URL")
        .help("write scheme and host alone: \"https://hooks.example.com\""))
}

/// Scheme, authority, and the rest; what isn't there is empty.
fn split_url(text: &str) -> (&str, &str, &str) {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    (scheme, authority, rest)
}

/// A host and the port after it, if there is one; `[::1]` keeps its brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// Whether a text is a host, with or without a port.
pub(super) fn is_authority(text: &str) -> bool {
    let (host, port) = split_port(text);
    parse_host_text(host).is_some() && port.is_none_or(|port| parse_port(port).is_some())
}

fn parse_port(digits: &str) -> Option<u16> {
    // `u16` would take a sign.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port > 0)
}

fn parse_host_text(text: &str) -> Option<Host> {
    if let Some(address) = text.strip_prefix('[') {
        let address = address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
        return Some(Host::Address(address.into()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        // An IPv6 address without its brackets can't be distinguished from its port.
        return address.is_ipv4().then_some(Host::Address(address));
    }
    // A final dot only marks the name as fully qualified.
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_in_names);
    (text.len() <= 254 && name.split('.').all(is_label))
        .then(|| Host::Name(text.to_ascii_lowercase()))
}

/// The underscore is against RFC 1123, but common between containers.
fn is_in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse_origin_text(text) {
            Ok(Origin { address, is_secure }) => format!("{address} {is_secure}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_app_is_a_host_and_a_port() {
        for (text, expected) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000 false"),
            ("http://[::1]:3000/", "[::1]:3000 false"),
            ("HTTP://App", "app:80 false"),
            ("http://app.", "app.:80 false"),
            ("unix:/run/app.sock", "unix:/run/app.sock false"),
            ("https://App", "app:443 true"),
            ("HTTPS://app:80/", "app:80 true"),
            ("http://my_app.internal:1", "my_app.internal:1 false"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        for authority in ["a:65536", "a:", "a:+1", "a b", "a..b", "[::1"] {
            let found = read(&format!("http://{authority}"));
            assert!(found.contains("has no valid"), "{authority}");
        }
    }

    #[test]
    fn the_remedy_is_what_was_meant() {
        for (text, remedy) in [
            ("http://unix:/run/a.sock", "write \"unix:/run/a.sock\""),
            ("HTTPS://UNIX:/run/a.sock", "write \"UNIX:/run/a.sock\""),
            ("unix:", "write \"unix:/run/app.sock\""),
            ("http://unix:", "write \"http://127.0.0.1:3000\""),
            ("http:/app", "write \"http://app\""),
            ("http:app:80", "write \"http://app:80\""),
            ("https//app", "write \"https://app\""),
            ("http:3000", "write \"http://http:3000\""),
            ("ftp://app:", "write \"http://127.0.0.1:3000\""),
            ("ftp://app:21", "write \"http://app:21\""),
        ] {
            let said = read(text);
            assert!(said.ends_with(remedy), "{text}: {said}");
        }
        assert_eq!(read("UNIX:/run/a.sock"), read("unix:/run/a.sock"));
        let url = DeValue::String("http://unix:/run/a.sock:/x".into());
        let said = parse_url(&url).expect_err("not a URL").to_string();
        assert!(said.ends_with("write \"unix:/run/a.sock:/x\""), "{said}");
    }

    #[test]
    fn a_fallback_url_has_a_path_also_on_a_socket() {
        let read = |text: &'static str| {
            parse_url(&DeValue::String(text.into()))
                .map(|(origin, target)| format!("{} {target}", origin.address))
                .map_err(|error| error.to_string())
        };
        for (text, expected) in [
            ("http://a:1/x?y=1", "a:1 /x?y=1"),
            ("http://a", "a:80 /"),
            ("unix:/run/a.sock:/x?y=1", "unix:/run/a.sock /x?y=1"),
            ("unix:/run/a.sock", "unix:/run/a.sock /"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["http://a:", "unix:a.sock:/x", "unix:/run/a.sock:/x#y"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_repeated() {
        for text in ["u:secret@a:1", "ftp://secret@", "http://u:sec@ret@a/x@y"] {
            let error = read(text);
            let is_safe = !error.contains("sec") && error.contains("before the `@`");
            assert!(is_safe, "{error}");
        }
    }
}
