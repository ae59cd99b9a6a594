//! The variants of a URL that Twilio may have signed. Twilio isn't consistent: it signs with the port or without, before it
//! escapes the query or after (twilio-python #392, twilio-node #1059 and #621, twilio-ruby #528). The most likely variants come
//! first. They are not normalized: each is the request's target as received, but for the differences named here.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

/// The origins that Twilio may have put before a request's target.
#[derive(Debug)]
pub(super) struct Origins {
    /// As configured, then with the default port added, or the port removed.
    http: [String; 2],
    /// The same for WebSockets.
    websocket: [String; 2],
}

impl Origins {
    /// Those of a public URL, which consists of scheme, host and port.
    pub(super) fn new(public_url: &str) -> Self {
        let (scheme, authority) = public_url
            .split_once("://")
            .unwrap_or(("https", public_url));
        let (websocket_scheme, default_port) = match scheme {
            "http" => ("ws", 80),
            _ => ("wss", 443),
        };
        let other = match authority.rfind([':', ']']) {
            Some(at) if authority.as_bytes()[at] == b':' => authority[..at].to_owned(),
            Some(_) | None => format!("{authority}:{default_port}"),
        };
        let both = |scheme| {
            [
                format!("{scheme}://{authority}"),
                format!("{scheme}://{other}"),
            ]
        };
        Self {
            http: both(scheme),
            websocket: both(websocket_scheme),
        }
    }

    /// What may stand before the path. Twilio says that it removes a user name and password before it signs, but the tests of its
    /// own libraries keep them.
    pub(super) fn variants(&self, headers: &HeaderMap) -> Vec<Cow<'_, str>> {
        let origins = if is_websocket(headers) {
            &self.websocket
        } else {
            &self.http
        };
        let origins = origins.iter().map(|origin| Cow::Borrowed(&origin[..]));
        let Some(userinfo) = decode_userinfo(headers) else {
            return origins.collect();
        };
        let with_userinfo = origins.clone().map(|origin| {
            let origin = origin.replacen("://", &format!("://{userinfo}@"), 1);
            Cow::Owned(origin)
        });
        origins.chain(with_userinfo).collect()
    }
}

/// The paths with their queries: as received, then with characters that Twilio may have escaped only after it signed. The path
/// of a WebSocket may have lost or gained a slash at its end, as Twilio's documentation says.
pub(super) fn target_variants<'t>(target: &'t str, headers: &HeaderMap) -> Vec<Cow<'t, str>> {
    let mut targets = vec![Cow::Borrowed(target)];
    if is_websocket(headers) {
        targets.push(Cow::Owned(toggle_slash(target)));
    }
    for escapes in [&["%27"][..], &["%40", "%3A"], &["%27", "%40", "%3A"]] {
        for at in 0..1 + usize::from(is_websocket(headers)) {
            let target = unescape_query(&targets[at], escapes);
            if let Some(target) = target.filter(|new| !targets.iter().any(|t| t == new)) {
                targets.push(Cow::Owned(target));
            }
        }
    }
    targets
}

/// `Upgrade` headers for other protocols were removed before the signature is checked.
fn is_websocket(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// The user name and password that stood in the URL, if there were any. A character that would end them in a URL isn't allowed:
/// with it, a signature that Twilio made for another host's URL would be valid for ours.
fn decode_userinfo(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim_start()).ok()?;
    let userinfo = String::from_utf8(decoded).ok()?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/?#@[]\\".contains(&byte);
    let is_valid = scheme.eq_ignore_ascii_case("basic") && userinfo.bytes().all(is_plain);
    is_valid.then_some(userinfo)
}

fn toggle_slash(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    match path.strip_suffix('/') {
        Some(without) => format!("{without}{query}"),
        None => format!("{path}/{query}"),
    }
}

/// The target with these escapes decoded in its query. `None` if its query has none of them.
fn unescape_query(target: &str, escapes: &[&str]) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    let mut decoded_query = query.to_owned();
    for escape in escapes {
        let byte = u8::from_str_radix(&escape[1..], 16).expect("two hexadecimal digits");
        let plain = char::from(byte).to_string();
        decoded_query = decoded_query.replace(escape, &plain);
        decoded_query = decoded_query.replace(&escape.to_ascii_lowercase(), &plain);
    }
    (decoded_query != query).then(|| format!("{path}?{decoded_query}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_port_is_added_or_removed() {
        let (none, websocket) = (HeaderMap::new(), with(header::UPGRADE, "websocket"));
        for (url, headers, expected) in [
            (
                "https://a.example",
                &none,
                ["https://a.example", "https://a.example:443"],
            ),
            (
                "http://a.example",
                &none,
                ["http://a.example", "http://a.example:80"],
            ),
            (
                "https://a.example:8443",
                &none,
                ["https://a.example:8443", "https://a.example"],
            ),
            (
                "https://[::1]",
                &none,
                ["https://[::1]", "https://[::1]:443"],
            ),
            (
                "https://[::1]:1",
                &none,
                ["https://[::1]:1", "https://[::1]"],
            ),
            (
                "https://a.example",
                &websocket,
                ["wss://a.example", "wss://a.example:443"],
            ),
            (
                "http://a.example",
                &websocket,
                ["ws://a.example", "ws://a.example:80"],
            ),
        ] {
            assert_eq!(Origins::new(url).variants(headers), expected, "{url}");
        }
    }

    #[test]
    fn a_user_name_and_password_are_tried_unless_they_could_end_there() {
        let origins = Origins::new("https://a.example");
        // u:p
        let user = with(header::AUTHORIZATION, "Basic dTpw");
        assert_eq!(origins.variants(&user)[2], "https://u:p@a.example");
        // evil.example/x@, evil.example/, not base64, not Basic
        for value in [
            "Basic ZXZpbC5leGFtcGxlL3hA",
            "Basic ZXZpbC5leGFtcGxlLw==",
            "Basic ?",
            "Bearer dTpw",
        ] {
            let headers = with(header::AUTHORIZATION, value);
            assert_eq!(origins.variants(&headers).len(), 2, "{value}");
        }
    }

    #[test]
    fn each_set_of_escapes_in_the_query_is_decoded_and_both() {
        let none = HeaderMap::new();
        for (target, expected) in [
            ("/a%27b", &["/a%27b"][..]),
            ("/a?b=%2B", &["/a?b=%2B"]),
            ("/a?b=%27", &["/a?b=%27", "/a?b='"]),
            ("/%40?b=%3a%40", &["/%40?b=%3a%40", "/%40?b=:@"]),
            ("/?%27=%40", &["/?%27=%40", "/?'=%40", "/?%27=@", "/?'=@"]),
        ] {
            assert_eq!(target_variants(target, &none), expected, "{target}");
        }
    }

    #[test]
    fn a_websocket_may_have_lost_its_slash() {
        let websocket = with(header::UPGRADE, "websocket");
        for (target, expected) in [
            ("/media", &["/media", "/media/"][..]),
            ("/media/?a", &["/media/?a", "/media?a"]),
            ("/", &["/", ""]),
            ("/m?%27", &["/m?%27", "/m/?%27", "/m?'", "/m/?'"]),
        ] {
            assert_eq!(target_variants(target, &websocket), expected, "{target}");
        }
    }
}
