//! The limits on concurrent requests, of a route and of its upstream.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::metrics::RouteMetrics;
use crate::upstream::Upstream;

/// Counts one request among those in flight on its route and at its upstream; dropped, it counts it no more.
pub(super) struct ConcurrencyPermit {
    route: Arc<RouteMetrics>,
    /// None for a request that does not go to the upstream.
    upstream: Option<Arc<Upstream>>,
}

impl ConcurrencyPermit {
    /// Counts a request that goes to the upstream, and says whether it is within the limits of both.
    pub(super) fn take(
        route: &Arc<RouteMetrics>,
        max_in_flight: usize,
        upstream: &Arc<Upstream>,
    ) -> (Self, bool) {
        let on_route = route.in_flight.fetch_add(1, Relaxed);
        let at_upstream = upstream.in_flight.fetch_add(1, Relaxed);
        let is_within = on_route < max_in_flight && at_upstream < upstream.settings.max_in_flight;
        let permit = Self {
            route: Arc::clone(route),
            upstream: Some(Arc::clone(upstream)),
        };
        (permit, is_within)
    }

    /// Counts a request that does not go to the upstream, whatever the limit is.
    pub(super) fn on_route(route: &Arc<RouteMetrics>) -> Self {
        route.in_flight.fetch_add(1, Relaxed);
        Self {
            route: Arc::clone(route),
            upstream: None,
        }
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        self.route.in_flight.fetch_sub(1, Relaxed);
        if let Some(upstream) = &self.upstream {
            upstream.in_flight.fetch_sub(1, Relaxed);
        }
    }
}
