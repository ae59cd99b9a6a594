//! Normalizes a request's head, so that the app reads the request as we have routed it (RFC 9112 §3).

use std::net::Ipv6Addr;

use http::header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, Version, request};

use crate::body::FramingBytes;
use crate::failure::HeadError;
use crate::upstream::Names;

/// Brings a head, which has headers of these names, to origin-form, HTTP/1.1 and one good `Host`.
///
/// # Errors
///
/// Why the head is not valid.
pub(super) fn normalize_head(head: &mut request::Parts, names: Names) -> Result<(), HeadError> {
    if head.method == Method::CONNECT {
        return Err(HeadError::Method);
    }
    let is_asterisk = head.uri.path() == "*" && head.method != Method::OPTIONS;
    if is_asterisk || head.uri.authority().is_some() && !is_ours(head.uri.scheme()) {
        return Err(HeadError::Target);
    }
    if names.has(Names::TRANSFER_ENCODING) {
        check_transfer_coding(&head.headers)?;
    }
    if head.version == Version::HTTP_2 {
        check_http2(head)?;
        join_cookies(&mut head.headers);
    }
    set_host(head)?;
    use_origin_form(head)?;
    if head.version != Version::HTTP_11 {
        // Others have no upgrades (RFC 9110 §7.8, RFC 9113 §8.6), and the version that the client used is lost below.
        head.headers.remove(UPGRADE);
    }
    head.version = Version::HTTP_11;
    merge_lengths(&mut head.headers)?;
    if names.has(Names::LEADING_ZERO) {
        strip_leading_zeros(&mut head.headers);
    }
    // hyper's extensions describe the client's connection, not the upstream's.
    if !head.extensions.is_empty() {
        let framing = head.extensions.remove::<FramingBytes>();
        head.extensions.clear();
        framing.map(|framing| head.extensions.insert(framing));
    }
    Ok(())
}

/// Checks that the only transfer coding is `chunked`.
fn check_transfer_coding(headers: &HeaderMap) -> Result<(), HeadError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !chunked(coding)) || codings.next().is_some() {
        return Err(HeadError::TransferCoding);
    }
    Ok(())
}

/// Whether an absolute target is of a kind that is served here.
fn is_ours(scheme: Option<&Scheme>) -> bool {
    scheme.is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
}

/// Checks what makes a request of HTTP/2 malformed and h2 lets pass (RFC 9113 §8.2.1 and §8.3.1).
fn check_http2(head: &request::Parts) -> Result<(), HeadError> {
    let target = head.uri.path_and_query().ok_or(HeadError::Target)?;
    let is_path = match target.as_str() {
        // What is left of a fragment alone reads as the root as well.
        "/" => *target == PathAndQuery::from_static("/"),
        other => other == "*" || other.starts_with('/'),
    };
    if !is_path {
        return Err(HeadError::Target);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let has_blank_at_end = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.first().is_some_and(is_blank) || value.last().is_some_and(is_blank)
    };
    if head.headers.values().any(has_blank_at_end) {
        return Err(HeadError::FieldValue);
    }
    Ok(())
}

/// Leaves one line for the length. A length that is given several times is one length if it is the same (RFC 9110 §8.6): hyper does this
/// for HTTP/1.1, h2 only compares them.
fn merge_lengths(headers: &mut HeaderMap) -> Result<(), HeadError> {
    if headers.len() == headers.keys_len() {
        // No header is there twice.
        return Ok(());
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (Some(first), Some(_)) = (lengths.next(), lengths.next()) else {
        return Ok(());
    };
    let number = |value: &HeaderValue| value.to_str().ok()?.parse::<u64>().ok();
    let first = first.clone();
    let length = number(&first).ok_or(HeadError::ContentLength)?;
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if lengths.any(|other| number(other) != Some(length)) {
        return Err(HeadError::ContentLength);
    }
    headers.insert(CONTENT_LENGTH, first);
    Ok(())
}

/// Strips leading zeros from the length: some servers would read it as octal.
fn strip_leading_zeros(headers: &mut HeaderMap) {
    let Some(length) = headers.get_mut(CONTENT_LENGTH) else {
        return;
    };
    let [b'0', digits @ .., last] = length.as_bytes() else {
        return;
    };
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = [&digits[zeros..], &[*last]].concat();
    if let Ok(plain) = HeaderValue::from_bytes(&digits) {
        *length = plain;
    }
}

/// HTTP/2 may send the cookies one by one, HTTP/1.1 has one field for all (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().collect();
    if crumbs.len() > 1 {
        let crumbs: Vec<_> = crumbs.into_iter().map(HeaderValue::as_bytes).collect();
        let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
            .expect("what stands between good values is good");
        headers.insert(COOKIE, joined);
    }
}

/// The `Host` of a request, once and valid: an absolute target's authority wins over the field (RFC 9112 §3.2.2).
fn set_host(head: &mut request::Parts) -> Result<(), HeadError> {
    let mut fields = head.headers.get_all(HOST).iter();
    let (first, second) = (fields.next(), fields.next());
    if second.is_some() || first.is_none() && head.version == Version::HTTP_11 {
        return Err(HeadError::Host);
    }
    if head.version == Version::HTTP_2 && !is_one_host(head.uri.authority(), first) {
        return Err(HeadError::Host);
    }
    let Some(authority) = head.uri.authority() else {
        return first
            .is_none_or(is_host)
            .then_some(())
            .ok_or(HeadError::Host);
    };
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| HeadError::Target)?;
    if !is_host(&value) {
        return Err(HeadError::Host);
    }
    head.headers.insert(HOST, value);
    Ok(())
}

/// Whether a request of HTTP/2 names one host, by `:authority`, by `Host`, or by both alike (RFC 9113 §8.3.1).
fn is_one_host(authority: Option<&Authority>, field: Option<&HeaderValue>) -> bool {
    match (authority, field) {
        (Some(authority), Some(field)) => {
            let authority = authority.as_str().as_bytes();
            field.as_bytes().eq_ignore_ascii_case(authority)
        }
        (authority, field) => authority.is_some() || field.is_some(),
    }
}

/// The host that the request is for, without its port; empty if an HTTP/1.0 client named none.
pub(super) fn host(headers: &HeaderMap) -> &str {
    let field = headers.get(HOST).and_then(|value| value.to_str().ok());
    // A final dot only marks the name as fully qualified.
    field.map_or("", |text| parts(text).0.trim_end_matches('.'))
}

/// A host and its port.
fn parts(field: &str) -> (&str, &str) {
    let is_mark = |byte: &u8| matches!(byte, b':' | b']');
    match field.as_bytes().iter().rposition(is_mark) {
        Some(at) if field.as_bytes()[at] == b':' => (&field[..at], &field[at + 1..]),
        Some(_) | None => (field, ""),
    }
}

/// Whether a `Host` field can be one; an empty one is allowed where there is no name (RFC 9110 §7.2).
fn is_host(value: &HeaderValue) -> bool {
    // As nearly all hosts are: a name, and perhaps a port.
    let value = value.as_bytes();
    let name = value.iter().take_while(|byte| OF_NAME[usize::from(**byte)]);
    let name = name.count();
    match &value[name..] {
        [] => true,
        [b':', port @ ..] => name > 0 && port.iter().all(u8::is_ascii_digit),
        [b'[', literal @ ..] if name == 0 => is_address_literal(literal),
        _ => false,
    }
}

/// Whether this is an IPv6 address, the bracket behind it, and perhaps a port.
fn is_address_literal(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|byte| *byte == b']') else {
        return false;
    };
    let address = std::str::from_utf8(&text[..end]);
    address.is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
        && match &text[end + 1..] {
            [] => true,
            [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
            _ => false,
        }
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

/// The target in origin-form. Without a path it is the root, and reads so from here on: a signature is checked by what is
/// forwarded.
fn use_origin_form(head: &mut request::Parts) -> Result<(), HeadError> {
    if head.uri.authority().is_none() {
        return Ok(());
    }
    let target = head.uri.path_and_query().cloned();
    let mut target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
    if target.as_str() == "/" || target.as_str().starts_with('?') {
        // It may be empty, as before a fragment, or a query alone; written out it has its slash.
        let written = target.to_string();
        target = written.try_into().map_err(|_| HeadError::Target)?;
    }
    head.uri = Uri::from(target);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn plain(
        target: &str,
        version: Version,
        fields: &[(&str, &str)],
    ) -> Result<(String, String, String), HeadError> {
        let request = Request::builder().uri(target).version(version);
        let request = fields.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let mut head = request.body(()).expect("a request").into_parts().0;
        let names = Names::of(&head.headers);
        normalize_head(&mut head, names)?;
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
        for (target, written) in [
            ("http://a.example", "/"),
            ("http://a.example?x=1", "/?x=1"),
            ("http://a.example?", "/?"),
            ("http://a.example#y", "/"),
        ] {
            let mut request = Request::get(target).header("host", "a.example");
            request = request.version(Version::HTTP_11);
            let mut head = request.body(()).expect("a request").into_parts().0;
            let names = Names::of(&head.headers);
            assert_eq!(normalize_head(&mut head, names), Ok(()), "{target}");
            let read = head.uri.path_and_query().map(PathAndQuery::as_str);
            assert_eq!(read, Some(written), "{target}");
            assert_eq!(head.uri.to_string(), written, "{target}");
        }
    }

    #[test]
    fn heads_that_can_be_read_two_ways_are_refused() {
        for (fields, fault) in [
            (&[][..], HeadError::Host),
            (&[("host", "a"), ("host", "a")][..], HeadError::Host),
            (&[("host", "a/b")][..], HeadError::Host),
            (&[("host", "u@a")][..], HeadError::Host),
            (&[("host", "[]")][..], HeadError::Host),
            (&[("host", "[::1:]:80")][..], HeadError::Host),
            (
                &[("host", "a"), ("transfer-encoding", "gzip, chunked")][..],
                HeadError::TransferCoding,
            ),
            (
                &[
                    ("host", "a"),
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ][..],
                HeadError::TransferCoding,
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
    fn a_target_of_another_scheme_is_refused_and_one_without_a_path_is_the_root() {
        let host = [("host", "a.example")];
        for target in ["ftp://a.example/v", "ws://a.example/v"] {
            let got = plain(target, Version::HTTP_11, &host);
            assert_eq!(got, Err(HeadError::Target), "{target}");
        }
        let got = plain("http://a.example#fragment", Version::HTTP_11, &host);
        assert_eq!(
            got,
            Ok(("a.example".into(), "/".into(), "a.example".into()))
        );
    }

    #[test]
    fn a_length_loses_its_leading_zeros() {
        for (length, plain) in [
            ("0", "0"),
            ("00", "0"),
            ("03", "3"),
            ("030", "30"),
            ("3", "3"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
            strip_leading_zeros(&mut headers);
            assert_eq!(headers[CONTENT_LENGTH], plain, "{length}");
        }
    }

    #[test]
    fn a_request_of_http_2_names_one_host_and_its_cookies_are_joined() {
        let of = |target, fields: &[(&str, &str)]| plain(target, Version::HTTP_2, fields);
        let expected = Ok(("a.example".into(), "/v".into(), "a.example".into()));
        assert_eq!(of("https://a.example/v", &[]), expected);
        assert_eq!(
            of("https://a.example/v", &[("host", "A.example")]),
            expected
        );
        assert_eq!(of("/v", &[("host", "a.example")]), expected);
        let both = of("https://a.example/v", &[("host", "b.example")]);
        assert_eq!(both, Err(HeadError::Host));
        assert_eq!(of("/v", &[]), Err(HeadError::Host));

        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2", "c=3; d=4"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        let joined: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(joined, ["a=1; b=2; c=3; d=4"]);
    }

    #[test]
    fn several_lengths_are_one_if_they_are_the_same() {
        for (lengths, single) in [
            (&[][..], Ok(&[][..])),
            (&["3"], Ok(&["3"])),
            (&["3", "3"], Ok(&["3"])),
            (&["03", "3", "3"], Ok(&["03"])),
            (&["3", "4"], Err(HeadError::ContentLength)),
            (&["3", "3", "4"], Err(HeadError::ContentLength)),
            (&["3", ""], Err(HeadError::ContentLength)),
            (&["3, 3", "3, 3"], Err(HeadError::ContentLength)),
        ] {
            let mut headers = HeaderMap::new();
            for length in lengths {
                headers.append(CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            let got = merge_lengths(&mut headers);
            let left: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
            match single {
                Ok(single) => assert_eq!(left, single, "{lengths:?}"),
                Err(fault) => assert_eq!(got, Err(fault), "{lengths:?}"),
            }
        }
    }

    #[test]
    fn a_request_of_http_2_has_a_path_and_no_blank_at_the_ends_of_a_value() {
        let of = |target, fields: &[(&str, &str)]| plain(target, Version::HTTP_2, fields);
        for target in [
            "https://a.example?x",
            "https://a.example#x",
            "https://a.example?",
        ] {
            assert_eq!(of(target, &[]), Err(HeadError::Target), "{target}");
        }
        for value in [" b", "b ", "\tb", "b\t", " ", "\t"] {
            let got = of("https://a.example/v", &[("x-a", value)]);
            assert_eq!(got, Err(HeadError::FieldValue), "{value:?}");
        }
        for value in ["", "b c", "b\tc"] {
            assert!(of("https://a.example/v", &[("x-a", value)]).is_ok());
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
