//! Builds everything anew, then swaps it in one step; or keeps the old and says so.
//!
//! Asked by a signal, by the admin listener, or by a change of any file that the configuration names. Files are read on one
//! thread of their own, one reload after the other, and nobody waits for that thread at the end of the process. So a file system
//! that doesn't answer holds up reloads, and nothing else.

mod watch;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::config::{AdminExposed, Config, Errors, SourceFile, check_admin_socket};
use crate::proxy::{SharedState, Snapshot};
use crate::recent_failures::now;
use crate::server::Settings;
use crate::tls;

pub use watch::Changes;
use watch::Watch;

/// Reloads for whoever asks.
pub struct Reloader {
    requests: mpsc::Sender<Request>,
    last: Arc<ArcSwap<Last>>,
}

/// What the thread is asked to do.
type Request = Box<dyn FnOnce(&mut Reloading) + Send>;

/// What can be reloaded; the thread's own.
struct Reloading {
    path: Option<PathBuf>,
    site: Arc<ArcSwap<Snapshot>>,
    settings: Arc<ArcSwap<Settings>>,
    shared: Arc<SharedState>,
    /// Where the admin listener is in fact.
    admin_address: SocketAddr,
    /// The files as the last try found them.
    files: Vec<SourceFile>,
    watch: Option<Watch>,
    last: Arc<ArcSwap<Last>>,
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
    /// The reload panicked.
    Panicked,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => {
                f.write_str("there is no file to reload; start with `run --config FILE`")
            }
            Self::Wrong(errors) => errors.fmt(f),
            Self::Exposed(exposed) => exposed.fmt(f),
            Self::Panicked => f.write_str(
                "the reload failed by a bug of understudy, which it has written to standard error; please report it",
            ),
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
    /// Starts what reloads this configuration into these places.
    ///
    /// # Errors
    ///
    /// If there can't be another thread.
    pub fn start(
        path: Option<PathBuf>,
        files: Vec<SourceFile>,
        site: Arc<ArcSwap<Snapshot>>,
        settings: Arc<ArcSwap<Settings>>,
        shared: Arc<SharedState>,
        admin_address: SocketAddr,
    ) -> io::Result<Arc<Self>> {
        let last = Arc::new(ArcSwap::from_pointee(Last {
            loaded_at_seconds: now(),
            error: None,
        }));
        let (requests, asked) = mpsc::channel();
        let reloading = Reloading {
            path,
            site,
            settings,
            shared,
            admin_address,
            files,
            watch: None,
            last: Arc::clone(&last),
        };
        reloading.count_certificates();
        // Its end is not waited for: it may be in a file system that doesn't answer.
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || reloading.serve(asked))?;
        Ok(Arc::new(Self { requests, last }))
    }

    /// Begins to watch the files: what tells of their changes. None if there are no files, or they can't be watched, which is
    /// said.
    pub async fn watch(&self) -> Option<Changes> {
        self.ask(Reloading::watch).await.flatten()
    }

    /// How the last try went.
    pub fn last(&self) -> Last {
        (**self.last.load()).clone()
    }

    /// Reloads, if a file is not what it was at the last try. What goes wrong is logged and counted.
    pub async fn reload_if_changed(&self) {
        self.ask(Reloading::reload_if_changed).await;
    }

    /// Reloads. If the future is dropped, the reload goes on.
    ///
    /// # Errors
    ///
    /// Why everything stays as it was.
    pub async fn reload(&self) -> Result<(), Refused> {
        let reloaded = self.ask(Reloading::reload).await;
        reloaded.unwrap_or(Err(Refused::Panicked))
    }

    /// Has the thread do something, once it has done what it was asked before; nothing comes of it if it panics.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Reloading) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let request = Box::new(move |reloading: &mut Reloading| {
            // Whoever asked may be gone.
            let _ = reply.send(work(reloading));
        });
        self.requests.send(request).ok()?;
        answer.await.ok()
    }
}

impl Reloading {
    /// Does what it is asked to until nobody is left who could ask.
    fn serve(mut self, requests: mpsc::Receiver<Request>) {
        for request in requests {
            // A panic leaves the old configuration in place.
            let _ = catch_unwind(AssertUnwindSafe(|| request(&mut self)));
        }
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

    fn watch(&mut self) -> Option<Changes> {
        self.path.as_ref()?;
        match Watch::begin() {
            Ok((watch, changes)) => {
                self.watch.insert(watch).follow(&self.files);
                Some(changes)
            }
            Err(error) => {
                warn!(%error, "files can't be watched; reload by SIGHUP");
                None
            }
        }
    }

    fn reload_if_changed(&mut self) {
        self.follow();
        if self.have_changed() {
            // What goes wrong is logged and counted there.
            let _ = self.reload();
        }
    }

    fn reload(&mut self) -> Result<(), Refused> {
        let tried = self.try_reload();
        self.shared.metrics.reloaded(tried.is_ok());
        match &tried {
            Ok(()) => {
                self.last.store(Arc::new(Last {
                    loaded_at_seconds: now(),
                    error: None,
                }));
                info!("configuration reloaded");
            }
            Err(refused) => {
                self.last.store(Arc::new(Last {
                    error: Some(refused.to_string()),
                    ..(**self.last.load()).clone()
                }));
                for line in refused.to_string().lines() {
                    error!(
                        problem = line,
                        "configuration not reloaded: the old one stays"
                    );
                }
            }
        }
        // A file that changed while it was loaded may be in a folder that is watched only from now on: one more look.
        if self.follow() && self.have_changed() {
            return self.reload();
        }
        tried
    }

    fn try_reload(&mut self) -> Result<(), Refused> {
        let path = self.path.as_ref().ok_or(Refused::NoFile)?;
        let config = Config::load(path).map_err(|errors| {
            self.files = errors.files().to_vec();
            Refused::Wrong(errors)
        })?;
        self.files = config.files;
        let fixed = fixed(&self.settings.load(), &config.server);
        if !fixed.is_empty() {
            return Err(Refused::Restart(fixed));
        }
        check_admin_socket(self.admin_address, config.server.admin_token.as_ref())
            .map_err(Refused::Exposed)?;
        for note in &config.notes {
            warn!(note = %note, "configuration note");
        }
        let site = Snapshot::new(config.site, &self.shared, Some(&self.site.load()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_later_requests_are_served() {
        let config = Config::for_upstream("http://127.0.0.1:1", None, None).expect("good");
        let shared = SharedState::new();
        let site = ArcSwap::from_pointee(Snapshot::new(config.site, &shared, None));
        let admin = config.server.admin;
        let settings = ArcSwap::from_pointee(config.server);
        let reloader = Reloader::start(
            None,
            Vec::new(),
            site.into(),
            settings.into(),
            shared,
            admin,
        );
        let reloader = reloader.expect("a thread");
        let panicked = reloader.ask(|_| -> () { panic!("as a bug would") }).await;
        assert_eq!(panicked, None);
        assert!(matches!(reloader.reload().await, Err(Refused::NoFile)));
    }
}
