//! What the head of an upstream's response says: whether Twilio would act on it, and whether its body has to be validated.
//!
//! Pure; the body itself is validated in [`crate::twiml`].

use std::borrow::Cow;
use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode, response};

use crate::twiml::{Kind, Strictness};

/// What is done with a response on a TwiML route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The body streams through: it is audio.
    Stream,
    /// The response goes back whole, whatever its body: an authentication challenge, a redirect, a response that needs no body.
    Pass,
    /// The body goes back if there is one: Twilio takes it as it stands, and logs this code as a warning, if any.
    PassBody(Option<u32>),
    /// The body goes back if it is TwiML.
    Validate {
        /// The charset that the content type names.
        charset: Option<Cow<'static, str>>,
        /// A body that isn't markup at all goes back too: the type is `text/html`, the webhook is a message's, and Twilio only
        /// warns about plain text in such a response.
        may_be_text: bool,
    },
}

/// Why Twilio would not act on a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A status of 400 or over.
    #[error("the app answered {}", .0.as_u16())]
    Status(StatusCode),
    /// A redirect that Twilio doesn't follow, or one without `Location`.
    #[error("Twilio follows 301, 302, 303 and 307 with a Location, not this {}", .0.as_u16())]
    Redirect(StatusCode),
    /// Success without a body.
    #[error("the response has no body")]
    Empty,
    /// No content type, or one that Twilio doesn't take.
    #[error("the content type is not one that Twilio takes; text/xml would be right")]
    ContentType,
    /// A content coding that can't be undone.
    #[error("the content coding can't be undone; Twilio asks for none")]
    ContentCoding,
}

/// What the head of a response is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// What Twilio expects.
    pub kind: Kind,
    /// How strictly documents are validated; none: not at all.
    pub strictness: Option<Strictness>,
    /// Statuses of 400 and over that go back as they are.
    pub pass_status: &'a [StatusCode],
    /// The request was a conditional GET, to which 304 is a response (RFC 9110 §13).
    pub conditional: bool,
}

/// What is done with a response that has this head.
///
/// # Errors
///
/// Why Twilio would not act on it.
pub fn plan_response(
    head: &response::Parts,
    expectations: Expectations<'_>,
) -> Result<Disposition, Error> {
    let status = head.status;
    if status.is_client_error() || status.is_server_error() || status.as_u16() >= 600 {
        return match expectations.pass_status.contains(&status) {
            true => Ok(Disposition::Pass),
            false => Err(Error::Status(status)),
        };
    }
    if status.is_redirection() {
        return match is_followed(head)
            || status == StatusCode::NOT_MODIFIED && expectations.conditional
        {
            true => Ok(Disposition::Pass),
            false => Err(Error::Redirect(status)),
        };
    }
    if status == StatusCode::NO_CONTENT && expectations.kind == Kind::Messaging {
        return Ok(Disposition::Pass);
    }
    match expectations.strictness {
        None => Ok(Disposition::PassBody(None)),
        Some(strictness) => by_type(&head.headers, expectations.kind, strictness),
    }
}

/// Whether success without a body may go back, and the code under which it is then counted as a warning. In response to a
/// message it means that the app has nothing to say, and Twilio sends nothing; a phone call needs TwiML.
///
/// # Errors
///
/// [`Error::Empty`].
pub fn accept_empty(kind: Kind, strictness: Option<Strictness>) -> Result<Option<u32>, Error> {
    match (kind, strictness) {
        (Kind::Voice, _) | (Kind::Messaging, Some(Strictness::Strict)) => Err(Error::Empty),
        (Kind::Messaging, Some(Strictness::Twilio)) => Ok(Some(11770)),
        (Kind::Messaging, None) => Ok(None),
    }
}

/// Twilio follows these and no others (error 11216).
fn is_followed(head: &response::Parts) -> bool {
    matches!(head.status.as_u16(), 301 | 302 | 303 | 307) && head.headers.contains_key(LOCATION)
}

fn by_type(headers: &HeaderMap, kind: Kind, strictness: Strictness) -> Result<Disposition, Error> {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // As nearly all apps write it.
    if let "text/xml" | "application/xml" | "text/xml; charset=utf-8" = value {
        return Ok(Disposition::Validate {
            charset: value.ends_with("utf-8").then_some(Cow::Borrowed("utf-8")),
            may_be_text: false,
        });
    }
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let essence = essence.trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    let begins = |prefix: &str| {
        let start = essence.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let lenient = strictness == Strictness::Twilio;
    if is("text/xml") || is("application/xml") || begins("application/") && ends_in_xml(essence) {
        Ok(validate_as(parameters, false))
    } else if is("text/html") && lenient {
        Ok(validate_as(parameters, kind == Kind::Messaging))
    } else if is("text/plain") && lenient {
        Ok(Disposition::PassBody(Some(12300)))
    } else if begins("audio/") && kind == Kind::Voice && lenient {
        Ok(Disposition::Stream)
    } else {
        Err(Error::ContentType)
    }
}

/// A structured syntax suffix (RFC 6839).
fn ends_in_xml(essence: &str) -> bool {
    essence.to_ascii_lowercase().ends_with("+xml")
}

fn validate_as(parameters: &str, may_be_text: bool) -> Disposition {
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("charset");
        named.then(|| value.trim().trim_matches('"').to_owned().into())
    });
    Disposition::Validate {
        charset,
        may_be_text,
    }
}

/// Undoes the content coding of a body. Returns the body, and whether it had a coding.
///
/// # Errors
///
/// [`Error::ContentCoding`] if the coding is unknown or broken, or the body is over `limit` bytes without it.
pub fn decode_body(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<(Bytes, bool), Error> {
    let Some(coding) = headers.get(CONTENT_ENCODING) else {
        return Ok((body, false));
    };
    let coding = coding
        .to_str()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let decoded = match coding.as_str() {
        "" | "identity" => return Ok((body, false)),
        "gzip" | "x-gzip" => inflate(MultiGzDecoder::new(&body[..]), limit),
        "deflate" => inflate(ZlibDecoder::new(&body[..]), limit),
        _ => Err(Error::ContentCoding),
    };
    decoded.map(|decoded| (decoded, true))
}

fn inflate(coded: impl Read, limit: usize) -> Result<Bytes, Error> {
    let mut plain = Vec::new();
    let read = coded.take(limit as u64 + 1).read_to_end(&mut plain);
    match read {
        Ok(length) if length <= limit => Ok(plain.into()),
        Ok(_) | Err(_) => Err(Error::ContentCoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn head(status: u16, fields: &[(&str, &str)]) -> response::Parts {
        let response = fields.iter().fold(
            Response::builder().status(status),
            |response, (name, value)| response.header(*name, *value),
        );
        response.body(()).expect("a good head").into_parts().0
    }

    fn expectations(kind: Kind, strictness: Strictness) -> Expectations<'static> {
        Expectations {
            kind,
            strictness: Some(strictness),
            pass_status: &[StatusCode::UNAUTHORIZED],
            conditional: false,
        }
    }

    fn plan(kind: Kind, status: u16, fields: &[(&str, &str)]) -> Result<Disposition, Error> {
        plan_response(
            &head(status, fields),
            expectations(kind, Strictness::Twilio),
        )
    }

    fn xml(charset: Option<&str>) -> Disposition {
        Disposition::Validate {
            charset: charset.map(|charset| charset.to_owned().into()),
            may_be_text: false,
        }
    }

    #[test]
    fn content_types_that_twilio_reads_as_twiml_are_validated() {
        for (content_type, charset) in [
            ("text/xml", None),
            ("Text/XML; Charset=UTF-8", Some("UTF-8")),
            ("application/xml;charset=\"iso-8859-1\"", Some("iso-8859-1")),
            ("application/twiml+xml", None),
            ("text/html; charset=utf-8", Some("utf-8")),
        ] {
            let plan = plan(Kind::Voice, 200, &[("content-type", content_type)]);
            assert_eq!(plan, Ok(xml(charset)), "{content_type}");
        }
    }

    #[test]
    fn content_types_that_twilio_refuses_are_errors() {
        for content_type in [
            "application/json",
            "application/octet-stream",
            "",
            "xml",
            "image/png",
        ] {
            let plan = plan(Kind::Voice, 200, &[("content-type", content_type)]);
            assert_eq!(plan, Err(Error::ContentType), "{content_type}");
        }
        assert_eq!(plan(Kind::Voice, 200, &[]), Err(Error::ContentType));
    }

    #[test]
    fn audio_streams_to_a_call_but_not_to_a_message() {
        let audio = [("content-type", "audio/mpeg")];
        assert_eq!(plan(Kind::Voice, 200, &audio), Ok(Disposition::Stream));
        assert_eq!(plan(Kind::Messaging, 200, &audio), Err(Error::ContentType));
    }

    #[test]
    fn plain_text_passes_with_a_warning_unless_strict() {
        let text = head(200, &[("content-type", "text/plain")]);
        let lenient = plan_response(&text, expectations(Kind::Messaging, Strictness::Twilio));
        assert_eq!(lenient, Ok(Disposition::PassBody(Some(12300))));
        let strict = plan_response(&text, expectations(Kind::Messaging, Strictness::Strict));
        assert_eq!(strict, Err(Error::ContentType));
    }

    #[test]
    fn redirects_that_twilio_follows_pass_and_others_do_not() {
        let location = [("location", "/next")];
        for status in [301, 302, 303, 307] {
            assert_eq!(
                plan(Kind::Voice, status, &location),
                Ok(Disposition::Pass),
                "{status}"
            );
            let error = Error::Redirect(StatusCode::from_u16(status).expect("a status"));
            assert_eq!(plan(Kind::Voice, status, &[]), Err(error), "{status}");
        }
        for status in [300, 304, 305, 308] {
            let error = Error::Redirect(StatusCode::from_u16(status).expect("a status"));
            assert_eq!(plan(Kind::Voice, status, &location), Err(error), "{status}");
        }
    }

    #[test]
    fn not_modified_passes_to_a_conditional_get() {
        let expectations = Expectations {
            conditional: true,
            ..expectations(Kind::Voice, Strictness::Twilio)
        };
        assert_eq!(
            plan_response(&head(304, &[]), expectations),
            Ok(Disposition::Pass)
        );
    }

    #[test]
    fn a_challenge_passes_and_other_errors_do_not() {
        assert_eq!(plan(Kind::Voice, 401, &[]), Ok(Disposition::Pass));
        for status in [400, 403, 404, 429, 500, 503, 599, 999] {
            let error = Error::Status(StatusCode::from_u16(status).expect("a status"));
            assert_eq!(plan(Kind::Voice, status, &[]), Err(error), "{status}");
        }
    }

    #[test]
    fn no_content_is_a_response_to_a_message_only() {
        assert_eq!(plan(Kind::Messaging, 204, &[]), Ok(Disposition::Pass));
        assert_ne!(plan(Kind::Voice, 204, &[]), Ok(Disposition::Pass));
    }

    #[test]
    fn an_empty_body_is_a_response_to_a_message_unless_strict() {
        let twilio = Some(Strictness::Twilio);
        assert_eq!(accept_empty(Kind::Messaging, twilio), Ok(Some(11770)));
        assert_eq!(accept_empty(Kind::Messaging, None), Ok(None));
        let strict = Some(Strictness::Strict);
        assert_eq!(accept_empty(Kind::Messaging, strict), Err(Error::Empty));
        for strictness in [None, twilio, strict] {
            assert_eq!(accept_empty(Kind::Voice, strictness), Err(Error::Empty));
        }
    }

    #[test]
    fn a_coding_is_undone_within_the_limit() {
        use flate2::{Compression, write::GzEncoder};
        use std::io::Write;
        let document = "<Response/>".repeat(100);
        let mut coder = GzEncoder::new(Vec::new(), Compression::default());
        coder
            .write_all(document.as_bytes())
            .expect("memory takes all");
        let coded: Bytes = coder.finish().expect("memory takes all").into();
        let gzip = head(200, &[("content-encoding", "gzip")]).headers;
        assert_eq!(
            decode_body(&gzip, coded.clone(), 4096),
            Ok((document.into(), true))
        );
        assert_eq!(decode_body(&gzip, coded, 1000), Err(Error::ContentCoding));
        assert_eq!(
            decode_body(&gzip, "no gzip".into(), 4096),
            Err(Error::ContentCoding)
        );
        let brotli = head(200, &[("content-encoding", "br")]).headers;
        assert_eq!(
            decode_body(&brotli, "x".into(), 4096),
            Err(Error::ContentCoding)
        );
    }
}
