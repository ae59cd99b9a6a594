//! `[upstream]`: where the app is.

use std::time::Duration;

use super::host::{self, Place};
use super::reader::Reader;
use super::report::Spot;
use super::route::MOST_IN_FLIGHT;
use super::tls::Found;
use super::value;
use crate::tls::Client;
use crate::upstream::{Address, Settings};

/// `[upstream]` as it is meant.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) settings: Settings,
    /// Where `connect_timeout` stands, if it is given.
    pub(super) connect_timeout: Option<Spot>,
}

/// An app of which nothing but the address is said.
pub(super) fn at(Place { host, port, .. }: Place, tls: Option<Client>) -> Settings {
    Settings {
        name: "default".to_owned(),
        address: Address::Tcp(host, port),
        host: None,
        tls,
        connect_timeout: Duration::from_millis(250),
        retry_connect: Duration::from_secs(2),
        max_connection_age: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(3),
        max_in_flight: 4096,
    }
}

/// Reads `[upstream]`. Without a good URL nobody knows what TLS would be for, and `[upstream.tls]` is left unread.
pub(super) fn read(file: &mut Reader<'_>, found: &mut Found<'_>) -> Option<Upstream> {
    let mut upstream = file.require_table("upstream", EXAMPLE)?;
    let url = upstream.require("url", EXAMPLE_URL, host::url);
    let connect_timeout = upstream.read("connect_timeout", value::duration);
    let idle_timeout = upstream.read("idle_timeout", value::duration);
    let max_in_flight = upstream.read("max_in_flight", value::count(1, MOST_IN_FLIGHT));
    let spot = upstream.spot("connect_timeout");
    let mut table = upstream.table("tls");
    let tls = url.as_ref().and_then(|place| {
        let tls = found.client(&mut table, place);
        table.finish();
        tls
    });
    upstream.finish();

    let mut settings = at(url?, tls);
    settings.connect_timeout = connect_timeout.unwrap_or(settings.connect_timeout);
    settings.idle_timeout = idle_timeout.unwrap_or(settings.idle_timeout);
    settings.max_in_flight = max_in_flight.unwrap_or(settings.max_in_flight);
    Some(Upstream {
        settings,
        connect_timeout: connect_timeout.map(|_| spot),
    })
}

const EXAMPLE: &str = "[upstream] and, below it, url = \"http://127.0.0.1:3000\"";
const EXAMPLE_URL: &str = "url = \"http://127.0.0.1:3000\"";
