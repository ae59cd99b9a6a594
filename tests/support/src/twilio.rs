//! Requests as Twilio sends them, made up in their values: numbers are of the 555-01xx range, identifiers nobody's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
/// The call of [`Webhook::voice`].
pub const CALL: &str = "CA00000000000000000000000000000002";
/// The message of [`Webhook::sms`].
pub const MESSAGE: &str = "SM00000000000000000000000000000003";

/// One webhook request.
#[derive(Clone, Debug)]
pub struct Webhook {
    method: &'static str,
    target: String,
    host: String,
    headers: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
    signature: Option<String>,
}

impl Webhook {
    /// A call comes in.
    pub fn voice(target: &str) -> Self {
        Self::new(target)
            .with("CallSid", CALL)
            .with("CallStatus", "ringing")
            .with("Direction", "inbound")
            .with("CallerCity", "NEW YORK")
    }

    /// A message comes in.
    pub fn sms(target: &str) -> Self {
        Self::new(target)
            .with("MessageSid", MESSAGE)
            .with("SmsSid", MESSAGE)
            .with("SmsStatus", "received")
            .with("NumSegments", "1")
            .with("Body", "Hello & good-bye")
    }

    /// A call has ended.
    pub fn status_callback(target: &str) -> Self {
        Self::new(target)
            .with("CallSid", CALL)
            .with("CallStatus", "completed")
            .with("CallbackSource", "call-progress-events")
    }

    fn new(target: &str) -> Self {
        let webhook = Self {
            method: "POST",
            target: target.to_owned(),
            host: "hooks.example.com".to_owned(),
            headers: Vec::new(),
            parameters: Vec::new(),
            signature: Some("tGOUDdNFlaO7Buu8ZVluTp6TC5k=".to_owned()),
        };
        webhook
            .with("AccountSid", ACCOUNT)
            .with("ApiVersion", "2010-04-01")
            .with("From", "+12025550147")
            .with("To", "+14155550123")
    }

    /// With this parameter, in its place if there is one of that name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let value = value.to_owned();
        match self.parameters.iter_mut().find(|(own, _)| own == name) {
            Some(parameter) => parameter.1 = value,
            None => self.parameters.push((name.to_owned(), value)),
        }
        self
    }

    /// With this parameter behind the others, whether or not there is one of that name.
    #[must_use]
    pub fn also(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With one more header header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// For this host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// As a number that is configured for GET has it: the parameters in the query.
    #[must_use]
    pub fn get(mut self) -> Self {
        self.method = "GET";
        self
    }

    /// Without a signature.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.signature = None;
        self
    }

    /// As Twilio signs it for this public URL with this token, by what it has now.
    #[must_use]
    pub fn signed(self, public_url: &str, token: &str) -> Self {
        let signature = sign(token, &self.message(public_url));
        self.signature(&signature)
    }

    /// With this signature.
    #[must_use]
    pub fn signature(mut self, signature: &str) -> Self {
        self.signature = Some(signature.to_owned());
        self
    }

    /// What is signed of it, by what it has now.
    pub fn message(&self, public_url: &str) -> String {
        let mut message = format!("{public_url}{}", self.target());
        if self.method != "GET" {
            let mut parameters = self.parameters.clone();
            parameters.sort();
            parameters.dedup();
            parameters.iter().for_each(|(name, value)| {
                message.push_str(name);
                message.push_str(value);
            });
        }
        message
    }

    /// Its target, with the parameters if they stand there.
    fn target(&self) -> String {
        match self.method {
            "GET" if self.target.contains('?') => format!("{}&{}", self.target, self.form()),
            "GET" => format!("{}?{}", self.target, self.form()),
            _ => self.target.clone(),
        }
    }

    fn form(&self) -> String {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(&self.parameters);
        form.finish()
    }

    /// The request's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let target = self.target();
        let body = (self.method != "GET").then(|| self.form());
        let mut head = format!("{} {target} HTTP/1.1\r\n", self.method);
        let mut header = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        header("Host", &self.host);
        header("User-Agent", "TwilioProxy/1.1");
        if let Some(form) = &body {
            header("Content-Length", &form.len().to_string());
            header(
                "Content-Type",
                "application/x-www-form-urlencoded; charset=UTF-8",
            );
        }
        header("Accept", "*/*");
        header(
            "I-Twilio-Idempotency-Token",
            "c9dff553-af3a-a281-9217-fa5085ac1ffc",
        );
        header("X-Home-Region", "us1");
        if let Some(signature) = &self.signature {
            header("X-Twilio-Signature", signature);
        }
        for (name, value) in &self.headers {
            header(name, value);
        }
        head.push_str("\r\n");
        [head.into_bytes(), body.unwrap_or_default().into_bytes()].concat()
    }
}

/// What a token signs a message with.
pub fn sign(token: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("any key is good");
    mac.update(message.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

impl From<Webhook> for Vec<u8> {
    fn from(webhook: Webhook) -> Self {
        webhook.bytes()
    }
}

impl From<&Webhook> for Vec<u8> {
    fn from(webhook: &Webhook) -> Self {
        webhook.bytes()
    }
}
