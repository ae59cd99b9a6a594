//! The types of attribute values and of text.

use std::{borrow::Cow, fmt};

use memchr::memmem;

use super::json;
use crate::twiml::{
    code::Validity::{self, Invalid, Uncertain, Valid},
    span::Span,
};

/// The type of an attribute's value or of an element's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    /// Anything.
    Any,
    /// Absolute with `http` or `https`, or relative, or empty.
    Url,
    /// Absolute with `wss`.
    WebSocketUrl,
    /// Absolute with `wss`, or relative.
    WebSocketOrRelativeUrl,
    /// An integer, not negative.
    Integer,
    /// Such an integer, or this word.
    IntegerOr(&'static str),
    /// Such integers, with spaces between.
    Integers,
    /// A sum of money, without its currency.
    Amount,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// One of the first set, and certainly none of the second.
    OneOfNot(&'static [&'static str], &'static [&'static str]),
    /// A version of TwiML, in the form of a date.
    Version,
    /// Any of these, with spaces between.
    SomeOf(&'static [&'static str]),
    /// One of Twilio's voices, or `Provider.Name`.
    Voice,
    /// The form of a language tag (BCP 47).
    Language,
    /// Keys of a telephone, or nothing.
    Keys,
    /// Keys to press, with `w` for a pause.
    Dtmf,
    /// `500ms`, `1.5s`.
    Duration,
    /// An identifier of Twilio (SID) with this prefix.
    Sid(&'static str),
    /// Text of at most so many characters.
    MaxCharacters(usize),
    /// A participant's label: at most so many characters, without `/`.
    Label(usize),
    /// Text with a digit in it.
    PhoneNumber,
    /// `sip:user@host`, with or without the scheme.
    SipUri,
    /// A JSON document.
    Json,
}

impl ValueType {
    /// Checks a value as the document has it.
    #[inline]
    pub(crate) fn check_span(self, value: Span<'_>) -> Validity {
        if self == Self::Any {
            return Valid;
        }
        // For a URL the usual `&amp;` makes no difference, so it is not resolved, which would allocate.
        let is_address = matches!(self, Self::Url | Self::SipUri);
        match value.references && !(is_address && memmem::find(value.raw, b"&#").is_none()) {
            true => self.check(&value.decode()),
            false => self.check(value.raw),
        }
    }

    /// Checks a value whose references are resolved.
    fn check(self, value: &[u8]) -> Validity {
        match self {
            Self::Any => Valid,
            Self::Url => url(value),
            Self::WebSocketUrl => valid_if(value.is_empty() || starts_with(value, "wss://")),
            Self::WebSocketOrRelativeUrl => {
                valid_if(scheme(value).is_none_or(|(scheme, _)| is_word(scheme, "wss")))
            }
            Self::Integer => integer(value),
            Self::IntegerOr(word) if value == word.as_bytes() => Valid,
            Self::IntegerOr(_) => integer(value),
            Self::Integers => all_bytes(value, |b| b.is_ascii_digit() || b.is_ascii_whitespace()),
            Self::Amount => amount(value),
            Self::OneOf(set) => valid_or_uncertain(is_in(set, value)),
            Self::OneOfNot(_, wrong) if is_in(wrong, value) => Invalid,
            Self::OneOfNot(set, _) => valid_or_uncertain(is_in(set, value)),
            Self::Version if is_in(VERSIONS, value) => Valid,
            Self::Version => match is_date(value) || value.trim_ascii().is_empty() {
                true => Uncertain,
                false => Invalid,
            },
            Self::SomeOf(set) => valid_or_uncertain(are_in(set, value)),
            Self::Voice => {
                valid_if(matches!(value, b"man" | b"woman" | b"alice") || value.contains(&b'.'))
            }
            Self::Language => valid_if(is_language(value)),
            Self::Keys => all_bytes(value, is_key),
            Self::Dtmf => all_bytes(value, |b| {
                is_key(b) || matches!(b, b'w' | b'W' | b'A'..=b'D' | b',')
            }),
            Self::Duration => valid_if(is_duration(value)),
            Self::Sid(prefix) => valid_if(is_sid(value, prefix)),
            Self::MaxCharacters(most) => valid_if(characters(value) <= most),
            Self::Label(most) => valid_if(characters(value) <= most && !value.contains(&b'/')),
            Self::PhoneNumber => valid_if(value.iter().any(u8::is_ascii_digit)),
            Self::SipUri => valid_if(is_sip_uri(value)),
            Self::Json => json::check(value),
        }
    }
}

fn valid_if(condition: bool) -> Validity {
    if condition { Valid } else { Invalid }
}

fn valid_or_uncertain(condition: bool) -> Validity {
    if condition { Valid } else { Uncertain }
}

fn all_bytes(value: &[u8], is_valid: impl Fn(u8) -> bool) -> Validity {
    valid_if(value.iter().all(|&b| is_valid(b)))
}

fn is_in(set: &[&str], value: &[u8]) -> bool {
    set.iter().any(|known| known.as_bytes() == value)
}

/// Whether the value is one or more words of the set, with spaces between.
fn are_in(set: &[&str], value: &[u8]) -> bool {
    let mut words = value.split(|&b| b == b' ').filter(|word| !word.is_empty());
    !value.is_empty() && words.all(|word| is_in(set, word))
}

/// <https://www.twilio.com/docs/api/errors/12101>
const VERSIONS: &[&str] = &["2008-08-01", "2010-04-01"];

fn is_date(value: &[u8]) -> bool {
    let mut parts = value.split(|&b| b == b'-');
    [4, 2, 2].iter().all(|digits| {
        let part = parts.next().unwrap_or_default();
        part.len() == *digits && integer(part) == Valid
    }) && parts.next().is_none()
}

fn integer(value: &[u8]) -> Validity {
    valid_if(!value.is_empty() && value.iter().all(u8::is_ascii_digit))
}

fn amount(value: &[u8]) -> Validity {
    let mut parts = value.splitn(2, |&b| b == b'.');
    match parts.all(|digits| integer(digits) == Valid) {
        true => Valid,
        false if value.is_empty() || value.iter().any(u8::is_ascii_digit) => Uncertain,
        false => Invalid,
    }
}

/// A URL is certainly wrong (error 11100) only if its scheme is one that Twilio never requests, or if it has `http` or `https`
/// but no host.
fn url(value: &[u8]) -> Validity {
    let check_space = || {
        let has_space = value.trim_ascii().iter().any(u8::is_ascii_whitespace);
        valid_or_uncertain(!has_space)
    };
    let Some((scheme, rest)) = scheme(value) else {
        return check_space();
    };
    let is_one_of = |schemes: &[&str]| schemes.iter().any(|known| is_word(scheme, known));
    match rest.first() {
        _ if is_one_of(&OTHER_SCHEMES) => Invalid,
        _ if !is_one_of(&["http", "https"]) => Uncertain,
        None | Some(b'/' | b'?' | b'#') => Invalid,
        Some(_) => check_space(),
    }
}

/// Schemes of URLs that Twilio requests neither for webhooks nor for media.
const OTHER_SCHEMES: [&str; 6] = ["file", "ftp", "ftps", "sftp", "ws", "wss"];

/// The scheme of an absolute URL, and what follows its `://`.
fn scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = value.trim_ascii();
    let of_scheme = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let end = value.iter().take_while(|b| of_scheme(b)).count();
    let (scheme, rest) = value.split_at(end);
    rest.strip_prefix(b"://").map(|rest| (scheme, rest))
}

fn is_word(value: &[u8], word: &str) -> bool {
    value.eq_ignore_ascii_case(word.as_bytes())
}

fn starts_with(value: &[u8], scheme: &str) -> bool {
    let start = value.trim_ascii_start().get(..scheme.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
}

fn is_language(value: &[u8]) -> bool {
    let mut parts = value.split(|&b| b == b'-');
    let primary = parts
        .next()
        .is_some_and(|p| matches!(p.len(), 2 | 3) && p.iter().all(u8::is_ascii_alphabetic));
    primary && parts.all(|p| matches!(p.len(), 2..=8) && p.iter().all(u8::is_ascii_alphanumeric))
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'#' | b'*')
}

fn is_duration(value: &[u8]) -> bool {
    let number = value
        .strip_suffix(b"ms")
        .or_else(|| value.strip_suffix(b"s"));
    number.is_some_and(|n| amount(n) == Valid)
}

fn is_sid(value: &[u8], prefix: &str) -> bool {
    value.len() == 34
        && value
            .strip_prefix(prefix.as_bytes())
            .is_some_and(|id| id.iter().all(u8::is_ascii_hexdigit))
}

fn is_sip_uri(value: &[u8]) -> bool {
    value.contains(&b'@') || starts_with(value, "sip:") || starts_with(value, "sips:")
}

fn characters(value: &[u8]) -> usize {
    value.iter().filter(|&&b| !matches!(b, 0x80..=0xBF)).count()
}

/// A type of values, in words for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected(pub(crate) ValueType);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self.0 {
            ValueType::Any => Cow::from("any text"),
            ValueType::Url => {
                "a relative URL, or one that begins with `https://` or `http://`".into()
            }
            ValueType::WebSocketUrl => "a URL that begins with `wss://`".into(),
            ValueType::WebSocketOrRelativeUrl => {
                "a relative URL, or one that begins with `wss://`".into()
            }
            ValueType::Integer => "a whole number".into(),
            ValueType::IntegerOr(word) => format!("a whole number, or `{word}`").into(),
            ValueType::Integers => "whole numbers with spaces between".into(),
            ValueType::Amount => "a sum such as `20.45`, without its currency".into(),
            ValueType::OneOf(set) | ValueType::OneOfNot(set, _) => list("or", set).into(),
            ValueType::Version => list("or", VERSIONS).into(),
            ValueType::SomeOf(set) => {
                format!("some of {}, with spaces between", list("and", set)).into()
            }
            ValueType::Voice => "`man`, `woman`, `alice`, or a voice such as `Polly.Joanna`".into(),
            ValueType::Language => "a language such as `en-US`".into(),
            ValueType::Keys => "keys of a telephone: digits, `#` and `*`".into(),
            ValueType::Dtmf => "digits, `#`, `*`, and `w` for a pause".into(),
            ValueType::Duration => "a time such as `500ms` or `2s`".into(),
            ValueType::Sid(prefix) => format!("`{prefix}` and 32 hexadecimal digits").into(),
            ValueType::MaxCharacters(most) => format!("at most {most} characters").into(),
            ValueType::Label(most) => format!("at most {most} characters, and no `/`").into(),
            ValueType::PhoneNumber => "a phone number such as `+14155550100`".into(),
            ValueType::SipUri => "a SIP address such as `sip:jane@example.com`".into(),
            ValueType::Json => "a JSON document".into(),
        })
    }
}

fn list(and: &str, set: &[&str]) -> String {
    match set {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [rest @ .., last] => format!("`{}` {and} `{last}`", rest.join("`, `")),
    }
}
