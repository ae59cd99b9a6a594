//! Which header fields cross, and what is added on the way (RFC 9110 §7.6).

use std::net::IpAddr;

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, FORWARDED, HOST, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, request, response};

use super::Failure;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields about one connection, not about the message (RFC 9110 §7.6.1).
static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// One bit for each length that one of their names has.
const HOP_BY_HOP_LENGTHS: u32 = 1 << "te".len()
    | 1 << "upgrade".len()
    | 1 << "trailer".len()
    | 1 << "connection".len()
    | 1 << "keep-alive".len()
    | 1 << "proxy-connection".len()
    | 1 << "transfer-encoding".len();

/// Who is at the other end of a client connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: HeaderValue,
    /// Its word about whom it forwards for is taken.
    trusted: bool,
    scheme: HeaderValue,
}

impl Peer {
    /// A peer at this address, over plain TCP.
    pub fn new(address: IpAddr, trusted: bool) -> Self {
        let address = HeaderValue::try_from(address.to_canonical().to_string())
            .expect("an address is written in visible ASCII");
        Self {
            address,
            trusted,
            scheme: HeaderValue::from_static("http"),
        }
    }
}

/// Whether a request asks for a WebSocket, the one protocol that Twilio switches to. Other upgrades are not passed on:
/// `h2c` would lead past every check here.
pub fn asks_for_websocket(head: &request::Parts) -> bool {
    head.headers
        .get(UPGRADE)
        .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && head.method == Method::GET
        && head.version == Version::HTTP_11
        && head
            .headers
            .get_all(CONNECTION)
            .iter()
            .any(|value| lists(value, "upgrade"))
}

/// Makes a request's fields what the app may see.
pub fn toward_app(headers: &mut HeaderMap, peer: &Peer, twiml: bool, websocket: bool) {
    drop_hop_by_hop(headers);
    headers.remove(EXPECT);
    if twiml && !websocket {
        // Twilio asks for no coding, and an answer is judged as it stands.
        headers.remove(ACCEPT_ENCODING);
    }
    if websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    forwarded(headers, peer);
}

fn forwarded(headers: &mut HeaderMap, peer: &Peer) {
    if !peer.trusted {
        drop_claims(headers);
    }
    let chain = match headers.get_all(X_FORWARDED_FOR).iter().next() {
        None => peer.address.clone(),
        Some(_) => appended(headers, &peer.address),
    };
    headers.insert(X_FORWARDED_FOR, chain);
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, peer.scheme.clone());
    }
    if !headers.contains_key(X_FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// What a stranger says about whom it forwards for is dropped.
fn drop_claims(headers: &mut HeaderMap) {
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

/// The chain of every `X-Forwarded-For` line with this address behind it.
fn appended(headers: &HeaderMap, address: &HeaderValue) -> HeaderValue {
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    let chain: Vec<&[u8]> = lines.chain([address]).map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&chain.join(&b", "[..])).unwrap_or_else(|_| address.clone())
}

/// Makes an answer's fields what the client may see. The length is written anew from the body.
///
/// # Errors
///
/// [`Failure::Framing`] if the answer has both a length and a coding (RFC 9112 §6.3), or a coding that isn't `chunked`.
pub(super) fn toward_client(head: &mut response::Parts) -> Result<(), Failure> {
    let headers = &mut head.headers;
    if let Some(coding) = headers.get(TRANSFER_ENCODING) {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        let alone = headers.get_all(TRANSFER_ENCODING).iter().count() == 1;
        if headers.contains_key(CONTENT_LENGTH) || !chunked || !alone {
            return Err(Failure::Framing);
        }
    }
    if let Some(length) = headers.get(CONTENT_LENGTH).cloned() {
        // The same length several times is one length (RFC 9110 §8.6); hyper has refused different ones.
        headers.insert(CONTENT_LENGTH, length);
    }
    let switching = head.status == http::StatusCode::SWITCHING_PROTOCOLS;
    drop_hop_by_hop(headers);
    if switching {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    // The app's version says nothing about ours.
    head.version = Version::HTTP_11;
    Ok(())
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        drop_listed(headers);
    }
    // Looking first is cheaper than removing what is seldom there.
    if headers.keys().any(is_hop_by_hop) {
        for name in &HOP_BY_HOP {
            headers.remove(name);
        }
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    HOP_BY_HOP_LENGTHS & (1 << name.len().min(31)) != 0
        && HOP_BY_HOP.iter().any(|own| own.as_str() == name)
}

/// Drops the fields that `Connection` lists, except those that no message can do without: a list that names
/// them is an attack.
fn drop_listed(headers: &mut HeaderMap) {
    let lists: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for name in lists.iter().flat_map(options) {
        if let Ok(name) = HeaderName::from_bytes(name)
            && ![HOST, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING].contains(&name)
        {
            headers.remove(name);
        }
    }
}

fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

/// Whether a `Connection` field lists an option.
fn lists(value: &HeaderValue, option: &str) -> bool {
    options(value).any(|own| own.eq_ignore_ascii_case(option.as_bytes()))
}
