//! Notifications to systemd (`sd_notify(3)`): ready, reloading, stopping, a status text, and the watchdog. Nothing is sent where
//! `NOTIFY_SOCKET` isn't set.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

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
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The longest time between two pings of the watchdog, if it is on.
pub fn watchdog_timeout() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Requests are accepted, or a reload has ended.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
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
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd not notified");
    }
}
