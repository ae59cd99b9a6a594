//! Whether a request comes from Twilio; makes the [`Call`] that alone can be forwarded.
//!
//! Twilio signs the URL that it asks for and, if it sends a form, every parameter of it; of any other body the URL holds the
//! hash (<https://www.twilio.com/docs/usage/security#validating-requests>). Which spelling of the URL it has signed can't be
//! known, so each that it may have is tried with each token of the account. Anyone can send a request, so all of that is
//! bounded. There is no I/O here: who asks has read the body.

mod form;
mod spelling;
mod tokens;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header, request};
use sha2::{Digest, Sha256};

pub use tokens::{LineFault, MOST_TOKENS, Tokens, TokensFault};

use crate::secret::Secret;
use form::{Parameters, Signed};
use spelling::Spellings;
use tokens::Signature;

/// The field that holds the signature.
pub const FIELD: &str = "x-twilio-signature";

/// How many bytes are hashed in search of the spelling that was signed; Twilio's own requests need a hundredth of it. After
/// that the spelling at hand is tried to its end, and no other.
const WORK: usize = 4 << 20;

/// A request that may go to the app: its sender was checked, or expressly not.
#[derive(Debug)]
pub struct Call<B> {
    head: request::Parts,
    body: B,
}

impl<B> Call<B> {
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

/// What a policy makes of a request whose body isn't read yet.
#[derive(Debug)]
pub enum Admission<'p, B> {
    /// It may go on.
    Call(Call<B>),
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

/// Why a request isn't known to be Twilio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has no signature.
    Missing,
    /// No token makes its signature of it.
    Invalid,
}

impl Policy {
    /// Whether a request's body must be whole before it can become a call.
    pub fn checks(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// The call, if nothing is asked of the request.
    pub fn admit<B>(&self, head: request::Parts, body: B) -> Admission<'_, B> {
        let (verifier, enforce) = match self {
            Self::Off => return Admission::Call(Call { head, body }),
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
    /// What is found with this for the whole of its body, and the call if that is good enough.
    pub fn check(self, whole: &[u8]) -> (Result<(), Fault>, Result<Call<B>, Fault>) {
        let found = self.verifier.verify(&self.head, whole);
        let enough = if self.enforce { found } else { Ok(()) };
        let Self { head, body, .. } = self;
        (found, enough.map(|()| Call { head, body }))
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
    /// [`Fault`].
    pub fn verify(&self, head: &request::Parts, body: &[u8]) -> Result<(), Fault> {
        let signature = signature(&head.headers)?;
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let form = if is_form(&head.headers) { body } else { b"" };
        let signed = Signed::of(form).ok_or(Fault::Invalid)?;
        let account = account(form, query);
        let good = self.is_signed(head, &signed, account.as_deref(), &signature)
            && is_body_of(query, body, form.is_empty());
        if good { Ok(()) } else { Err(Fault::Invalid) }
    }

    fn is_signed(
        &self,
        head: &request::Parts,
        form: &Signed,
        account: Option<&[u8]>,
        signature: &Signature,
    ) -> bool {
        let mut work = 0;
        let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let authorities = self.spellings.authorities(&head.headers);
        for target in self.spellings.targets(target, &head.headers) {
            for authority in &authorities {
                let message = [authority.as_bytes(), target.as_bytes(), form.as_bytes()];
                for token in self.tokens.of(account) {
                    if token.signs(message, signature) {
                        return true;
                    }
                    work += message.iter().map(|part| part.len()).sum::<usize>();
                }
                if work > WORK {
                    return false;
                }
            }
        }
        false
    }
}

/// The signature that Twilio would make with this token of a form that it sends to this URL.
pub fn sign(token: &Secret, url: &str, form: &[u8]) -> String {
    // As many parameters as Twilio never sends are signed as none.
    let form = Signed::of(form);
    let form = form.as_ref().map(Signed::as_bytes).unwrap_or_default();
    STANDARD.encode(tokens::mac(
        token.reveal().as_bytes(),
        &[url.as_bytes(), form],
    ))
}

/// The request's one signature.
fn signature(headers: &HeaderMap) -> Result<Signature, Fault> {
    let mut fields = headers.get_all(FIELD).iter();
    let field = fields.next().ok_or(Fault::Missing)?;
    if fields.next().is_some() {
        return Err(Fault::Invalid);
    }
    // One byte more than needed shows what is too long.
    let mut bytes = [0; size_of::<Signature>() + 1];
    let many = STANDARD.decode_slice(field, &mut bytes);
    let signature = many.ok().and_then(|many| bytes[..many].try_into().ok());
    signature.ok_or(Fault::Invalid)
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

/// The account that the request says it is of.
fn account(form: &[u8], query: &[u8]) -> Option<Vec<u8>> {
    let named = |part| Parameters::of(part).value(b"AccountSid");
    named(form).or_else(|| named(query))
}

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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request has no X-Twilio-Signature",
            Self::Invalid => "the request's X-Twilio-Signature is not Twilio's",
        })
    }
}

impl StdError for Fault {}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// Signs `https://a.example/v?bodySHA256=…` with the token `12345`.
    const OF_EMPTY_OBJECT: (&str, &str) = (
        "/v?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "RKMOC9KuKs/YeXA7LAD4TQOY9Eg=",
    );

    fn verified(target: &str, fields: &[(&str, &str)], body: &str) -> Result<(), Fault> {
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
                Err(Fault::Invalid),
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
                Err(Fault::Invalid),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn a_request_has_one_signature_of_twenty_bytes() {
        assert_eq!(verified("/v", &[], ""), Err(Fault::Missing));
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
                Err(Fault::Invalid),
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
        assert_eq!(verifier.verify(&head, form.as_bytes()), Err(Fault::Invalid));
        // One spelling with every token: 8 MiB, not the 128 MiB of all sixteen. Even without optimisation that is quick.
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
