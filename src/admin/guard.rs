//! Who may ask the admin listener what. On loopback everybody on this machine may, but no web page that a browser here has
//! open; elsewhere only who has the token.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, Request, StatusCode, Version, header};

use super::{Answer, JSON, refused};
use crate::secret::Secret;

/// What a request must show.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    /// Where the listener is.
    pub(super) address: SocketAddr,
    /// What opens a listener that isn't on loopback.
    pub(super) token: Option<&'a Secret>,
}

impl Guard<'_> {
    /// Why a request gets no answer, if so. Whether it is alive and ready may be asked by everybody.
    pub(super) fn refusal<B>(&self, request: &Request<B>) -> Option<Answer> {
        let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
        let hosts = request.headers().get_all(header::HOST).iter().count();
        // RFC 9112 §3.2. Of two, somebody before us may have looked at the other one; probes often send none.
        if hosts > 1 || hosts == 0 && !is_probe && request.version() >= Version::HTTP_11 {
            let words = "send one Host header";
            return Some(refused(StatusCode::BAD_REQUEST, words));
        }
        if is_probe {
            return None;
        }
        if self.address.ip().is_loopback() && !self.is_local(request.headers()) {
            let words = "this listener is asked by its own address only: a name may lead a browser here that another site owns";
            return Some(refused(StatusCode::MISDIRECTED_REQUEST, words));
        }
        match self.token {
            Some(_) if is_of_page(request) => None,
            Some(token) if !bears(request.headers(), token) => Some(unauthorized()),
            Some(_) | None => None,
        }
    }

    /// Why a request may change nothing, if so.
    pub(super) fn refusal_of_change<B>(&self, request: &Request<B>) -> Option<Answer> {
        let headers = request.headers();
        if self.token.is_none() && !self.address.ip().is_loopback() {
            let words = "changes are taken on loopback, or with a token";
            return Some(refused(StatusCode::FORBIDDEN, words));
        }
        if is_of_another_site(headers) {
            let words = "changes are not taken from another site's page";
            return Some(refused(StatusCode::FORBIDDEN, words));
        }
        if !is_json(headers) {
            let words = "send Content-Type: application/json";
            return Some(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, words));
        }
        None
    }

    /// Whether `Host` names this machine by an address of its own or as `localhost`: what a site that had its name point
    /// here could not bring a browser to send.
    fn is_local(&self, headers: &HeaderMap) -> bool {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let Some(host) = host else { return false };
        let name = host.rsplit_once(':').map_or(host, |(name, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) {
                name
            } else {
                host
            }
        });
        let address = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }
}

/// Whether the status page is asked for. A browser that goes to a page can't bring a token, and this one holds no data: it
/// asks for the token itself.
fn is_of_page<B>(request: &Request<B>) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads && request.uri().path() == "/"
}

/// RFC 6750 §2.1.
fn bears(headers: &HeaderMap, token: &Secret) -> bool {
    let value = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let (scheme, given) = value
        .unwrap_or_default()
        .split_at_checked(7)
        .unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer ") && token.matches(given.trim_ascii())
}

fn unauthorized() -> Answer {
    let mut refusal = refused(
        StatusCode::UNAUTHORIZED,
        "send Authorization: Bearer and the token",
    );
    let challenge = header::HeaderValue::from_static("Bearer realm=\"understudy\"");
    refusal
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    refusal
}

/// Whether a browser says that a page of another site asks (<https://www.w3.org/TR/fetch-metadata/>, RFC 6454 §7).
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let cross = field("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let origin =
        field("origin").map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    cross || origin.is_some_and(|origin| Some(origin) != field("host"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let essence = value.and_then(|value| value.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with these headers, and with a `Host` if it isn't among them.
    fn asked(path: &str, fields: &[(&str, &str)]) -> Request<()> {
        let host = [("host", "proxy.example")];
        let has_host = fields.iter().any(|(name, _)| *name == "host");
        let host = host.iter().filter(|_| !has_host);
        let with = |request: http::request::Builder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        host.chain(fields)
            .fold(Request::builder().uri(path), with)
            .body(())
            .expect("a request")
    }

    fn status(refusal: Option<Answer>) -> u16 {
        refusal.map_or(200, |refusal| refusal.status().as_u16())
    }

    fn at(address: &str, token: Option<&Secret>, path: &str, fields: &[(&str, &str)]) -> u16 {
        let guard = Guard {
            address: address.parse().expect("an address"),
            token,
        };
        status(guard.refusal(&asked(path, fields)))
    }

    #[test]
    fn on_loopback_a_name_of_somebody_elses_is_misdirected() {
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
                at("127.0.0.1:9464", None, "/metrics", &[("host", host)]),
                wanted,
                "{host}"
            );
        }
        assert_eq!(
            at(
                "127.0.0.1:9464",
                None,
                "/readyz",
                &[("host", "attacker.example")]
            ),
            200
        );
    }

    #[test]
    fn elsewhere_the_token_opens_and_nothing_else_does() {
        let token = Secret::new("t0ken").expect("a token");
        for (value, wanted) in [
            ("Bearer t0ken", 200),
            ("bearer  t0ken", 200),
            ("Bearer t0ke", 401),
            ("Bearer ", 401),
            ("Basic t0ken", 401),
            ("t0ken", 401),
        ] {
            let fields = [("authorization", value)];
            assert_eq!(
                at("192.0.2.1:9464", Some(&token), "/metrics", &fields),
                wanted,
                "{value}"
            );
        }
        assert_eq!(at("192.0.2.1:9464", Some(&token), "/metrics", &[]), 401);
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
                at("192.0.2.1:9464", Some(&token), path, &[]),
                wanted,
                "{path}"
            );
        }
        // A name that leads a browser here gets no page either.
        let rebound = [("host", "attacker.example")];
        assert_eq!(at("127.0.0.1:9464", Some(&token), "/", &rebound), 421);
    }

    #[test]
    fn a_change_needs_json_and_no_page_of_another_site() {
        let guard = Guard {
            address: "127.0.0.1:9464".parse().expect("an address"),
            token: None,
        };
        let json = ("content-type", "application/json; charset=utf-8");
        let host = ("host", "127.0.0.1:9464");
        for (fields, wanted) in [
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
            let refusal = guard.refusal_of_change(&asked("/api/reload", fields));
            assert_eq!(status(refusal), wanted, "{fields:?}");
        }
    }
}
