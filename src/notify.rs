//! Notifications to systemd (`sd_notify(3)`): ready, reloading, stopping, a status text, and the watchdog. Nothing is sent where
//! `NOTIFY_SOCKET` isn't set.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// The environment variable that names systemd's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Why systemd can't be notified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The watchdog is on, but there is no socket to send its keep-alive pings to.
    #[error(
        "systemd's watchdog is on, but NOTIFY_SOCKET isn't set, so systemd would kill understudy again and again; write \
         NotifyAccess=main into the unit and leave the variable alone, or take WatchdogSec= out of it"
    )]
    WatchdogUnreachable,
}

/// Checks that the watchdog can be pinged, if it is on.
///
/// # Errors
///
/// [`Error::WatchdogUnreachable`] if it can't.
pub fn check_watchdog() -> Result<(), Error> {
    match watchdog_timeout() {
        Some(_) if !is_enabled() => Err(Error::WatchdogUnreachable),
        Some(_) | None => Ok(()),
    }
}

/// Whether systemd listens for notifications.
pub fn is_enabled() -> bool {
    std::env::var_os(SOCKET).is_some()
}

/// The longest time between two pings of the watchdog, if it is on.
pub fn watchdog_timeout() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Requests are accepted, or a reload has ended.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Another process is the main one from now on, and is ready.
pub fn main_process(pid: u32) {
    send(&[NotifyState::MainPid(pid), NotifyState::Ready]);
}

/// A reload has begun; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "systemd not notified of the reload: the clock can't be read"),
    }
}

/// The shutdown has begun.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Sets the text that `systemctl status` shows.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// Pings the watchdog.
pub fn ping_watchdog() {
    send(&[NotifyState::Watchdog]);
}

fn send(states: &[NotifyState<'_>]) {
    let Some(socket) = std::env::var_os(SOCKET) else {
        return;
    };
    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    if let Err(error) = send_to(&socket, &message) {
        warn!(%error, "systemd not notified");
    }
}

/// Sends to a socket that is named by a path, or by `@` and a name in the abstract namespace (`unix(7)`).
fn send_to(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sent = UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    if sent < message.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}
