//! Which of the headers that matter on the way a message has. Most of them are seldom there, and one pass over all headers costs
//! less than a look-up of each.

use http::header::{CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName};
use memchr::memchr;

pub(super) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers about one connection, not about the message (RFC 9110 §7.6.1). Each has the bit of its place here.
pub(super) static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Which of the headers that matter on the way a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names(u32);

impl Names {
    /// `Connection`.
    pub const CONNECTION: Self = Self(1);
    /// `Keep-Alive`.
    pub const KEEP_ALIVE: Self = Self(1 << 1);
    const PROXY_CONNECTION: Self = Self(1 << 2);
    const TE: Self = Self(1 << 3);
    const TRAILER: Self = Self(1 << 4);
    /// `Transfer-Encoding`.
    pub const TRANSFER_ENCODING: Self = Self(1 << 5);
    /// `Upgrade`.
    pub const UPGRADE: Self = Self(1 << 6);
    /// Any that is about the connection.
    pub const ANY_HOP_BY_HOP: Self = Self((1 << HOP_BY_HOP.len()) - 1);
    /// `Expect`.
    pub const EXPECT: Self = Self(1 << 7);
    /// `Accept-Encoding`.
    pub const ACCEPT_ENCODING: Self = Self(1 << 8);
    /// `traceparent`.
    pub const TRACEPARENT: Self = Self(1 << 9);
    /// `Forwarded`, or any that begins with `X-Forwarded-`.
    pub const FORWARDED: Self = Self(1 << 10);
    /// Any that begins with `Understudy-`.
    pub const OWN: Self = Self(1 << 11);
    /// One that may be an alias of another one for CGI.
    pub const MAYBE_CGI_ALIAS: Self = Self(1 << 12);
    /// A `Content-Length` that begins with 0 and goes on.
    pub const LEADING_ZERO: Self = Self(1 << 13);

    /// Those of a message.
    pub fn of(headers: &HeaderMap) -> Self {
        let bits = headers
            .iter()
            .map(|(name, value)| Self::of_header(name.as_str(), value.as_bytes()).0);
        Self(bits.fold(0, |all, bit| all | bit))
    }

    /// Whether one of these is there.
    pub fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// The headers about one connection that are there.
    pub(super) fn hop_by_hop(self) -> impl Iterator<Item = &'static HeaderName> {
        let is_there = move |place: &usize| self.0 & (1 << place) != 0;
        (0..HOP_BY_HOP.len())
            .filter(is_there)
            .map(|place| &HOP_BY_HOP[place])
    }

    /// Looks at the first letter first, which decides for most.
    fn of_header(name: &str, value: &[u8]) -> Self {
        let is_alias_at = |dash: usize| name.as_bytes().get(dash) == Some(&b'_');
        match name.as_bytes().first() {
            Some(b'a') if name == "accept-encoding" => Self::ACCEPT_ENCODING,
            Some(b'c') => match (name, value) {
                ("connection", _) => Self::CONNECTION,
                ("content-length", [b'0', _, ..]) => Self::LEADING_ZERO,
                _ if is_alias_at(7) => Self::MAYBE_CGI_ALIAS,
                _ => Self(0),
            },
            Some(b'e') if name == "expect" => Self::EXPECT,
            Some(b'f') if name == "forwarded" => Self::FORWARDED,
            Some(b'k') => match name {
                "keep-alive" => Self::KEEP_ALIVE,
                _ if is_alias_at(4) => Self::MAYBE_CGI_ALIAS,
                _ => Self(0),
            },
            Some(b'p') => match name {
                "proxy" => Self::MAYBE_CGI_ALIAS,
                "proxy-connection" => Self::PROXY_CONNECTION,
                _ if is_alias_at(5) => Self::MAYBE_CGI_ALIAS,
                _ => Self(0),
            },
            Some(b't') => match name {
                "te" => Self::TE,
                "trailer" => Self::TRAILER,
                "traceparent" => Self::TRACEPARENT,
                "transfer-encoding" => Self::TRANSFER_ENCODING,
                _ if is_alias_at(8) => Self::MAYBE_CGI_ALIAS,
                _ => Self(0),
            },
            Some(b'u') if name == "upgrade" => Self::UPGRADE,
            Some(b'u') if name.starts_with("understudy-") => Self::OWN,
            // Of Twilio's headers, and of those that say for whom a request is forwarded, there are many.
            Some(b'i' | b'x') => {
                let alias = match memchr(b'_', name.as_bytes()) {
                    Some(_) => Self::MAYBE_CGI_ALIAS.0,
                    None => 0,
                };
                match name.starts_with("x-forwarded-") {
                    true => Self(Self::FORWARDED.0 | alias),
                    false => Self(alias),
                }
            }
            _ => Self(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_about_the_connection_has_the_bit_of_its_place() {
        for (place, name) in HOP_BY_HOP.iter().enumerate() {
            let names = Names::of_header(name.as_str(), b"");
            assert_eq!(names, Names(1 << place), "{name}");
            assert!(names.hop_by_hop().eq([name]), "{name}");
        }
    }

    #[test]
    fn each_other_header_has_a_bit_of_its_own() {
        let others = [
            ("expect", Names::EXPECT),
            ("accept-encoding", Names::ACCEPT_ENCODING),
            ("traceparent", Names::TRACEPARENT),
            ("forwarded", Names::FORWARDED),
            ("understudy-fallback", Names::OWN),
            ("proxy", Names::MAYBE_CGI_ALIAS),
            ("content-length", Names::LEADING_ZERO),
        ];
        let mut all = Names::ANY_HOP_BY_HOP.0;
        assert_eq!(all.count_ones() as usize, HOP_BY_HOP.len());
        for (name, own) in others {
            assert_eq!(Names::of_header(name, b"00"), own, "{name}");
            assert!(own.0.is_power_of_two() && !Names(all).has(own), "{name}");
            all |= own.0;
        }
        for name in ["accept", "etag", "from", "user-agent", "understudy", "host"] {
            assert_eq!(Names::of_header(name, b"00"), Names(0), "{name}");
        }
    }

    #[test]
    fn a_length_with_zeros_in_front_is_known_by_its_value() {
        for (length, has_zeros) in [("0", false), ("10", false), ("00", true), ("010", true)] {
            let mut headers = HeaderMap::new();
            headers.insert("content-length", length.parse().expect("a value"));
            let names = Names::of(&headers);
            assert_eq!(names.has(Names::LEADING_ZERO), has_zeros, "{length}");
        }
    }

    #[test]
    fn families_are_known_by_their_beginning_and_aliases_by_their_underscore() {
        let alias = Names::MAYBE_CGI_ALIAS;
        for (name, expected) in [
            ("x-forwarded-for", Names::FORWARDED),
            ("x-forwarded-anything", Names::FORWARDED),
            ("understudy-fallback", Names::OWN),
            ("content_type", alias),
            ("transfer_encoding", alias),
            ("keep_alive", alias),
            ("proxy_connection", alias),
            ("proxy", alias),
            ("content-type", Names(0)),
            ("x-forwarded", Names(0)),
            ("te_a", Names(0)),
            ("", Names(0)),
        ] {
            assert_eq!(Names::of_header(name, b"1"), expected, "{name}");
        }
        for name in [
            "x_forwarded-for",
            "x-forwarded_for",
            "x-twilio_signature",
            "i_twilio-a",
        ] {
            assert!(Names::of_header(name, b"").has(alias), "{name}");
        }
    }
}
