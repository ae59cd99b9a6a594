//! The probes of an open breaker.

use std::cell::RefCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;
use http::uri::Uri;
use tracing::{info, warn};

use super::route::Route;
use super::snapshot::Snapshot;
use crate::breaker::Opened;
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

/// Probes the upstream in the background, wherever the configuration has it by then, until one request may try it again.
pub(super) fn probe_in_background(
    _: Opened,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    route: &Arc<Route>,
) {
    let (snapshot, route) = (Arc::clone(snapshot), Arc::clone(route));
    warn!(
        route = route.settings.name,
        "breaker opened: requests get the fallback at once"
    );
    tokio::task::spawn_local(async move {
        let prober = Prober::new(&route);
        let probe = async || prober.probe(&snapshot.load_full()).await;
        route
            .breaker
            .probe_until_reachable(&route.settings.breaker, probe)
            .await;
        info!(
            route = route.settings.name,
            "breaker half-open: one request may try the app"
        );
    });
}

/// Probes a route's upstream again and again, and logs why that fails whenever the reason changes.
struct Prober<'r> {
    route: &'r Route,
    last_error: RefCell<String>,
}

impl<'r> Prober<'r> {
    fn new(route: &'r Route) -> Self {
        Self {
            route,
            last_error: RefCell::default(),
        }
    }

    /// Whether the upstream is there. A route that a reload removed is not probed any more.
    async fn probe(&self, snapshot: &Snapshot) -> bool {
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
