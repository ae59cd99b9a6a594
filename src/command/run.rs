//! `understudy run`: starts the proxy from a configuration, reloads it, upgrades it, and drains it at the end.

mod error;
mod queue;
mod signals;
mod sockets;
mod upgrade;

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
use tracing::{error, info, warn};

use super::EX_CONFIG;
use crate::admin::Admin;
use crate::config::{Config, Errors, check_admin_socket};
use crate::log;
use crate::metrics::Metrics;
use crate::notify;
use crate::proxy::{SharedState, Snapshot};
use crate::reload::Reloader;
use crate::server::{Predecessor, Server, Settings, Successor, start_if_starter};
pub use error::StartError;
use queue::Queue;
use signals::{End, Signals, ignore_user_signals, signalled_to_end};
use sockets::OpenSockets;
use upgrade::Upgrade;

/// Runs the configuration of a file until a signal ends it.
pub fn with_file(path: &Path) -> ExitCode {
    run(Config::load(path), Some(path.to_owned()))
}

/// Runs before one app, with the built-in defaults for everything else.
pub fn for_upstream(url: &str, listen: Option<&str>, admin: Option<&str>) -> ExitCode {
    run(Config::for_upstream(url, listen, admin), None)
}

fn run(config: Result<Config, Errors>, path: Option<PathBuf>) -> ExitCode {
    match start_if_starter() {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(error)) => {
            log::print_error(&error);
            return ExitCode::FAILURE;
        }
        None => {}
    }
    let config = match config {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    if let Err(error) = notify::check_watchdog() {
        return refuse(&error);
    }
    let _log = log::init();
    raise_descriptor_limit();
    match Instance::start(config, path) {
        Ok(instance) => instance.run_until_signal(),
        Err(error) => {
            log::print_error(&error);
            error.exit_code()
        }
    }
}

/// Raises the soft limit of open files to the hard one, as nginx and HAProxy do: each request may need two descriptors.
fn raise_descriptor_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(rlimit::INFINITY) {
        warn!(
            error = log::describe_error(&error),
            "limit of open files not raised"
        );
    }
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    log::print_error(&error);
    ExitCode::from(EX_CONFIG)
}

/// A running proxy.
pub struct Instance {
    /// The public addresses.
    pub addresses: Vec<SocketAddr>,
    /// The admin address.
    pub admin_address: SocketAddr,
    /// The configuration in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    server: Server,
    settings: Arc<ArcSwap<Settings>>,
    reloader: Arc<Reloader>,
    ready: Arc<AtomicBool>,
    runtime: LocalRuntime,
    upgrade: Upgrade,
    /// The process that this one has replaced.
    predecessor: Option<Predecessor>,
    queue: Option<Queue>,
}

impl Instance {
    /// Listens and accepts requests. The admin listener is served while [`Instance::run_blocking`] or [`Instance::stop`] runs.
    ///
    /// # Errors
    ///
    /// If an address can't be listened on, a thread or a runtime can't be started, the admin listener would be open to others
    /// without a token, or callbacks can't be queued where the configuration says.
    pub fn start(config: Config, path: Option<PathBuf>) -> Result<Self, StartError> {
        let Config {
            server,
            proxy,
            files,
            notes,
        } = config;
        for note in &notes {
            warn!(note = %note, "configuration note");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default())?;
        runtime.block_on(async { ignore_user_signals() })?;
        let predecessor = Predecessor::from_environment();
        let OpenSockets {
            listeners,
            admin,
            passable,
        } = runtime.block_on(OpenSockets::open(&server, predecessor.as_ref()))?;
        let admin_address = admin.local_addr()?;
        check_admin_socket(admin_address, server.admin_token.as_ref())?;

        let store = proxy.queue.as_ref();
        let store = store.map(|settings| queue::open(settings, predecessor.is_some()));
        let store = store.transpose()?;

        let shared = SharedState::new();
        if let Some(store) = &store {
            shared.set_queue(Arc::clone(store));
        }
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::new(proxy, &shared, None)));
        let settings = Arc::new(ArcSwap::from_pointee(server));
        let reloader = Reloader::start(
            path,
            files,
            Arc::clone(&snapshot),
            Arc::clone(&settings),
            Arc::clone(&shared),
            admin_address,
        )?;
        let ready = Arc::new(AtomicBool::new(true));

        let addresses = listeners.addresses.clone();
        let server = Server::start(listeners, Arc::clone(&settings), Arc::clone(&snapshot))?;
        let queue = store.map(|store| Queue::start(store, &snapshot));
        let queue = queue.transpose()?;
        let instance = Self {
            addresses,
            admin_address,
            snapshot,
            server,
            settings,
            reloader,
            ready,
            runtime,
            upgrade: Upgrade::new(passable),
            predecessor,
            queue,
        };
        instance.serve_admin(admin)?;
        Ok(instance)
    }

    fn serve_admin(&self, listener: std::net::TcpListener) -> std::io::Result<()> {
        let admin = Rc::new(Admin {
            snapshot: Arc::clone(&self.snapshot),
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

    /// Runs until SIGTERM or SIGINT, then drains. Reloads at SIGHUP or when a file changes, upgrades at SIGUSR2.
    fn run_until_signal(self) -> ExitCode {
        let signals = self.run_blocking(async { Signals::new(&self.reloader) });
        let mut signals = match signals {
            Ok(signals) => signals,
            Err(error) => {
                error!(%error, "signals can't be received");
                return ExitCode::FAILURE;
            }
        };
        // Only now: whoever reads this line may send a signal, or change a file, at once.
        let listen: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        info!(listen = listen.join(" "), admin = %self.admin_address, "listening");
        if let Some(predecessor) = &self.predecessor
            && let Err(error) = predecessor.report_ready()
        {
            error!(
                error = log::describe_error(&error),
                "the upgrade was given up; stopping"
            );
            return ExitCode::FAILURE;
        }
        notify::ready(&serving_status(&self.snapshot.load()));
        let successor = self.run_blocking(async {
            tokio::select! {
                successor = self.run_until_end(&mut signals) => successor,
                never = self.notify_systemd() => match never {},
            }
        });
        if let Some(predecessor) = &self.predecessor {
            predecessor.say_goodbye();
        }
        if let Some(successor) = successor {
            return self.hand_over(&successor);
        }
        notify::stopping();
        self.wait_for_shutdown_delay(&mut signals);
        info!("draining");
        let metrics = self.metrics();
        let cut_off = self.stop();
        info!(cut_off, requests = metrics.requests(), "stopped");
        ExitCode::SUCCESS
    }

    fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.snapshot.load().shared.metrics)
    }

    /// Runs until a signal to end, or until another process has taken over.
    async fn run_until_end(&self, signals: &mut Signals) -> Option<Successor> {
        loop {
            match signals.until_end().await {
                End::Shutdown => return None,
                End::Upgrade => {}
            }
            tokio::select! {
                successor = self.upgrade.start() => {
                    if successor.is_some() {
                        return successor;
                    }
                }
                () = signals.until_shutdown() => return None,
            }
        }
    }

    /// Stays for what is open, while the new process accepts.
    fn hand_over(self, successor: &Successor) -> ExitCode {
        info!("draining");
        let metrics = self.metrics();
        let Self {
            server,
            runtime,
            upgrade,
            queue,
            settings,
            ..
        } = self;
        // With the admin listener's connections: from now on the new process answers there.
        drop((runtime, upgrade));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default());
        match runtime {
            Ok(runtime) => {
                // What is queued here is delivered here, while the new process can't know of it.
                let exit_code = runtime.block_on(async {
                    let exit_code = linger(server, successor, &metrics).await;
                    close_queue(queue, &settings).await;
                    exit_code
                });
                // Where it ends early, nobody waits for the workers.
                runtime.shutdown_background();
                exit_code
            }
            Err(error) => {
                error!(%error, "no runtime for what is open");
                ExitCode::FAILURE
            }
        }
    }

    /// Sends systemd the status text, and pings its watchdog while every worker responds.
    async fn notify_systemd(&self) -> Infallible {
        if !notify::is_enabled() {
            return std::future::pending().await;
        }
        let interval = notify::watchdog_timeout()
            .map_or(STATUS_INTERVAL, |limit| (limit / 2).min(STATUS_INTERVAL))
            .max(MIN_STATUS_INTERVAL);
        let mut heartbeats = self.server.heartbeats();
        loop {
            tokio::time::sleep(interval).await;
            let last = std::mem::replace(&mut heartbeats, self.server.heartbeats());
            if last.iter().zip(&heartbeats).all(|(last, now)| last != now) {
                notify::ping_watchdog();
            } else {
                error!("a worker does not respond; watchdog not notified");
            }
            notify::status(&serving_status(&self.snapshot.load()));
        }
    }

    /// Goes on for a while, but not ready: a load balancer that checks `/readyz` sends the next requests elsewhere before any
    /// connection is refused or closed. A second signal ends it.
    fn wait_for_shutdown_delay(&self, signals: &mut Signals) {
        self.ready.store(false, Relaxed);
        let delay = self.settings.load().shutdown_delay;
        if delay.is_zero() {
            return;
        }
        info!(
            ?delay,
            "stopping after shutdown_delay; requests are accepted until then"
        );
        self.run_blocking(async {
            tokio::select! {
                () = signals.until_shutdown() => {}
                () = tokio::time::sleep(delay) => {}
            }
        });
    }

    /// Runs a future to its end, and the admin listener with it.
    pub fn run_blocking<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Drains: accepts nothing more and lets the requests under way finish, while the admin listener goes on. Returns how many
    /// connections were cut off at the end of `drain`.
    pub fn stop(self) -> usize {
        self.ready.store(false, Relaxed);
        let server = self.server;
        // Nobody would accept from them.
        drop(self.upgrade);
        if let Some(queue) = &self.queue {
            queue.stop();
        }
        self.runtime.block_on(async {
            let cut_off = tokio::task::spawn_blocking(|| server.drain()).await;
            close_queue(self.queue, &self.settings).await;
            cut_off.unwrap_or_default()
        })
    }
}

/// Closes the queue, when no request can be queued any more.
async fn close_queue(queue: Option<Queue>, settings: &ArcSwap<Settings>) {
    if let Some(queue) = queue {
        queue.close(settings.load().drain).await;
    }
}

/// Waits until everything that is open has ended, or a signal ends it. If the new process ends before, this one fails, so that the
/// service manager notices.
async fn linger(server: Server, successor: &Successor, metrics: &Metrics) -> ExitCode {
    let hand_over = tokio::task::spawn_blocking(|| server.hand_over());
    let channel = successor.channel();
    let successor_fails = async {
        let Ok(channel) = channel else {
            return std::future::pending().await;
        };
        let ended = tokio::task::spawn_blocking(move || Successor::wait_until_ended(&channel));
        if ended.await.unwrap_or(true) {
            // What is open here goes on all the same.
            std::future::pending().await
        }
    };
    tokio::select! {
        cut_off = hand_over => {
            let cut_off = cut_off.unwrap_or_default();
            info!(cut_off, requests = metrics.requests(), "stopped");
            ExitCode::SUCCESS
        }
        () = signalled_to_end() => {
            info!(requests = metrics.requests(), "stopped by a signal");
            ExitCode::SUCCESS
        }
        () = successor_fails => {
            error!("the new process has ended unexpectedly; stopping");
            ExitCode::FAILURE
        }
    }
}

/// How often systemd gets the status text, at least.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Heartbeats that are read more often than this prove nothing: an accept loop counts one a second.
const MIN_STATUS_INTERVAL: Duration = Duration::from_millis(1500);

/// What callers get now, in one line.
fn serving_status(snapshot: &Snapshot) -> String {
    let on_fallback: Vec<_> = snapshot
        .all_routes()
        .filter(|route| route.metrics.fallback_since.get() > 0.0)
        .map(|route| route.settings.name.as_str())
        .collect();
    if !on_fallback.is_empty() {
        return format!("serving from fallback: {}", on_fallback.join(", "));
    }
    match snapshot.routes.len() {
        1 => "1 route, serving from app".to_owned(),
        routes => format!("{routes} routes, serving from app"),
    }
}
