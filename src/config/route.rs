//! `[defaults]` and `[[route]]`: what each route is for, and what becomes of its calls.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::StatusCode;
use toml::de::DeValue;

use super::host;
use super::page::{self, Pages};
use super::problem::Problem;
use super::reader::Reader;
use super::report::{Report, Spot};
use super::signature::{SignatureProblem, Signatures};
use super::upstream::Upstream;
use super::value;
use super::words::Text;
use crate::breaker;
use crate::fallback::Fallback;
use crate::proxy::{AfterDeadline, Mode, RouteSettings};
use crate::route::{Kind, Path, Pattern};
use crate::signature::Policy;
use crate::twilio;
use crate::twiml::{self, Strictness};
use crate::upstream::{Address, Host};

/// One second less than Twilio waits, in which the response reaches it.
pub(super) const LONGEST_DEADLINE: Duration =
    twilio::WEBHOOK_TIMEOUT.saturating_sub(Duration::from_secs(1));

/// More calls at once than one machine carries.
pub(super) const MOST_IN_FLIGHT: usize = 10_000_000;

/// More failures in a row than anyone would wait for.
const MOST_FAILURES: usize = 1_000_000;

/// The name of what no route matches.
const UNMATCHED: &str = "unmatched";

/// What `[defaults]` says and a route may say again.
#[derive(Clone, Debug)]
pub(super) struct Inherited {
    deadline: Duration,
    validate: Option<Strictness>,
    max_request_body: u64,
    max_in_flight: usize,
    pass_status: Vec<StatusCode>,
    after_deadline: AfterDeadline,
    mode: Mode,
    signature: Policy,
    access_log: bool,
    breaker: breaker::Settings,
}

impl Default for Inherited {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(8),
            validate: Some(Strictness::Twilio),
            max_request_body: 256 << 10,
            max_in_flight: 1024,
            pass_status: vec![StatusCode::UNAUTHORIZED],
            after_deadline: AfterDeadline::Drain,
            mode: Mode::Enforce,
            signature: Policy::Off,
            access_log: false,
            breaker: breaker::Settings {
                failures: 5,
                probe_every: Duration::from_secs(5),
                health_path: None,
            },
        }
    }
}

impl Inherited {
    /// What a table says, and for the rest what holds already.
    fn read(table: &mut Reader<'_>, base: &Self, signatures: &Signatures) -> Self {
        Self {
            deadline: table.read("deadline", deadline).unwrap_or(base.deadline),
            validate: table.word("validate", &VALIDATE).unwrap_or(base.validate),
            max_request_body: table
                .read("max_request_body", value::size)
                .unwrap_or(base.max_request_body),
            max_in_flight: table
                .read("max_in_flight", value::count(1, MOST_IN_FLIGHT))
                .unwrap_or(base.max_in_flight),
            pass_status: table
                .list("pass_status", value::failure_status)
                .unwrap_or_else(|| base.pass_status.clone()),
            after_deadline: table
                .word("after_deadline", &AFTER_DEADLINE)
                .unwrap_or(base.after_deadline),
            mode: table.word("mode", &MODE).unwrap_or(base.mode),
            signature: signatures
                .policy(table)
                .unwrap_or_else(|| base.signature.clone()),
            access_log: table
                .read("access_log", value::truth)
                .unwrap_or(base.access_log),
            breaker: breaker(table.table("breaker"), &base.breaker),
        }
    }

    fn route(
        &self,
        name: String,
        kind: Kind,
        pattern: Pattern,
        fallback: Fallback,
    ) -> RouteSettings {
        RouteSettings {
            name,
            pattern,
            kind,
            upstream: "default".to_owned(),
            deadline: self.deadline,
            validate: self.validate,
            max_request_body: self.max_request_body,
            max_in_flight: self.max_in_flight,
            pass_status: self.pass_status.clone(),
            after_deadline: self.after_deadline,
            mode: self.mode,
            signature: self.signature.clone(),
            access_log: self.access_log,
            breaker: self.breaker.clone(),
            fallback,
        }
    }
}

/// Reads a `breaker` table: what it says, and for the rest what holds already.
fn breaker(mut table: Reader<'_>, base: &breaker::Settings) -> breaker::Settings {
    let settings = breaker::Settings {
        failures: table
            .read("failures", value::count(0, MOST_FAILURES))
            .map_or(base.failures, |failures| failures as u32),
        probe_every: table
            .read("probe_every", value::duration)
            .unwrap_or(base.probe_every),
        health_path: table
            .read("health_path", value::target)
            .or_else(|| base.health_path.clone()),
    };
    table.finish();
    settings
}

/// One `[[route]]`, as much of it as could be read, and where that stands.
#[derive(Debug)]
pub(super) struct Route {
    name: Option<String>,
    name_spot: Spot,
    pattern: Option<Pattern>,
    path_spot: Spot,
    fallback_spot: Spot,
    signature_spot: Spot,
    deadline: Duration,
    /// The whole, if nothing is wrong with it.
    pub(super) settings: Option<RouteSettings>,
}

/// What holds for a request that no route matches.
pub(super) fn unmatched(inherited: &Inherited) -> RouteSettings {
    inherited.route(
        UNMATCHED.to_owned(),
        Kind::Pass,
        everything(),
        page::built_in(),
    )
}

/// The one route of an app of which nothing is said.
pub(super) fn catch_all() -> RouteSettings {
    Inherited::default().route(
        "default".to_owned(),
        Kind::Auto,
        everything(),
        page::built_in(),
    )
}

fn everything() -> Pattern {
    Pattern {
        path: Path::Prefix("/".to_owned()),
        host: None,
        methods: Vec::new(),
    }
}

/// Reads `[defaults]` and every `[[route]]`.
pub(super) fn read(
    file: &mut Reader<'_>,
    pages: &mut Pages<'_>,
    signatures: &Signatures,
) -> (Inherited, Vec<Route>) {
    let mut defaults = file.table("defaults");
    let inherited = Inherited::read(&mut defaults, &Inherited::default(), signatures);
    defaults.finish();
    let tables = file.tables("route").into_iter();
    let routes = tables
        .map(|table| Route::read(table, &inherited, pages, signatures))
        .collect();
    (inherited, routes)
}

impl Route {
    fn read(
        mut table: Reader<'_>,
        inherited: &Inherited,
        pages: &mut Pages<'_>,
        signatures: &Signatures,
    ) -> Self {
        let name = table.require("name", "name = \"incoming-call\"", label);
        let pattern = pattern(&mut table);
        table.expect("kind", "kind = \"voice\"");
        let kind = table.word("kind", &Kind::ALL);
        let fallback = pages.read(&mut table, kind);
        let own = Inherited::read(&mut table, inherited, signatures);
        let (name_spot, path_spot) = (table.spot("name"), table.spot("path"));
        let fallback_spot = table.spot("fallback");
        let signature_spot = table.spot("signature");
        table.finish();

        let parts = (name.clone(), kind, pattern.clone(), fallback);
        let settings = match parts {
            (Some(name), Some(kind), Some(pattern), Some(fallback)) => {
                Some(own.route(name, kind, pattern, fallback))
            }
            _ => None,
        };
        Self {
            name,
            name_spot,
            pattern,
            path_spot,
            fallback_spot,
            signature_spot,
            deadline: own.deadline,
            settings,
        }
    }

    /// Whether it takes only requests that Twilio has signed.
    fn enforces(&self) -> bool {
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| is_enforced(&settings.signature))
    }

    /// Whether every request matches it, so that none is left that matches no route.
    fn matches_everything(&self) -> bool {
        self.pattern.as_ref() == Some(&everything())
    }

    /// Its name, for those who speak of it.
    fn label(&self) -> Text {
        self.name.as_deref().unwrap_or_default().into()
    }
}

fn pattern(route: &mut Reader<'_>) -> Option<Pattern> {
    let path = route.require("path", "path = \"/voice\"", value::path);
    let (has_host, has_methods) = (route.has("host"), route.has("methods"));
    let host = route.read("host", host::host);
    let methods = route.non_empty_list("methods", value::method);
    // A pattern whose host or methods are wrong would be too wide: it would seem to collide.
    let is_whole = host.is_some() == has_host && methods.is_some() == has_methods;
    let methods = methods.unwrap_or_default();
    path.filter(|_| is_whole).map(|path| Pattern {
        path,
        host,
        methods,
    })
}

/// What concerns several routes at once.
pub(super) fn check(
    routes: &[Route],
    inherited: &Inherited,
    upstream: Option<&Upstream>,
    listen: &[SocketAddr],
    report: &Report<'_>,
) {
    check_names(routes, report);
    check_patterns(routes, report);
    check_elsewhere(routes, listen, report);
    note_unmatched(routes, inherited, report);
    if let Some(upstream) = upstream {
        check_connect_timeout(routes, inherited, upstream, report);
    }
}

fn check_names(routes: &[Route], report: &Report<'_>) {
    let mut taken = HashMap::new();
    for route in routes {
        let Some(name) = &route.name else { continue };
        if let Some(other) = taken.insert(name, &route.name_spot) {
            let other = report.place(other.at);
            let name = name.as_str().into();
            report.add(route.name_spot.clone(), Problem::SameName { name, other });
        }
    }
}

fn check_patterns(routes: &[Route], report: &Report<'_>) {
    // Only patterns of one path and host can collide, so ten thousand routes aren't compared each with each.
    let mut seen: HashMap<_, Vec<(&Pattern, &Route)>> = HashMap::new();
    for route in routes {
        let Some(pattern) = &route.pattern else {
            continue;
        };
        let earlier = seen.entry((&pattern.path, &pattern.host)).or_default();
        if let Some((_, other)) = earlier
            .iter()
            .find(|(other, _)| pattern.conflicts_with(other))
        {
            let with = other.label();
            let other = report.place(other.path_spot.at);
            report.add(route.path_spot.clone(), Problem::Collision { with, other });
        }
        earlier.push((pattern, route));
    }
}

/// An app may take `/Voice` for `/voice`, and then a route that enforces signatures is gone round where what matches no route
/// isn't held to them.
fn note_unmatched(routes: &[Route], inherited: &Inherited, report: &Report<'_>) {
    let is_closed = is_enforced(&inherited.signature)
        || routes
            .iter()
            .any(|route| route.matches_everything() && route.enforces());
    let enforcing = routes.iter().find(|route| route.enforces());
    if let Some(route) = enforcing.filter(|_| !is_closed) {
        let note = SignatureProblem::UnmatchedNotEnforced;
        report.note(route.signature_spot.clone(), note.into());
    }
}

fn is_enforced(policy: &Policy) -> bool {
    matches!(policy, Policy::Enforce(_))
}

/// A fallback URL leaves the app some time, and doesn't lead back to us.
fn check_elsewhere(routes: &[Route], listen: &[SocketAddr], report: &Report<'_>) {
    for route in routes {
        let Some(settings) = &route.settings else {
            continue;
        };
        let both = [twiml::Kind::Voice, twiml::Kind::Messaging];
        for elsewhere in both
            .iter()
            .filter_map(|kind| settings.fallback.fallback_url(*kind))
        {
            let (found, deadline) = (elsewhere.budget, route.deadline);
            if found >= deadline {
                report.add(
                    route.fallback_spot.clone(),
                    Problem::Budget { found, deadline },
                );
            }
            let place = &elsewhere.upstream.settings;
            let ours = listen.iter().find(|own| is_ours(own, &place.address));
            if let Some(own) = ours {
                report.add(route.fallback_spot.clone(), Problem::PointsAtUs(*own));
            }
        }
    }
}

/// Whether a connection there would come to this listener, as far as can be told without asking anyone.
fn is_ours(listen: &SocketAddr, address: &Address) -> bool {
    let Address::Tcp(host, port) = address else {
        return false;
    };
    let address = match host {
        Host::Address(address) => Some(*address),
        Host::Name(name) if name == "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        Host::Name(_) => None,
    };
    let everywhere = listen.ip().is_unspecified();
    let here = |address: IpAddr| address == listen.ip() || everywhere && address.is_loopback();
    listen.port() == *port && address.is_some_and(here)
}

/// A default that is longer than a deadline does no harm: the deadline cuts it. One that is given is a mistake.
fn check_connect_timeout(
    routes: &[Route],
    inherited: &Inherited,
    upstream: &Upstream,
    report: &Report<'_>,
) {
    let Some(spot) = &upstream.connect_timeout else {
        return;
    };
    let found = upstream.settings.connect_timeout;
    let deadlines = routes.iter().map(|route| (route.deadline, route.label()));
    let unmatched = (inherited.deadline, UNMATCHED.into());
    let shortest = deadlines
        .chain([unmatched])
        .min_by_key(|(deadline, _)| *deadline);
    if let Some((deadline, route)) = shortest.filter(|(deadline, _)| found > *deadline) {
        report.add(
            spot.clone(),
            Problem::ConnectTimeout {
                found,
                deadline,
                route,
            },
        );
    }
}

fn deadline(value: &DeValue<'_>) -> Result<Duration, Problem> {
    match value::duration(value) {
        Ok(deadline) if deadline > LONGEST_DEADLINE => Err(Problem::Deadline(deadline)),
        Err(Problem::TooLong { found, .. }) => Err(Problem::Deadline(found)),
        other => other,
    }
}

/// A name that can stand as a label of metrics, in a log line and in a URL.
fn label(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = value::text(value)?;
    if text == UNMATCHED {
        return Err(Problem::ReservedName(UNMATCHED));
    }
    let is_good = (1..=100).contains(&text.chars().count()) && !text.contains(char::is_control);
    is_good
        .then(|| text.to_owned())
        .ok_or_else(|| Problem::Name { found: text.into() })
}

const VALIDATE: [(&str, Option<Strictness>); 3] = [
    ("off", None),
    ("twilio", Some(Strictness::Twilio)),
    ("strict", Some(Strictness::Strict)),
];

const MODE: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];

const AFTER_DEADLINE: [(&str, AfterDeadline); 2] = [
    ("drain", AfterDeadline::Drain),
    ("cancel", AfterDeadline::Cancel),
];
