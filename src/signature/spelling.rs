//! The spellings of a URL that Twilio may have signed. It isn't consistent: with the port or without, before it escaped the query
//! or after (twilio-python #392, twilio-node #1059 and #621, twilio-ruby #528). The most likely come first. Nothing is normalised
//! here: each spelling is the target as it came, but for what is named.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

/// How Twilio may spell what stands before the path, and the path and query.
#[derive(Debug)]
pub(super) struct Spellings {
    /// As configured, then with the port that isn't there, or without the one that is.
    web: [String; 2],
    /// The same for WebSockets.
    socket: [String; 2],
}

impl Spellings {
    /// Those of a public URL: scheme, host and port, nothing behind.
    pub(super) fn of(public_url: &str) -> Self {
        let (scheme, authority) = public_url
            .split_once("://")
            .unwrap_or(("https", public_url));
        let (socket, default_port) = match scheme {
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
            web: both(scheme),
            socket: both(socket),
        }
    }

    /// What may stand before the path. Twilio says that it leaves out a name and password before it signs; its own libraries'
    /// tests keep them.
    pub(super) fn authorities(&self, headers: &HeaderMap) -> Vec<Cow<'_, str>> {
        let plain = if is_socket(headers) {
            &self.socket
        } else {
            &self.web
        };
        let plain = plain.iter().map(|authority| Cow::Borrowed(&authority[..]));
        let Some(user) = user_info(headers) else {
            return plain.collect();
        };
        let with_user = plain.clone().map(|authority| {
            let named = authority.replacen("://", &format!("://{user}@"), 1);
            Cow::Owned(named)
        });
        plain.chain(with_user).collect()
    }

    /// What the path and query may be: as they came, then with what Twilio may have escaped only after it signed. A WebSocket's
    /// path may have lost or got a slash at its end, as Twilio's own advice has it.
    pub(super) fn targets<'t>(&self, target: &'t str, headers: &HeaderMap) -> Vec<Cow<'t, str>> {
        let mut targets = vec![Cow::Borrowed(target)];
        if is_socket(headers) {
            targets.push(Cow::Owned(slash_toggled(target)));
        }
        for escapes in [&["%27"][..], &["%40", "%3A"], &["%27", "%40", "%3A"]] {
            for at in 0..1 + usize::from(is_socket(headers)) {
                let unescaped = unescaped(&targets[at], escapes);
                if let Some(unescaped) = unescaped.filter(|new| !targets.iter().any(|t| t == new)) {
                    targets.push(Cow::Owned(unescaped));
                }
            }
        }
        targets
    }
}

/// Other upgrades have been dropped by now.
fn is_socket(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// The name and password that stood in the URL, if there were any. Nothing that would end them there: otherwise whoever sends
/// this field could make the URL of another host read as one of ours.
fn user_info(headers: &HeaderMap) -> Option<String> {
    let field = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = field.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim_start()).ok()?;
    let user = String::from_utf8(decoded).ok()?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/?#@[]\\".contains(&byte);
    (scheme.eq_ignore_ascii_case("basic") && user.bytes().all(is_plain)).then_some(user)
}

fn slash_toggled(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    match path.strip_suffix('/') {
        Some(without) => format!("{without}{query}"),
        None => format!("{path}/{query}"),
    }
}

/// The target with these escapes undone in its query; none if it has none of them.
fn unescaped(target: &str, escapes: &[&str]) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    let mut undone = query.to_owned();
    for escape in escapes {
        let byte = u8::from_str_radix(&escape[1..], 16).expect("two hexadecimal digits");
        let plain = char::from(byte).to_string();
        undone = undone.replace(escape, &plain);
        undone = undone.replace(&escape.to_ascii_lowercase(), &plain);
    }
    (undone != query).then(|| format!("{path}?{undone}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_port_is_put_in_or_left_out() {
        let (none, socket) = (HeaderMap::new(), with(header::UPGRADE, "websocket"));
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
                &socket,
                ["wss://a.example", "wss://a.example:443"],
            ),
            (
                "http://a.example",
                &socket,
                ["ws://a.example", "ws://a.example:80"],
            ),
        ] {
            assert_eq!(Spellings::of(url).authorities(headers), expected, "{url}");
        }
    }

    #[test]
    fn a_name_and_password_are_tried_unless_they_could_end_the_host() {
        let spellings = Spellings::of("https://a.example");
        // u:p
        let user = with(header::AUTHORIZATION, "Basic dTpw");
        assert_eq!(spellings.authorities(&user)[2], "https://u:p@a.example");
        // evil.example/x@, evil.example/, and no base64
        for field in [
            "Basic ZXZpbC5leGFtcGxlL3hA",
            "Basic ZXZpbC5leGFtcGxlLw==",
            "Basic ?",
            "Bearer dTpw",
        ] {
            let field = with(header::AUTHORIZATION, field);
            assert_eq!(spellings.authorities(&field).len(), 2, "{field:?}");
        }
    }

    #[test]
    fn escapes_of_the_query_are_undone_one_way_and_the_other_and_both() {
        let spellings = Spellings::of("https://a.example");
        let none = HeaderMap::new();
        for (target, expected) in [
            ("/a%27b", &["/a%27b"][..]),
            ("/a?b=%2B", &["/a?b=%2B"]),
            ("/a?b=%27", &["/a?b=%27", "/a?b='"]),
            ("/%40?b=%3a%40", &["/%40?b=%3a%40", "/%40?b=:@"]),
            ("/?%27=%40", &["/?%27=%40", "/?'=%40", "/?%27=@", "/?'=@"]),
        ] {
            assert_eq!(spellings.targets(target, &none), expected, "{target}");
        }
    }

    #[test]
    fn a_socket_may_have_lost_its_slash() {
        let spellings = Spellings::of("https://a.example");
        let socket = with(header::UPGRADE, "websocket");
        for (target, expected) in [
            ("/media", &["/media", "/media/"][..]),
            ("/media/?a", &["/media/?a", "/media?a"]),
            ("/", &["/", ""]),
            ("/m?%27", &["/m?%27", "/m/?%27", "/m?'", "/m/?'"]),
        ] {
            assert_eq!(spellings.targets(target, &socket), expected, "{target}");
        }
    }
}
