//! Finds the route that a request belongs to, by its method, host and path. It knows patterns, not what they lead to.
//!
//! The most specific pattern wins: an exact path before a prefix, a longer prefix before a shorter one; for the same path a pattern
//! that names the host before one that doesn't, then one that names methods. A look-up takes the same time for one route and for
//! ten thousand.

mod normalization;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use http::Method;
use strum::{Display, IntoStaticStr};

pub use normalization::normalized_paths;

/// What a route's requests are for, and so what a response must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// Twilio expects voice TwiML.
    Voice,
    /// Twilio expects messaging TwiML.
    Messaging,
    /// A status callback: Twilio ignores the body of the response.
    Callback,
    /// Anything else: the response is passed through.
    Pass,
    /// Each request's own parameters tell.
    Auto,
}

impl Kind {
    /// Every kind, by its name in the configuration.
    pub const ALL: [(&'static str, Self); 5] = [
        ("voice", Self::Voice),
        ("messaging", Self::Messaging),
        ("callback", Self::Callback),
        ("pass", Self::Pass),
        ("auto", Self::Auto),
    ];

    /// Its name in the configuration and the logs.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether a response may be TwiML, as far as the route alone can tell.
    pub fn may_be_twiml(self) -> bool {
        matches!(self, Self::Voice | Self::Messaging | Self::Auto)
    }
}

/// The paths that a pattern matches. They are compared as received, never decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// This path and no other.
    Exact(String),
    /// Every path that begins with this one, which ends with a slash (`/voice/*` in the configuration).
    Prefix(String),
}

impl Path {
    /// Reads a path as it is written in the configuration: `/voice` or `/voice/*`.
    ///
    /// # Errors
    ///
    /// [`Error`], which says what would be right.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if !text.starts_with('/') {
            return Err(Error::NotAbsolute);
        }
        if text.contains(['?', '#']) {
            return Err(Error::NotOnlyPath);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::NotEncoded);
        }
        match text.strip_suffix('*') {
            Some(prefix) if !prefix.ends_with('/') || prefix.contains('*') => Err(Error::Star),
            Some(prefix) => Ok(Self::Prefix(prefix.to_owned())),
            None if text.contains('*') => Err(Error::Star),
            None => Ok(Self::Exact(text.to_owned())),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Why a text is not a valid path, by what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It doesn't begin with a slash.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// It contains a query or a fragment.
    #[error("a path has no `?` and no `#`: routes are chosen by the path alone")]
    NotOnlyPath,
    /// It contains a space, a control character or a character outside ASCII.
    #[error("a path is written percent-encoded, as clients send it")]
    NotEncoded,
    /// It contains a star elsewhere than as the last segment.
    #[error("`*` stands only at the end, after a `/`: \"/voice/*\"")]
    Star,
}

/// Which requests a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The paths.
    pub path: Path,
    /// The host without its port, in lower case; `None`: every host.
    pub host: Option<String>,
    /// The methods; empty: every method.
    pub methods: Vec<Method>,
}

impl Pattern {
    /// Whether a request could match both, and neither would be more specific.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        self.path == other.path
            && self.host == other.host
            && self.methods.is_empty() == other.methods.is_empty()
            && (self.methods.is_empty() || self.methods.iter().any(|m| other.methods.contains(m)))
    }

    /// Whether the method and the host match.
    fn matches(&self, method: &Method, host: &str) -> bool {
        // A final dot only says that the name is whole.
        let host = host.strip_suffix('.').unwrap_or(host);
        (self.methods.is_empty() || self.methods.contains(method))
            && self
                .host
                .as_deref()
                .is_none_or(|own| own.eq_ignore_ascii_case(host))
    }

    fn specificity(&self) -> (bool, bool) {
        (self.host.is_some(), !self.methods.is_empty())
    }
}

/// Routes by their patterns.
#[derive(Debug)]
pub struct RouteTable<T> {
    exact: HashMap<String, Vec<(Pattern, T)>>,
    prefixes: HashMap<String, Vec<(Pattern, T)>>,
    /// In bytes. Bounds the work for a long path.
    longest_prefix: usize,
    names_hosts: bool,
}

impl<T> RouteTable<T> {
    /// The table of these routes.
    pub fn new(routes: impl IntoIterator<Item = (Pattern, T)>) -> Self {
        let mut table = Self {
            exact: HashMap::new(),
            prefixes: HashMap::new(),
            longest_prefix: 0,
            names_hosts: false,
        };
        for (pattern, route) in routes {
            table.names_hosts |= pattern.host.is_some();
            let entry = match &pattern.path {
                Path::Exact(path) => table.exact.entry(path.clone()),
                Path::Prefix(prefix) => {
                    table.longest_prefix = table.longest_prefix.max(prefix.len());
                    table.prefixes.entry(prefix.clone())
                }
            };
            entry.or_default().push((pattern, route));
        }
        for routes in table.exact.values_mut().chain(table.prefixes.values_mut()) {
            routes.sort_by_key(|(pattern, _)| Reverse(pattern.specificity()));
        }
        table
    }

    /// Whether any route's pattern names a host.
    pub fn names_hosts(&self) -> bool {
        self.names_hosts
    }

    /// The route of a request; `host` is without its port.
    pub fn find(&self, method: &Method, host: &str, path: &str) -> Option<&T> {
        let exact = self.exact.get(path);
        exact
            .and_then(|routes| first_match(routes, method, host))
            .or_else(|| self.find_prefix(method, host, path))
    }

    /// The route of the longest prefix that matches.
    fn find_prefix(&self, method: &Method, host: &str, path: &str) -> Option<&T> {
        if self.prefixes.is_empty() {
            return None;
        }
        let length = path.len().min(self.longest_prefix);
        memchr::memrchr_iter(b'/', &path.as_bytes()[..length]).find_map(|slash| {
            // A slash is one byte in UTF-8, so the path can be cut behind it.
            let routes = self.prefixes.get(path.get(..=slash)?)?;
            first_match(routes, method, host)
        })
    }
}

/// The most specific of these routes that matches; they are sorted.
fn first_match<'r, T>(routes: &'r [(Pattern, T)], method: &Method, host: &str) -> Option<&'r T> {
    let mut routes = routes.iter();
    let found = routes.find(|(pattern, _)| pattern.matches(method, host));
    found.map(|(_, route)| route)
}

#[cfg(test)]
mod tests;
