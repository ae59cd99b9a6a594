//! A callback as it is stored.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method};

/// A callback as it came, to be delivered later.
#[derive(Clone, PartialEq, Eq)]
pub struct Callback {
    /// The route's name.
    pub route: String,
    /// What it is about: a CallSid, a MessageSid … Callbacks of one route and key are delivered in their order.
    pub key: String,
    /// Why it was queued, as a label of metrics.
    pub reason: String,
    /// When it came; stored to the millisecond.
    pub received: SystemTime,
    /// Who sent it.
    pub client: IpAddr,
    /// The method of the request.
    pub method: Method,
    /// The path and the query, as they came.
    pub target: String,
    /// The headers that the app is to get; the order of one name's values is kept.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Nothing of a caller's data: it may get into a log.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("route", &self.route)
            .field("reason", &self.reason)
            .field("received", &self.received)
            .field("size", &self.body.len())
            .finish_non_exhaustive()
    }
}
