//! Form encoding (`application/x-www-form-urlencoded`): Twilio sends the parameters of a webhook in it, as a query or as a body.
//!
//! Parameters are decoded to bytes, each once. A signature covers the bytes, which need not be UTF-8.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, header};
use memchr::memchr;
use percent_encoding::percent_decode;

/// Whether a request's body is a form. Parameters of the media type, such as a charset, don't matter. A request with several
/// `Content-Type` headers has no form: only one is allowed (RFC 9110 §8.3), and the upstream may read another one than we do.
pub fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    types.next().is_some_and(is_form_type) && types.next().is_none()
}

fn is_form_type(value: &HeaderValue) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let value = value.as_bytes();
    // As Twilio writes it.
    if let Some([] | [b';', ..]) = value.strip_prefix(FORM) {
        return true;
    }
    let media_type = value.split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(FORM)
}

/// Each parameter of a form or a query, decoded: its name and its value.
pub fn parse(text: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    split(text).map(|(name, value)| (decode(name), decode(value)))
}

/// Each parameter of a form or a query as it is written: its name, and its value, which is empty if there is no `=`.
pub fn split(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let parameters = text.split(|byte| *byte == b'&');
    parameters
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let equals = memchr(b'=', parameter).unwrap_or(parameter.len());
            let (name, value) = parameter.split_at(equals);
            (name, value.get(1..).unwrap_or_default())
        })
}

/// A name or a value, decoded. A `%` that begins no escape stands for itself.
pub fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'+', text).is_none() {
        return percent_decode(text).into();
    }
    let with_spaces: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    Cow::Owned(percent_decode(&with_spaces).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn has_form(types: &[&'static str]) -> bool {
        let values = types.iter().map(|value| HeaderValue::from_static(value));
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_TYPE, value);
        }
        is_form(&headers)
    }

    #[test]
    fn a_form_has_one_content_type_whatever_its_parameters_and_case() {
        for value in [
            FORM,
            "application/x-www-form-urlencoded; charset=UTF-8",
            "application/x-www-form-urlencoded ;charset=utf-8",
            "Application/X-WWW-Form-URLEncoded",
        ] {
            assert!(has_form(&[value]), "{value}");
        }
        for types in [
            &[][..],
            &[""],
            &["application/json"],
            &["text/plain; application/x-www-form-urlencoded"],
            &["application/x-www-form-urlencoded, application/json"],
            &[FORM, "application/json"],
            &["application/json", FORM],
            &[FORM, FORM],
        ] {
            assert!(!has_form(types), "{types:?}");
        }
    }

    proptest! {
        #[test]
        fn parameters_are_those_that_the_url_standard_finds(text in prop::collection::vec(prop_oneof![
            Just(b'&'), Just(b'='), Just(b'%'), Just(b'+'), Just(b'4'), Just(b'1'), any::<u8>()
        ], 0..40)) {
            let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let own: Vec<_> = parse(&text).map(|(name, value)| (text_of(&name), text_of(&value))).collect();
            let expected: Vec<_> = form_urlencoded::parse(&text).into_owned().collect();
            prop_assert_eq!(own, expected);
        }
    }
}
