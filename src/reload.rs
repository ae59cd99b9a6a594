//! Builds everything anew, then swaps it in one step; or keeps the old and says so.
//!
//! Asked by a signal, by the admin listener, or by a change of any file that the configuration names. Blocks on the disk: never
//! on a worker.

mod watch;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tracing::{error, info, warn};

use crate::config::{AdminExposed, Config, Errors, SourceFile, check_admin_socket};
use crate::exchange::{Shared, Site};
use crate::failures::now;
use crate::server::Settings;
use crate::tls;

pub use watch::Changes;
use watch::Watch;

/// What can be reloaded, and how the last try went.
pub struct Reloader {
    path: Option<PathBuf>,
    site: Arc<ArcSwap<Site>>,
    settings: Arc<ArcSwap<Settings>>,
    shared: Arc<Shared>,
    /// Where the admin listener is in fact.
    admin_address: SocketAddr,
    /// Held through a reload, so that two never mix.
    state: Mutex<State>,
}

struct State {
    /// The files as the last try found them.
    files: Vec<SourceFile>,
    watch: Option<Watch>,
    last: Last,
}

/// How the last try went.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Last {
    /// When the configuration in force was loaded, in seconds since 1970.
    pub loaded_at_seconds: f64,
    /// Why the last try changed nothing, if it did not.
    pub error: Option<String>,
}

/// Why the old configuration stays.
#[derive(Clone, Debug)]
pub enum Refused {
    /// There is no file to read again: `run --upstream` made the configuration.
    NoFile,
    /// The file, or a page that it names, is wrong.
    Wrong(Errors),
    /// These keys can't change while we run.
    Restart(Vec<&'static str>),
    /// The admin listener would lose the token that it needs.
    Exposed(AdminExposed),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => {
                f.write_str("there is no file to reload; start with `run --config FILE`")
            }
            Self::Wrong(errors) => errors.fmt(f),
            Self::Exposed(exposed) => exposed.fmt(f),
            Self::Restart(keys) => {
                write!(
                    f,
                    "{} can't change while understudy runs; restart it",
                    keys.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for Refused {}

impl Reloader {
    /// What reloads this configuration into these places.
    pub fn new(
        path: Option<PathBuf>,
        files: Vec<SourceFile>,
        site: Arc<ArcSwap<Site>>,
        settings: Arc<ArcSwap<Settings>>,
        shared: Arc<Shared>,
        admin_address: SocketAddr,
    ) -> Arc<Self> {
        let last = Last {
            loaded_at_seconds: now(),
            error: None,
        };
        let state = Mutex::new(State {
            files,
            watch: None,
            last,
        });
        let reloader = Self {
            path,
            site,
            settings,
            shared,
            admin_address,
            state,
        };
        reloader.count_certificates();
        Arc::new(reloader)
    }

    /// Shows when each certificate that is now in use ends.
    fn count_certificates(&self) {
        let (settings, site) = (self.settings.load(), self.site.load());
        let shown = settings.tls.iter().flat_map(|tls| tls.identities());
        let app = site.upstream.settings.tls.as_ref();
        let ends = shown
            .chain(app.and_then(|tls| tls.identity()))
            .map(|identity| (identity.name.as_str(), identity.validity.not_after));
        self.shared.metrics.certificates(ends);
    }

    /// Begins to watch the files: what tells of their changes. None if there are no files, or they can't be watched, which is
    /// said.
    pub fn watch(&self) -> Option<Changes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.path.as_ref()?;
        match Watch::begin() {
            Ok((watch, changes)) => {
                let State {
                    files,
                    watch: place,
                    ..
                } = &mut *state;
                place.insert(watch).follow(files);
                Some(changes)
            }
            Err(error) => {
                warn!(%error, "files can't be watched; reload by SIGHUP");
                None
            }
        }
    }

    /// How the last try went.
    pub fn last(&self) -> Last {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last
            .clone()
    }

    /// Reloads, if a file is not what it was at the last try.
    pub fn reload_if_changed(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.follow();
        if state.have_changed() {
            // What goes wrong is logged and counted there.
            let _ = self.reload_into(&mut state);
        }
    }

    /// Reloads.
    ///
    /// # Errors
    ///
    /// Why everything stays as it was.
    pub fn reload(&self) -> Result<(), Refused> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.reload_into(&mut state)
    }

    fn reload_into(&self, state: &mut State) -> Result<(), Refused> {
        let tried = self.try_reload(state);
        self.shared.metrics.reloaded(tried.is_ok());
        match &tried {
            Ok(()) => {
                state.last = Last {
                    loaded_at_seconds: now(),
                    error: None,
                };
                info!("the configuration was reloaded");
            }
            Err(refused) => {
                state.last.error = Some(refused.to_string());
                for line in refused.to_string().lines() {
                    error!(
                        problem = line,
                        "the configuration was not reloaded: the old one stays"
                    );
                }
            }
        }
        // A file that changed while it was loaded may be in a folder that is watched only from now on: one more look.
        if state.follow() && state.have_changed() {
            return self.reload_into(state);
        }
        tried
    }

    fn try_reload(&self, state: &mut State) -> Result<(), Refused> {
        let path = self.path.as_ref().ok_or(Refused::NoFile)?;
        let config = Config::load(path).map_err(|errors| {
            state.files = errors.files().to_vec();
            Refused::Wrong(errors)
        })?;
        state.files = config.files;
        let fixed = fixed(&self.settings.load(), &config.server);
        if !fixed.is_empty() {
            return Err(Refused::Restart(fixed));
        }
        check_admin_socket(self.admin_address, config.server.admin_token.as_ref())
            .map_err(Refused::Exposed)?;
        for note in &config.notes {
            warn!(note = %note, "the configuration may not be meant so");
        }
        let site = Site::new(config.site, &self.shared, Some(&self.site.load()));
        self.site.store(Arc::new(site));
        let now = self.settings.load_full();
        self.settings.store(Arc::new(Settings {
            listen: now.listen.clone(),
            tls: kept(&now.tls, config.server.tls),
            ..config.server
        }));
        self.count_certificates();
        Ok(())
    }
}

impl State {
    /// Watches the files' folders; whether one of them is new.
    fn follow(&mut self) -> bool {
        let Self { files, watch, .. } = self;
        watch.as_mut().is_some_and(|watch| watch.follow(files))
    }

    fn have_changed(&self) -> bool {
        self.files.iter().any(SourceFile::has_changed)
    }
}

/// The same as before, where nothing has changed: clients hold tickets for its sessions.
fn kept(now: &Option<tls::Server>, new: Option<tls::Server>) -> Option<tls::Server> {
    if *now == new { now.clone() } else { new }
}

/// The keys that differ and can't change while we run.
fn fixed(now: &Settings, new: &Settings) -> Vec<&'static str> {
    let keys = [
        ("server.listen", now.listen != new.listen),
        ("server.admin", now.admin != new.admin),
        ("server.workers", now.workers != new.workers),
        (
            "server.max_connections",
            now.max_connections != new.max_connections,
        ),
    ];
    keys.into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| key)
        .collect()
}
