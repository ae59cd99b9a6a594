//! Checks that a request comes from Twilio, and makes the [`VerifiedRequest`] that alone can be forwarded.
//!
//! Twilio signs the URL that it requests and, if it sends a form, all its parameters. Of any other body, the URL contains the hash
//! (<https://www.twilio.com/docs/usage/security#validating-requests>). Several variants of the URL may be the signed one, so each
//! is tried with each secret of the account. Anyone can send a request, so the work is bounded. There is no I/O here: the caller
//! reads the body.

mod account;
mod error;
mod form;
mod headers;
mod key;
mod tokens;
mod url;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request;
use sha2::{Digest, Sha256};
use tracing::info;

pub use error::Error;
pub use headers::{Algorithm, HEADER, SETTINGS_HEADER};
pub use tokens::{LineError, MAX_TOKENS, Tokens, TokensError};

use crate::form::{is_form, parse as parse_form};
use crate::secret::Secret;
use account::find_account;
use headers::SignatureHeaders;
use key::SigningKey;
use tokens::KeyOwner;
use url::{Origins, target_variants};

/// How many bytes are hashed in search of the signed variant of the URL; Twilio's own requests need a hundredth of it. Beyond it
/// the current variant is tried with the remaining keys, and no other variant.
const MAX_HASHED_BYTES: usize = 4 << 20;

/// A request that may be forwarded: its signature was checked, or the route's policy doesn't require that.
#[derive(Debug)]
pub struct VerifiedRequest<B> {
    /// Boxed like every request's head: it is handed on many times, and moving it each time costs more than one allocation.
    head: Box<request::Parts>,
    body: B,
}

impl<B> VerifiedRequest<B> {
    /// A request that was verified, or needed not to be, before it was queued.
    pub fn queued(head: Box<request::Parts>, body: B) -> Self {
        Self { head, body }
    }

    /// The request's head and body.
    pub fn into_parts(self) -> (Box<request::Parts>, B) {
        (self.head, self.body)
    }
}

/// What a route requires of a request's signature.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Nothing: the app checks for itself, or the network lets only Twilio through.
    Off,
    /// It is checked and the result reported, and every request is forwarded.
    Report(Arc<Verifier>),
    /// Only a request with a valid signature is forwarded.
    Enforce(Arc<Verifier>),
}

/// A [`Policy`] without its secrets. The order is from the most lenient to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing is checked.
    Off,
    /// The result is reported.
    Report,
    /// A request without a valid signature is refused.
    Enforce,
}

/// What a policy requires of a request whose body isn't read yet.
#[derive(Debug)]
pub enum Verification<'p, B> {
    /// Nothing.
    Skipped(VerifiedRequest<B>),
    /// Its body is to be read, and its signature checked.
    Required(UnverifiedRequest<'p, B>),
}

/// A request whose signature is to be checked.
#[derive(Debug)]
pub struct UnverifiedRequest<'p, B> {
    verifier: &'p Verifier,
    is_enforced: bool,
    head: Box<request::Parts>,
    body: B,
}

/// When a secret was last used, as the status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUsage {
    /// A SharedKey's id, or the line of the tokens file that holds an auth token.
    pub name: String,
    /// When it last signed a valid request, in seconds since 1970.
    pub last_match: Option<u64>,
}

impl Policy {
    /// When each secret was last used, the last used one first. `None` if nothing is checked.
    pub fn secret_usage(&self) -> Option<Vec<SecretUsage>> {
        let (Self::Report(verifier) | Self::Enforce(verifier)) = self else {
            return None;
        };
        let usage = |key: &SigningKey| SecretUsage {
            name: key.name().to_owned(),
            last_match: key.last_match(),
        };
        let mut secrets: Vec<_> = verifier.tokens.keys().map(usage).collect();
        secrets.sort_by(|a, b| (b.last_match, &a.name).cmp(&(a.last_match, &b.name)));
        Some(secrets)
    }

    /// How strict it is.
    pub fn mode(&self) -> Mode {
        match self {
            Self::Off => Mode::Off,
            Self::Report(_) => Mode::Report,
            Self::Enforce(_) => Mode::Enforce,
        }
    }

    /// Whether signatures are checked, for which the whole body is needed.
    pub fn is_checked(&self) -> bool {
        self.mode() > Mode::Off
    }

    /// Whether a request without a valid signature is refused.
    pub fn is_enforced(&self) -> bool {
        self.mode() == Mode::Enforce
    }

    /// What has to be done before this request may be forwarded.
    pub fn apply<B>(&self, head: Box<request::Parts>, body: B) -> Verification<'_, B> {
        let (Self::Report(verifier) | Self::Enforce(verifier)) = self else {
            return Verification::Skipped(VerifiedRequest { head, body });
        };
        Verification::Required(UnverifiedRequest {
            verifier,
            is_enforced: self.is_enforced(),
            head,
            body,
        })
    }
}

impl<B> UnverifiedRequest<'_, B> {
    /// Checks what the head alone shows: that there is a signature, and that it is well-formed.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn check_head(&self) -> Result<(), Error> {
        SignatureHeaders::parse(&self.head.headers).map(drop)
    }

    /// Checks the signature; `body` is the whole body.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn verify(&self, body: &[u8]) -> Result<(), Error> {
        self.verifier.verify(&self.head, body)
    }

    /// The request, if this result of the check is good enough for the policy.
    ///
    /// # Errors
    ///
    /// The result.
    pub fn accept(self, result: Result<(), Error>) -> Result<VerifiedRequest<B>, Error> {
        match result {
            Err(error) if self.is_enforced => Err(error),
            Err(_) | Ok(()) => Ok(VerifiedRequest {
                head: self.head,
                body: self.body,
            }),
        }
    }
}

/// Checks signatures: it knows the public URL, and the secrets that Twilio signs with.
#[derive(Debug)]
pub struct Verifier {
    origins: Origins,
    tokens: Tokens,
}

impl Verifier {
    /// A verifier for requests to this public URL, which consists of scheme, host and port, that are signed with these secrets.
    pub fn new(public_url: &str, tokens: Tokens) -> Self {
        Self {
            origins: Origins::new(public_url),
            tokens,
        }
    }

    /// Checks that Twilio has signed this request. The head must only contain `Upgrade` if it asks for a WebSocket.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn verify(&self, head: &request::Parts, body: &[u8]) -> Result<(), Error> {
        let headers = SignatureHeaders::parse(&head.headers)?;
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let is_form = is_form(&head.headers);
        let (form, json) = if is_form {
            (body, &[][..])
        } else {
            (&[][..], body)
        };
        let parameters = form::canonicalize(form).ok_or(Error::Invalid)?;
        let account = find_account(query, form, json)?;
        let owner = match headers.algorithm {
            Algorithm::HmacSha1 => KeyOwner::Account(account.as_deref()),
            Algorithm::HmacSha256 => KeyOwner::SharedKey(headers.key_id),
        };
        let key = self
            .find_key(head, &parameters, owner, &headers)
            .filter(|_| is_body_signed(query, body, is_form))
            .ok_or(Error::Invalid)?;
        if key.record_match() {
            info!(
                secret = key.name(),
                "first request with a valid signature of this secret since the configuration was loaded"
            );
        }
        Ok(())
    }

    /// The key that makes this signature of the request.
    fn find_key(
        &self,
        head: &request::Parts,
        parameters: &[u8],
        owner: KeyOwner<'_>,
        headers: &SignatureHeaders<'_>,
    ) -> Option<&SigningKey> {
        let mut hashed = 0;
        let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let origins = self.origins.variants(&head.headers);
        for target in target_variants(target, &head.headers) {
            for origin in &origins {
                let message = [origin.as_bytes(), target.as_bytes(), parameters];
                for key in self.tokens.candidates(owner) {
                    if key.is_signature(&headers.signature, &message) {
                        return Some(key);
                    }
                    hashed += message.iter().map(|part| part.len()).sum::<usize>();
                }
                if hashed > MAX_HASHED_BYTES {
                    return None;
                }
            }
        }
        None
    }
}

/// The signature that Twilio would make with this secret of a form that it sends to this URL.
pub fn sign(algorithm: Algorithm, secret: &Secret, url: &str, form: &[u8]) -> String {
    // Twilio never sends as many parameters as `canonicalize` refuses.
    let parameters = form::canonicalize(form).unwrap_or_default();
    let secret = secret.reveal().as_bytes();
    let message = [url.as_bytes(), &parameters];
    STANDARD.encode(key::compute_hmac(algorithm, secret, &message))
}

/// Whether the signature covers the body. A form is signed itself; of another body the query has the hash.
fn is_body_signed(query: &[u8], body: &[u8], is_form: bool) -> bool {
    let mut parameters = parse_form(query);
    match parameters.find(|(name, _)| **name == *b"bodySHA256") {
        Some((_, hash)) => is_hex_of(&hash, &Sha256::digest(body)),
        None => is_form || body.is_empty(),
    }
}

fn is_hex_of(hex: &[u8], bytes: &[u8]) -> bool {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digit = |value: u8| char::from_digit(value.into(), 16);
    hex.len() == 2 * bytes.len()
        && hex
            .iter()
            .zip(digits)
            .all(|(own, value)| digit(value) == Some(own.to_ascii_lowercase().into()))
}

#[cfg(test)]
mod tests;
