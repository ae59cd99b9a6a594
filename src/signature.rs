//! Whether a request comes from Twilio; makes the [`VerifiedRequest`] that alone can be forwarded.
//!
//! Twilio signs the URL that it asks for and, if it sends a form, every parameter of it; of any other body the URL holds the
//! hash (<https://www.twilio.com/docs/usage/security#validating-requests>). Which spelling of the URL it has signed can't be
//! known, so each that it may have is tried with each token of the account. Anyone can send a request, so all of that is
//! bounded. There is no I/O here: who asks has read the body.

mod form;
mod json;
mod spelling;
mod tokens;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header, request};
use sha2::{Digest, Sha256};
use tracing::info;

pub use tokens::{LineFault, MOST_TOKENS, Tokens, TokensFault};

use crate::secret::Secret;
use form::{Parameters, Signed};
use spelling::Spellings;

/// The field that holds the signature.
pub const FIELD: &str = "x-twilio-signature";

/// The field that says how the request was signed, where that isn't an auth token and HMAC-SHA1: `key=…,algorithm=…`.
pub const SETTINGS_FIELD: &str = "x-twilio-webhooks-signature-settings";

/// How many bytes are hashed in search of the spelling that was signed; Twilio's own requests need a hundredth of it. After
/// that the spelling at hand is tried to its end, and no other.
const WORK: usize = 4 << 20;

/// A request that may go to the app: its sender was checked, or expressly not.
#[derive(Debug)]
pub struct VerifiedRequest<B> {
    head: request::Parts,
    body: B,
}

impl<B> VerifiedRequest<B> {
    /// The request's head and body.
    pub fn into_parts(self) -> (request::Parts, B) {
        (self.head, self.body)
    }
}

/// What a route asks of a request's signature.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Nothing: the app checks for itself, or the network does.
    Off,
    /// It is checked; what is found changes nothing.
    Report(Arc<Verifier>),
    /// Only what Twilio has signed goes on.
    Enforce(Arc<Verifier>),
}

/// From the most lenient to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is checked.
    Off,
    /// What is found changes nothing.
    Report,
    /// Only what Twilio has signed goes on.
    Enforce,
}

/// What a policy makes of a request whose body isn't read yet.
#[derive(Debug)]
pub enum Admission<'p, B> {
    /// It may go on.
    VerifiedRequest(VerifiedRequest<B>),
    /// It is to be checked first, and its body read for that.
    ToCheck(Unchecked<'p, B>),
}

/// A request that is to be checked.
#[derive(Debug)]
pub struct Unchecked<'p, B> {
    verifier: &'p Verifier,
    enforce: bool,
    head: request::Parts,
    body: B,
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// With an auth token.
    HmacSha1,
    /// With the secret of a SharedKey.
    HmacSha256,
}

impl Algorithm {
    /// As the field [`SETTINGS_FIELD`] has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC_SHA1",
            Self::HmacSha256 => "HMAC_SHA256",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        let mut all = [Self::HmacSha1, Self::HmacSha256].into_iter();
        all.find(|algorithm| name.eq_ignore_ascii_case(algorithm.as_str().as_bytes()))
    }
}

/// Whose secret a request says it is signed with.
#[derive(Clone, Copy, Debug)]
enum Signer<'r> {
    /// An account, if the request names one.
    Account(Option<&'r [u8]>),
    /// The SharedKey of this id.
    SharedKey(&'r [u8]),
}

/// A secret that signatures are checked with, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// A SharedKey's id, or the line of the tokens file in which an auth token stands.
    pub name: String,
    /// When it last signed a valid request, in seconds since 1970.
    pub last_match: Option<u64>,
}

/// Why a request isn't known to be Twilio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It has no signature.
    Missing,
    /// No token makes its signature of it.
    Invalid,
}

impl Policy {
    /// The secrets that requests are checked with, the one that last signed a valid request first; none if nothing is checked.
    pub fn secrets(&self) -> Option<Vec<SecretUse>> {
        let (Self::Report(verifier) | Self::Enforce(verifier)) = self else {
            return None;
        };
        let show = |token: &tokens::Token| SecretUse {
            name: token.name().to_owned(),
            last_match: token.last_match(),
        };
        let mut secrets: Vec<_> = verifier.tokens.all().map(show).collect();
        secrets.sort_by(|a, b| (b.last_match, &a.name).cmp(&(a.last_match, &b.name)));
        Some(secrets)
    }

    /// How strict it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Off => Severity::Off,
            Self::Report(_) => Severity::Report,
            Self::Enforce(_) => Severity::Enforce,
        }
    }

    /// Whether a request's body must be whole before it can become a call.
    pub fn checks(&self) -> bool {
        self.severity() > Severity::Off
    }

    /// Whether only what Twilio has signed goes on.
    pub fn enforces(&self) -> bool {
        self.severity() == Severity::Enforce
    }

    /// The call, if nothing is asked of the request.
    pub fn admit<B>(&self, head: request::Parts, body: B) -> Admission<'_, B> {
        let (verifier, enforce) = match self {
            Self::Off => return Admission::VerifiedRequest(VerifiedRequest { head, body }),
            Self::Report(verifier) => (verifier, false),
            Self::Enforce(verifier) => (verifier, true),
        };
        Admission::ToCheck(Unchecked {
            verifier,
            enforce,
            head,
            body,
        })
    }
}

impl<B> Unchecked<'_, B> {
    /// What the head alone shows: that there is a signature at all, and one that Twilio can have made.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn check_head(&self) -> Result<(), Error> {
        Claim::of(&self.head.headers).map(drop)
    }

    /// What is found with this for the whole of its body.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn verify(&self, whole: &[u8]) -> Result<(), Error> {
        self.verifier.verify(&self.head, whole)
    }

    /// The call, if what was found is good enough for the policy.
    ///
    /// # Errors
    ///
    /// What was found.
    pub fn conclude(self, found: Result<(), Error>) -> Result<VerifiedRequest<B>, Error> {
        let Self {
            enforce,
            head,
            body,
            ..
        } = self;
        match found {
            Err(fault) if enforce => Err(fault),
            Err(_) | Ok(()) => Ok(VerifiedRequest { head, body }),
        }
    }
}

/// Knows how Twilio addresses us, and what it signs with.
#[derive(Debug)]
pub struct Verifier {
    spellings: Spellings,
    tokens: Tokens,
}

impl Verifier {
    /// What knows that Twilio addresses us by this URL (scheme, host and port, nothing behind) and signs with these tokens.
    pub fn new(public_url: &str, tokens: Tokens) -> Self {
        Self {
            spellings: Spellings::of(public_url),
            tokens,
        }
    }

    /// Whether Twilio has signed this request. `Upgrade` stands in its head only if it asks for a WebSocket.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn verify(&self, head: &request::Parts, body: &[u8]) -> Result<(), Error> {
        let Claim {
            signature,
            algorithm,
            key,
        } = Claim::of(&head.headers)?;
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let form = if is_form(&head.headers) { body } else { b"" };
        let signed = Signed::of(form).ok_or(Error::Invalid)?;
        let json = if form.is_empty() { body } else { b"" };
        let account = account(query, form, json)?;
        let signer = match algorithm {
            Algorithm::HmacSha1 => Signer::Account(account.as_deref()),
            Algorithm::HmacSha256 => Signer::SharedKey(key),
        };
        let token = self.token_of(head, &signed, signer, &signature);
        let token = token.filter(|_| is_body_of(query, body, form.is_empty()));
        let token = token.ok_or(Error::Invalid)?;
        if token.note_match() {
            info!(
                secret = token.name(),
                "a request was signed with this secret for the first time since the configuration was loaded"
            );
        }
        Ok(())
    }

    /// The secret that makes this signature of the request.
    fn token_of(
        &self,
        head: &request::Parts,
        form: &Signed,
        signer: Signer<'_>,
        signature: &Signature,
    ) -> Option<&tokens::Token> {
        let mut work = 0;
        let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let authorities = self.spellings.authorities(&head.headers);
        for target in self.spellings.targets(target, &head.headers) {
            for authority in &authorities {
                let message = [authority.as_bytes(), target.as_bytes(), form.as_bytes()];
                for token in self.tokens.of(signer) {
                    if token.signs(message, signature) {
                        return Some(token);
                    }
                    work += message.iter().map(|part| part.len()).sum::<usize>();
                }
                if work > WORK {
                    return None;
                }
            }
        }
        None
    }
}

/// The signature that Twilio would make with this secret of a form that it sends to this URL.
pub fn sign(algorithm: Algorithm, secret: &Secret, url: &str, form: &[u8]) -> String {
    // As many parameters as Twilio never sends are signed as none.
    let form = Signed::of(form);
    let form = form.as_ref().map(Signed::as_bytes).unwrap_or_default();
    let secret = secret.reveal().as_bytes();
    STANDARD.encode(tokens::mac(algorithm, secret, &[url.as_bytes(), form]))
}

/// What a request says of its signature.
struct Claim<'h> {
    signature: Signature,
    algorithm: Algorithm,
    /// The id of the SharedKey; empty if none is named.
    key: &'h [u8],
}

impl<'h> Claim<'h> {
    fn of(headers: &'h HeaderMap) -> Result<Self, Error> {
        let signature = one(headers, FIELD)?.ok_or(Error::Missing)?;
        let settings = one(headers, SETTINGS_FIELD)?.unwrap_or_default();
        let (algorithm, key) = settings_of(settings)?;
        let signature = Signature::decode(signature, algorithm)?;
        Ok(Self {
            signature,
            algorithm,
            key,
        })
    }
}

/// The value of a field that a request has at most once: of several, the app may read another than we.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h [u8]>, Error> {
    let mut fields = headers.get_all(name).iter();
    let field = fields.next().map(http::HeaderValue::as_bytes);
    match fields.next() {
        Some(_) => Err(Error::Invalid),
        None => Ok(field),
    }
}

/// The algorithm and the key's id in the value of [`SETTINGS_FIELD`], read as Twilio's own libraries do (npm `twilio` 6.3.1, PyPI
/// `twilio` 9.13.0): names in this very spelling, values in any letters, blanks around both, the first value that isn't empty.
/// Without an algorithm it is HMAC-SHA1.
///
/// # Errors
///
/// [`Error::Invalid`] for an algorithm that isn't known.
fn settings_of(settings: &[u8]) -> Result<(Algorithm, &[u8]), Error> {
    let value = |name: &[u8]| {
        let parts = settings.split(|byte| *byte == b',');
        let mut values = parts.filter_map(|part| {
            let (own, value) = part.split_at(part.iter().position(|byte| *byte == b'=')?);
            (own.trim_ascii() == name).then(|| value[1..].trim_ascii())
        });
        values.find(|value| !value.is_empty())
    };
    let algorithm = match value(b"algorithm") {
        None => Algorithm::HmacSha1,
        Some(name) => Algorithm::of(name).ok_or(Error::Invalid)?,
    };
    Ok((algorithm, value(b"key").unwrap_or_default()))
}

/// A signature's bytes: 20 by HMAC-SHA1, 32 by HMAC-SHA256.
struct Signature {
    bytes: [u8; 33],
    length: usize,
}

impl Signature {
    fn decode(base64: &[u8], algorithm: Algorithm) -> Result<Self, Error> {
        // One byte more than needed shows what is too long.
        let mut bytes = [0; 33];
        let length = match algorithm {
            Algorithm::HmacSha1 => 20,
            Algorithm::HmacSha256 => 32,
        };
        let decoded = STANDARD.decode_slice(base64, &mut bytes[..=length]);
        match decoded {
            Ok(many) if many == length => Ok(Self { bytes, length }),
            Ok(_) | Err(_) => Err(Error::Invalid),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Whether the body is a form. Of several content types the app may take another than we, so then it is none.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let essence = |value: &http::HeaderValue| {
        let value = value.as_bytes();
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    };
    types.next().is_some_and(essence) && types.next().is_none()
}

/// The account that the request says it is of, in its query, its form or its JSON.
///
/// # Errors
///
/// [`Error::Invalid`] if it names several: the token of one must not open what the app reads as another's.
fn account(query: &[u8], form: &[u8], json: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let named = |part| Parameters::of(part).values(ACCOUNT);
    let all = named(query).chain(named(form)).chain(json::accounts(json));
    let mut account = None;
    for value in all {
        match &account {
            None => account = Some(value),
            Some(known) if *known == value => {}
            Some(_) => return Err(Error::Invalid),
        }
    }
    Ok(account)
}

/// In any letters: some frameworks don't tell them apart.
const ACCOUNT: &str = "AccountSid";

/// Whether this is the body whose hash the query holds. Only a form, or nothing, needs none: a form is signed itself.
fn is_body_of(query: &[u8], body: &[u8], is_no_form: bool) -> bool {
    match Parameters::of(query).value(b"bodySHA256") {
        Some(hash) => is_hex_of(&hash, &Sha256::digest(body)),
        None => body.is_empty() || !is_no_form,
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request has no X-Twilio-Signature",
            Self::Invalid => "the request's X-Twilio-Signature is not Twilio's",
        })
    }
}

impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// Signs `https://a.example/v?bodySHA256=…` with the token `12345`.
    const OF_EMPTY_OBJECT: (&str, &str) = (
        "/v?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "RKMOC9KuKs/YeXA7LAD4TQOY9Eg=",
    );

    fn verified(target: &str, fields: &[(&str, &str)], body: &str) -> Result<(), Error> {
        let tokens = Tokens::parse(b"*=12345").expect("a token");
        let verifier = Verifier::new("https://a.example", tokens);
        let request = Request::builder().method("POST").uri(target);
        let request = fields.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let (head, ()) = request.body(()).expect("a request").into_parts();
        verifier.verify(&head, body.as_bytes())
    }

    #[test]
    fn a_body_that_is_no_form_is_the_one_whose_hash_is_signed() {
        let (target, signature) = OF_EMPTY_OBJECT;
        let signed = (FIELD, signature);
        let json = ("content-type", "application/json");
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(verified(target, &[signed, json], "{}"), Ok(()));
        assert_eq!(
            verified(target, &[signed], "{}"),
            Ok(()),
            "whatever its type"
        );
        for (fields, body) in [
            (&[signed, json][..], "{ }"),
            (&[signed, json], ""),
            (&[signed, form], "{}"),
            (&[signed, form], "&&"),
            (&[signed, form], ""),
        ] {
            assert_eq!(
                verified(target, fields, body),
                Err(Error::Invalid),
                "{fields:?} {body}"
            );
        }
    }

    #[test]
    fn what_nothing_signs_is_refused_even_if_the_url_is_signed() {
        let signed = (FIELD, "sOy79tU3lO3tBWaZN59UaqyJrdY=");
        assert_eq!(verified("/v", &[signed], ""), Ok(()));
        let form = ("content-type", "application/x-www-form-urlencoded");
        let json = ("content-type", "application/json");
        for fields in [&[signed][..], &[signed, json], &[signed, form, json]] {
            assert_eq!(
                verified("/v", fields, "a=b"),
                Err(Error::Invalid),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn a_request_has_one_signature_of_twenty_bytes() {
        assert_eq!(verified("/v", &[], ""), Err(Error::Missing));
        let good = (FIELD, "sOy79tU3lO3tBWaZN59UaqyJrdY=");
        let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for fields in [
            &[good, good][..],
            &[(FIELD, "")],
            &[(FIELD, "?")],
            &[(FIELD, "AAAA")],
            &[(FIELD, zeros)],
            &[(FIELD, "AAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
            &[(FIELD, &zeros.repeat(100))],
        ] {
            assert_eq!(
                verified("/v", fields, ""),
                Err(Error::Invalid),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn the_work_that_a_stranger_can_cause_is_bounded() {
        let text = "*=1\n".repeat(MOST_TOKENS);
        let tokens = Tokens::parse(text.as_bytes()).expect("tokens");
        let verifier = Verifier::new("https://a.example", tokens);
        let request = Request::post(format!("/?{}", "%27%40".repeat(100)))
            .header(FIELD, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
            .header("authorization", "Basic dTpw")
            .header("content-type", "application/x-www-form-urlencoded");
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let form = format!("a={}", "x".repeat(1 << 20));
        let began = std::time::Instant::now();
        assert_eq!(verifier.verify(&head, form.as_bytes()), Err(Error::Invalid));
        // One spelling with every token: 8 MiB, not the 128 MiB of all sixteen. Even without optimisation that is quick.
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
