//! Hosts and URLs: where the app is, and which `Host` a route is for.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::uri::PathAndQuery;
use toml::de::DeValue;

use super::problem::Problem;
use super::value::text;
use super::words::Text;
use crate::upstream::Host;

/// A `Host` without its port, in lower case.
pub(super) fn host(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = text(value)?;
    let (_, authority, path) = split_url(text);
    let (host, port) = split_port(authority);
    let why = if text.parse::<Ipv6Addr>().is_ok() {
        HostProblem::NoBrackets(format!("[{text}]").into())
    } else if parse_host(host).is_none() {
        HostProblem::NoName
    } else if authority != text || !path.is_empty() {
        HostProblem::Url(host.into())
    } else if port.is_some() {
        HostProblem::Port(host.into())
    } else {
        return Ok(host.to_ascii_lowercase());
    };
    Err(Problem::Host {
        found: text.into(),
        why,
    })
}

/// Where an app is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: Host,
    pub(super) port: u16,
    /// Within TLS.
    pub(super) secure: bool,
}

/// Where the app is.
pub(super) fn url(value: &DeValue<'_>) -> Result<Place, Problem> {
    let wanted = "a URL in quotes: \"http://127.0.0.1:3000\"";
    let text = value
        .as_str()
        .ok_or_else(|| Problem::wrong_type(value, wanted))?;
    url_of(text)
}

/// A URL with its path and query, of an app that is asked for a page.
pub(super) fn page_url(value: &DeValue<'_>) -> Result<(Place, PathAndQuery), Problem> {
    let wanted = "a URL in quotes: \"http://127.0.0.1:4000/voice\"";
    let text = value
        .as_str()
        .ok_or_else(|| Problem::wrong_type(value, wanted))?;
    let (_, _, path) = split_url(text);
    let base = url_of(&text[..text.len() - path.len()])?;
    let target = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let target = PathAndQuery::try_from(target)
        .ok()
        .filter(|_| !path.contains('#'));
    target
        .map(|target| (base, target))
        .ok_or_else(|| Problem::Url {
            found: text.into(),
            why: UrlProblem::Target,
        })
}

/// How Twilio addresses us: scheme, host and port.
pub(super) fn public_url(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = text(value)?;
    let (scheme, authority, path) = split_url(text);
    let (host, port) = split_port(authority);
    let is_web = ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str());
    let is_whole = parse_host(host).is_some() && port.is_none_or(|port| parse_port(port).is_some());
    if is_web && is_whole && matches!(path, "" | "/") {
        return Ok(format!("{}://{authority}", scheme.to_ascii_lowercase()));
    }
    Err(Problem::Url {
        found: text.into(),
        why: UrlProblem::Public,
    })
}

/// The same, from an argument.
pub(super) fn url_of(text: &str) -> Result<Place, Problem> {
    let (scheme, authority, path) = split_url(text);
    let scheme = scheme.to_ascii_lowercase();
    let secure = scheme == "https";
    let right = |rest: &str| {
        Text::from(format!(
            "{}://{rest}",
            if secure { "https" } else { "http" }
        ))
    };
    let wrong = |why| {
        Err(Problem::Url {
            found: text.into(),
            why,
        })
    };
    if let Some((_, host)) = authority.rsplit_once('@') {
        let right = right(host);
        return Err(Problem::UserInfo { right });
    }
    let (host, port) = split_port(authority);
    let Some(host) = parse_host(host) else {
        return wrong(UrlProblem::Host);
    };
    if !secure && scheme != "http" {
        return wrong(UrlProblem::Scheme(right(authority)));
    }
    if !matches!(path, "" | "/") {
        return wrong(UrlProblem::Path(right(authority)));
    }
    let usual = if secure { 443 } else { 80 };
    let Some(port) = port.map_or(Some(usual), parse_port) else {
        return wrong(UrlProblem::Port);
    };
    Ok(Place { host, port, secure })
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

/// A port, if it is one.
fn parse_port(digits: &str) -> Option<u16> {
    // `u16` would take a sign.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port > 0)
}

fn parse_host(text: &str) -> Option<Host> {
    if let Some(address) = text.strip_prefix('[') {
        let address = address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
        return Some(Host::Address(address.into()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        // An IPv6 address without its brackets can't be told from its port.
        return address.is_ipv4().then_some(Host::Address(address));
    }
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_of_name);
    (text.len() <= 253 && text.split('.').all(is_label))
        .then(|| Host::Name(text.to_ascii_lowercase()))
}

/// The underscore is against RFC 1123, and common between containers.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Why a text is not a host as a `Host` field names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostProblem {
    /// It has a port; without, it would be this.
    Port(Text),
    /// It is a URL; its host is this.
    Url(Text),
    /// It is an IPv6 address without its brackets; with them, it would be this.
    NoBrackets(Text),
    /// It holds what no name holds.
    NoName,
}

/// Why a text is not the URL of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlProblem {
    /// It begins with neither `http://` nor `https://`; if it did, it would be this.
    Scheme(Text),
    /// It has a path, a query or a fragment; without, it would be this.
    Path(Text),
    /// Its host is none.
    Host,
    /// Its port is none.
    Port,
    /// What follows its host is no path with a query.
    Target,
    /// It isn't scheme, host and port alone.
    Public,
}

impl fmt::Display for HostProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(right) => {
                write!(
                    f,
                    "has a port, and hosts are compared without; write {right}"
                )
            }
            Self::Url(right) => write!(f, "is more than a host; write {right}"),
            Self::NoBrackets(right) => {
                write!(
                    f,
                    "lacks the brackets that a `Host` field has; write {right}"
                )
            }
            Self::NoName => f.write_str(
                "is not a valid host name; write \"hooks.example.com\", without any `*`",
            ),
        }
    }
}

impl fmt::Display for UrlProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme(right) => write!(f, "begins with neither `http://` nor `https://`; write {right}"),
            Self::Path(right) => write!(
                f,
                "has more than a host and a port, but path and query are each request's own; \
                 write {right}"
            ),
            Self::Host => f.write_str(
                "has no good host; write \"http://127.0.0.1:3000\" or \"http://[::1]:3000\"",
            ),
            Self::Target => f.write_str(
                "has a path that can't stand on the wire; write it percent-encoded and without a fragment",
            ),
            Self::Public => f.write_str(
                "is not how Twilio addresses us; write scheme and host alone: \"https://hooks.example.com\"",
            ),
            Self::Port => f.write_str(
                "has no good port, which is from 1 to 65535; write \"http://127.0.0.1:3000\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match url_of(text) {
            Ok(place) => format!("{:?} {} {}", place.host, place.port, place.secure),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn an_app_is_a_host_and_a_port() {
        for (text, expected) in [
            ("http://127.0.0.1:3000", "Address(127.0.0.1) 3000 false"),
            ("http://[::1]:3000/", "Address(::1) 3000 false"),
            ("HTTP://App", "Name(\"app\") 80 false"),
            ("https://App", "Name(\"app\") 443 true"),
            ("HTTPS://app:80/", "Name(\"app\") 80 true"),
            (
                "http://my_app.internal:1",
                "Name(\"my_app.internal\") 1 false",
            ),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        for text in [
            "http://a:65536",
            "http://a:",
            "http://a:+1",
            "http://a b",
            "http://a..b",
            "http://[::1",
        ] {
            assert!(read(text).contains("has no good"), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_repeated() {
        for text in [
            "http://u:secret@a",
            "u:secret@a:1",
            "ftp://secret@",
            "http://u:sec@ret@a/x@y",
        ] {
            let said = read(text);
            assert!(
                !said.contains("sec") && said.contains("before the `@`"),
                "{said}"
            );
        }
    }
}
