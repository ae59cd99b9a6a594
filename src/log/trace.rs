//! The trace that a request belongs to (<https://www.w3.org/TR/trace-context/>). The header is forwarded unchanged, since the
//! proxy adds no span of its own; it is read here only so that log lines can be found by it.

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request's trace, if it has one.
#[derive(Clone, Debug, Default)]
pub struct TraceContext(Option<HeaderValue>);

impl TraceContext {
    /// Reads the trace of a request. A header that is sent twice is ignored (§3.2).
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(only), None) => Self(Some(only.clone())),
            _ => Self(None),
        }
    }

    /// The identifier of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        Some(self.parts()?.0)
    }

    /// The identifier of the span that sent the request: 16 hexadecimal digits.
    pub fn parent_id(&self) -> Option<&str> {
        Some(self.parts()?.1)
    }

    /// Both identifiers, if they have the right form: anything else might be somebody's data.
    fn parts(&self) -> Option<(&str, &str)> {
        let text = self.0.as_ref()?.to_str().ok()?;
        let mut parts = text.split('-');
        let version = parts.next().filter(|text| is_hex(text, 2))?;
        let trace = parts.next().filter(|text| is_identifier(text, 32))?;
        let parent = parts.next().filter(|text| is_identifier(text, 16))?;
        parts.next().filter(|text| is_hex(text, 2))?;
        // Later versions may append fields, version 00 may not (§3.2.4); version ff is invalid.
        let is_complete = version != "00" || parts.next().is_none();
        (is_complete && version != "ff").then_some((trace, parent))
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An identifier is hexadecimal, and not all zeros.
fn is_identifier(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn read(values: &[&str]) -> TraceContext {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().expect("a value"));
        }
        TraceContext::from_headers(&headers)
    }

    #[test]
    fn a_valid_header_is_read() {
        for value in [
            format!("00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-00"),
            format!("cc-{TRACE}-{PARENT}-01-what-will-be"),
        ] {
            let context = read(&[&value]);
            let found = (context.trace_id(), context.parent_id());
            assert_eq!(found, (Some(TRACE), Some(PARENT)), "{value}");
        }
    }

    #[test]
    fn an_invalid_header_is_ignored() {
        for value in [
            "",
            "+15550100",
            &format!("00-{TRACE}-{PARENT}"),
            &format!("00-{TRACE}-{PARENT}-01-more"),
            &format!("ff-{TRACE}-{PARENT}-01"),
            &format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            &format!("00-{}-{PARENT}-01", "0".repeat(32)),
            &format!("00-{TRACE}-{}-01", "0".repeat(16)),
            &format!("00-{}-{PARENT}-01", &TRACE[1..]),
        ] {
            assert_eq!(read(&[value]).trace_id(), None, "{value}");
        }
        let good = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(read(&[&good, &good]).trace_id(), None);
        assert_eq!(read(&[]).trace_id(), None);
    }
}
