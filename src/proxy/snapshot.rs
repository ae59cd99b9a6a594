//! One configuration in force: what a reload builds anew and swaps in one step.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::request::Parts;
use ipnet::IpNet;
use tracing::warn;

use super::normalize;
use super::route::{Grammar, Route, RouteSettings};
use super::shared_state::SharedState;
use crate::metrics::ConfiguredRoute;
use crate::queue::{self, Summary};
use crate::route::{RouteTable, normalized_paths};
use crate::signature::Policy;
use crate::upstream::{self, Upstream};

/// How requests are handled: the routes and the upstream.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The routes, in the order in which they were written.
    pub routes: Vec<RouteSettings>,
    /// The upstreams; every route names one of them.
    pub upstreams: Vec<upstream::Settings>,
    /// Peers whose `X-Forwarded-*` headers are kept.
    pub trusted_proxies: Vec<IpNet>,
    /// The grammars of TwiML.
    pub grammar: Grammar,
    /// How Twilio addresses us: scheme, host and port, without a slash at the end.
    pub public_url: Option<String>,
    /// How long the body of a request may take whose signature is to be checked.
    pub unverified_timeout: Duration,
    /// Where callbacks are queued, if anywhere.
    pub queue: Option<queue::Settings>,
    /// What holds for a request that no route matches (its kind is `pass`).
    pub unmatched: RouteSettings,
}

/// One configuration in force. Each request keeps the one that it started with.
pub struct Snapshot {
    table: RouteTable<Arc<Route>>,
    /// Every route, in the order in which they were written.
    pub routes: Vec<Arc<Route>>,
    /// For requests that no route matches.
    pub unmatched: Arc<Route>,
    /// The upstreams, in the order in which they were written.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Peers whose `X-Forwarded-*` headers are kept.
    trusted_proxies: Vec<IpNet>,
    /// How Twilio addresses us.
    pub public_url: Option<String>,
    /// How long the body of a request may take whose signature is to be checked.
    pub(super) unverified_timeout: Duration,
    /// Where callbacks are queued, if anywhere.
    pub queue: Option<queue::Settings>,
    /// Some routes check signatures more strictly than others.
    policies_differ: bool,
    /// What outlives it.
    pub shared: Arc<SharedState>,
}

impl Snapshot {
    /// Puts settings in force. Connections to the upstream are kept over a reload that does not change where it is.
    pub fn new(settings: Settings, shared: &Arc<SharedState>, before: Option<&Self>) -> Self {
        let upstreams: Vec<_> = settings
            .upstreams
            .into_iter()
            .map(|settings| keep_or_replace(settings, shared, before))
            .collect();
        let route = |route: RouteSettings| {
            let upstream = upstreams
                .iter()
                .find(|upstream| upstream.settings.name == route.upstream)
                .expect("a route's upstream is one of the configuration's");
            let upstream = Arc::clone(upstream);
            Arc::new(Route::new(route, upstream, &settings.grammar, shared))
        };
        let routes: Vec<_> = settings.routes.into_iter().map(route).collect();
        let by_pattern = routes
            .iter()
            .map(|route| (route.settings.pattern.clone(), Arc::clone(route)));
        let unmatched = route(settings.unmatched);
        let mode = |route: &Arc<Route>| route.settings.signature.mode();
        let snapshot = Self {
            table: RouteTable::new(by_pattern),
            policies_differ: routes.iter().any(|route| mode(route) != mode(&unmatched)),
            routes,
            unmatched,
            unverified_timeout: settings.unverified_timeout,
            queue: settings.queue,
            upstreams,
            trusted_proxies: settings.trusted_proxies,
            public_url: settings.public_url,
            shared: Arc::clone(shared),
        };
        snapshot.end_lost_drills();
        snapshot
    }

    /// Ends the drills that would show nothing any more: their route has gone, or has changed.
    fn end_lost_drills(&self) {
        for (name, drill) in self.shared.drills() {
            let Some(progress) = drill.progress() else {
                continue;
            };
            let fault = progress.settings.fault;
            let route = self.named(&name);
            if route.is_none_or(|route| route.can_drill(fault).is_err()) {
                drill.stop();
                self.shared.metrics.route(&name).drill_active.set(0.0);
                warn!(route = name, "drill ended by the new configuration");
            }
        }
    }

    /// Whether a peer at this address is trusted to say for whom it forwards.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies
            .iter()
            .any(|block| block.contains(&address))
    }

    /// The route of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Route>> {
        self.all_routes().find(|route| route.settings.name == name)
    }

    /// Every route, and what holds where none matches.
    pub fn all_routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().chain([&self.unmatched])
    }

    /// The longest time that a response may take on any route, until its head is there.
    pub fn longest_deadline(&self) -> Duration {
        let limits = self.all_routes().map(|route| route.time_limit());
        limits.max().unwrap_or_default()
    }

    /// The metrics of the process, in Prometheus' text format.
    pub fn render_metrics(&self) -> String {
        for route in self.all_routes() {
            let breaker = &route.metrics.breaker_state;
            breaker.set(f64::from(route.breaker.state() as u8));
            let has_drill = route.drill.progress().is_some();
            route.metrics.drill_active.set(has_drill.into());
        }
        if let Some(store) = self.shared.queue() {
            self.refresh_queue(&store.summary());
        }
        let configured = self.all_routes().map(|route| ConfiguredRoute {
            name: &route.settings.name,
            kind: route.settings.kind.as_str(),
            mode: route.settings.mode.as_str(),
            upstream: &route.settings.upstream,
            deadline: route.settings.deadline,
        });
        let configured: Vec<_> = configured.collect();
        self.shared.metrics.encode(&configured)
    }

    /// Copies what the store counts. Routes that are gone may have callbacks that wait.
    fn refresh_queue(&self, summary: &Summary) {
        let now = SystemTime::now();
        let metrics = &self.shared.metrics;
        for name in summary.routes.keys() {
            metrics.route(name).queue();
        }
        metrics.for_each_queue(|name, queue| {
            let counts = summary.routes.get(name).cloned().unwrap_or_default();
            let oldest = counts
                .oldest
                .and_then(|oldest| now.duration_since(oldest).ok());
            queue.depth.set(counts.waiting as f64);
            queue.dead_letters.set(counts.dead as f64);
            queue.oldest.set(oldest.unwrap_or_default().as_secs_f64());
        });
    }

    /// The route of a request, by its path as it stands.
    pub(super) fn route(&self, head: &Parts) -> &Arc<Route> {
        self.find_route(head, head.uri.path())
    }

    /// How a request's signature is checked: as its route says, or more strictly if the upstream may take the path for that of a
    /// stricter route.
    pub(super) fn policy<'s>(&'s self, route: &'s Route, head: &Parts) -> &'s Policy {
        let own = &route.settings.signature;
        if !self.policies_differ {
            return own;
        }
        let others = normalized_paths(head.uri.path()).into_iter();
        others
            .map(|path| &self.find_route(head, &path).settings.signature)
            .chain([own])
            .max_by_key(|policy| policy.mode())
            .unwrap_or(own)
    }

    fn find_route(&self, head: &Parts, path: &str) -> &Arc<Route> {
        let host = match self.table.names_hosts() {
            true => normalize::host(&head.headers),
            false => "",
        };
        let found = self.table.find(&head.method, host, path);
        found.unwrap_or(&self.unmatched)
    }
}

fn keep_or_replace(
    settings: upstream::Settings,
    shared: &SharedState,
    before: Option<&Snapshot>,
) -> Arc<Upstream> {
    let mut known = before.into_iter().flat_map(|before| &before.upstreams);
    match known.find(|upstream| upstream.settings == settings) {
        Some(upstream) => {
            // What its name points to may have changed, which is why somebody reloads.
            upstream.renew_connections();
            Arc::clone(upstream)
        }
        None => {
            let stats = shared.metrics.upstream(&settings.name);
            Arc::new(Upstream::new(settings, stats))
        }
    }
}
