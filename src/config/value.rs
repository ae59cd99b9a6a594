//! Single values: from what the file has to what it means.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use http::{Method, StatusCode};
use ipnet::IpNet;
use toml::de::DeValue;

use super::problem::Problem;
use crate::route;

/// No duration here is longer: more is a slip of the pen, and far more would overflow the clock.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A text as it stands there.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Problem> {
    value
        .as_str()
        .ok_or_else(|| Problem::wrong_type(value, "text in quotes"))
}

/// Whether something is so.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, Problem> {
    let truth = value.as_bool();
    truth.ok_or_else(|| Problem::wrong_type(value, "true or false"))
}

/// A length of time: `"8s"`, `"250ms"`; more than none, and at most [`LONGEST`].
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, Problem> {
    match pause(value)? {
        Duration::ZERO => Err(Problem::NoTime),
        duration => Ok(duration),
    }
}

/// The same, or none: `"0s"`.
pub(super) fn pause(value: &DeValue<'_>) -> Result<Duration, Problem> {
    if value.is_integer() || value.is_float() {
        return Err(Problem::NoUnit {
            number: number(value),
        });
    }
    let wanted = "a duration in quotes: \"8s\"";
    let text = value
        .as_str()
        .ok_or_else(|| Problem::wrong_type(value, wanted))?;
    let unclear = || Problem::Duration { found: text.into() };
    match humantime::parse_duration(text).map_err(|_| unclear())? {
        duration if duration > LONGEST => Err(Problem::TooLong {
            found: duration,
            limit: LONGEST,
        }),
        duration => Ok(duration),
    }
}

/// A number of bytes: `"256KiB"` or `262144`; more than none.
pub(super) fn size(value: &DeValue<'_>) -> Result<u64, Problem> {
    let wanted = "a size in quotes: \"256KiB\"";
    let bytes = match (value.as_str(), value.as_integer()) {
        (Some(text), _) => text.parse().ok().map(|ByteSize(bytes)| bytes),
        (_, Some(integer)) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        (None, None) => return Err(Problem::wrong_type(value, wanted)),
    };
    let found = || value.as_str().map_or_else(|| number(value), str::to_owned);
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| Problem::Size {
            found: found().into(),
        })
}

/// A whole number within these bounds, both included.
pub(super) fn count(least: usize, most: usize) -> impl Fn(&DeValue<'_>) -> Result<usize, Problem> {
    move |value| {
        let integer = value.as_integer();
        let integer = integer.ok_or_else(|| Problem::wrong_type(value, "a whole number"))?;
        let found = usize::from_str_radix(integer.as_str(), integer.radix());
        let within = found.ok().filter(|found| (least..=most).contains(found));
        within.ok_or_else(|| Problem::Count {
            found: integer.to_string(),
            least,
            most,
        })
    }
}

/// A status that says failure.
pub(super) fn failure_status(value: &DeValue<'_>) -> Result<StatusCode, Problem> {
    let integer = value.as_integer();
    let integer =
        integer.ok_or_else(|| Problem::wrong_type(value, "a status without quotes: 401"))?;
    let code = u16::from_str_radix(integer.as_str(), integer.radix()).ok();
    let status = code.and_then(|code| StatusCode::from_u16(code).ok());
    let failure = status.filter(|status| status.is_client_error() || status.is_server_error());
    failure.ok_or_else(|| Problem::Status {
        found: integer.to_string(),
    })
}

/// An IP address with a port.
pub(super) fn address(value: &DeValue<'_>) -> Result<SocketAddr, Problem> {
    let wanted = "an address in quotes: \"127.0.0.1:8080\"";
    let text = value
        .as_str()
        .ok_or_else(|| Problem::wrong_type(value, wanted))?;
    address_of(text)
}

/// The same, from an argument.
pub(super) fn address_of(text: &str) -> Result<SocketAddr, Problem> {
    text.parse()
        .map_err(|_| Problem::Address { found: text.into() })
}

/// A block of addresses, or one address.
pub(super) fn network(value: &DeValue<'_>) -> Result<IpNet, Problem> {
    let text = text(value)?;
    let block = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    block.map_err(|_| Problem::Network { found: text.into() })
}

/// Which paths a route is for.
pub(super) fn path(value: &DeValue<'_>) -> Result<route::Path, Problem> {
    let text = text(value)?;
    route::Path::parse(text).map_err(|why| Problem::Path {
        found: text.into(),
        why,
    })
}

/// What a probe asks for: a path, with a query if it has one.
pub(super) fn target(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = text(value)?;
    let why = if !text.starts_with('/') {
        route::Error::NotAbsolute
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        route::Error::NotEncoded
    } else if text.contains('#') {
        route::Error::NotOnlyPath
    } else {
        return Ok(text.to_owned());
    };
    Err(Problem::Path {
        found: text.into(),
        why,
    })
}

/// A method as it stands on the wire.
pub(super) fn method(value: &DeValue<'_>) -> Result<Method, Problem> {
    let text = text(value)?;
    let method = Method::from_bytes(text.as_bytes());
    let upper = method
        .ok()
        .filter(|_| !text.contains(|c: char| c.is_ascii_lowercase()));
    upper.ok_or_else(|| Problem::Method { found: text.into() })
}

/// A number as it is written.
fn number(value: &DeValue<'_>) -> String {
    let integer = value.as_integer().map(ToString::to_string);
    integer
        .or_else(|| value.as_float().map(ToString::to_string))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn read<T: Debug>(read: impl Fn(&DeValue<'_>) -> Result<T, Problem>, text: &str) -> String {
        match read(DeValue::parse(text).expect("a value").get_ref()) {
            Ok(value) => format!("{value:?}"),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn a_duration_has_its_unit() {
        for (text, expected) in [
            ("'8s'", "8s"),
            ("'250ms'", "250ms"),
            ("' 1m 30s '", "90s"),
            ("'0.5s'", "500ms"),
            ("'1h'", "3600s"),
            (
                "'3601s'",
                "1h 1s is longer than 1h, the longest that makes sense here",
            ),
            ("8", "8 has no unit; write \"8s\""),
            ("0x8", "0x8 has no unit; write \"8s\""),
            ("nan", "nan has no unit; write \"8s\""),
            (
                "'-8s'",
                "\"-8s\" is not a valid duration; write \"8s\" or \"250ms\"",
            ),
            (
                "'0ms'",
                "a duration must be longer than zero; write \"8s\" or \"250ms\"",
            ),
            (
                "'99999999999999999y'",
                "\"99999999999999999y\" is not a valid duration; write \"8s\" or \"250ms\"",
            ),
        ] {
            assert_eq!(read(duration, text), expected, "{text}");
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
            assert_eq!(read(size, text), expected.to_string(), "{text}");
        }
        for text in ["0", "'0KiB'", "-1", "''", "'many'", "'1 2'"] {
            assert!(read(size, text).contains("is not a valid size"), "{text}");
        }
        assert!(read(size, "1.5").starts_with("this is a float"));
    }

    #[test]
    fn a_single_address_is_a_block_of_one() {
        assert_eq!(read(network, "'::1'"), "::1/128");
        assert_eq!(read(network, "'10.1.2.3'"), "10.1.2.3/32");
        assert_eq!(read(network, "'10.0.0.0/8'"), "10.0.0.0/8");
    }
}
