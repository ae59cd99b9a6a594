//! The access log: one line for each request of a route that has `access_log`. Of a caller it holds nothing but Twilio's
//! identifier; so it names the route and not the target, which may hold a phone number.

use std::time::Duration;

use http::Method;
use tracing::info;

use super::TraceContext;

/// One line of the access log, as far as it is known.
#[derive(Debug)]
pub struct AccessLine {
    /// The route.
    pub route: String,
    /// The request's method.
    pub method: Method,
    /// The status that went back, once it is known.
    pub status: Option<u16>,
    /// Why the app's own response was not good, if it was not.
    pub reason: Option<&'static str>,
    /// `CallSid` or `MessageSid`.
    pub sid: Option<String>,
    /// The status of the app's response, if there was one.
    pub upstream_status: Option<u16>,
    /// The trace that the request belongs to.
    pub trace: TraceContext,
}

impl AccessLine {
    /// Writes the line of a request that has ended in this outcome, after this time.
    pub fn write(self, outcome: &'static str, took: Duration) {
        info!(
            target: "understudy::access",
            route = self.route,
            method = method_name(&self.method),
            status = self.status,
            outcome,
            reason = self.reason,
            sid = self.sid,
            upstream_status = self.upstream_status,
            milliseconds = took.as_millis() as u64,
            trace_id = self.trace.trace_id(),
            parent_id = self.trace.parent_id(),
            "request"
        );
    }
}

/// The method's name; `_OTHER` if the client made it up, as OpenTelemetry has it
/// (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
fn method_name(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE => method.as_str(),
        Method::OPTIONS | Method::PATCH | Method::CONNECT | Method::TRACE => method.as_str(),
        _ => "_OTHER",
    }
}
