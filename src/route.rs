//! Which route belongs to a request head. Pure: it knows patterns, not what they lead to.
//!
//! The most specific pattern wins: an exact path before a prefix, a longer prefix before a shorter one, and
//! for the same path one that names the host before one that doesn't, then one that names methods. A look-up costs
//! the same whether there is one route or ten thousand.

mod readings;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use http::Method;

pub use readings::readings;

/// What a request is for, and so what an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Twilio expects voice TwiML.
    Voice,
    /// Twilio expects messaging TwiML.
    Messaging,
    /// A status callback: Twilio ignores the answer's body.
    Callback,
    /// Anything else: it goes through as it is.
    Pass,
    /// Taken from the request's own parameters.
    Auto,
}

impl Kind {
    /// Every kind, with the word that the configuration has for it.
    pub const ALL: [(&'static str, Self); 5] = [
        ("voice", Self::Voice),
        ("messaging", Self::Messaging),
        ("callback", Self::Callback),
        ("pass", Self::Pass),
        ("auto", Self::Auto),
    ];

    /// The word that the configuration and the logs have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Messaging => "messaging",
            Self::Callback => "callback",
            Self::Pass => "pass",
            Self::Auto => "auto",
        }
    }

    /// Whether an answer of this kind is TwiML, as far as the route alone can tell.
    pub fn may_be_twiml(self) -> bool {
        matches!(self, Self::Voice | Self::Messaging | Self::Auto)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which paths a pattern covers. Paths are compared as they stand on the wire, never decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// This path and no other.
    Exact(String),
    /// Every path that begins with this one, which ends with a slash (`/voice/*` in the configuration).
    Below(String),
}

impl Path {
    /// Reads a path as the configuration writes it: `/voice`, `/voice/*` or `*`-less.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if text.contains(['?', '#']) {
            return Err(PathError::NotOnlyPath);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(PathError::NotEncoded);
        }
        match text.strip_suffix('*') {
            Some(prefix) if !prefix.ends_with('/') || prefix.contains('*') => Err(PathError::Star),
            Some(prefix) => Ok(Self::Below(prefix.to_owned())),
            None if text.contains('*') => Err(PathError::Star),
            None => Ok(Self::Exact(text.to_owned())),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Below(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It doesn't begin with a slash.
    NotAbsolute,
    /// It holds a query or a fragment.
    NotOnlyPath,
    /// It holds a blank, a control or a character beyond ASCII.
    NotEncoded,
    /// A star stands elsewhere than as the last segment.
    Star,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "a path begins with `/`",
            Self::NotOnlyPath => "a path holds no `?` and no `#`: a route sees the path alone",
            Self::NotEncoded => "a path is written percent-encoded, as it stands on the wire",
            Self::Star => "`*` stands only at the end, after a `/`: \"/voice/*\"",
        })
    }
}

impl std::error::Error for PathError {}

/// Which requests a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The paths.
    pub path: Path,
    /// The host without its port, in lower case; none: every host.
    pub host: Option<String>,
    /// The methods; empty: every method.
    pub methods: Vec<Method>,
}

impl Pattern {
    /// Whether some request would belong to both with equal right.
    pub fn collides(&self, other: &Self) -> bool {
        self.path == other.path
            && self.host == other.host
            && self.methods.is_empty() == other.methods.is_empty()
            && (self.methods.is_empty() || self.methods.iter().any(|m| other.methods.contains(m)))
    }

    fn admits(&self, method: &Method, host: &str) -> bool {
        (self.methods.is_empty() || self.methods.contains(method))
            && self
                .host
                .as_deref()
                .is_none_or(|own| own.eq_ignore_ascii_case(host))
    }

    fn weight(&self) -> (bool, bool) {
        (self.host.is_some(), !self.methods.is_empty())
    }
}

/// Every route, to be found by a request's head.
#[derive(Debug)]
pub struct Table<T> {
    exact: HashMap<String, Vec<(Pattern, T)>>,
    below: HashMap<String, Vec<(Pattern, T)>>,
    /// No prefix is longer: bounds the work for a path of any length.
    longest: usize,
}

impl<T> Table<T> {
    /// The table of these routes.
    pub fn new(routes: impl IntoIterator<Item = (Pattern, T)>) -> Self {
        let mut table = Self {
            exact: HashMap::new(),
            below: HashMap::new(),
            longest: 0,
        };
        for (pattern, route) in routes {
            let places = match &pattern.path {
                Path::Exact(path) => table.exact.entry(path.clone()),
                Path::Below(prefix) => {
                    table.longest = table.longest.max(prefix.len());
                    table.below.entry(prefix.clone())
                }
            };
            places.or_default().push((pattern, route));
        }
        for places in table.exact.values_mut().chain(table.below.values_mut()) {
            places.sort_by_key(|(pattern, _)| Reverse(pattern.weight()));
        }
        table
    }

    /// The route of a request; `host` without its port.
    pub fn find(&self, method: &Method, host: &str, path: &str) -> Option<&T> {
        let admitted = |places: &'_ Vec<(Pattern, T)>| -> Option<usize> {
            places
                .iter()
                .position(|(pattern, _)| pattern.admits(method, host))
        };
        if let Some(places) = self.exact.get(path)
            && let Some(at) = admitted(places)
        {
            return Some(&places[at].1);
        }
        if self.below.is_empty() {
            return None;
        }
        let bytes = path.as_bytes();
        let reach = bytes.len().min(self.longest);
        memchr::memrchr_iter(b'/', &bytes[..reach]).find_map(|slash| {
            // A slash is a character of its own in UTF-8, so the cut is on a boundary.
            let places = self.below.get(path.get(..=slash)?)?;
            admitted(places).map(|at| &places[at].1)
        })
    }

    /// Every route, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let all = self.exact.values().chain(self.below.values());
        all.flatten().map(|(_, route)| route)
    }
}

#[cfg(test)]
mod tests {
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

    fn table(patterns: &[&'static str]) -> Table<&'static str> {
        Table::new(patterns.iter().map(|text| (pattern(text), *text)))
    }

    fn found(table: &Table<&'static str>, method: Method, host: &str, path: &str) -> &'static str {
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
            assert_eq!(found(&table, Method::POST, "", path), route, "{path}");
        }
    }

    #[test]
    fn a_path_that_no_route_covers_finds_none() {
        let table = table(&["/voice", "/sms/*"]);
        for path in ["/", "/voice/", "/Voice", "/sms", "*", "", "/%76oice"] {
            assert_eq!(found(&table, Method::POST, "", path), "-", "{path}");
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
            assert_eq!(found(&table, method, host, path), route);
        }
    }

    #[test]
    fn a_route_that_refuses_the_method_leaves_the_request_to_a_wider_one() {
        let table = table(&["/v POST", "/*"]);
        assert_eq!(found(&table, Method::GET, "", "/v"), "/*");
    }

    #[test]
    fn patterns_collide_only_if_a_request_belongs_to_both_with_equal_right() {
        for (one, other, collide) in [
            ("/v", "/v", true),
            ("/v GET", "/v POST", false),
            ("/v GET POST", "/v POST", true),
            ("/v GET", "/v", false),
            ("/v a.example", "/v", false),
            ("/v a.example", "/v a.example", true),
            ("/v", "/v/*", false),
        ] {
            assert_eq!(
                pattern(one).collides(&pattern(other)),
                collide,
                "{one} / {other}"
            );
        }
    }

    #[test]
    fn a_path_of_a_million_slashes_costs_no_more_than_the_longest_prefix() {
        let table = table(&["/a/*"]);
        assert_eq!(found(&table, Method::GET, "", &"/".repeat(1 << 20)), "-");
    }

    #[test]
    fn a_path_says_what_is_wrong_with_it() {
        for (text, error) in [
            ("voice", PathError::NotAbsolute),
            ("", PathError::NotAbsolute),
            ("/v?x=1", PathError::NotOnlyPath),
            ("/v#x", PathError::NotOnlyPath),
            ("/v x", PathError::NotEncoded),
            ("/é", PathError::NotEncoded),
            ("/v*", PathError::Star),
            ("/*/v", PathError::Star),
            ("/*/*", PathError::Star),
        ] {
            assert_eq!(Path::parse(text), Err(error), "{text}");
        }
    }
}
