//! The signals that a process takes, and what they make it do.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::notify;
use crate::reload::Reloader;

/// Receives signals and changes of files.
pub(super) struct Signals {
    reloader: Arc<Reloader>,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    upgrade: Signal,
}

/// Why a process doesn't just go on.
pub(super) enum End {
    /// SIGTERM or SIGINT.
    Shutdown,
    /// SIGUSR2.
    Upgrade,
}

impl Signals {
    /// From now on no signal is missed. To be called within a runtime.
    pub(super) fn new(reloader: &Arc<Reloader>) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            reloader: Arc::clone(reloader),
        })
    }

    /// Reloads when asked to, until SIGTERM or SIGINT; these wait for no reload. SIGUSR2 is left out.
    pub(super) async fn until_shutdown(&mut self) {
        while let End::Upgrade = self.until_end().await {}
    }

    /// Reloads when asked to, until SIGTERM, SIGINT or SIGUSR2; these wait for no reload.
    pub(super) async fn until_end(&mut self) -> End {
        let Self {
            reloader,
            terminate,
            interrupt,
            hang_up,
            upgrade,
        } = self;
        tokio::select! {
            _ = terminate.recv() => End::Shutdown,
            _ = interrupt.recv() => End::Shutdown,
            _ = upgrade.recv() => End::Upgrade,
            never = reload_at_hang_up(reloader, hang_up) => match never {},
            never = reloader.follow_changes() => match never {},
        }
    }
}

/// Reloads at SIGHUP, for ever.
async fn reload_at_hang_up(reloader: &Reloader, hang_up: &mut Signal) -> Infallible {
    loop {
        hang_up.recv().await;
        reload_and_notify(reloader).await;
    }
}

/// Reloads, and notifies systemd of the beginning and the end.
async fn reload_and_notify(reloader: &Reloader) {
    notify::reloading();
    // An error is logged and counted there.
    let reloaded = reloader.reload().await;
    notify::ready(match reloaded {
        Ok(()) => "configuration reloaded",
        Err(_) => "the configuration is wrong: the old one stays, and the log says why",
    });
}

/// From now on SIGUSR1 and SIGUSR2, which would end the process, do nothing until somebody waits for them. To be called within a
/// runtime.
pub(super) fn ignore_user_signals() -> std::io::Result<()> {
    // Once received, a signal never gets its default action back.
    drop(signal(SignalKind::user_defined1())?);
    drop(signal(SignalKind::user_defined2())?);
    Ok(())
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn signalled_to_end() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
