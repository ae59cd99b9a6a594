//! The webhooks of `tests/fixtures/requests`: their bytes, and what their manifest says of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

static MANIFEST: LazyLock<Value> = LazyLock::new(|| {
    let text = fs::read(folder().join("manifest.json")).expect("the manifest of the requests");
    serde_json::from_slice(&text).expect("the manifest is JSON")
});

/// What a webhook is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// TwiML for a call.
    Voice,
    /// TwiML for a message.
    Messaging,
    /// Word of a status; nothing is asked.
    Callback,
    /// A stream of media over a WebSocket.
    Stream,
}

/// A webhook as Twilio sends it.
#[derive(Clone)]
pub(crate) struct Webhook {
    /// Its file.
    pub(crate) name: String,
    /// What it is sent for.
    pub(crate) purpose: Purpose,
    /// Its signature was made with the app's token.
    pub(crate) signed: bool,
    /// Head and body, byte for byte.
    pub(crate) bytes: Vec<u8>,
}

/// Twilio's token, which apps check signatures with.
pub(crate) fn token() -> &'static str {
    MANIFEST["auth_token"].as_str().expect("a token")
}

/// Every webhook of the manifest.
pub(crate) fn all() -> Vec<Webhook> {
    let entries = MANIFEST["requests"].as_array().expect("a list of requests");
    entries.iter().map(Webhook::read).collect()
}

/// The webhook of one file.
pub(crate) fn named(name: &str) -> Webhook {
    let found = all().into_iter().find(|webhook| webhook.name == name);
    found.unwrap_or_else(|| panic!("no request {name}"))
}

impl Webhook {
    fn read(entry: &Value) -> Self {
        let name = entry["file"].as_str().expect("a file name").to_owned();
        Self {
            purpose: Purpose::of(entry["kind"].as_str().expect("a kind")),
            signed: entry["signature_valid"]
                .as_bool()
                .expect("a word on the signature"),
            bytes: fs::read(folder().join(&name)).expect("the file of a request"),
            name,
        }
    }

    /// As a load balancer that ends TLS hands it on: with one line more, after the request line and `Host`.
    pub(crate) fn behind_tls(&self) -> Self {
        self.with_line("X-Forwarded-Proto: https")
    }

    /// With a line more in its head, after the request line and `Host`.
    pub(crate) fn with_line(&self, line: &str) -> Self {
        let mut webhook = self.clone();
        let place = end_of_line(&self.bytes, end_of_line(&self.bytes, 0));
        webhook
            .bytes
            .splice(place..place, format!("{line}\r\n").into_bytes());
        webhook
    }
}

impl Purpose {
    fn of(kind: &str) -> Self {
        match kind {
            "voice_twiml" => Self::Voice,
            "messaging_twiml" => Self::Messaging,
            "callback" => Self::Callback,
            "websocket" => Self::Stream,
            _ => panic!("the manifest has a kind that is new here: {kind}"),
        }
    }
}

/// Where the line ends that holds the byte at `from`.
fn end_of_line(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from..];
    let length = rest
        .windows(2)
        .position(|two| two == b"\r\n")
        .expect("a line's end");
    from + length + 2
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/requests")
}
