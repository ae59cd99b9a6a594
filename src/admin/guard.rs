//! Decides which requests the admin listener accepts. On loopback these are all requests of this machine, but for those that a
//! web page in a browser here could send; elsewhere only those with the token.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, Request, StatusCode, Version, header};

use crate::secret::Secret;

/// The rules of one listener.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    /// The listener's address.
    pub(super) address: SocketAddr,
    /// The token that requests need, if there is one; a listener that isn't on loopback has one.
    pub(super) token: Option<&'a Secret>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("send one Host header")]
    Host,
    #[error(
        "use this listener's own address: under another name a browser could have been led here by another site"
    )]
    Misdirected,
    #[error("send Authorization: Bearer and the token")]
    Unauthorized,
    #[error("changes are accepted on loopback, or with a token")]
    NotLoopback,
    #[error("changes are not accepted from another site's page")]
    CrossSite,
    #[error("send Content-Type: application/json")]
    ContentType,
}

impl Error {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotLoopback | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

impl Guard<'_> {
    /// Checks any request. Everybody may ask whether the process is alive and ready.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Error> {
        let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
        let hosts = request.headers().get_all(header::HOST).iter().count();
        // RFC 9112 §3.2. Of two, a proxy in front may have looked at the other one; probes often send none.
        if hosts > 1 || hosts == 0 && !is_probe && request.version() >= Version::HTTP_11 {
            return Err(Error::Host);
        }
        if is_probe {
            return Ok(());
        }
        if self.address.ip().is_loopback() && !has_local_host(request.headers()) {
            return Err(Error::Misdirected);
        }
        match self.token {
            Some(token) if !is_page_request(request) && !has_token(request.headers(), token) => {
                Err(Error::Unauthorized)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Checks, beyond [`Guard::check`], a request that changes something.
    pub(super) fn check_change<B>(&self, request: &Request<B>) -> Result<(), Error> {
        let headers = request.headers();
        if self.token.is_none() && !self.address.ip().is_loopback() {
            return Err(Error::NotLoopback);
        }
        if is_cross_site(headers) {
            return Err(Error::CrossSite);
        }
        if !is_json(headers) {
            return Err(Error::ContentType);
        }
        Ok(())
    }
}

/// Whether `Host` is `localhost` or a loopback address. A site that lets its name resolve to this machine can't make a browser
/// send either.
fn has_local_host(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = host else { return false };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    let address = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether the request is for the status page, which needs no token: it holds no data, and asks the user for the token, since
/// a browser can't send one when it opens a page.
fn is_page_request<B>(request: &Request<B>) -> bool {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    is_read && request.uri().path() == "/"
}

/// RFC 6750 §2.1.
fn has_token(headers: &HeaderMap, token: &Secret) -> bool {
    let value = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let (scheme, given) = value
        .unwrap_or_default()
        .split_at_checked(7)
        .unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer ") && token.matches(given.trim_ascii())
}

/// Whether a browser says that a page of another site sent the request (<https://www.w3.org/TR/fetch-metadata/>, RFC 6454 §7).
fn is_cross_site(headers: &HeaderMap) -> bool {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_other = |site: &str| !matches!(site, "same-origin" | "none");
    let origin =
        value("origin").map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    value("sec-fetch-site").is_some_and(is_other)
        || origin.is_some_and(|origin| Some(origin) != value("host"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let essence = value.and_then(|value| value.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with these headers, and with a `Host` if it isn't among them.
    fn request(path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let host = [("host", "proxy.example")];
        let has_host = headers.iter().any(|(name, _)| *name == "host");
        let host = host.iter().filter(|_| !has_host);
        let with = |request: http::request::Builder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        host.chain(headers)
            .fold(Request::builder().uri(path), with)
            .body(())
            .expect("a request")
    }

    fn status(result: Result<(), Error>) -> u16 {
        result.map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    fn check(address: &str, token: Option<&Secret>, path: &str, headers: &[(&str, &str)]) -> u16 {
        let guard = Guard {
            address: address.parse().expect("an address"),
            token,
        };
        status(guard.check(&request(path, headers)))
    }

    #[test]
    fn on_loopback_a_foreign_host_is_misdirected() {
        for (host, wanted) in [
            ("127.0.0.1:9464", 200),
            ("localhost:9464", 200),
            ("LOCALHOST", 200),
            ("[::1]:9464", 200),
            ("127.9.9.9", 200),
            ("attacker.example:9464", 421),
            ("127.0.0.1.attacker.example", 421),
            ("", 421),
        ] {
            assert_eq!(
                check("127.0.0.1:9464", None, "/metrics", &[("host", host)]),
                wanted,
                "{host}"
            );
        }
        assert_eq!(
            check(
                "127.0.0.1:9464",
                None,
                "/readyz",
                &[("host", "attacker.example")]
            ),
            200
        );
    }

    #[test]
    fn beyond_loopback_only_the_token_is_accepted() {
        let token = Secret::new("t0ken").expect("a token");
        for (value, wanted) in [
            ("Bearer t0ken", 200),
            ("bearer  t0ken", 200),
            ("Bearer t0ke", 401),
            ("Bearer ", 401),
            ("Basic t0ken", 401),
            ("t0ken", 401),
        ] {
            let headers = [("authorization", value)];
            assert_eq!(
                check("192.0.2.1:9464", Some(&token), "/metrics", &headers),
                wanted,
                "{value}"
            );
        }
        assert_eq!(check("192.0.2.1:9464", Some(&token), "/metrics", &[]), 401);
        for (path, wanted) in [
            ("/healthz", 200),
            ("/", 200),
            ("/?routes=1", 200),
            ("//", 401),
            ("/index.html", 401),
            ("/nowhere", 401),
            ("/api/status", 401),
        ] {
            assert_eq!(
                check("192.0.2.1:9464", Some(&token), path, &[]),
                wanted,
                "{path}"
            );
        }
        // The page is not served under a foreign host either.
        let rebound = [("host", "attacker.example")];
        assert_eq!(check("127.0.0.1:9464", Some(&token), "/", &rebound), 421);
    }

    #[test]
    fn a_change_needs_json_and_is_not_cross_site() {
        let guard = Guard {
            address: "127.0.0.1:9464".parse().expect("an address"),
            token: None,
        };
        let json = ("content-type", "application/json; charset=utf-8");
        let host = ("host", "127.0.0.1:9464");
        for (headers, wanted) in [
            (&[json, host][..], 200),
            (&[json, host, ("origin", "http://127.0.0.1:9464")][..], 200),
            (&[json, host, ("sec-fetch-site", "same-origin")][..], 200),
            (&[host][..], 415),
            (&[("content-type", "text/plain"), host][..], 415),
            (
                &[json, host, ("origin", "http://attacker.example")][..],
                403,
            ),
            (&[json, host, ("origin", "null")][..], 403),
            (&[json, host, ("sec-fetch-site", "cross-site")][..], 403),
            (&[json, host, ("sec-fetch-site", "same-site")][..], 403),
        ] {
            let result = guard.check_change(&request("/api/reload", headers));
            assert_eq!(status(result), wanted, "{headers:?}");
        }
    }
}
