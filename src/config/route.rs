//! `[defaults]` and `[[route]]`: which requests a route is for, and how they are handled.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use humantime::format_duration;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, quote, suggest};
use super::fallback::{DocumentReader, built_in};
use super::queue::Queue;
use super::reader::Reader;
use super::signature::Signatures;
use super::upstream::{self, Upstream, parse_in_flight};
use super::url;
use super::value::{
    parse_any_duration, parse_bool, parse_count, parse_duration, parse_error_status, parse_method,
    parse_path, parse_size, parse_target, parse_text, parse_word,
};
use crate::breaker;
use crate::proxy::{AfterDeadline, Mode, RouteSettings, WhenDown};
use crate::route::{Kind, Path, Pattern};
use crate::signature::Policy;
use crate::twilio;
use crate::twiml::Strictness;

/// Leaves the response one second to reach Twilio.
const LONGEST_DEADLINE: Duration = twilio::WEBHOOK_TIMEOUT.saturating_sub(Duration::from_secs(1));

/// More failures in a row than anyone would wait for.
const MOST_FAILURES: usize = 1_000_000;

/// The name under which requests are counted that match no route.
const UNMATCHED: &str = "unmatched";

/// The settings for requests that match no route, where `[defaults]` doesn't say otherwise.
fn built_in_defaults() -> RouteSettings {
    RouteSettings {
        name: UNMATCHED.to_owned(),
        pattern: match_all(),
        kind: Kind::Pass,
        upstream: upstream::DEFAULT.to_owned(),
        deadline: Duration::from_secs(8),
        validate: Some(Strictness::Twilio),
        max_request_body: 256 << 10,
        max_in_flight: 1024,
        pass_status: vec![StatusCode::UNAUTHORIZED],
        after_deadline: AfterDeadline::Drain,
        mode: Mode::Enforce,
        signature: Policy::Off,
        access_log: false,
        when_down: WhenDown::Error,
        breaker: breaker::Settings {
            failures: 5,
            probe_every: Duration::from_secs(5),
            health_path: None,
        },
        fallback: built_in(),
    }
}

fn match_all() -> Pattern {
    Pattern {
        path: Path::Prefix("/".to_owned()),
        host: None,
        methods: Vec::new(),
    }
}

/// All routes, and the settings for requests that match none.
pub(super) struct Routes<'a> {
    pub(super) defaults: RouteSettings,
    pub(super) list: Vec<Route<'a>>,
}

/// One `[[route]]`.
#[derive(Debug)]
pub(super) struct Route<'a> {
    table: Reader<'a>,
    has_valid_name: bool,
    has_valid_pattern: bool,
    /// With a default for what is not valid, so that the rest can be checked.
    pub(super) settings: RouteSettings,
}

/// The routes of a configuration that names an app and nothing else: one takes every request.
pub(super) fn default_routes() -> (RouteSettings, Vec<RouteSettings>) {
    let route = RouteSettings {
        name: "default".to_owned(),
        kind: Kind::Auto,
        ..built_in_defaults()
    };
    (built_in_defaults(), vec![route])
}

impl<'a> Routes<'a> {
    /// Reads `[defaults]`, and every `[[route]]` of the main file and of those that it includes.
    pub(super) fn read(
        main: &mut Reader<'a>,
        included: &mut [Reader<'a>],
        documents: &mut DocumentReader<'_>,
        signatures: &Signatures,
    ) -> Self {
        let mut table = main.table("defaults");
        let mut defaults = built_in_defaults();
        read_settings(&mut table, &mut defaults, signatures);
        table.finish();
        let tables = [main].into_iter().chain(included);
        let tables = tables.flat_map(|file| file.tables("route"));
        let list = tables.map(|table| Route::read(table, &defaults, documents, signatures));
        let list = list.collect();
        Self { defaults, list }
    }

    /// Reports and notes what only several settings together show.
    pub(super) fn check(&self, upstreams: &[Upstream<'_>], listen: &[SocketAddr]) {
        check_names(&self.list);
        check_patterns(&self.list);
        for route in &self.list {
            check_fallback_urls(route, listen);
        }
        self.note_unchecked_requests();
        for upstream in upstreams {
            upstream.check(listen);
            self.check_connect_timeout(upstream);
            self.note_unused(upstream);
        }
    }

    /// Reports each upstream that a route names and that there is none of.
    pub(super) fn check_upstreams(&self, upstreams: &[Upstream<'_>]) {
        for route in &self.list {
            route.check_upstream(upstreams);
        }
    }

    /// Reports each route that queues without a queue.
    pub(super) fn check_queue(&self, queue: &Queue) {
        let queueing = self.list.iter();
        let queueing = queueing.filter(|route| route.settings.when_down == WhenDown::Queue);
        for route in queueing.filter(|_| !queue.is_given) {
            route.table.at("when_down").error(
                "[queue] is missing: it says where callbacks wait",
                "write under [queue]: path = \"/var/lib/understudy/queue\"",
            );
        }
    }

    /// An upstream that no route uses may be a mistake.
    fn note_unused(&self, upstream: &Upstream<'_>) {
        let is_used = self
            .list
            .iter()
            .any(|route| route.settings.upstream == upstream.name);
        if !is_used && upstream.name != upstream::DEFAULT {
            let note = Diagnostic::new("no route uses this upstream");
            let help = format!("write upstream = {} in a route", quote(&upstream.name));
            upstream.table.location.note(note.help(help));
        }
    }

    /// Some apps handle `/Voice` as they handle `/voice`. Then a request could avoid the check of its signature by a path that
    /// matches no route.
    fn note_unchecked_requests(&self) {
        let mut routes = self.list.iter().filter(|route| enforces(&route.settings));
        let checks_all = |route: &Route<'_>| route.settings.pattern == match_all();
        if enforces(&self.defaults) || routes.clone().any(checks_all) {
            return;
        }
        if let Some(route) = routes.next() {
            let note = "requests that match no route reach the app even if Twilio has not signed them, \
                 and the app may answer /Voice or /voice/ as it answers /voice";
            route.table.at("signature").note(Diagnostic::new(note).help(
                "write signature = \"enforce\" in [defaults], and signature = \"off\" on the routes that need it",
            ));
        }
    }

    /// The default may be longer than a deadline, which then applies. A timeout that is given must not.
    fn check_connect_timeout(&self, upstream: &Upstream<'_>) {
        if !upstream.table.has("connect_timeout") {
            return;
        }
        let routes = self.list.iter().map(|route| &route.settings);
        let own = routes.chain([&self.defaults]);
        let own = own.filter(|route| route.upstream == upstream.name);
        let shortest = own.min_by_key(|route| route.deadline);
        let timeout = upstream.settings.connect_timeout;
        if let Some(route) = shortest.filter(|route| timeout > route.deadline) {
            let message = format!(
                "{} is longer than {}, the deadline of route {}, and connecting is but one step in it",
                format_duration(timeout),
                format_duration(route.deadline),
                quote(&route.name)
            );
            let location = upstream.table.at("connect_timeout");
            location.error(message, "\"250ms\" is usual");
        }
    }
}

/// Reads the keys that `[defaults]` and each route may have. The others stay as they are.
fn read_settings(table: &mut Reader<'_>, route: &mut RouteSettings, signatures: &Signatures) {
    table.set("deadline", &mut route.deadline, parse_deadline);
    table.set("validate", &mut route.validate, parse_word(&VALIDATE));
    table.set("max_request_body", &mut route.max_request_body, parse_size);
    table.set("max_in_flight", &mut route.max_in_flight, parse_in_flight);
    if let Some(statuses) = table.list("pass_status", parse_error_status) {
        route.pass_status = statuses;
    }
    table.set(
        "after_deadline",
        &mut route.after_deadline,
        parse_word(&AFTER_DEADLINE),
    );
    table.set("mode", &mut route.mode, parse_word(&MODE));
    if let Some(policy) = signatures.policy(table) {
        route.signature = policy;
    }
    table.set("access_log", &mut route.access_log, parse_bool);
    read_breaker(table.table("breaker"), &mut route.breaker);
}

fn read_breaker(mut table: Reader<'_>, settings: &mut breaker::Settings) {
    table.set("failures", &mut settings.failures, |value| {
        parse_count(0, MOST_FAILURES)(value).map(|failures| failures as u32)
    });
    table.set("probe_every", &mut settings.probe_every, parse_duration);
    table.set("health_path", &mut settings.health_path, |value| {
        parse_target(value).map(Some)
    });
    table.finish();
}

impl<'a> Route<'a> {
    fn read(
        mut table: Reader<'a>,
        defaults: &RouteSettings,
        documents: &mut DocumentReader<'_>,
        signatures: &Signatures,
    ) -> Self {
        let name = table.require("name", "name = \"incoming-call\"", parse_name);
        let pattern = read_pattern(&mut table);
        let kind = table.require("kind", "kind = \"voice\"", parse_word(&Kind::ALL));
        let fallback = documents.read(&mut table, kind);
        let mut settings = defaults.clone();
        table.set("upstream", &mut settings.upstream, parse_string);
        read_settings(&mut table, &mut settings, signatures);
        let when_down = table.read("when_down", parse_word(&WHEN_DOWN));
        check_when_down(&table, when_down, kind, settings.mode);
        table.finish();
        Self {
            table,
            has_valid_name: name.is_some(),
            has_valid_pattern: pattern.is_some(),
            settings: RouteSettings {
                name: name.unwrap_or_default(),
                pattern: pattern.unwrap_or(settings.pattern),
                kind: kind.unwrap_or(settings.kind),
                when_down: when_down.unwrap_or_default(),
                fallback,
                ..settings
            },
        }
    }

    /// Reports an upstream that there is none of.
    fn check_upstream(&self, upstreams: &[Upstream<'_>]) {
        let names = upstreams.iter().map(|upstream| upstream.name.as_str());
        let (names, named) = (names.collect::<Vec<_>>(), self.settings.upstream.as_str());
        if self.table.has("upstream") && !names.contains(&named) {
            let error = Diagnostic::about(named, "is not the name of an upstream");
            let location = self.table.at("upstream");
            location.add(error.help(suggest(named, &names, '"')));
        }
    }
}

/// Whether only requests that Twilio has signed are accepted.
fn enforces(settings: &RouteSettings) -> bool {
    matches!(settings.signature, Policy::Enforce(_))
}

/// Only a callback can be queued: a caller who expects a response can't wait until the app is well again.
fn check_when_down(
    table: &Reader<'_>,
    when_down: Option<WhenDown>,
    kind: Option<Kind>,
    mode: Mode,
) {
    if when_down != Some(WhenDown::Queue) {
        return;
    }
    match kind {
        Some(Kind::Callback) if mode == Mode::Observe => table.at("when_down").note(
            Diagnostic::new("nothing is queued as long as the mode is \"observe\""),
        ),
        Some(Kind::Callback) | None => {}
        Some(kind) => table.at("when_down").error(
            format!(
                "only callbacks can be queued, and the kind is {}: its response is waited for",
                quote(kind.as_str())
            ),
            "leave it out, or write kind = \"callback\"",
        ),
    }
}

fn read_pattern(route: &mut Reader<'_>) -> Option<Pattern> {
    let path = route.require("path", "path = \"/voice\"", parse_path);
    let host = route.read("host", url::parse_host);
    let methods = route.non_empty_list("methods", parse_method);
    // Without a host or methods that are given but not valid, the pattern would match too much and seem to collide with others.
    let is_whole = host.is_some() == route.has("host") && methods.is_some() == route.has("methods");
    path.filter(|_| is_whole).map(|path| Pattern {
        path,
        host,
        methods: methods.unwrap_or_default(),
    })
}

fn check_names(routes: &[Route<'_>]) {
    let mut taken = HashMap::new();
    for route in routes.iter().filter(|route| route.has_valid_name) {
        let name = route.settings.name.as_str();
        if let Some(other) = taken.insert(name, &route.table) {
            let location = route.table.at("name");
            let position = other.at("name").position_from(&location);
            let message = format!("the name {} is taken at {position}", quote(name));
            let help = "each route is counted under its name, so give each its own";
            location.error(message, help);
        }
    }
}

fn check_patterns(routes: &[Route<'_>]) {
    // Only patterns with the same path and host can collide, so not every route is compared with every other.
    let mut seen: HashMap<_, Vec<&Route<'_>>> = HashMap::new();
    for route in routes.iter().filter(|route| route.has_valid_pattern) {
        let pattern = &route.settings.pattern;
        let earlier = seen.entry((&pattern.path, &pattern.host)).or_default();
        let conflicts = |other: &&&Route<'_>| pattern.conflicts_with(&other.settings.pattern);
        if let Some(other) = earlier.iter().find(conflicts) {
            let location = route.table.at("path");
            let position = other.table.at("path").position_from(&location);
            let name = quote(&other.settings.name);
            let message = format!("route {name} at {position} matches the same requests");
            let help = "give one of the two another path, host or methods";
            location.error(message, help);
        }
        earlier.push(route);
    }
}

/// Checks that fallback URLs leave the app some time and don't lead back to us.
fn check_fallback_urls(route: &Route<'_>, listen: &[SocketAddr]) {
    let RouteSettings {
        fallback, deadline, ..
    } = &route.settings;
    for url in fallback.urls() {
        if url.budget >= *deadline {
            let message = format!(
                "the fallback URL's budget of {} leaves the app no time within the deadline of {}",
                format_duration(url.budget),
                format_duration(*deadline)
            );
            (route.table.at("fallback")).error(message, "make it shorter");
        }
        let address = &url.upstream.settings.address;
        if let Some(own) = listen.iter().find(|own| address.leads_to(**own)) {
            let message = format!("the fallback URL leads back to understudy at {own}");
            (route.table.at("fallback")).error(message, "name another app");
        }
    }
}

fn parse_string(value: &DeValue<'_>) -> Result<String, Diagnostic> {
    parse_text(value).map(str::to_owned)
}

fn parse_deadline(value: &DeValue<'_>) -> Result<Duration, Diagnostic> {
    let deadline = parse_any_duration(value)?;
    if deadline <= LONGEST_DEADLINE {
        return Ok(deadline);
    }
    let message = format!(
        "{} is longer than {}: Twilio gives up after {}, and the response has to arrive before that",
        format_duration(deadline),
        format_duration(LONGEST_DEADLINE),
        format_duration(twilio::WEBHOOK_TIMEOUT)
    );
    Err(Diagnostic::new(message).help("write \"8s\", or at most \"14s\""))
}

/// A name that can be a label of metrics and stand in a log line and in a URL.
fn parse_name(value: &DeValue<'_>) -> Result<String, Diagnostic> {
    let name = parse_text(value)?;
    if name == UNMATCHED {
        let message = format!("the name \"{name}\" is reserved for requests that match no route");
        return Err(Diagnostic::new(message).help("choose another"));
    }
    if (1..=100).contains(&name.chars().count()) && !name.contains(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(Diagnostic::about(name, "can't be a label of metrics")
        .help("write 1 to 100 characters, none of them a control character"))
}

const VALIDATE: [(&str, Option<Strictness>); 3] = [
    ("off", None),
    ("twilio", Some(Strictness::Twilio)),
    ("strict", Some(Strictness::Strict)),
];

const MODE: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];

const WHEN_DOWN: [(&str, WhenDown); 2] = [("error", WhenDown::Error), ("queue", WhenDown::Queue)];

const AFTER_DEADLINE: [(&str, AfterDeadline); 2] = [
    ("drain", AfterDeadline::Drain),
    ("cancel", AfterDeadline::Cancel),
];
