//! Why a request isn't accepted as Twilio's.

/// Why a request isn't accepted as Twilio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no signature.
    #[error("the request has no X-Twilio-Signature")]
    Missing,
    /// No known secret makes this signature of it.
    #[error("the request's X-Twilio-Signature is not Twilio's")]
    Invalid,
}
