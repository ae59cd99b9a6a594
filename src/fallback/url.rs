//! A fallback URL, like the one that Twilio has per number.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;

use crate::breaker::Breaker;
use crate::upstream::Upstream;

/// Another app, which is requested if the first has no valid response. If it has none either, a document is sent.
#[derive(Clone, Debug)]
pub struct FallbackUrl {
    /// The server.
    pub upstream: Arc<Upstream>,
    /// The path and query that are requested there.
    pub target: PathAndQuery,
    /// While it is open, the URL is not requested, and no time is reserved for it.
    pub breaker: Arc<Breaker>,
    /// How long the request may take, within the route's deadline.
    pub budget: Duration,
}
