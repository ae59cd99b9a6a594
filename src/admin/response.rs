//! Responses of the admin listener, none of which may be cached or guessed to be of another type.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

pub(super) type Response = http::Response<Full<Bytes>>;

pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    new(status, "application/json", format!("{value}\n"))
}

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    new(status, "text/plain; charset=utf-8", text)
}

pub(super) fn method_not_allowed(methods: &'static str) -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("use {methods}\n"));
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

pub(super) fn new(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
