//! `[upstream]`: where the app is.

use std::time::Duration;

use super::files::Files;
use super::reader::Reader;
use super::tls;
use super::url::{self, Origin};
use super::value::{parse_count, parse_duration};
use crate::tls::Client;
use crate::upstream::{Address, Settings};

/// More requests at once than one machine carries.
pub(super) const MOST_IN_FLIGHT: usize = 10_000_000;

/// `[upstream]`, and its settings if they are valid.
#[derive(Debug)]
pub(super) struct Upstream<'a> {
    pub(super) table: Reader<'a>,
    pub(super) settings: Settings,
}

/// The settings of an app of which only the origin is known.
pub(super) fn default_settings(origin: Origin, tls: Option<Client>) -> Settings {
    Settings {
        name: "default".to_owned(),
        address: Address::Tcp(origin.host, origin.port),
        host: None,
        tls,
        connect_timeout: Duration::from_millis(250),
        retry_connect: Duration::from_secs(2),
        max_connection_age: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(3),
        max_in_flight: 4096,
    }
}

/// Reads `[upstream]`. Without a valid URL it isn't known whether TLS is used, so `[upstream.tls]` is not read.
pub(super) fn read<'a>(file: &mut Reader<'a>, files: &mut Files) -> Option<Upstream<'a>> {
    let mut table = file.require_table("upstream", EXAMPLE)?;
    let origin = table.require("url", EXAMPLE_URL, url::parse_origin);
    let connect_timeout = table.read("connect_timeout", parse_duration);
    let idle_timeout = table.read("idle_timeout", parse_duration);
    let max_in_flight = table.read("max_in_flight", parse_count(1, MOST_IN_FLIGHT));
    let mut tls_table = table.table("tls");
    let tls = origin.as_ref().and_then(|origin| {
        let tls = tls::read_client(&mut tls_table, origin, files);
        tls_table.finish();
        tls
    });
    table.finish();

    let defaults = default_settings(origin?, tls);
    let settings = Settings {
        connect_timeout: connect_timeout.unwrap_or(defaults.connect_timeout),
        idle_timeout: idle_timeout.unwrap_or(defaults.idle_timeout),
        max_in_flight: max_in_flight.unwrap_or(defaults.max_in_flight),
        ..defaults
    };
    Some(Upstream { table, settings })
}

const EXAMPLE: &str = "[upstream] and, below it, url = \"http://127.0.0.1:3000\"";
const EXAMPLE_URL: &str = "url = \"http://127.0.0.1:3000\"";
