//! Every route with all that its calls need: what a reload builds anew and swaps in one step.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use ipnet::IpNet;
use tracing::warn;

use super::grammar::Grammar;
use super::request;
use crate::body::Budget;
use crate::breaker::{self, Breaker, Permit};
use crate::drill::Drill;
use crate::failure::Failure;
use crate::fallback::Fallback;
use crate::metrics::{Metrics, RouteMetrics};
use crate::recent_failures::RecentFailures;
use crate::route::{Kind, Pattern, Table, readings};
use crate::signature::Policy;
use crate::twiml::{self, Rules, Strictness};
use crate::upstream::{self, ConnectionStats, Upstream};

/// After so long Twilio gives up (error 11205).
const TWILIO_WAITS: Duration = Duration::from_secs(15);

/// What bodies of requests may take together, in bytes, while their signatures aren't checked yet.
const UNVERIFIED_BYTES: usize = 16 << 20;

/// How calls are answered: the routes and the app.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The routes, in the order in which they were written.
    pub routes: Vec<RouteSettings>,
    /// The app.
    pub upstream: upstream::Settings,
    /// Peers whose `X-Forwarded-*` fields are kept.
    pub trusted_proxies: Vec<IpNet>,
    /// What pages are judged by.
    pub grammar: Grammar,
    /// How Twilio addresses us: scheme, host and port, without a slash behind.
    pub public_url: Option<String>,
    /// How long the body of a request may take whose signature is to be checked.
    pub unverified_timeout: Duration,
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
    /// In bytes; for `callback` and `pass` only where signatures are checked.
    pub max_request_body: u64,
    /// How many calls at once; one more gets the fallback.
    pub max_in_flight: usize,
    /// Upstream statuses of 400 and over that go back as they are.
    pub pass_status: Vec<StatusCode>,
    /// What becomes of the app's work when the deadline has passed.
    pub after_deadline: AfterDeadline,
    /// Whether a bad answer is replaced.
    pub mode: Mode,
    /// When calls are answered without a try.
    pub breaker: breaker::Settings,
    /// Whether requests are checked to be Twilio's.
    pub signature: Policy,
    /// Whether each call is a line in the log.
    pub access_log: bool,
    /// What is answered in the app's place.
    pub fallback: Fallback,
}

/// Whether a bad answer is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The fallback stands in for it.
    Enforce,
    /// It is judged and counted, and goes back as it is.
    Observe,
}

impl Mode {
    /// The word that the configuration has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
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
pub struct SharedState {
    /// Every series.
    pub metrics: Arc<Metrics>,
    /// The last failures.
    pub failures: RecentFailures,
    /// The connections to the app, counted.
    pub census: Arc<ConnectionStats>,
    /// What requests take whose signatures aren't checked yet.
    pub(super) unverified: Budget,
    breakers: Mutex<HashMap<String, Arc<Breaker>>>,
    drills: Mutex<HashMap<String, Arc<Drill>>>,
}

impl SharedState {
    /// That of a new process.
    pub fn new() -> Arc<Self> {
        let census = Arc::new(ConnectionStats::default());
        let metrics = Metrics::new(Arc::clone(&census));
        Arc::new(Self {
            metrics,
            failures: RecentFailures::default(),
            census,
            unverified: Budget::new(UNVERIFIED_BYTES),
            breakers: Mutex::default(),
            drills: Mutex::default(),
        })
    }

    /// The breaker of a route, the same one for the same name.
    fn breaker(&self, route: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(route.to_owned());
        Arc::clone(breaker.or_insert_with(Breaker::new))
    }

    /// The drills of a route, the same ones for the same name.
    fn drill(&self, route: &str) -> Arc<Drill> {
        let mut drills = self.drills.lock().unwrap_or_else(PoisonError::into_inner);
        let drill = drills.entry(route.to_owned());
        Arc::clone(drill.or_default())
    }
}

/// How calls are answered until the next reload.
pub struct Snapshot {
    table: Table<Arc<Route>>,
    /// Every route, in the order in which they were written.
    pub routes: Vec<Arc<Route>>,
    /// For requests that no route matches.
    pub unmatched: Arc<Route>,
    /// The app.
    pub upstream: Arc<Upstream>,
    /// Peers whose `X-Forwarded-*` fields are kept.
    pub trusted_proxies: Vec<IpNet>,
    /// How Twilio addresses us.
    pub public_url: Option<String>,
    /// How long the body of a request may take whose signature is to be checked.
    pub(super) unverified_timeout: Duration,
    /// Whether routes ask different things of signatures.
    policies_differ: bool,
    /// What outlives it.
    pub shared: Arc<SharedState>,
}

impl Snapshot {
    /// The site of these settings; connections to the app are kept over a reload that doesn't change where it is.
    pub fn new(settings: Settings, shared: &Arc<SharedState>, before: Option<&Self>) -> Self {
        let route = |route| Arc::new(Route::new(route, &settings.grammar, shared));
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
        let unmatched = route(settings.unmatched);
        let severity = |route: &Arc<Route>| route.settings.signature.severity();
        let site = Self {
            table: Table::new(placed),
            policies_differ: routes
                .iter()
                .any(|route| severity(route) != severity(&unmatched)),
            routes,
            unmatched,
            unverified_timeout: settings.unverified_timeout,
            upstream,
            trusted_proxies: settings.trusted_proxies,
            public_url: settings.public_url,
            shared: Arc::clone(shared),
        };
        site.end_lost_drills();
        site
    }

    /// Ends the drills that would show nothing any more: a route may have gone, or have changed.
    fn end_lost_drills(&self) {
        let drills = &self.shared.drills;
        for (name, drill) in drills.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let Some(progress) = drill.progress() else {
                continue;
            };
            let fault = progress.plan.fault;
            let stays = self
                .named(name)
                .is_some_and(|route| route.can_drill(fault).is_ok());
            if !stays {
                drill.stop();
                self.shared.metrics.route(name).drill_active.set(0);
                warn!(route = name, "drill ended by the new configuration");
            }
        }
    }

    /// The route of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Route>> {
        self.all_routes().find(|route| route.settings.name == name)
    }

    /// Every route, and what holds where none matches.
    pub fn all_routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().chain([&self.unmatched])
    }

    /// Every series, as it is now.
    pub fn exposition(&self) -> Vec<u8> {
        let metrics = &self.shared.metrics;
        // A reload may have made another route of it, or none.
        metrics.route_info.reset();
        metrics.route_deadline.reset();
        for route in self.all_routes() {
            let settings = &route.settings;
            let info = [
                &settings.name,
                settings.kind.as_str(),
                settings.mode.as_str(),
            ];
            metrics.route_info.with_label_values(&info).set(1);
            let deadline = settings.deadline.as_secs_f64();
            metrics
                .route_deadline
                .with_label_values(&[&settings.name])
                .set(deadline);
            let state = route.breaker.state() as i64;
            route.metrics.breaker_state.set(state);
            let drill = route.drill.progress();
            route.metrics.drill_active.set(drill.is_some().into());
        }
        self.shared.metrics.text()
    }

    /// The route of a request, by its path as it stands.
    pub(super) fn route(&self, head: &Parts) -> &Arc<Route> {
        self.route_of(head, head.uri.path())
    }

    /// What is asked of a request's signature: what its route asks, or a stricter one to which the app may lead the same path.
    pub(super) fn policy<'s>(&'s self, route: &'s Route, head: &Parts) -> &'s Policy {
        let own = &route.settings.signature;
        if !self.policies_differ {
            return own;
        }
        let others = readings(head.uri.path()).into_iter();
        others
            .map(|path| &self.route_of(head, &path).settings.signature)
            .chain([own])
            .max_by_key(|policy| policy.severity())
            .unwrap_or(own)
    }

    fn route_of(&self, head: &Parts, path: &str) -> &Arc<Route> {
        let host = request::host(&head.headers);
        let found = self.table.find(&head.method, host, path);
        found.unwrap_or(&self.unmatched)
    }
}

/// One route, ready for its calls.
pub struct Route {
    /// As it is meant.
    pub settings: RouteSettings,
    /// Its series.
    pub metrics: Arc<RouteMetrics>,
    /// Whether its calls are tried.
    pub breaker: Arc<Breaker>,
    /// Its drill.
    pub drill: Arc<Drill>,
    voice: Rules,
    messaging: Rules,
}

impl Route {
    fn new(settings: RouteSettings, grammar: &Grammar, shared: &SharedState) -> Self {
        let strictness = settings.validate.unwrap_or(Strictness::Twilio);
        Self {
            metrics: shared.metrics.route(&settings.name),
            breaker: shared.breaker(&settings.name),
            drill: shared.drill(&settings.name),
            voice: grammar.rules(twiml::Kind::Voice, strictness),
            messaging: grammar.rules(twiml::Kind::Messaging, strictness),
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

    /// How long a call may take. One that is only observed may take as long as Twilio itself waits.
    pub(super) fn budget(&self) -> Duration {
        match self.settings.mode {
            Mode::Enforce => self.settings.deadline,
            Mode::Observe => TWILIO_WAITS,
        }
    }

    /// Leave to try the app; none is needed where nothing is ever replaced.
    pub(super) fn permit(&self) -> Result<Option<Permit>, Failure> {
        match self.settings.mode {
            Mode::Enforce => self.breaker.admit().map(Some).ok_or(Failure::BreakerOpen),
            Mode::Observe => Ok(None),
        }
    }

    /// A place among the calls under way, on the route and at the app.
    pub(super) fn admit(&self, upstream: &Arc<Upstream>) -> Result<ConcurrencyPermit, Failure> {
        let (slot, fits) = ConcurrencyPermit::take(self, upstream);
        if !fits && self.settings.mode == Mode::Enforce {
            return Err(Failure::Overload);
        }
        Ok(slot)
    }
}

/// A place among the calls under way, on a route and at the app; free again when dropped. Only a request that was checked, if its
/// route checks any, takes one.
pub(super) struct ConcurrencyPermit {
    metrics: Arc<RouteMetrics>,
    /// None for a call that won't go there.
    upstream: Option<Arc<Upstream>>,
}

impl ConcurrencyPermit {
    /// The place, and whether it is within the limits of both.
    fn take(route: &Route, upstream: &Arc<Upstream>) -> (Self, bool) {
        let on_route = route.metrics.in_flight.fetch_add(1, Relaxed);
        let at_app = upstream.in_flight.fetch_add(1, Relaxed);
        let fits =
            on_route < route.settings.max_in_flight && at_app < upstream.settings.max_in_flight;
        let slot = Self {
            metrics: Arc::clone(&route.metrics),
            upstream: Some(Arc::clone(upstream)),
        };
        (slot, fits)
    }

    /// A place on the route alone, whether or not one is left.
    pub(super) fn on_route(route: &Route) -> Self {
        route.metrics.in_flight.fetch_add(1, Relaxed);
        Self {
            metrics: Arc::clone(&route.metrics),
            upstream: None,
        }
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        self.metrics.in_flight.fetch_sub(1, Relaxed);
        if let Some(upstream) = &self.upstream {
            upstream.in_flight.fetch_sub(1, Relaxed);
        }
    }
}
