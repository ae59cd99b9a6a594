//! `[upstream]` and `[upstreams.NAME]`: where the apps are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, quote};
use super::files::Files;
use super::reader::Reader;
use super::tls;
use super::url::{self, Origin};
use super::value::{parse_count, parse_duration, parse_pause, parse_text};
use crate::tls::Client;
use crate::upstream::Settings;

/// More requests at once than one machine carries.
const MOST_IN_FLIGHT: usize = 10_000_000;

/// The name of `[upstream]`, which serves every route that names no other.
pub(super) const DEFAULT: &str = "default";

/// One upstream.
#[derive(Debug)]
pub(super) struct Upstream<'a> {
    pub(super) name: String,
    pub(super) table: Reader<'a>,
    /// With a default for what is not valid, so that the rest can be checked.
    pub(super) settings: Settings,
}

/// The settings of an app of which only the origin is known.
pub(super) fn default_settings(origin: Origin, tls: Option<Client>) -> Settings {
    Settings {
        name: DEFAULT.to_owned(),
        address: origin.address,
        host: None,
        tls,
        connect_timeout: Duration::from_millis(250),
        retry_connect: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(3),
        max_connection_age: Duration::from_secs(60),
        max_in_flight: 4096,
    }
}

/// Reads `[upstream]`, then every `[upstreams.NAME]` of the main file and of those that it includes.
pub(super) fn read_all<'a>(
    main: &mut Reader<'a>,
    included: &mut [Reader<'a>],
    files: &mut Files,
) -> Vec<Upstream<'a>> {
    let default = main.require_table("upstream", EXAMPLE);
    let default = default.map(|table| (DEFAULT, table));
    let named = [main].into_iter().chain(included);
    let named = named.flat_map(|file| file.named_tables("upstreams"));
    let all = default.into_iter().chain(named);
    let all: Vec<_> = all
        .map(|(name, table)| Upstream::read(name, table, files))
        .collect();
    check_names(&all);
    all
}

/// Reports names that are given in several files; within one file TOML allows none of them twice.
fn check_names(upstreams: &[Upstream<'_>]) {
    let mut taken = HashMap::new();
    let named = upstreams.iter().filter(|upstream| upstream.name != DEFAULT);
    for upstream in named {
        let location = &upstream.table.location;
        if let Some(other) = taken.insert(&upstream.name, location) {
            let position = other.position_from(location);
            let message = format!("the name {} is taken at {position}", quote(&upstream.name));
            location.error(message, "give each upstream a name of its own");
        }
    }
}

impl<'a> Upstream<'a> {
    /// Reads one table. Without a valid URL it isn't known whether TLS is used, so its `tls` is not read.
    fn read(name: &str, mut table: Reader<'a>, files: &mut Files) -> Self {
        if name == DEFAULT && table.location.key != "upstream" {
            let message = format!("the name {} is that of [upstream]", quote(name));
            table.location.error(message, "choose another");
        }
        let origin = table.require("url", EXAMPLE_URL, url::parse_origin);
        let mut app = Settings {
            name: name.to_owned(),
            host: table.read("host", parse_host_header),
            ..default_settings(origin.clone().unwrap_or_else(Origin::unknown), None)
        };
        table.set("connect_timeout", &mut app.connect_timeout, parse_duration);
        table.set("retry_connect", &mut app.retry_connect, parse_pause);
        table.set("idle_timeout", &mut app.idle_timeout, parse_pause);
        table.set(
            "max_connection_age",
            &mut app.max_connection_age,
            parse_duration,
        );
        table.set("max_in_flight", &mut app.max_in_flight, parse_in_flight);
        let mut tls = table.table("tls");
        if let Some(origin) = &origin {
            app.tls = tls::read_client(&mut tls, origin, files);
            tls.finish();
        }
        table.finish();
        Self {
            name: name.to_owned(),
            table,
            settings: app,
        }
    }

    /// Reports an upstream that leads back to us.
    pub(super) fn check(&self, listen: &[SocketAddr]) {
        let address = &self.settings.address;
        if let Some(own) = listen.iter().find(|own| address.leads_to(**own)) {
            let message = format!("the upstream is understudy's own listener at {own}");
            self.table.at("url").error(message, "name the app");
        }
    }
}

/// A limit of requests at once.
pub(super) fn parse_in_flight(value: &DeValue<'_>) -> Result<usize, Diagnostic> {
    parse_count(1, MOST_IN_FLIGHT)(value)
}

/// A `Host` header: a host, and a port if it needs one.
fn parse_host_header(value: &DeValue<'_>) -> Result<HeaderValue, Diagnostic> {
    let text = parse_text(value)?;
    let host = HeaderValue::try_from(text).ok();
    let host = host.filter(|_| url::is_authority(text));
    host.ok_or_else(|| {
        Diagnostic::about(text, "is not a valid `Host`")
            .help("write a host, and a port if it needs one: \"app.internal\"")
    })
}

const EXAMPLE: &str = "[upstream] and, below it, url = \"http://127.0.0.1:3000\"";
const EXAMPLE_URL: &str = "url = \"http://127.0.0.1:3000\"";
