//! To which trace a call belongs, as who came before us says it (<https://www.w3.org/TR/trace-context/>). It crosses to the
//! app as it is: we are no span of our own. Here it is only read, so that log lines are found by it.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field that carries it.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A call's trace, if it has one.
#[derive(Clone, Debug, Default)]
pub struct TraceContext(Option<HeaderValue>);

impl TraceContext {
    /// That of a request. One that is said twice is none (§3.2).
    pub fn of(fields: &HeaderMap) -> Self {
        let mut values = fields.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(only), None) => Self(Some(only.clone())),
            _ => Self(None),
        }
    }

    /// The identifier of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        Some(self.parts()?.0)
    }

    /// The identifier of the span that called us: 16 hexadecimal digits.
    pub fn parent_id(&self) -> Option<&str> {
        Some(self.parts()?.1)
    }

    /// Both, if they are written as they should be: whatever else stands there might be anybody's data.
    fn parts(&self) -> Option<(&str, &str)> {
        let text = self.0.as_ref()?.to_str().ok()?;
        let mut parts = text.split('-');
        let version = parts.next().filter(|text| is_hex(text, 2))?;
        let trace = parts.next().filter(|text| is_identifier(text, 32))?;
        let parent = parts.next().filter(|text| is_identifier(text, 16))?;
        parts.next().filter(|text| is_hex(text, 2))?;
        // Later versions may have more to say; this one has not (§3.2.4), and 255 is none.
        let ends = version != "00" || parts.next().is_none();
        (ends && version != "ff").then_some((trace, parent))
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Nothing but zeros identifies nothing.
fn is_identifier(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn of(values: &[&str]) -> TraceContext {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(TRACEPARENT, value.parse().expect("a value"));
        }
        TraceContext::of(&fields)
    }

    #[test]
    fn a_good_one_is_read() {
        for value in [
            format!("00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-00"),
            format!("cc-{TRACE}-{PARENT}-01-what-will-be"),
        ] {
            let context = of(&[&value]);
            let found = (context.trace_id(), context.parent_id());
            assert_eq!(found, (Some(TRACE), Some(PARENT)), "{value}");
        }
    }

    #[test]
    fn anything_else_is_none() {
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
            assert_eq!(of(&[value]).trace_id(), None, "{value}");
        }
        let good = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(of(&[&good, &good]).trace_id(), None);
        assert_eq!(of(&[]).trace_id(), None);
    }
}
