//! A request's head made plain, so that what the app reads is what we routed by (RFC 9112 §3).

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, request};

use crate::outcome::HeadFault;

/// Brings a head to origin-form, HTTP/1.1 and one good `Host`.
///
/// # Errors
///
/// What can't be made plain.
pub(super) fn made_plain(head: &mut request::Parts) -> Result<(), HeadFault> {
    if head.method == Method::CONNECT {
        return Err(HeadFault::Method);
    }
    let is_asterisk = head.uri.path() == "*" && head.method != Method::OPTIONS;
    if is_asterisk || head.uri.authority().is_some() && head.uri.scheme().is_none() {
        return Err(HeadFault::Target);
    }
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !chunked(coding)) || codings.next().is_some() {
        return Err(HeadFault::TransferCoding);
    }
    settle_host(head)?;
    if !head.headers.get(HOST).is_none_or(is_host) {
        return Err(HeadFault::Host);
    }
    origin_form(head);
    head.version = Version::HTTP_11;
    // hyper's own notes on the connection end here.
    head.extensions.clear();
    Ok(())
}

/// The `Host` of a request, once: an absolute target's authority wins over the field (RFC 9112 §3.2.2).
fn settle_host(head: &mut request::Parts) -> Result<(), HeadFault> {
    let mut fields = head.headers.get_all(HOST).iter();
    let (first, second) = (fields.next(), fields.next());
    if second.is_some() || first.is_none() && head.version == Version::HTTP_11 {
        return Err(HeadFault::Host);
    }
    if let Some(authority) = head.uri.authority() {
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| HeadFault::Target)?;
        head.headers.insert(HOST, value);
    }
    Ok(())
}

/// The host that the request is for, without its port; empty if an HTTP/1.0 client named none.
pub(super) fn host(headers: &HeaderMap) -> &str {
    let field = headers.get(HOST).and_then(|value| value.to_str().ok());
    field.map_or("", |text| parts(text).0)
}

/// A host and its port.
fn parts(field: &str) -> (&str, &str) {
    match field.rfind([':', ']']) {
        Some(at) if field.as_bytes()[at] == b':' => (&field[..at], &field[at + 1..]),
        Some(_) | None => (field, ""),
    }
}

/// Whether a `Host` field can be one; an empty one is allowed where there is no name (RFC 9110 §7.2).
fn is_host(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let (host, port) = parts(text);
    let named = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte)),
        None => host.bytes().all(|byte| OF_NAME[usize::from(byte)]),
    };
    named && port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.is_empty() || text.is_empty())
}

/// The characters of a registered name (RFC 3986 §3.2.2).
const OF_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"-._~%!$&'()*+,;=";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

fn origin_form(head: &mut request::Parts) {
    if head.uri.authority().is_some() {
        let root = || PathAndQuery::from_static("/");
        let path = head.uri.path_and_query().cloned().unwrap_or_else(root);
        head.uri = Uri::from(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn plain(
        target: &str,
        version: Version,
        fields: &[(&str, &str)],
    ) -> Result<(String, String, String), HeadFault> {
        let request = Request::builder().uri(target).version(version);
        let request = fields.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let mut head = request.body(()).expect("a request").into_parts().0;
        made_plain(&mut head)?;
        let host = host(&head.headers).to_owned();
        let field = head
            .headers
            .get(HOST)
            .map(|value| value.to_str().expect("ASCII").to_owned());
        Ok((host, head.uri.to_string(), field.unwrap_or_default()))
    }

    #[test]
    fn the_host_is_read_without_its_port_and_left_as_it_stands() {
        for (field, host) in [
            ("Hooks.Example.com", "Hooks.Example.com"),
            ("hooks.example.com:8443", "hooks.example.com"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            let got = plain("/v?a=%41", Version::HTTP_11, &[("host", field)]);
            assert_eq!(
                got,
                Ok((host.to_owned(), "/v?a=%41".to_owned(), field.to_owned()))
            );
        }
    }

    #[test]
    fn an_absolute_target_becomes_origin_form_and_its_authority_the_host() {
        let got = plain(
            "http://a.example:81/v?x",
            Version::HTTP_11,
            &[("host", "b.example")],
        );
        assert_eq!(
            got,
            Ok(("a.example".into(), "/v?x".into(), "a.example:81".into()))
        );
        let got = plain(
            "http://a.example",
            Version::HTTP_11,
            &[("host", "a.example")],
        );
        assert_eq!(
            got,
            Ok(("a.example".into(), "/".into(), "a.example".into()))
        );
    }

    #[test]
    fn heads_that_can_be_read_two_ways_are_refused() {
        for (fields, fault) in [
            (&[][..], HeadFault::Host),
            (&[("host", "a"), ("host", "a")][..], HeadFault::Host),
            (&[("host", "a/b")][..], HeadFault::Host),
            (&[("host", "u@a")][..], HeadFault::Host),
            (
                &[("host", "a"), ("transfer-encoding", "gzip, chunked")][..],
                HeadFault::TransferCoding,
            ),
            (
                &[
                    ("host", "a"),
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ][..],
                HeadFault::TransferCoding,
            ),
        ] {
            assert_eq!(
                plain("/", Version::HTTP_11, fields),
                Err(fault),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn an_old_client_may_leave_the_host_out() {
        assert_eq!(
            plain("/", Version::HTTP_10, &[]),
            Ok((String::new(), "/".into(), String::new()))
        );
    }
}
