//! `[upstream]` and `[upstreams.NAME]`: where the apps are.

use std::net::{IpAddr, SocketAddr};
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
use crate::upstream::{Address, Host, Settings};

/// More requests at once than one machine carries.
pub(super) const MOST_IN_FLIGHT: usize = 10_000_000;

/// The name of `[upstream]`, which serves every route that names no other.
pub(super) const DEFAULT: &str = "default";

/// One upstream, and its settings if they are valid.
#[derive(Debug)]
pub(super) struct Upstream<'a> {
    pub(super) name: String,
    pub(super) table: Reader<'a>,
    pub(super) settings: Option<Settings>,
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

/// Reads `[upstream]`, then every `[upstreams.NAME]`.
pub(super) fn read_all<'a>(file: &mut Reader<'a>, files: &mut Files) -> Vec<Upstream<'a>> {
    let default = file.require_table("upstream", EXAMPLE);
    let default = default.map(|table| (DEFAULT, table));
    let named = file.named_tables("upstreams");
    let all = default.into_iter().chain(named);
    all.map(|(name, table)| Upstream::read(name, table, files))
        .collect()
}

impl<'a> Upstream<'a> {
    /// Reads one table. Without a valid URL it isn't known whether TLS is used, so its `tls` is not read.
    fn read(name: &str, mut table: Reader<'a>, files: &mut Files) -> Self {
        if name == DEFAULT && table.location.key != "upstream" {
            let message = format!("the name {} is that of [upstream]", quote(name));
            table.location.error(message, "choose another");
        }
        let origin = table.require("url", EXAMPLE_URL, url::parse_origin);
        let host = table.read("host", parse_host_header);
        let connect_timeout = table.read("connect_timeout", parse_duration);
        let retry_connect = table.read("retry_connect", parse_pause);
        let idle_timeout = table.read("idle_timeout", parse_pause);
        let max_connection_age = table.read("max_connection_age", parse_duration);
        let max_in_flight = table.read("max_in_flight", parse_count(1, MOST_IN_FLIGHT));
        let mut tls_table = table.table("tls");
        let tls = origin.as_ref().and_then(|origin| {
            let tls = tls::read_client(&mut tls_table, origin, files);
            tls_table.finish();
            tls
        });
        table.finish();
        let settings = origin.map(|origin| {
            let defaults = default_settings(origin, tls);
            Settings {
                name: name.to_owned(),
                host,
                connect_timeout: connect_timeout.unwrap_or(defaults.connect_timeout),
                retry_connect: retry_connect.unwrap_or(defaults.retry_connect),
                idle_timeout: idle_timeout.unwrap_or(defaults.idle_timeout),
                max_connection_age: max_connection_age.unwrap_or(defaults.max_connection_age),
                max_in_flight: max_in_flight.unwrap_or(defaults.max_in_flight),
                ..defaults
            }
        });
        Self {
            name: name.to_owned(),
            table,
            settings,
        }
    }

    /// Reports an upstream that leads back to us.
    pub(super) fn check(&self, listen: &[SocketAddr]) {
        let address = self.settings.as_ref().map(|settings| &settings.address);
        if let Some(own) = address.and_then(|address| own_listener(listen, address)) {
            let message = format!("the upstream is understudy's own listener at {own}");
            self.table.at("url").error(message, "name the app");
        }
    }
}

/// The listener that a connection to this address would come to, as far as the configuration tells.
pub(super) fn own_listener<'l>(
    listen: &'l [SocketAddr],
    address: &Address,
) -> Option<&'l SocketAddr> {
    let Address::Tcp(host, port) = address else {
        return None;
    };
    let address = match host {
        Host::Address(address) => address.to_canonical(),
        Host::Name(name) if name.trim_end_matches('.') == "localhost" => {
            IpAddr::from([127, 0, 0, 1])
        }
        Host::Name(_) => return None,
    };
    let is_here = |own: &&SocketAddr| {
        let ip = own.ip().to_canonical();
        // The unspecified address leads to this machine, and a listener on it takes what comes to any of its addresses.
        let is_any = ip.is_unspecified() && (address.is_loopback() || address.is_unspecified());
        let is_local = address.is_unspecified() && ip.is_loopback();
        own.port() == *port && (ip == address || is_any || is_local)
    };
    listen.iter().find(is_here)
}

/// A `Host` header: a host, and a port if it needs one.
fn parse_host_header(value: &DeValue<'_>) -> Result<HeaderValue, Diagnostic> {
    let text = parse_text(value)?;
    if url::is_authority(text)
        && let Ok(host) = HeaderValue::try_from(text)
    {
        return Ok(host);
    }
    let message = format!("{} is not a valid `Host`", quote(text));
    Err(Diagnostic::new(message).help("write a host, and a port if it needs one: \"app.internal\""))
}

const EXAMPLE: &str = "[upstream] and, below it, url = \"http://127.0.0.1:3000\"";
const EXAMPLE_URL: &str = "url = \"http://127.0.0.1:3000\"";
