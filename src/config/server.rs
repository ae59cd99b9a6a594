//! `[server]`: how we listen, and which proxies in front of us are trusted.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use super::diagnostic::Diagnostic;
use super::files::{Files, NamedFile, permissions_note};
use super::reader::Reader;
use super::report::Report;
use super::tls;
use super::url;
use super::value::{self, parse_address, parse_count, parse_duration, parse_pause};
use crate::secret::Secret;
use crate::server::Settings;

/// More threads than any machine has cores are a typo.
const MOST_WORKERS: usize = 1024;
/// In characters, which are ASCII. A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;
/// Beyond what one machine's ports and memory carry.
const MOST_CONNECTIONS: usize = 10_000_000;

/// `[server]`.
pub(super) struct Server {
    pub(super) settings: Settings,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) public_url: PublicUrl,
}

/// The key `public_url`.
pub(super) struct PublicUrl {
    /// None if it is not given or not valid.
    pub(super) url: Option<String>,
    pub(super) is_given: bool,
}

pub(super) fn default_settings() -> Settings {
    Settings {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
        admin: SocketAddr::from(([127, 0, 0, 1], 9464)),
        admin_token: None,
        tls: None,
        workers: one_per_core(),
        shutdown_delay: Duration::ZERO,
        drain: Duration::from_secs(20),
        max_connections: 10_000,
        proxy_protocol: false,
        header_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        tunnel_idle_timeout: Duration::from_secs(60 * 60),
    }
}

/// The proxies that are trusted by default: this machine and private networks.
pub(super) fn default_trusted_proxies() -> Vec<IpNet> {
    let private = [
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    ];
    let parse = |block: &str| block.parse().expect("the constants are valid blocks");
    private.map(parse).into()
}

/// Reads `[server]`.
pub(super) fn read(file: &mut Reader<'_>, files: &mut Files) -> Server {
    let mut table = file.table("server");
    let mut server = default_settings();
    server.tls = tls::read_server(&mut table, files);
    if let Some(addresses) = table.non_empty_list("listen", parse_address) {
        server.listen = addresses;
    }
    table.set("admin", &mut server.admin, parse_address);
    server.admin_token = read_admin_token(&mut table, files);
    table.set("workers", &mut server.workers, parse_workers);
    table.set("shutdown_delay", &mut server.shutdown_delay, parse_pause);
    table.set("drain", &mut server.drain, parse_duration);
    let parse_connections = parse_count(1, MOST_CONNECTIONS);
    table.set(
        "max_connections",
        &mut server.max_connections,
        parse_connections,
    );
    table.set("header_timeout", &mut server.header_timeout, parse_duration);
    table.set("keep_alive", &mut server.keep_alive, parse_duration);
    table.set(
        "tunnel_idle_timeout",
        &mut server.tunnel_idle_timeout,
        value::parse_long_duration,
    );
    table.set(
        "proxy_protocol",
        &mut server.proxy_protocol,
        value::parse_bool,
    );
    let trusted_proxies = table.list("trusted_proxies", value::parse_network);
    if server.proxy_protocol && trusted_proxies.as_ref().is_some_and(Vec::is_empty) {
        table.at("proxy_protocol").error(
            "no proxy is trusted, so every connection would be refused",
            "list the addresses of your load balancer: trusted_proxies = [\"10.0.0.10\"]",
        );
    }
    let public_url = PublicUrl {
        url: table.read("public_url", url::parse_public_url),
        is_given: table.has("public_url"),
    };
    check_addresses(&server, &table);
    table.finish();
    Server {
        settings: server,
        trusted_proxies: trusted_proxies.unwrap_or_else(default_trusted_proxies),
        public_url,
    }
}

/// The defaults, except for the addresses in the arguments.
pub(super) fn settings_from_arguments(
    listen: Option<&str>,
    admin: Option<&str>,
    report: &Report<'_>,
) -> Settings {
    let mut settings = default_settings();
    let parse = |name, text| report.argument(name, value::parse_address_text(text));
    if let Some(address) = listen.and_then(|text| parse("--listen", text)) {
        settings.listen = vec![address];
    }
    if let Some(address) = admin.and_then(|text| parse("--admin", text)) {
        settings.admin = address;
    }
    if needs_token(settings.admin) {
        report.argument::<()>("--admin", Err(unprotected_admin(settings.admin)));
    }
    if conflicts(settings.listen[0], settings.admin) {
        let name = admin.map_or("--listen", |_| "--admin");
        report.argument::<()>(name, Err(same_address(settings.admin)));
    }
    settings
}

/// Checks the socket that the admin listener has. It may come from systemd, with another address than the configuration's.
///
/// # Errors
///
/// If the socket is not on loopback and there is no token.
pub fn check_admin_socket(address: SocketAddr, token: Option<&Secret>) -> Result<(), Diagnostic> {
    if !needs_token(address) || token.is_some() {
        return Ok(());
    }
    let message = format!(
        "the admin socket that systemd passes is bound to {address}, which is not on loopback, and no token protects it"
    );
    Err(Diagnostic::new(message).help(
        "name a file with a token under [server]: admin_token_file = \"admin.token\", \
         or write ListenStream=127.0.0.1:9464 into the socket's unit",
    ))
}

/// Whether an admin listener at this address can be reached from other machines.
fn needs_token(admin: SocketAddr) -> bool {
    !admin.ip().is_loopback()
}

/// Whether two listeners would need the same address. Port 0 is a new port each time.
fn conflicts(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |wide: IpAddr, narrow: IpAddr| {
        // A wildcard IPv6 listener takes IPv4 connections as well.
        wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    };
    let (a, b) = (one.ip(), other.ip());
    one.port() == other.port() && one.port() != 0 && (a == b || covers(a, b) || covers(b, a))
}

fn check_addresses(settings: &Settings, table: &Reader<'_>) {
    let (listen, admin) = (&settings.listen, settings.admin);
    if needs_token(admin) && !table.has(TOKEN_FILE) {
        table.at("admin").add(unprotected_admin(admin));
    }
    for (i, address) in listen.iter().enumerate() {
        if address.port() != 0 && listen[..i].contains(address) {
            let message = format!("{address} is listed twice");
            table.at("listen").error(message, "name each address once");
        }
    }
    if listen.iter().any(|address| conflicts(*address, admin)) {
        let key = if table.has("listen") {
            "listen"
        } else {
            "admin"
        };
        table.at(key).add(same_address(admin));
    }
}

fn unprotected_admin(address: SocketAddr) -> Diagnostic {
    let message = format!("{address} is not on loopback, so the admin listener needs a token");
    Diagnostic::new(message).help(
        "name a file with a token: admin_token_file = \"admin.token\", or listen at \"127.0.0.1:9464\"",
    )
}

fn same_address(admin: SocketAddr) -> Diagnostic {
    Diagnostic::new(format!("the admin listener has the same address ({admin})"))
        .help("give one of the two another port")
}

const TOKEN_FILE: &str = "admin_token_file";

/// Reads the file that contains the admin listener's token and nothing else.
fn read_admin_token(table: &mut Reader<'_>, files: &mut Files) -> Option<Secret> {
    let file = NamedFile::read(table, TOKEN_FILE, files)?;
    if let Some(note) = permissions_note(&file.path) {
        file.location.note(note);
    }
    (file.location).take(parse_token(&file.path.shown, &file.content))
}

fn parse_token(path: &Path, content: &[u8]) -> Result<Secret, Diagnostic> {
    match str::from_utf8(content).ok().and_then(Secret::new) {
        Some(token) if token.reveal().len() >= SHORTEST_TOKEN => Ok(token),
        Some(_) => {
            let what = format!(
                "the token has fewer than {SHORTEST_TOKEN} characters, so it could be guessed"
            );
            Err(Diagnostic::in_file(path, what)
                .help("write a longer one, such as `openssl rand -hex 32` makes"))
        }
        None => Err(
            Diagnostic::new(format!("{} holds no token", path.display()))
                .help("write one word without spaces into it, and nothing else"),
        ),
    }
}

fn parse_workers(value: &DeValue<'_>) -> Result<NonZeroUsize, Diagnostic> {
    let workers = parse_count(0, MOST_WORKERS)(value)?;
    Ok(NonZeroUsize::new(workers).unwrap_or_else(one_per_core))
}

fn one_per_core() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_takes_the_port_on_every_address() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "127.0.0.1:80", true),
        ] {
            let (a, b) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(
                (conflicts(a, b), conflicts(b, a)),
                (expected, expected),
                "{one} {other}"
            );
        }
    }
}
