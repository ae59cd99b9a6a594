//! `[server]`: how we listen, and whose word about the client we take.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::files::{Files, open_to_others};
use super::host;
use super::problem::Problem;
use super::reader::Reader;
use super::report::Report;
use super::tls::Found;
use super::value;
use crate::secret::Secret;
use crate::server::Settings;
use ipnet::IpNet;

/// More threads than any machine has cores are a slip of the pen.
const MOST_WORKERS: usize = 1024;
/// A shorter token could be guessed. Its characters are ASCII.
pub(super) const SHORTEST_TOKEN: usize = 16;
/// Beyond what one machine's ports and memory carry.
const MOST_CONNECTIONS: usize = 10_000_000;

/// What holds where nothing is said.
pub(super) fn defaults() -> Settings {
    Settings {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
        admin: SocketAddr::from(([127, 0, 0, 1], 9464)),
        admin_token: None,
        tls: None,
        workers: one_per_core(),
        shutdown_delay: Duration::ZERO,
        drain: Duration::from_secs(20),
        max_connections: 10_000,
        header_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
    }
}

/// The peers whose word is taken where nothing is said: this machine and private networks.
pub(super) fn trusted_proxies() -> Vec<IpNet> {
    let private = [
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    ];
    let parse = |block: &str| block.parse().expect("a constant that a test reads");
    private.map(parse).into()
}

/// Reads `[server]`; files are found in this folder.
pub(super) fn read(
    mut server: Reader<'_>,
    folder: &Path,
    files: &mut Files,
) -> (Settings, Vec<IpNet>, Option<String>) {
    let defaults = defaults();
    let tls = Found { folder, files }.server(&mut server);
    let settings = Settings {
        tls,
        listen: server
            .non_empty_list("listen", value::address)
            .unwrap_or(defaults.listen),
        admin: server
            .read("admin", value::address)
            .unwrap_or(defaults.admin),
        admin_token: admin_token(&mut server, folder, files),
        workers: workers(&mut server).unwrap_or(defaults.workers),
        shutdown_delay: server
            .read("shutdown_delay", value::pause)
            .unwrap_or(defaults.shutdown_delay),
        drain: server
            .read("drain", value::duration)
            .unwrap_or(defaults.drain),
        max_connections: server
            .read("max_connections", value::count(1, MOST_CONNECTIONS))
            .unwrap_or(defaults.max_connections),
        header_timeout: server
            .read("header_timeout", value::duration)
            .unwrap_or(defaults.header_timeout),
        keep_alive: server
            .read("keep_alive", value::duration)
            .unwrap_or(defaults.keep_alive),
    };
    let trusted = server.list("trusted_proxies", value::network);
    let public_url = server.read("public_url", host::public_url);
    check(&settings, &server);
    server.finish();
    (
        settings,
        trusted.unwrap_or_else(trusted_proxies),
        public_url,
    )
}

/// The defaults, but for the addresses that a command names.
pub(super) fn of_arguments(
    listen: Option<&str>,
    admin: Option<&str>,
    report: &Report<'_>,
) -> Settings {
    let mut settings = defaults();
    let address = |name, text| report.argument(name, value::address_of(text));
    if let Some(address) = listen.and_then(|text| address("--listen", text)) {
        settings.listen = vec![address];
    }
    if let Some(address) = admin.and_then(|text| address("--admin", text)) {
        settings.admin = address;
    }
    if is_exposed(settings.admin) {
        report.argument::<()>("--admin", Err(Problem::AdminInTheOpen(settings.admin)));
    }
    if clash(settings.listen[0], settings.admin) {
        let named = if admin.is_some() {
            "--admin"
        } else {
            "--listen"
        };
        report.argument::<()>(named, Err(Problem::SameAddress(settings.admin)));
    }
    settings
}

/// Whether others than the processes of this machine can reach an admin listener at this address: then it needs a token.
fn is_exposed(admin: SocketAddr) -> bool {
    !admin.ip().is_loopback()
}

/// An admin listener that others can reach and that no token protects. The configuration can't be blamed: systemd passes the
/// socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminExposed(SocketAddr);

/// Checks the socket that the admin listener has in fact, whatever the configuration says of its address.
///
/// # Errors
///
/// If it is not on loopback and there is no token.
pub fn check_admin_socket(address: SocketAddr, token: Option<&Secret>) -> Result<(), AdminExposed> {
    if is_exposed(address) && token.is_none() {
        return Err(AdminExposed(address));
    }
    Ok(())
}

impl fmt::Display for AdminExposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the admin socket that systemd passes is bound to {}, which is not on loopback, and no token protects it; \
             name a file with a token under [server]: admin_token_file = \"admin.token\", \
             or write ListenStream=127.0.0.1:9464 into the socket's unit",
            self.0
        )
    }
}

impl std::error::Error for AdminExposed {}

/// Whether two listeners would want the same address. Port 0 is a new port each time.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |wide: IpAddr, narrow: IpAddr| {
        // A wildcard IPv6 listener takes IPv4 connections as well.
        wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    };
    let (a, b) = (one.ip(), other.ip());
    one.port() == other.port() && one.port() != 0 && (a == b || covers(a, b) || covers(b, a))
}

fn check(settings: &Settings, server: &Reader<'_>) {
    if is_exposed(settings.admin) && !server.has(TOKEN_FILE) {
        server.report(
            server.spot("admin"),
            Problem::AdminInTheOpen(settings.admin),
        );
    }
    for (i, address) in settings.listen.iter().enumerate() {
        if address.port() != 0 && settings.listen[..i].contains(address) {
            server.report(server.spot("listen"), Problem::ListedTwice(*address));
        }
    }
    if settings
        .listen
        .iter()
        .any(|address| clash(*address, settings.admin))
    {
        let named = if server.has("listen") {
            "listen"
        } else {
            "admin"
        };
        server.report(server.spot(named), Problem::SameAddress(settings.admin));
    }
}

/// Reads the file that holds the admin listener's token and nothing else.
fn admin_token(server: &mut Reader<'_>, folder: &Path, files: &mut Files) -> Option<Secret> {
    let file = server.read(TOKEN_FILE, |value| Ok(folder.join(value::text(value)?)))?;
    if let Some(note) = open_to_others(&file) {
        server.note(server.spot(TOKEN_FILE), note);
    }
    server.take(token(file, files), || server.spot(TOKEN_FILE))
}

fn token(file: PathBuf, files: &mut Files) -> Result<Secret, Problem> {
    let content = match files.read(&file) {
        Ok(content) => content,
        Err(why) => return Err(Problem::TokenUnreadable { file, why }),
    };
    let text = str::from_utf8(&content).ok();
    match text.and_then(Secret::new) {
        None => Err(Problem::NoToken { file }),
        Some(token) if token.reveal().len() < SHORTEST_TOKEN => Err(Problem::ShortToken { file }),
        Some(token) => Ok(token),
    }
}

const TOKEN_FILE: &str = "admin_token_file";

fn workers(server: &mut Reader<'_>) -> Option<NonZeroUsize> {
    let workers = server.read("workers", value::count(0, MOST_WORKERS))?;
    Some(NonZeroUsize::new(workers).unwrap_or_else(one_per_core))
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
                (clash(a, b), clash(b, a)),
                (expected, expected),
                "{one} {other}"
            );
        }
    }
}
