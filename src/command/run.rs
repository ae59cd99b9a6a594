//! `understudy run`: starts the proxy from a configuration, reloads it, upgrades it, and drains it at the end.

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
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::EX_CONFIG;
use crate::admin::Admin;
use crate::config::{Config, Diagnostic, Errors, check_admin_socket};
use crate::log;
use crate::notify;
use crate::proxy::{SharedState, Snapshot};
use crate::reload::Reloader;
use crate::server::{
    self, InheritedSockets, Listeners, PassedSocket, Predecessor, Purpose, Server, Settings,
    Successor, bind_one, bind_with_retries, start_if_starter,
};
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

/// Why a proxy can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address or a socket that systemd passes can't be listened on.
    #[error(transparent)]
    Listen(#[from] server::Error),
    /// The admin listener would be open to others without a token.
    #[error(transparent)]
    AdminExposed(#[from] Diagnostic),
    /// A thread or a runtime can't be started.
    #[error("understudy can't start: {0}")]
    Io(#[from] std::io::Error),
}

impl StartError {
    /// With status 1 systemd starts us again.
    fn exit_code(&self) -> ExitCode {
        let may_pass = match self {
            Self::Listen(error) => error.may_pass(),
            Self::AdminExposed(_) => false,
            Self::Io(_) => true,
        };
        if may_pass {
            ExitCode::FAILURE
        } else {
            ExitCode::from(EX_CONFIG)
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
}

impl Instance {
    /// Listens and accepts requests. The admin listener is served while [`Instance::run_blocking`] or [`Instance::stop`] runs.
    ///
    /// # Errors
    ///
    /// If an address can't be listened on, a thread or a runtime can't be started, or the admin listener would be open to others
    /// without a token.
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

        let shared = SharedState::new();
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
        let cut_off = self.stop();
        info!(cut_off, "stopped");
        ExitCode::SUCCESS
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
        let Self {
            server,
            runtime,
            upgrade,
            ..
        } = self;
        // With the admin listener's connections: from now on the new process answers there.
        drop((runtime, upgrade));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default());
        match runtime {
            Ok(runtime) => {
                let exit_code = runtime.block_on(linger(server, successor));
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
        let drain = async { tokio::task::spawn_blocking(|| server.drain()).await };
        self.runtime.block_on(drain).unwrap_or_default()
    }
}

/// Waits until everything that is open has ended, or a signal ends it. If the new process ends before, this one fails, so that the
/// service manager notices.
async fn linger(server: Server, successor: &Successor) -> ExitCode {
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
            info!(cut_off = cut_off.unwrap_or_default(), "stopped");
            ExitCode::SUCCESS
        }
        () = signalled_to_end() => {
            info!("stopped by a signal");
            ExitCode::SUCCESS
        }
        () = successor_fails => {
            error!("the new process has ended unexpectedly; stopping");
            ExitCode::FAILURE
        }
    }
}

/// Waits for SIGTERM or SIGINT.
async fn signalled_to_end() {
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

/// From now on SIGUSR1 and SIGUSR2, which would end the process, do nothing until somebody waits for them. To be called within a
/// runtime.
fn ignore_user_signals() -> std::io::Result<()> {
    // Once received, a signal never gets its default action back.
    drop(signal(SignalKind::user_defined1())?);
    drop(signal(SignalKind::user_defined2())?);
    Ok(())
}

/// The sockets that a process starts with: new ones, or those that were passed to it.
struct OpenSockets {
    listeners: Listeners,
    admin: std::net::TcpListener,
    /// All of them once more, for the next process.
    passable: Vec<PassedSocket>,
}

impl OpenSockets {
    async fn open(
        server: &Settings,
        predecessor: Option<&Predecessor>,
    ) -> Result<Self, StartError> {
        let inherited = InheritedSockets::take(predecessor)?;
        let mut listeners = if inherited.public.is_empty() {
            let passed = &inherited.own_public;
            bind_with_retries(|| Listeners::bind(&server.listen, server.workers, passed)).await?
        } else {
            Listeners::share(inherited.public, server.workers)?
        };
        let own_admin = inherited.own_admin;
        let own_admin = own_admin.filter(|(configured, _)| *configured == server.admin);
        let (admin, purpose) = match (inherited.admin, own_admin) {
            (Some(admin), _) => (admin, Purpose::SystemdAdmin),
            (None, Some((configured, admin))) => (admin, Purpose::Admin(configured)),
            (None, None) => {
                let admin = bind_with_retries(|| bind_one(server.admin)).await?;
                (admin, Purpose::Admin(server.admin))
            }
        };
        let mut passable = std::mem::take(&mut listeners.sockets);
        let socket = admin.try_clone()?;
        passable.push(PassedSocket { purpose, socket });
        Ok(Self {
            listeners,
            admin,
            passable,
        })
    }
}

/// Receives signals and changes of files.
struct Signals {
    reloader: Arc<Reloader>,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    upgrade: Signal,
}

/// Why a process doesn't just go on.
enum End {
    /// SIGTERM or SIGINT.
    Shutdown,
    /// SIGUSR2.
    Upgrade,
}

impl Signals {
    /// From now on no signal is missed. To be called within a runtime.
    fn new(reloader: &Arc<Reloader>) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            reloader: Arc::clone(reloader),
        })
    }

    /// Reloads when asked to, until SIGTERM or SIGINT; these wait for no reload. SIGUSR2 is left out.
    async fn until_shutdown(&mut self) {
        while let End::Upgrade = self.until_end().await {}
    }

    /// Reloads when asked to, until SIGTERM, SIGINT or SIGUSR2; these wait for no reload.
    async fn until_end(&mut self) -> End {
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
