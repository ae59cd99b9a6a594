//! Notifications to systemd (`sd_notify(3)`): ready, reloading, stopping, a status text, and the watchdog. Where nobody
//! listens nothing is said.

use std::fmt;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Calls are taken.
pub fn ready(status: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload has begun; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "no clock to tell systemd of a reload"),
    }
}

/// The end has begun.
pub fn stopping() {
    say(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing the last calls"),
    ]);
}

/// What `systemctl status` shows.
pub fn status(status: &str) {
    say(&[NotifyState::Status(status)]);
}

/// We are alive.
pub fn alive() {
    say(&[NotifyState::Watchdog]);
}

/// Within which time systemd wants to hear that we are alive, if it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// A watchdog is set that can't be told that we are alive.
#[derive(Debug)]
pub struct Unheard;

impl fmt::Display for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "systemd's watchdog is on, but NOTIFY_SOCKET isn't set: it can't be told that all is well, and would kill us again \
             and again; write NotifyAccess=main into the unit and leave the variable alone, or take WatchdogSec= out of it",
        )
    }
}

impl std::error::Error for Unheard {}

/// Whether whoever waits to hear of us can.
///
/// # Errors
///
/// If not.
pub fn check() -> Result<(), Unheard> {
    match watchdog() {
        Some(_) if !is_heard() => Err(Unheard),
        Some(_) | None => Ok(()),
    }
}

/// Whether systemd listens at all.
pub fn is_heard() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd not notified");
    }
}
