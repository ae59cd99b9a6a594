//! Every route with all that its calls need: what a reload builds anew and swaps in one step.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use ipnet::IpNet;

use super::request;
use crate::failures::Failures;
use crate::fallback::Fallback;
use crate::metrics::{Metrics, RouteMetrics};
use crate::outcome::Cause;
use crate::route::{Kind, Pattern, Table};
use crate::signature::Policy;
use crate::twiml::{self, Rules, Strictness};
use crate::upstream::{self, Census, Upstream};

/// How calls are answered: the routes and the app.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The routes, in the order in which they were written.
    pub routes: Vec<RouteSettings>,
    /// The app.
    pub upstream: upstream::Settings,
    /// Peers whose `X-Forwarded-*` fields are kept.
    pub trusted_proxies: Vec<IpNet>,
    /// What holds for a request that no route matches (it is `pass`).
    pub unmatched: RouteSettings,
}

/// One route as it is meant, every default filled in.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The `route` label.
    pub name: String,
    /// Which requests it is for.
    pub pattern: Pattern,
    /// What its answers must be.
    pub kind: Kind,
    /// From the head received to the last byte of the answer ready.
    pub deadline: Duration,
    /// How answers are judged; none: not at all.
    pub validate: Option<Strictness>,
    /// In bytes; not for `callback` and `pass`.
    pub max_request_body: u64,
    /// How many calls at once; one more gets the fallback.
    pub max_in_flight: usize,
    /// Upstream statuses of 400 and over that go back as they are.
    pub pass_status: Vec<StatusCode>,
    /// What becomes of the app's work when the deadline has passed.
    pub after_deadline: AfterDeadline,
    /// What is answered in the app's place.
    pub fallback: Fallback,
}

/// What becomes of the app's work when the deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeadline {
    /// The app may finish, within 15 s; its answer is counted late.
    Drain,
    /// The connection is closed.
    Cancel,
}

/// What outlives every reload.
pub struct Shared {
    /// Every series.
    pub metrics: Arc<Metrics>,
    /// The last failures.
    pub failures: Failures,
    /// The connections to the app, counted.
    pub census: Arc<Census>,
}

impl Shared {
    /// That of a new process.
    pub fn new() -> Arc<Self> {
        let census = Arc::new(Census::default());
        let metrics = Metrics::new(Arc::clone(&census));
        Arc::new(Self {
            metrics,
            failures: Failures::default(),
            census,
        })
    }
}

/// How calls are answered until the next reload.
pub struct Site {
    table: Table<Arc<Route>>,
    /// Every route, in the order in which they were written.
    pub routes: Vec<Arc<Route>>,
    /// For requests that no route matches.
    pub unmatched: Arc<Route>,
    /// The app.
    pub upstream: Arc<Upstream>,
    /// Peers whose `X-Forwarded-*` fields are kept.
    pub trusted_proxies: Vec<IpNet>,
    /// What outlives it.
    pub shared: Arc<Shared>,
}

impl Site {
    /// The site of these settings; connections to the app are kept over a reload that doesn't change where it is.
    pub fn new(settings: Settings, shared: &Arc<Shared>, before: Option<&Self>) -> Self {
        let route = |settings: RouteSettings| Arc::new(Route::new(settings, &shared.metrics));
        let routes: Vec<_> = settings.routes.into_iter().map(route).collect();
        let placed = routes
            .iter()
            .map(|route| (route.settings.pattern.clone(), Arc::clone(route)));
        let upstream = match before {
            Some(before) if before.upstream.settings == settings.upstream => {
                Arc::clone(&before.upstream)
            }
            _ => Arc::new(Upstream::new(settings.upstream, Arc::clone(&shared.census))),
        };
        Self {
            table: Table::new(placed),
            routes,
            unmatched: route(settings.unmatched),
            upstream,
            trusted_proxies: settings.trusted_proxies,
            shared: Arc::clone(shared),
        }
    }

    /// The route of a request.
    pub(super) fn route(&self, head: &Parts) -> &Arc<Route> {
        let host = request::host(&head.headers);
        let found = self.table.find(&head.method, host, head.uri.path());
        found.unwrap_or(&self.unmatched)
    }
}

/// One route, ready for its calls.
pub struct Route {
    /// As it is meant.
    pub settings: RouteSettings,
    /// Its series.
    pub metrics: Arc<RouteMetrics>,
    pub(super) signature: Policy,
    voice: Rules,
    messaging: Rules,
}

impl Route {
    fn new(settings: RouteSettings, metrics: &Metrics) -> Self {
        let strictness = settings.validate.unwrap_or(Strictness::Twilio);
        Self {
            metrics: metrics.route(&settings.name),
            signature: Policy::Off,
            voice: Rules::new(twiml::Kind::Voice, strictness),
            messaging: Rules::new(twiml::Kind::Messaging, strictness),
            settings,
        }
    }

    /// What its pages are judged by.
    pub(super) fn rules(&self, kind: twiml::Kind) -> &Rules {
        match kind {
            twiml::Kind::Voice => &self.voice,
            twiml::Kind::Messaging => &self.messaging,
        }
    }

    /// A place among the calls under way.
    pub(super) fn admit(&self) -> Result<Slot, Cause> {
        let slot = Slot::take(&self.metrics);
        if slot.before >= self.settings.max_in_flight {
            return Err(Cause::Overload);
        }
        Ok(slot)
    }
}

/// A place among a route's calls under way, free again when dropped.
pub(super) struct Slot {
    metrics: Arc<RouteMetrics>,
    /// How many there were already.
    before: usize,
}

impl Slot {
    fn take(metrics: &Arc<RouteMetrics>) -> Self {
        let before = metrics.in_flight.fetch_add(1, Relaxed);
        Self {
            metrics: Arc::clone(metrics),
            before,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.metrics.in_flight.fetch_sub(1, Relaxed);
    }
}
