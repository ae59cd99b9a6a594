//! One upstream, as all workers share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use http::header::HOST;
use http::{HeaderMap, HeaderValue};

use super::connect::Connector;
use super::connection::Connection;
use super::error::Error;
use super::settings::Settings;
use super::stats::ConnectionStats;
use super::stream::Stream;

/// One upstream, as all workers share it.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    pub settings: Settings,
    /// The connections to it, counted.
    pub stats: Arc<ConnectionStats>,
    /// Requests in flight, over all routes and workers.
    pub in_flight: AtomicUsize,
    connector: Connector,
    /// The `Host` of a request that has none.
    authority: HeaderValue,
    /// How many reloads there were: connections from before the last one are not used again.
    generation: AtomicU64,
}

impl Upstream {
    /// The upstream with these settings.
    pub fn new(settings: Settings, stats: Arc<ConnectionStats>) -> Self {
        Self {
            authority: settings.address.authority(),
            connector: Connector::new(&settings.address),
            stats,
            in_flight: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            settings,
        }
    }

    /// Replaces every connection by a new one before its next request.
    pub fn renew_connections(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    /// Whether a connection of this generation may be used.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Relaxed) == generation
    }

    /// Writes the `Host` that the upstream gets.
    pub(super) fn address_request(&self, headers: &mut HeaderMap) {
        if let Some(host) = &self.settings.host {
            headers.insert(HOST, host.clone());
        } else if !headers.contains_key(HOST) {
            headers.insert(HOST, self.authority.clone());
        }
    }

    /// A new connection that speaks HTTP.
    pub(super) async fn connect(&self) -> Result<Box<Connection>, Error> {
        let generation = self.generation.load(Relaxed);
        let stream = self.open().await?;
        Connection::new(stream, generation, &self.stats).await
    }

    /// A new stream.
    pub(super) async fn open(&self) -> Result<Stream, Error> {
        self.connector.connect(&self.settings).await
    }
}
