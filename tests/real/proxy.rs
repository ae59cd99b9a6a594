//! The proxy in front of an app: its routes, and what a test asks of both.

use std::net::SocketAddr;

use crate::real_app::App;
use crate::requests::{Purpose, Webhook};
use support::{Client, Response, Sidecar};

/// What belongs to a connection and not to the response (RFC 9110 §7.6.1), and how long its body is.
const OF_THE_CONNECTION: [&str; 5] = [
    "connection",
    "content-length",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
];

/// Routes as someone writes them who knows the app.
pub(crate) const NAMED: &str = r#"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
[[route]]
name = "messaging"
path = "/sms/*"
kind = "messaging"
[[route]]
name = "call-status"
path = "/voice/status"
kind = "callback"
[[route]]
name = "recording"
path = "/voice/recording"
kind = "callback"
[[route]]
name = "message-status"
path = "/sms/status"
kind = "callback"
[[route]]
name = "media"
path = "/media"
kind = "pass"
"#;

/// One route, which sees by itself what each webhook is for.
pub(crate) const AUTO: &str = r#"
[[route]]
name = "all"
path = "/*"
kind = "auto"
"#;

/// A proxy before this address with these routes; an app's 403 goes back as it is, like its 401.
pub(crate) async fn lenient(app: SocketAddr, routes: &str) -> Sidecar {
    let proxy = Sidecar::before_address(app).routes(routes);
    // However often the app fails, each request shows how, at once.
    proxy
        .defaults("pass_status = [401, 403]")
        .defaults("breaker = { failures = 0 }")
        .upstream("retry_connect = \"0s\"")
        .start()
        .await
}

/// A proxy before this app with the routes of [`NAMED`].
pub(crate) async fn before(app: &App) -> Sidecar {
    Sidecar::before_address(app.address)
        .routes(NAMED)
        .start()
        .await
}

/// What the app answers if nothing stands before it.
pub(crate) async fn directly(app: &App, webhook: &Webhook) -> Response {
    Client::connect(app.address)
        .await
        .request(webhook.bytes.clone())
        .await
}

/// What comes back from the proxy.
pub(crate) async fn behind(sidecar: &Sidecar, webhook: &Webhook) -> Response {
    sidecar.request(webhook.bytes.clone()).await
}

/// Expects that a response came back as the app gave it.
#[track_caller]
pub(crate) fn assert_same(behind: &Response, direct: &Response, what: &str) {
    assert!(
        behind.whole && direct.whole,
        "{what}: {behind:?} {direct:?}"
    );
    assert_eq!(behind.status, direct.status, "{what}: {behind:?}");
    assert_eq!(fields(behind), fields(direct), "{what}");
    assert!(behind.body == direct.body, "{what}: {behind:?} {direct:?}");
}

/// Expects that this many calls of a route ended with the app's own response.
pub(crate) async fn assert_answered(sidecar: &Sidecar, route: &str, calls: usize) {
    let labels = [("route", route), ("outcome", "upstream")];
    let calls = u32::try_from(calls).expect("not so many calls");
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, calls.into())
        .await;
}

/// The fields of a response that the app means for its reader, in an order of their own; its clock is left out.
fn fields(response: &Response) -> Vec<(String, &str)> {
    let fields = response.headers.iter();
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
        .filter(|(name, _)| name != "date" && !OF_THE_CONNECTION.contains(&name.as_str()))
        .collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other)); // stable: fields of one name keep their order
    fields
}

impl Webhook {
    /// The route of [`NAMED`] that it belongs to.
    pub(crate) fn route(&self) -> &'static str {
        match self.purpose {
            Purpose::Voice => "voice",
            Purpose::Messaging => "messaging",
            Purpose::Stream => "media",
            Purpose::Callback if self.name.starts_with("voice") => "call-status",
            Purpose::Callback if self.name.starts_with("recording") => "recording",
            Purpose::Callback => "message-status",
        }
    }
}
