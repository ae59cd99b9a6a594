//! Whether a request comes from Twilio; makes the [`Call`] that alone can be forwarded.

use http::request;

/// A request that may go to the app: its sender was checked, or expressly not.
#[derive(Debug)]
pub struct Call<B> {
    /// The request's head.
    pub head: request::Parts,
    /// The request's body.
    pub body: B,
}

/// What a route asks of a request's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: the app checks for itself, or the network does.
    Off,
}

impl Policy {
    /// The call, if the request passes.
    pub fn admit<B>(self, head: request::Parts, body: B) -> Call<B> {
        match self {
            Self::Off => Call { head, body },
        }
    }
}
