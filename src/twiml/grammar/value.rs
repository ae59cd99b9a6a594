//! What values attributes take, and what forms text may have: checks that need nothing but the value itself.
//!
//! Three verdicts, because Twilio is known to be lenient and nobody knows how far: what is empty, written in other letters,
//! or half right is [`Verdict::Doubtful`] and never refused.

use std::{borrow::Cow, fmt};

use serde::de::IgnoredAny;

use crate::twiml::part::Part;

/// A set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::twiml) enum Value {
    /// Anything.
    Any,
    /// Absolute with `http` or `https`, or relative, or empty.
    Url,
    /// Absolute with `wss`.
    Socket,
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
    /// Not as documented, but Twilio may well take it.
    Doubtful,
    /// Can't be meant.
    Bad,
}

use Verdict::{Bad, Doubtful, Good};

impl Value {
    /// Judges a value as it stands in the page.
    #[inline]
    pub(in crate::twiml) fn check_part(self, value: Part<'_>) -> Verdict {
        match self {
            Self::Any => Good,
            // What references can stand for makes no difference here, so the usual `&amp;` need not be resolved.
            Self::Url | Self::SipUri | Self::PhoneNumber => self.check(value.raw),
            _ if !value.references => self.check(value.raw),
            _ => self.check(&value.decoded()),
        }
    }

    /// Judges a value, its references resolved.
    fn check(self, value: &[u8]) -> Verdict {
        match self {
            Self::Any => Good,
            Self::OneOf(set) => one_of(set, value),
            Self::Url => url(value),
            Self::Whole => whole(value),
            other => other.check_rarer(value),
        }
    }

    fn check_rarer(self, value: &[u8]) -> Verdict {
        let text = &*String::from_utf8_lossy(value);
        match self {
            Self::WholeOr(word) if text == word => Good,
            Self::WholeOr(_) => whole(value),
            Self::Wholes => all(text.split_ascii_whitespace(), |n| {
                whole(n.as_bytes()) == Good
            }),
            Self::Amount => amount(text),
            Self::SomeOf(set) => some_of(set, text),
            Self::Socket => good_if(text.is_empty() || starts_with(text, "wss://")),
            Self::Voice => good_if(matches!(text, "man" | "woman" | "alice") || text.contains('.')),
            Self::Language => good_if(is_language(text)),
            Self::Keys => good_if(text.bytes().all(|b| is_key(b))),
            Self::Dtmf => good_if(
                text.bytes()
                    .all(|b| is_key(b) || matches!(b, b'w' | b'W' | b'A'..=b'D' | b',')),
            ),
            Self::Duration => good_if(is_duration(text)),
            Self::Sid(prefix) => good_if(is_sid(text, prefix)),
            Self::AtMost(most) => good_if(text.chars().count() <= most),
            Self::Label(most) => good_if(text.chars().count() <= most && !text.contains('/')),
            Self::PhoneNumber => good_if(text.bytes().any(|b| b.is_ascii_digit())),
            Self::SipUri => good_if(
                text.contains('@') || starts_with(text, "sip:") || starts_with(text, "sips:"),
            ),
            Self::Json => json(text),
            Self::Any | Self::OneOf(_) | Self::Url | Self::Whole => self.check(value),
        }
    }
}

fn good_if(good: bool) -> Verdict {
    if good { Good } else { Bad }
}

fn all<'v>(items: impl Iterator<Item = &'v str>, good: impl Fn(&str) -> bool) -> Verdict {
    good_if(
        items
            .map(|item| good(item))
            .fold(true, |all, good| all & good),
    )
}

fn one_of(set: &[&str], value: &[u8]) -> Verdict {
    if set.iter().any(|good| good.as_bytes() == value) {
        return Good;
    }
    let value = value.trim_ascii();
    match value.is_empty()
        || set
            .iter()
            .any(|good| good.as_bytes().eq_ignore_ascii_case(value))
    {
        true => Doubtful,
        false => Bad,
    }
}

/// With a comma for a space, or with one unknown word among known ones, Twilio may still take the rest.
fn some_of(set: &[&str], value: &str) -> Verdict {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    if !value.is_empty() && words.all(|word| set.contains(&word)) {
        return Good;
    }
    let mut words = value
        .split(|c: char| c == ',' || c.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    match value.trim().is_empty()
        || words.any(|word| set.iter().any(|good| good.eq_ignore_ascii_case(word)))
    {
        true => Doubtful,
        false => Bad,
    }
}

fn whole(value: &[u8]) -> Verdict {
    good_if(!value.is_empty() && value.iter().all(u8::is_ascii_digit))
}

fn amount(text: &str) -> Verdict {
    let (units, cents) = text.split_once('.').unwrap_or((text, "0"));
    match (whole(units.as_bytes()), whole(cents.as_bytes())) {
        (Good, Good) => Good,
        _ if text.is_empty() || text.bytes().any(|b| b.is_ascii_digit()) => Doubtful,
        _ => Bad,
    }
}

/// Only a scheme that Twilio does not speak, or no host after one that it does, is beyond doubt (error 11100).
fn url(value: &[u8]) -> Verdict {
    let value = value.trim_ascii();
    let colon = value
        .iter()
        .take_while(|&&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        .count();
    let spaced = || {
        if value.iter().any(u8::is_ascii_whitespace) {
            Doubtful
        } else {
            Good
        }
    };
    let Some(rest) = value[colon..].strip_prefix(b"://") else {
        return spaced();
    };
    let known = [&b"http"[..], b"https"]
        .iter()
        .any(|scheme| value[..colon].eq_ignore_ascii_case(scheme));
    match rest.first() {
        _ if !known => Bad,
        None | Some(b'/' | b'?' | b'#') => Bad,
        Some(_) => spaced(),
    }
}

fn starts_with(text: &str, scheme: &str) -> bool {
    text.trim_start()
        .get(..scheme.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let primary = parts
        .next()
        .is_some_and(|p| matches!(p.len(), 2 | 3) && p.bytes().all(|b| b.is_ascii_alphabetic()));
    primary
        && parts.all(|p| matches!(p.len(), 2..=8) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'#' | b'*')
}

fn is_duration(text: &str) -> bool {
    let number = text.strip_suffix("ms").or_else(|| text.strip_suffix('s'));
    number.is_some_and(|n| amount(n) == Good)
}

fn is_sid(text: &str, prefix: &str) -> bool {
    text.len() == 34
        && text
            .strip_prefix(prefix)
            .is_some_and(|id| id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Twilio's own SDKs put plain words where JSON belongs (`<Task>foo</Task>`), so only what sets out to be an object or an
/// array, and fails, is beyond doubt.
fn json(text: &str) -> Verdict {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Good,
        Err(_) if text.trim_start().starts_with(['{', '[']) => Bad,
        Err(_) => Doubtful,
    }
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
            Value::Whole => "a whole number".into(),
            Value::WholeOr(word) => format!("a whole number, or `{word}`").into(),
            Value::Wholes => "whole numbers with spaces between".into(),
            Value::Amount => "a sum such as `20.45`, without its currency".into(),
            Value::OneOf(set) => listed("or", set).into(),
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
