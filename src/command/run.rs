//! `understudy run`: from a configuration to a running proxy, and in good order to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::LocalRuntime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::EX_CONFIG;
use crate::admin::Admin;
use crate::config::{Config, Errors, check_admin_socket};
use crate::log;
use crate::notify;
use crate::proxy::{SharedState, Snapshot};
use crate::reload::{Changes, Reloader};
use crate::server::{InheritedSockets, Listeners, Server, Settings, bind_one};

/// Runs the configuration of a file until a signal ends it.
pub fn with_file(path: &Path) -> ExitCode {
    run(Config::load(path), Some(path.to_owned()))
}

/// Runs before one app with everything else as it is built in.
pub fn for_upstream(url: &str, listen: Option<&str>, admin: Option<&str>) -> ExitCode {
    run(Config::for_upstream(url, listen, admin), None)
}

fn run(config: Result<Config, Errors>, path: Option<PathBuf>) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    if let Err(unheard) = notify::check() {
        return refuse(&unheard);
    }
    let _log = log::begin();
    let instance = match Instance::start(config, path) {
        Ok(instance) => instance,
        Err(error) => return refuse(error.as_ref()),
    };
    instance.until_signal()
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    log::complain(&error);
    ExitCode::from(EX_CONFIG)
}

/// A proxy that takes calls.
pub struct Instance {
    /// Its public addresses.
    pub addresses: Vec<SocketAddr>,
    /// Its admin address.
    pub admin_address: SocketAddr,
    /// How calls are answered now.
    pub site: Arc<ArcSwap<Snapshot>>,
    server: Server,
    settings: Arc<ArcSwap<Settings>>,
    reloader: Arc<Reloader>,
    ready: Arc<AtomicBool>,
    runtime: LocalRuntime,
}

impl Instance {
    /// Listens and takes calls; the admin listener is served while [`Instance::until_signal`], [`Instance::meanwhile`] or
    /// [`Instance::stop`] runs.
    ///
    /// # Errors
    ///
    /// If an address, a thread or a runtime can't be had, or the admin listener would be open to others.
    pub fn start(
        config: Config,
        path: Option<PathBuf>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let Config {
            server,
            site,
            files,
            notes,
        } = config;
        for note in &notes {
            warn!(note = %note, "configuration note");
        }
        let passed = InheritedSockets::take()?;
        let listeners = if passed.public.is_empty() {
            Listeners::bind(&server.listen, server.workers)?
        } else {
            Listeners::share(&passed.public, server.workers)?
        };
        let admin = passed.admin.map_or_else(|| bind_one(server.admin), Ok)?;
        let admin_address = admin.local_addr()?;
        check_admin_socket(admin_address, server.admin_token.as_ref())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default())?;

        let shared = SharedState::new();
        let site = Arc::new(ArcSwap::from_pointee(Snapshot::new(site, &shared, None)));
        let settings = Arc::new(ArcSwap::from_pointee(server));
        let reloader = Reloader::start(
            path,
            files,
            Arc::clone(&site),
            Arc::clone(&settings),
            Arc::clone(&shared),
            admin_address,
        )?;
        let ready = Arc::new(AtomicBool::new(true));

        let addresses = listeners.addresses.clone();
        let server = Server::start(listeners, Arc::clone(&settings), Arc::clone(&site))?;
        let instance = Self {
            addresses,
            admin_address,
            site,
            server,
            settings,
            reloader,
            ready,
            runtime,
        };
        instance.serve_admin(admin)?;
        Ok(instance)
    }

    fn serve_admin(&self, listener: std::net::TcpListener) -> std::io::Result<()> {
        let admin = Rc::new(Admin {
            site: Arc::clone(&self.site),
            reloader: Arc::clone(&self.reloader),
            ready: Arc::clone(&self.ready),
            address: self.admin_address,
            settings: Arc::clone(&self.settings),
        });
        let listener = {
            let _inside = self.runtime.enter();
            TcpListener::from_std(listener)?
        };
        self.runtime.spawn_local(admin.serve(listener));
        Ok(())
    }

    /// Takes calls until SIGTERM or SIGINT, reloads at SIGHUP or when a file changes, and lets the last calls finish.
    fn until_signal(self) -> ExitCode {
        let watched = self
            .runtime
            .block_on(async { Attention::begin(&self.reloader) });
        let mut attention = match watched {
            Ok(attention) => attention,
            Err(error) => {
                error!(%error, "signals can't be received");
                return ExitCode::FAILURE;
            }
        };
        // Whoever reads this line may signal, or change a file, at once.
        let listen: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        info!(listen = listen.join(" "), admin = %self.admin_address, "listening");
        notify::ready(&on_stage(&self.site.load()));
        self.runtime.block_on(async {
            tokio::select! {
                () = attention.until_end() => {}
                never = self.tell_systemd() => match never {},
            }
        });
        notify::stopping();
        self.linger(&mut attention);
        let cut_off = self.stop();
        info!(cut_off, "stopped");
        ExitCode::SUCCESS
    }

    /// Sends systemd the status text, and the watchdog notification while every worker responds.
    async fn tell_systemd(&self) -> Infallible {
        if !notify::is_heard() {
            return std::future::pending().await;
        }
        let pause =
            notify::watchdog().map_or(STATUS_EVERY, |within| (within / 2).min(STATUS_EVERY));
        let mut before = self.server.heartbeats();
        // A loop goes round once a second, so a shorter pause proves nothing.
        let mut ticks = tokio::time::interval(pause.max(LEAST_PAUSE));
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let now = self.server.heartbeats();
            if before.iter().zip(&now).all(|(before, now)| before != now) {
                notify::alive();
            } else {
                error!("a worker does not respond; watchdog not notified");
            }
            before = now;
            notify::status(&on_stage(&self.site.load()));
        }
    }

    /// Takes calls for a while yet, as not ready: a balancer that looks at `/readyz` sends the next ones elsewhere before any
    /// connection is refused or closed. A second signal ends it.
    fn linger(&self, attention: &mut Attention) {
        self.ready.store(false, Relaxed);
        let delay = self.settings.load().shutdown_delay;
        if delay.is_zero() {
            return;
        }
        info!(
            ?delay,
            "stopping after shutdown_delay; requests are accepted until then"
        );
        self.runtime.block_on(async {
            tokio::select! {
                () = attention.until_end() => {}
                () = tokio::time::sleep(delay) => {}
            }
        });
    }

    /// Runs a future to its end while calls are taken and the admin listener is served.
    pub fn meanwhile<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Takes no more calls and lets those under way finish: how many connections were cut off at the end of the drain. The
    /// admin listener answers meanwhile.
    pub fn stop(self) -> usize {
        self.ready.store(false, Relaxed);
        let Self {
            server, runtime, ..
        } = self;
        let drained =
            runtime.block_on(async { tokio::task::spawn_blocking(|| server.drain()).await });
        drained.unwrap_or_default()
    }
}

/// How often systemd gets the status text, at least.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Within this every accept loop has gone round.
const LEAST_PAUSE: Duration = Duration::from_millis(1500);

/// What callers get now, in one line.
fn on_stage(site: &Snapshot) -> String {
    let fallen: Vec<_> = site
        .all_routes()
        .filter(|route| route.metrics.on_fallback.get() > 0.0)
        .map(|route| route.settings.name.as_str())
        .collect();
    match fallen.as_slice() {
        [] if site.routes.len() == 1 => "1 route, serving from app".to_owned(),
        [] => format!("{} routes, serving from app", site.routes.len()),
        fallen => format!("serving from fallback: {}", fallen.join(", ")),
    }
}

/// Hears every signal and sees every changed file.
struct Attention {
    reloader: Arc<Reloader>,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    changes: Option<Changes>,
}

impl Attention {
    /// From now on no signal is missed. To be called within a runtime.
    fn begin(reloader: &Arc<Reloader>) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            changes: None,
            reloader: Arc::clone(reloader),
        })
    }

    /// Does what is asked for until it is time to stop, which waits for no reload.
    async fn until_end(&mut self) {
        let Self {
            reloader,
            terminate,
            interrupt,
            hang_up,
            changes,
        } = self;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            never = keep_loaded(reloader, hang_up, changes) => match never {},
        }
    }
}

/// Reloads at SIGHUP and when a file has changed, for ever.
async fn keep_loaded(
    reloader: &Reloader,
    hang_up: &mut Signal,
    changes: &mut Option<Changes>,
) -> Infallible {
    if changes.is_none() {
        *changes = reloader.watch().await;
    }
    // A file may have changed between being read and being watched.
    reloader.reload_if_changed().await;
    loop {
        let changed = async {
            match changes {
                Some(changes) => changes.settled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = hang_up.recv() => reload_and_notify(reloader).await,
            () = changed => reloader.reload_if_changed().await,
        }
    }
}

/// Reloads, and tells systemd so.
async fn reload_and_notify(reloader: &Reloader) {
    notify::reloading();
    // What goes wrong is logged and counted there, too.
    let reloaded = reloader.reload().await;
    notify::ready(match reloaded {
        Ok(()) => "configuration reloaded",
        Err(_) => "the configuration is wrong: the old one stays, and the log says why",
    });
}
