//! The access log: a line for every call, where a route asks for it. It holds nothing of a caller's but Twilio's identifier;
//! so it says the route, not the target, which may have a number in it.

use std::time::Duration;

use tracing::info;

use super::TraceContext;

/// What a call's line will say, as far as it is known.
#[derive(Debug)]
pub struct Access {
    /// The route.
    pub route: String,
    /// The request's method.
    pub method: http::Method,
    /// What status went back, once it is known.
    pub status: Option<u16>,
    /// Why the app's own answer didn't go back, or would not have, if so.
    pub reason: Option<&'static str>,
    /// `CallSid` or `MessageSid`.
    pub sid: Option<String>,
    /// What status the app answered, if it did.
    pub upstream_status: Option<u16>,
    /// The trace that it belongs to.
    pub trace: TraceContext,
}

impl Access {
    /// Says the line: the call has ended so, after so long.
    pub fn say(self, outcome: &'static str, took: Duration) {
        info!(
            target: "understudy::access",
            route = self.route,
            method = known(&self.method),
            status = self.status,
            outcome,
            reason = self.reason,
            sid = self.sid,
            upstream_status = self.upstream_status,
            milliseconds = took.as_millis() as u64,
            trace_id = self.trace.trace_id(),
            parent_id = self.trace.parent_id(),
            "a call"
        );
    }
}

/// A method by its name. One that a client has made up is `_OTHER`, as OpenTelemetry has it
/// (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
fn known(method: &http::Method) -> &str {
    use http::Method;
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE => method.as_str(),
        Method::OPTIONS | Method::PATCH | Method::CONNECT | Method::TRACE => method.as_str(),
        _ => "_OTHER",
    }
}
