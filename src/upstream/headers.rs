//! Which headers are forwarded in both directions, and which are added (RFC 9110 §7.6).

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
    FORWARDED, HOST, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, request, response};

use super::error::Error;
use super::names::{HOP_BY_HOP, Names};
use super::own_connections::is_own;

/// For whom a request was forwarded, the client last.
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The host that the client asked for.
pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `http` or `https`, as the client spoke to us.
pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who is at the other end of a client connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The ends of its connection: its own, and ours.
    ends: (SocketAddr, SocketAddr),
    /// It has sent a request before.
    is_known: Cell<bool>,
    address: HeaderValue,
    /// What it says about whom it forwards for is kept.
    trusted: bool,
    scheme: HeaderValue,
}

impl Peer {
    /// A peer at this address, connected to our own address `local`, over plain TCP.
    pub fn new(peer: SocketAddr, local: SocketAddr, trusted: bool) -> Self {
        Self {
            ends: (peer, local),
            is_known: Cell::new(false),
            address: header_value(peer.ip()),
            trusted,
            scheme: HeaderValue::from_static("http"),
        }
    }

    /// Whether the peer is this process itself, by way of one of its upstreams. Looks only at a connection's first request.
    pub fn is_ourselves(&self) -> bool {
        !self.is_known.replace(true) && is_own(self.ends)
    }

    /// Whether what it says about whom it forwards for is kept.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The peer forwards its whole connection for a client at this address (the PROXY protocol). Requests are the client's from
    /// now on; the ends of the connection stay.
    pub fn set_client(&mut self, address: IpAddr, trusted: bool) {
        self.address = header_value(address);
        self.trusted = trusted;
    }

    /// The same, within TLS.
    #[must_use]
    pub fn within_tls(self) -> Self {
        let scheme = HeaderValue::from_static("https");
        Self { scheme, ..self }
    }
}

fn header_value(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_canonical().to_string())
        .expect("an address is written in visible ASCII")
}

/// Whether a request asks for a WebSocket, the one protocol that Twilio switches to. Other upgrades are not passed on:
/// An upgrade to `h2c` would bypass every check here.
pub fn asks_for_websocket(head: &request::Parts) -> bool {
    head.headers
        .get(UPGRADE)
        .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && head.method == Method::GET
        && head.version == Version::HTTP_11
        && has_no_body(&head.headers)
        && head
            .headers
            .get_all(CONNECTION)
            .iter()
            .any(|value| lists(value, "upgrade"))
}

/// A body before a switch of protocols could be taken for what follows the switch.
fn has_no_body(headers: &HeaderMap) -> bool {
    !headers.contains_key(TRANSFER_ENCODING)
        && headers
            .get(CONTENT_LENGTH)
            .is_none_or(|length| length == "0")
}

/// Makes a request's headers, which have these names, those that the upstream may see.
pub fn rewrite_request(
    headers: &mut HeaderMap,
    names: Names,
    peer: &Peer,
    twiml: bool,
    websocket: bool,
) {
    strip_hop_by_hop(headers, names);
    if names.has(Names::MAYBE_CGI_ALIAS) {
        strip_cgi_aliases(headers);
    }
    if names.has(Names::EXPECT) {
        headers.remove(EXPECT);
    }
    if names.has(Names::ACCEPT_ENCODING) && twiml && !websocket {
        // Twilio asks for no coding, and a response is validated as it stands.
        headers.remove(ACCEPT_ENCODING);
    }
    if websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    add_forwarded(headers, names, peer);
}

/// Says for whom the request is forwarded. What a trusted peer said already is kept; an empty header says nothing.
fn add_forwarded(headers: &mut HeaderMap, names: Names, peer: &Peer) {
    let mut was_forwarded = names.has(Names::FORWARDED);
    if was_forwarded && !peer.trusted {
        strip_forwarded(headers);
        was_forwarded = false;
    }
    let chain = match was_forwarded {
        false => peer.address.clone(),
        true => append_address(headers, &peer.address),
    };
    headers.insert(&X_FORWARDED_FOR, chain);
    if !(was_forwarded && has_value(headers, &X_FORWARDED_PROTO)) {
        headers.insert(&X_FORWARDED_PROTO, peer.scheme.clone());
    }
    if !(was_forwarded && has_value(headers, &X_FORWARDED_HOST))
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(&X_FORWARDED_HOST, host);
    }
}

fn has_value(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get(name).is_some_and(|value| !value.is_empty())
}

/// Strips what a peer that is not trusted says about whom it forwards for.
fn strip_forwarded(headers: &mut HeaderMap) {
    let is_claim =
        |name: &HeaderName| *name == FORWARDED || name.as_str().starts_with("x-forwarded-");
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(name))
        .cloned()
        .collect();
    for claim in claims {
        headers.remove(claim);
    }
}

/// The addresses of every `X-Forwarded-For` line, and this one behind them.
fn append_address(headers: &HeaderMap, address: &HeaderValue) -> HeaderValue {
    let lines = headers.get_all(&X_FORWARDED_FOR).iter().chain([address]);
    let chain: Vec<&[u8]> = lines
        .map(HeaderValue::as_bytes)
        .filter(|line| !line.is_empty())
        .collect();
    HeaderValue::from_bytes(&chain.join(&b", "[..])).unwrap_or_else(|_| address.clone())
}

/// Makes a response's headers, which have these names, those that the client may see. The length is written anew from the body.
///
/// # Errors
///
/// [`Error::Framing`] if the response has both a length and a coding (RFC 9112 §6.3), or a coding that isn't `chunked`.
pub fn rewrite_response(head: &mut response::Parts, names: Names) -> Result<(), Error> {
    let headers = &mut head.headers;
    if names.has(Names::TRANSFER_ENCODING)
        && let Some(coding) = headers.get(TRANSFER_ENCODING)
    {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        let alone = headers.get_all(TRANSFER_ENCODING).iter().count() == 1;
        if headers.contains_key(CONTENT_LENGTH) || !chunked || !alone {
            return Err(Error::Framing);
        }
    }
    if headers.len() > headers.keys_len()
        && let Some(length) = headers.get(CONTENT_LENGTH).cloned()
    {
        // The same length several times is one length (RFC 9110 §8.6); hyper has refused different ones.
        headers.insert(CONTENT_LENGTH, length);
    }
    let switching = head.status == http::StatusCode::SWITCHING_PROTOCOLS;
    strip_hop_by_hop(headers, names);
    if names.has(Names::OWN) {
        strip_own(headers);
    }
    if switching {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    // The upstream's version says nothing about ours.
    head.version = Version::HTTP_11;
    Ok(())
}

/// Removes the headers in which we say what we did: an upstream's own would be taken for ours.
fn strip_own(headers: &mut HeaderMap) {
    let is_own = |name: &&HeaderName| name.as_str().starts_with("understudy-");
    let own: Vec<HeaderName> = headers.keys().filter(is_own).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap, names: Names) {
    if names.has(Names::CONNECTION) {
        strip_listed(headers);
    }
    for name in names.hop_by_hop() {
        headers.remove(name);
    }
}

/// Strips headers that CGI, and what came after it, can't tell from others that matter: it takes `_` for `-`, and `Proxy` for a
/// setting of its own. nginx drops every name with `_`; here the harmless ones are forwarded.
fn strip_cgi_aliases(headers: &mut HeaderMap) {
    let aliases: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_cgi_alias(name.as_str()))
        .cloned()
        .collect();
    for alias in aliases {
        headers.remove(alias);
    }
}

fn is_cgi_alias(name: &str) -> bool {
    name == "proxy"
        || memchr::memchr(b'_', name.as_bytes()).is_some() && {
            let dashed = name.replace('_', "-");
            is_essential(&dashed) || HOP_BY_HOP.iter().any(|own| own.as_str() == dashed)
        }
}

/// Whether a header says how to read a request, whom it is for, or who sends it.
fn is_essential(name: &str) -> bool {
    static ESSENTIAL: [HeaderName; 7] = [
        AUTHORIZATION,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        COOKIE,
        FORWARDED,
        HOST,
        TRANSFER_ENCODING,
    ];
    ESSENTIAL.iter().any(|own| own.as_str() == name)
        || ["x-twilio-", "i-twilio-", "x-forwarded-"]
            .iter()
            .any(|family| name.starts_with(family))
}

/// Strips the headers that `Connection` lists, except those that no message can do without: a list that names them is an attack.
fn strip_listed(headers: &mut HeaderMap) {
    let mut lists = headers.get_all(CONNECTION).iter();
    if lists.all(|value| is_about_connection_alone(value.as_bytes())) {
        return;
    }
    let lists: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for name in lists.iter().flat_map(options) {
        if let Ok(name) = HeaderName::from_bytes(name)
            && !is_essential(name.as_str())
        {
            headers.remove(name);
        }
    }
}

/// Whether a `Connection` header has the one option that nearly all have, which names no other header.
fn is_about_connection_alone(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

/// Whether a `Connection` field lists an option.
pub(super) fn lists(value: &HeaderValue, option: &str) -> bool {
    options(value).any(|own| own.eq_ignore_ascii_case(option.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        let mut map = HeaderMap::new();
        fields.iter().map(pair).for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    fn peer(trusted: bool) -> Peer {
        Peer::new(
            ([192, 0, 2, 7], 1).into(),
            ([192, 0, 2, 1], 80).into(),
            trusted,
        )
    }

    fn forwarded(fields: &[(&str, &str)], trusted: bool) -> Vec<(String, String)> {
        let mut map = headers(fields);
        let names = Names::of(&map);
        rewrite_request(&mut map, names, &peer(trusted), true, false);
        let mut got: Vec<_> = map
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
            .collect();
        got.sort();
        got
    }

    fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_client_that_a_proxy_names_is_trusted_for_its_own_address_only() {
        for (trusted, chain) in [(false, "203.0.113.9"), (true, "192.0.2.8, 203.0.113.9")] {
            let mut peer = peer(!trusted);
            peer.set_client([203, 0, 113, 9].into(), trusted);
            let mut map = headers(&[("x-forwarded-for", "192.0.2.8")]);
            let names = Names::of(&map);
            rewrite_request(&mut map, names, &peer, true, false);
            assert_eq!(map[&X_FORWARDED_FOR], chain);
        }
    }

    #[test]
    fn what_twilio_sends_crosses_and_the_hop_does_not() {
        let got = forwarded(
            &[
                ("host", "hooks.example.com"),
                ("x-twilio-signature", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
                ("i-twilio-idempotency-token", "a1"),
                ("cookie", "a=b"),
                ("authorization", "Basic eDp5"),
                ("connection", "close, X-Hop"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("expect", "100-continue"),
                ("accept-encoding", "gzip"),
            ],
            false,
        );
        let wanted = [
            ("authorization", "Basic eDp5"),
            ("cookie", "a=b"),
            ("host", "hooks.example.com"),
            ("i-twilio-idempotency-token", "a1"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "hooks.example.com"),
            ("x-forwarded-proto", "http"),
            ("x-twilio-signature", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
        ];
        assert_eq!(got, owned(&wanted));
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added_to() {
        let claims = [
            ("host", "app.internal"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "203.0.113.2, 203.0.113.3"),
            ("x-forwarded-host", "hooks.example.com"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-proto", "https"),
        ];
        let wanted = [
            ("host", "app.internal"),
            (
                "x-forwarded-for",
                "198.51.100.1, 203.0.113.2, 203.0.113.3, 192.0.2.7",
            ),
            ("x-forwarded-host", "hooks.example.com"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(forwarded(&claims, true), owned(&wanted));
        let wanted = [
            ("host", "app.internal"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "app.internal"),
            ("x-forwarded-proto", "http"),
        ];
        assert_eq!(forwarded(&claims, false), owned(&wanted));
    }

    #[test]
    fn an_empty_forwarded_header_of_a_trusted_proxy_counts_as_absent() {
        let claims = [
            ("host", "app.internal"),
            ("x-forwarded-for", ""),
            ("x-forwarded-host", ""),
            ("x-forwarded-proto", ""),
        ];
        let wanted = [
            ("host", "app.internal"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "app.internal"),
            ("x-forwarded-proto", "http"),
        ];
        assert_eq!(forwarded(&claims, true), owned(&wanted));
    }

    #[test]
    fn a_connection_field_that_lists_what_no_message_can_do_without_is_not_obeyed() {
        let got = forwarded(
            &[
                ("host", "a"),
                ("connection", "host, content-type"),
                ("content-type", "x"),
            ],
            true,
        );
        assert!(got.contains(&("host".into(), "a".into())));
        assert!(got.contains(&("content-type".into(), "x".into())));
    }

    #[test]
    fn only_a_whole_websocket_handshake_asks_for_a_websocket() {
        let asks = |method: &str, fields: &[(&str, &str)]| {
            let mut request = Request::builder()
                .method(method)
                .body(())
                .expect("a request");
            *request.headers_mut() = headers(fields);
            asks_for_websocket(&request.into_parts().0)
        };
        assert!(asks(
            "GET",
            &[
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", "WebSocket")
            ]
        ));
        assert!(!asks(
            "POST",
            &[("connection", "Upgrade"), ("upgrade", "websocket")]
        ));
        assert!(!asks(
            "GET",
            &[("connection", "Upgrade"), ("upgrade", "h2c")]
        ));
        assert!(!asks(
            "GET",
            &[("connection", "close"), ("upgrade", "websocket")]
        ));
    }

    #[test]
    fn an_answer_with_two_framings_is_refused_and_one_length_said_twice_is_one() {
        let mut head = http::Response::new(()).into_parts().0;
        for (fields, good) in [
            (
                &[("transfer-encoding", "chunked"), ("content-length", "3")][..],
                false,
            ),
            (&[("transfer-encoding", "gzip, chunked")][..], false),
            (
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ][..],
                false,
            ),
            (&[("transfer-encoding", "chunked")][..], true),
            (
                &[("content-length", "3"), ("content-length", "3")][..],
                true,
            ),
        ] {
            head.headers = headers(fields);
            let names = Names::of(&head.headers);
            assert_eq!(
                rewrite_response(&mut head, names).is_ok(),
                good,
                "{fields:?}"
            );
        }
        assert_eq!(head.headers.get_all("content-length").iter().count(), 1);
    }
}
