//! Which of the headers that matter on the way a message has. Most of them are seldom there, and one pass over all names costs
//! less than a look-up of each.

use http::header::{CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName};

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
    /// `Proxy`, or any with `_` in it.
    pub const MAYBE_CGI_ALIAS: Self = Self(1 << 12);

    /// Those of a message.
    pub fn of(headers: &HeaderMap) -> Self {
        let bits = headers.keys().map(|name| Self::of_name(name.as_str()).0);
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

    /// Compares the lengths first, which are different for most.
    fn of_name(name: &str) -> Self {
        let known = match name.len() {
            2 if name == "te" => Self::TE,
            5 if name == "proxy" => Self::MAYBE_CGI_ALIAS,
            6 if name == "expect" => Self::EXPECT,
            7 if name == "trailer" => Self::TRAILER,
            7 if name == "upgrade" => Self::UPGRADE,
            9 if name == "forwarded" => Self::FORWARDED,
            10 if name == "connection" => Self::CONNECTION,
            10 if name == "keep-alive" => Self::KEEP_ALIVE,
            11 if name == "traceparent" => Self::TRACEPARENT,
            15 if name == "accept-encoding" => Self::ACCEPT_ENCODING,
            16 if name == "proxy-connection" => Self::PROXY_CONNECTION,
            17 if name == "transfer-encoding" => Self::TRANSFER_ENCODING,
            _ if name.starts_with("x-forwarded-") => Self::FORWARDED,
            _ if name.starts_with("understudy-") => Self::OWN,
            _ => Self(0),
        };
        // Without an early end, so that it compiles to vector instructions: a name is too short for a call of memchr.
        let has_underscore = name.bytes().fold(false, |has, byte| has | (byte == b'_'));
        match has_underscore {
            true => Self(known.0 | Self::MAYBE_CGI_ALIAS.0),
            false => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_about_the_connection_has_the_bit_of_its_place() {
        for (place, name) in HOP_BY_HOP.iter().enumerate() {
            let names = Names::of_name(name.as_str());
            assert_eq!(names, Names(1 << place), "{name}");
            assert!(names.hop_by_hop().eq([name]), "{name}");
        }
    }

    #[test]
    fn families_are_known_by_their_beginning_and_aliases_by_their_underscore() {
        for (name, expected) in [
            ("x-forwarded-for", Names::FORWARDED),
            ("x-forwarded-anything", Names::FORWARDED),
            ("understudy-fallback", Names::OWN),
            ("content_type", Names::MAYBE_CGI_ALIAS),
            ("content-type", Names(0)),
            ("x-forwarded", Names(0)),
        ] {
            assert_eq!(Names::of_name(name), expected, "{name}");
        }
    }
}
