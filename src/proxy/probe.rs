//! The probes of an open breaker.

use std::cell::RefCell;

use http::HeaderValue;
use http::uri::Uri;
use tracing::info;

use super::route::Route;
use super::snapshot::Snapshot;
use crate::log::describe_error;
use crate::upstream::ProbeError;

impl Snapshot {
    /// Asks a route's upstream once, as its breaker does.
    ///
    /// # Errors
    ///
    /// Why the upstream is taken to be down.
    pub async fn probe(&self, route: &Route) -> Result<(), ProbeError> {
        let path = route.settings.breaker.health_path.as_deref();
        let host = self.probe_host(route);
        route.upstream.probe(path, host.as_ref()).await
    }

    /// The `Host` that the route's requests have, as far as the configuration tells.
    fn probe_host(&self, route: &Route) -> Option<HeaderValue> {
        let own = route.settings.pattern.host.clone();
        let host = own.or_else(|| {
            let public_url: Uri = self.public_url.as_ref()?.parse().ok()?;
            Some(public_url.authority()?.to_string())
        });
        HeaderValue::try_from(host?).ok()
    }
}

/// Probes a route's upstream again and again, and logs why that fails whenever the reason changes.
pub(super) struct Prober<'r> {
    route: &'r Route,
    last_error: RefCell<String>,
}

impl<'r> Prober<'r> {
    pub(super) fn new(route: &'r Route) -> Self {
        Self {
            route,
            last_error: RefCell::default(),
        }
    }

    /// Whether the upstream is there. A route that a reload removed is not probed any more.
    pub(super) async fn probe(&self, snapshot: &Snapshot) -> bool {
        // A reload may have moved the route to another upstream.
        let Some(route) = snapshot.named(&self.route.settings.name) else {
            return true;
        };
        let Err(error) = snapshot.probe(route).await else {
            return true;
        };
        let error = describe_error(&error);
        if self.last_error.replace(error.clone()) != error {
            info!(
                route = self.route.settings.name,
                error, "health probe failed"
            );
        }
        false
    }
}
