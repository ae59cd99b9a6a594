//! Another app, asked for an answer when the first has none. A page stands behind it all the same.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;

use crate::upstream::Upstream;

/// A fallback URL, as Twilio has one per number.
#[derive(Clone, Debug)]
pub struct FallbackUrl {
    /// Where it is.
    pub upstream: Arc<Upstream>,
    /// What is asked for there.
    pub target: PathAndQuery,
    /// How long it may take, within the route's deadline.
    pub budget: Duration,
}
