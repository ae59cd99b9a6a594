//! What values attributes take, and what forms text may have: checks that need nothing but the value itself.
//!
//! Three verdicts, because Twilio is known to be lenient and nobody knows how far. A value that nobody knows may be one that
//! Twilio has added since, so it is [`Verdict::Doubtful`] and never an error.

use std::{borrow::Cow, fmt};

use memchr::memmem;

use super::json;
use crate::twiml::span::Span;

/// A set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::twiml) enum Value {
    /// Anything.
    Any,
    /// Absolute with `http` or `https`, or relative, or empty.
    Url,
    /// Absolute with `wss`.
    Socket,
    /// Absolute with `wss`, or relative.
    SocketOrRelative,
    /// A whole number, not negative.
    Whole,
    /// Such a number, or this word.
    WholeOr(&'static str),
    /// Such numbers, with spaces between.
    Wholes,
    /// A sum of money, without its currency.
    Amount,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// One of these, and certainly none of the others.
    OneOfNot(&'static [&'static str], &'static [&'static str]),
    /// A version of TwiML, which is a date.
    Version,
    /// Some of these, with spaces between.
    SomeOf(&'static [&'static str]),
    /// A voice of Twilio's, or `Provider.Name`.
    Voice,
    /// A language tag (BCP 47), by its form only.
    Language,
    /// Keys of a telephone; none is fine.
    Keys,
    /// Keys to press, with `w` for a pause.
    Dtmf,
    /// `500ms`, `1.5s`.
    Duration,
    /// An identifier of Twilio's with this prefix.
    Sid(&'static str),
    /// Any text up to so many characters.
    AtMost(usize),
    /// A participant's label: so long at most, without `/`.
    Label(usize),
    /// Something with a digit in it.
    PhoneNumber,
    /// `sip:user@host`, with or without the scheme.
    SipUri,
    /// A JSON document.
    Json,
}

/// How a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::twiml) enum Verdict {
    /// As documented.
    Good,
    /// Not as documented, but Twilio may take it, today or tomorrow.
    Doubtful,
    /// Known, and known not to fit. A value that is only warned of may be so called where nobody knows it.
    Bad,
}

use Verdict::{Bad, Doubtful, Good};

impl Value {
    /// Judges a value as it stands in the page.
    #[inline]
    pub(in crate::twiml) fn check_part(self, value: Span<'_>) -> Verdict {
        if self == Self::Any {
            return Good;
        }
        // The usual `&amp;` of a URL makes no difference to it, and need not be resolved.
        let is_address = matches!(self, Self::Url | Self::SipUri);
        match value.references && !(is_address && memmem::find(value.raw, b"&#").is_none()) {
            true => self.check(&value.decoded()),
            false => self.check(value.raw),
        }
    }

    /// Judges a value, its references resolved.
    fn check(self, value: &[u8]) -> Verdict {
        match self {
            Self::Any => Good,
            Self::Url => url(value),
            Self::Socket => good_if(value.is_empty() || starts_with(value, "wss://")),
            Self::SocketOrRelative => {
                good_if(scheme(value).is_none_or(|(scheme, _)| is_nearly(scheme, "wss")))
            }
            Self::Whole => whole(value),
            Self::WholeOr(word) if value == word.as_bytes() => Good,
            Self::WholeOr(_) => whole(value),
            Self::Wholes => all_bytes(value, |b| b.is_ascii_digit() || b.is_ascii_whitespace()),
            Self::Amount => amount(value),
            Self::OneOf(set) => good_or_doubtful(is_in(set, value)),
            Self::OneOfNot(_, unfit) if is_in(unfit, value) => Bad,
            Self::OneOfNot(set, _) => good_or_doubtful(is_in(set, value)),
            Self::Version if is_in(VERSIONS, value) => Good,
            Self::Version => match is_date(value) || value.trim_ascii().is_empty() {
                true => Doubtful,
                false => Bad,
            },
            Self::SomeOf(set) => good_or_doubtful(are_in(set, value)),
            Self::Voice => {
                good_if(matches!(value, b"man" | b"woman" | b"alice") || value.contains(&b'.'))
            }
            Self::Language => good_if(is_language(value)),
            Self::Keys => all_bytes(value, is_key),
            Self::Dtmf => all_bytes(value, |b| {
                is_key(b) || matches!(b, b'w' | b'W' | b'A'..=b'D' | b',')
            }),
            Self::Duration => good_if(is_duration(value)),
            Self::Sid(prefix) => good_if(is_sid(value, prefix)),
            Self::AtMost(most) => good_if(characters(value) <= most),
            Self::Label(most) => good_if(characters(value) <= most && !value.contains(&b'/')),
            Self::PhoneNumber => good_if(value.iter().any(u8::is_ascii_digit)),
            Self::SipUri => good_if(is_sip_uri(value)),
            Self::Json => json::check(value),
        }
    }
}

fn good_if(good: bool) -> Verdict {
    if good { Good } else { Bad }
}

fn good_or_doubtful(good: bool) -> Verdict {
    if good { Good } else { Doubtful }
}

fn all_bytes(value: &[u8], good: impl Fn(u8) -> bool) -> Verdict {
    good_if(value.iter().all(|&b| good(b)))
}

fn is_in(set: &[&str], value: &[u8]) -> bool {
    set.iter().any(|good| good.as_bytes() == value)
}

/// Whether these are words of the set, at least one, with spaces between.
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
        part.len() == *digits && whole(part) == Good
    }) && parts.next().is_none()
}

fn whole(value: &[u8]) -> Verdict {
    good_if(!value.is_empty() && value.iter().all(u8::is_ascii_digit))
}

fn amount(value: &[u8]) -> Verdict {
    let mut parts = value.splitn(2, |&b| b == b'.');
    match parts.all(|digits| whole(digits) == Good) {
        true => Good,
        false if value.is_empty() || value.iter().any(u8::is_ascii_digit) => Doubtful,
        false => Bad,
    }
}

/// Only a scheme that is known and that Twilio certainly does not ask for, or no host after one that it does, is beyond doubt
/// (error 11100).
fn url(value: &[u8]) -> Verdict {
    let spaced = || {
        let has_space = value.trim_ascii().iter().any(u8::is_ascii_whitespace);
        good_or_doubtful(!has_space)
    };
    let Some((scheme, rest)) = scheme(value) else {
        return spaced();
    };
    let is_one_of = |schemes: &[&str]| schemes.iter().any(|known| is_nearly(scheme, known));
    match rest.first() {
        _ if is_one_of(&OTHER_SCHEMES) => Bad,
        _ if !is_one_of(&["http", "https"]) => Doubtful,
        None | Some(b'/' | b'?' | b'#') => Bad,
        Some(_) => spaced(),
    }
}

/// Schemes of URLs that no webhook and no media file is fetched by.
const OTHER_SCHEMES: [&str; 6] = ["file", "ftp", "ftps", "sftp", "ws", "wss"];

/// The scheme of an absolute URL, and what follows its `://`.
fn scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = value.trim_ascii();
    let of_scheme = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let end = value.iter().take_while(|b| of_scheme(b)).count();
    let (scheme, rest) = value.split_at(end);
    rest.strip_prefix(b"://").map(|rest| (scheme, rest))
}

fn is_nearly(value: &[u8], word: &str) -> bool {
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
    number.is_some_and(|n| amount(n) == Good)
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

/// What would be right, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected(pub(in crate::twiml) Value);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self.0 {
            Value::Any => Cow::from("any text"),
            Value::Url => "a relative URL, or one that begins with `https://` or `http://`".into(),
            Value::Socket => "a URL that begins with `wss://`".into(),
            Value::SocketOrRelative => "a relative URL, or one that begins with `wss://`".into(),
            Value::Whole => "a whole number".into(),
            Value::WholeOr(word) => format!("a whole number, or `{word}`").into(),
            Value::Wholes => "whole numbers with spaces between".into(),
            Value::Amount => "a sum such as `20.45`, without its currency".into(),
            Value::OneOf(set) | Value::OneOfNot(set, _) => listed("or", set).into(),
            Value::Version => listed("or", VERSIONS).into(),
            Value::SomeOf(set) => {
                format!("some of {}, with spaces between", listed("and", set)).into()
            }
            Value::Voice => "`man`, `woman`, `alice`, or a voice such as `Polly.Joanna`".into(),
            Value::Language => "a language such as `en-US`".into(),
            Value::Keys => "keys of a telephone: digits, `#` and `*`".into(),
            Value::Dtmf => "digits, `#`, `*`, and `w` for a pause".into(),
            Value::Duration => "a time such as `500ms` or `2s`".into(),
            Value::Sid(prefix) => format!("`{prefix}` and 32 hexadecimal digits").into(),
            Value::AtMost(most) => format!("at most {most} characters").into(),
            Value::Label(most) => format!("at most {most} characters, and no `/`").into(),
            Value::PhoneNumber => "a phone number such as `+14155550100`".into(),
            Value::SipUri => "a SIP address such as `sip:jane@example.com`".into(),
            Value::Json => "a JSON document".into(),
        })
    }
}

fn listed(and: &str, set: &[&str]) -> String {
    match set {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [most @ .., last] => format!("`{}` {and} `{last}`", most.join("`, `")),
    }
}
