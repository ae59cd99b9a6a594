//! Single values: each function turns what the file has into what it means, or says what would be right.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use http::{Method, StatusCode};
use humantime::format_duration;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use toml::de::{DeInteger, DeValue};

use super::diagnostic::{Diagnostic, quote, suggest};
use crate::route;

/// The longest durations: more is a typo, and far more would overflow the clock.
const AN_HOUR: Duration = Duration::from_secs(60 * 60);
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const A_MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is said of a value of another type than this.
pub(super) fn wrong_type(value: &DeValue<'_>, wanted: &str) -> Diagnostic {
    let found = value.type_str();
    let is_vowel = found.starts_with(['a', 'e', 'i', 'o', 'u']);
    let article = if is_vowel { "an" } else { "a" };
    Diagnostic::new(format!("this is {article} {found}")).help(format!("write {wanted}"))
}

pub(super) fn parse_text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Diagnostic> {
    text_or(value, "text in quotes")
}

/// A text; `wanted` says what it stands for.
pub(super) fn text_or<'v>(value: &'v DeValue<'_>, wanted: &str) -> Result<&'v str, Diagnostic> {
    value.as_str().ok_or_else(|| wrong_type(value, wanted))
}

pub(super) fn parse_bool(value: &DeValue<'_>) -> Result<bool, Diagnostic> {
    let found = value.as_bool();
    found.ok_or_else(|| match value.as_str().and_then(meant_as_bool) {
        Some(meant) => wrong_type(value, &format!("{meant} without quotes")),
        None => wrong_type(value, "true or false"),
    })
}

/// The boolean that a word of another language stands for.
pub(super) fn meant_as_bool(word: &str) -> Option<bool> {
    let word = word.to_ascii_lowercase();
    match word.as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// One of these words, as what it stands for.
pub(super) fn parse_word<T: Copy>(
    words: &[(&str, T)],
) -> impl Fn(&DeValue<'_>) -> Result<T, Diagnostic> {
    move |value| {
        let found = parse_text(value)?;
        let meaning = words.iter().find(|(word, _)| *word == found);
        meaning.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Diagnostic::about(found, "is not a valid choice here").help(suggest(found, &words, '"'))
        })
    }
}

/// A duration such as `"8s"` or `"250ms"`: more than none, and at most an hour.
pub(super) fn parse_duration(value: &DeValue<'_>) -> Result<Duration, Diagnostic> {
    at_most(AN_HOUR, parse_any_duration(value)?)
}

/// The same, or none: `"0s"`.
pub(super) fn parse_pause(value: &DeValue<'_>) -> Result<Duration, Diagnostic> {
    at_most(AN_HOUR, parse_zero_duration(value)?)
}

/// A duration of more than none, and at most a day.
pub(super) fn parse_long_duration(value: &DeValue<'_>) -> Result<Duration, Diagnostic> {
    at_most(A_DAY, parse_any_duration(value)?)
}

/// A duration of more than none, and at most thirty days.
pub(super) fn parse_age(value: &DeValue<'_>) -> Result<Duration, Diagnostic> {
    let age = parse_any_duration(value)?;
    if age <= A_MONTH {
        return Ok(age);
    }
    Err(Diagnostic::new("this is longer than 30 days").help("write \"30days\" or less"))
}

/// A duration of more than none. Its caller has a limit of its own.
pub(super) fn parse_any_duration(value: &DeValue<'_>) -> Result<Duration, Diagnostic> {
    let duration = parse_zero_duration(value)?;
    if duration.is_zero() {
        return Err(Diagnostic::new("a duration must be longer than zero").help(DURATIONS));
    }
    Ok(duration)
}

fn parse_zero_duration(value: &DeValue<'_>) -> Result<Duration, Diagnostic> {
    if let Some(number) = number(value) {
        let seconds = format!("{number}s");
        let is_valid = humantime::parse_duration(&seconds).is_ok();
        let right = if is_valid { &seconds } else { "8s" };
        let error = Diagnostic::new(format!("{number} has no unit"));
        return Err(error.help(format!("write {right:?}")));
    }
    let text = text_or(value, "a duration in quotes: \"8s\"")?;
    humantime::parse_duration(text)
        .map_err(|_| Diagnostic::about(text, "is not a valid duration").help(DURATIONS))
}

const DURATIONS: &str = "write \"8s\" or \"250ms\"";

fn at_most(limit: Duration, duration: Duration) -> Result<Duration, Diagnostic> {
    if duration <= limit {
        return Ok(duration);
    }
    let (found, limit) = (format_duration(duration), format_duration(limit));
    let message = format!("{found} is longer than {limit}, the longest that makes sense here");
    Err(Diagnostic::new(message))
}

/// A number of bytes, more than none: `"256KiB"` or `262144`.
pub(super) fn parse_size(value: &DeValue<'_>) -> Result<u64, Diagnostic> {
    let (found, bytes) = if let Some(integer) = value.as_integer() {
        (integer.to_string(), parse_integer(integer))
    } else {
        let text = text_or(value, "a size in quotes: \"256KiB\"")?;
        let bytes = text.parse().ok().map(|ByteSize(bytes)| bytes);
        (text.to_owned(), bytes)
    };
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
        Diagnostic::about(&found, "is not a valid size")
            .help("write a number of bytes, or one with its unit: \"256KiB\"")
    })
}

/// A whole number within these bounds, both included.
pub(super) fn parse_count(
    least: usize,
    most: usize,
) -> impl Fn(&DeValue<'_>) -> Result<usize, Diagnostic> {
    move |value| {
        let integer = value.as_integer();
        let integer = integer.ok_or_else(|| wrong_type(value, "a whole number"))?;
        let count = parse_integer(integer).and_then(|count| usize::try_from(count).ok());
        let within = count.filter(|count| (least..=most).contains(count));
        within.ok_or_else(|| {
            Diagnostic::new(format!("{integer} is out of bounds"))
                .help(format!("write a whole number from {least} to {most}"))
        })
    }
}

/// An HTTP status from 400 to 599.
pub(super) fn parse_error_status(value: &DeValue<'_>) -> Result<StatusCode, Diagnostic> {
    let integer = value.as_integer();
    let integer = integer.ok_or_else(|| wrong_type(value, "a status without quotes: 401"))?;
    let code = parse_integer(integer).and_then(|code| u16::try_from(code).ok());
    let status = code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| status.is_client_error() || status.is_server_error());
    status.ok_or_else(|| {
        Diagnostic::new(format!("{integer} is not an error status"))
            .help("write one from 400 to 599")
    })
}

/// An IP address with a port.
pub(super) fn parse_address(value: &DeValue<'_>) -> Result<SocketAddr, Diagnostic> {
    parse_address_text(text_or(value, "an address in quotes: \"127.0.0.1:8080\"")?)
}

/// The same, from an argument.
pub(super) fn parse_address_text(text: &str) -> Result<SocketAddr, Diagnostic> {
    text.parse().map_err(|_| {
        Diagnostic::about(text, "is not an IP address with a port")
            .help_with_value(format!("write {}", quote(&suggest_address(text))))
    })
}

/// The address that was probably meant.
fn suggest_address(found: &str) -> String {
    let found = found.trim();
    if found.parse::<SocketAddr>().is_ok() {
        return found.to_owned();
    }
    if let Ok(ip) = found.parse::<IpAddr>() {
        return SocketAddr::new(ip, 8080).to_string();
    }
    let (host, port) = found.rsplit_once(':').unwrap_or(("localhost", found));
    let host = match host {
        "" | "*" => "0.0.0.0",
        _ => "127.0.0.1",
    };
    match port.parse::<u16>() {
        Ok(_) => format!("{host}:{port}"),
        Err(_) => "127.0.0.1:8080".to_owned(),
    }
}

/// A block of addresses, or one address.
pub(super) fn parse_network(value: &DeValue<'_>) -> Result<IpNet, Diagnostic> {
    let text = parse_text(value)?;
    let block = text.parse::<IpNet>();
    let block = block.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    block.map(canonical).map_err(|_| {
        Diagnostic::about(text, "is not a valid block of addresses")
            .help("write \"10.0.0.0/8\", or one address: \"::1\"")
    })
}

/// A block of IPv4 addresses that is written as IPv6 ones (`::ffff:10.0.0.0/104`), as IPv4 ones.
fn canonical(block: IpNet) -> IpNet {
    let ipv4 = |block: Ipv6Net| {
        let length = block.prefix_len().checked_sub(96)?;
        Ipv4Net::new(block.addr().to_ipv4_mapped()?, length).ok()
    };
    match block {
        IpNet::V4(_) => block,
        IpNet::V6(ipv6) => ipv4(ipv6).map_or(block, IpNet::V4),
    }
}

/// The path of a route.
pub(super) fn parse_path(value: &DeValue<'_>) -> Result<route::Path, Diagnostic> {
    let text = parse_text(value)?;
    route::Path::parse(text).map_err(|error| invalid_path(text, error))
}

/// What a health probe requests: a path, with a query if it has one.
pub(super) fn parse_target(value: &DeValue<'_>) -> Result<String, Diagnostic> {
    let text = parse_text(value)?;
    if !text.starts_with('/') {
        Err(invalid_path(text, route::Error::NotAbsolute))
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err(invalid_path(text, route::Error::NotEncoded))
    } else if text.contains('#') {
        Err(invalid_path(text, route::Error::NotOnlyPath))
    } else {
        Ok(text.to_owned())
    }
}

fn invalid_path(text: &str, error: route::Error) -> Diagnostic {
    Diagnostic::about(text, &format!("is not a valid path: {error}"))
}

/// An HTTP method. Methods are case-sensitive, and those that Twilio sends are in upper case.
pub(super) fn parse_method(value: &DeValue<'_>) -> Result<Method, Diagnostic> {
    let text = parse_text(value)?;
    let upper = text.to_ascii_uppercase();
    if upper != text {
        return Err(
            Diagnostic::about(text, "is not in upper case, as methods are")
                .help_with_value(format!("write {}", quote(&upper))),
        );
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| {
        Diagnostic::about(text, "is not a valid method").help("write \"GET\" or \"POST\"")
    })
}

fn parse_integer(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A number as it is written, if the value is one.
fn number(value: &DeValue<'_>) -> Option<String> {
    let integer = value.as_integer().map(ToString::to_string);
    integer.or_else(|| value.as_float().map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn read<T: Debug>(read: impl Fn(&DeValue<'_>) -> Result<T, Diagnostic>, text: &str) -> String {
        match read(DeValue::parse(text).expect("a value").get_ref()) {
            Ok(value) => format!("{value:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_duration_has_its_unit() {
        let invalid = "is not a valid duration; write \"8s\" or \"250ms\"";
        for (text, expected) in [
            ("'8s'", "8s"),
            ("' 1m 30s '", "90s"),
            ("'0.5s'", "500ms"),
            ("'1h'", "3600s"),
            ("0x8", "0x8 has no unit; write \"8s\""),
            ("nan", "nan has no unit; write \"8s\""),
            ("'-8s'", &format!("\"-8s\" {invalid}")),
            ("'9999999999999y'", &format!("\"9999999999999y\" {invalid}")),
        ] {
            assert_eq!(read(parse_duration, text), expected, "{text}");
        }
    }

    #[test]
    fn a_size_is_a_number_of_bytes() {
        for (text, expected) in [
            ("'256KiB'", 262_144),
            ("'256 kib'", 262_144),
            ("'256kB'", 256_000),
            ("262_144", 262_144),
            ("0x10", 16),
            ("'1'", 1),
        ] {
            assert_eq!(read(parse_size, text), expected.to_string(), "{text}");
        }
        for text in ["0", "'0KiB'", "-1", "''", "'many'", "'1 2'"] {
            let found = read(parse_size, text);
            assert!(found.contains("is not a valid size"), "{text}");
        }
        assert!(read(parse_size, "1.5").starts_with("this is a float"));
    }
}
