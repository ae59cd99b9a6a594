//! Reloads the configuration: builds everything anew and swaps it in one step, or keeps the previous configuration in force and
//! logs why.
//!
//! A reload is started by a signal, by the admin listener, or by a change of any file that the configuration names. Files are read
//! on one thread of their own, one reload after the other, and the end of the process doesn't wait for that thread. So a file
//! system that doesn't respond holds up reloads and nothing else.

mod debounce;
mod poll;
mod steps;
mod watch;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::config::{Config, Diagnostic, Errors, SourceFile, check_admin_socket};
use crate::proxy::{SharedState, Snapshot};
use crate::queue;
use crate::recent_failures::now;
use crate::server::Settings;
use crate::tls;

use watch::{Due, Watcher};

/// Why the previous configuration stays in force.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration comes from `run --upstream`, so there is no file to read again.
    #[error("there is no file to reload; start with `run --config FILE`")]
    NoFile,
    /// The file, or one that it names, is not valid.
    #[error(transparent)]
    Invalid(Errors),
    /// These keys can't change while the process runs.
    #[error("{} can't change while understudy runs; restart it", .0.join(", "))]
    RestartRequired(Vec<&'static str>),
    /// The admin listener would lose the token that it needs.
    #[error(transparent)]
    AdminExposed(Diagnostic),
    /// The reload panicked.
    #[error(
        "the reload failed by a bug of understudy, which it has written to standard error; please report it"
    )]
    Panicked,
}

/// Reloads the configuration.
pub struct Reloader {
    jobs: mpsc::Sender<Job>,
    status: Arc<ArcSwap<Status>>,
}

/// What the thread is to do.
type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// How the last reload went.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Status {
    /// When the configuration in force was loaded, in seconds since 1970.
    pub loaded_at_seconds: f64,
    /// Why the last reload failed, if it did.
    pub error: Option<String>,
}

impl Reloader {
    /// Starts the thread that reloads this configuration. `snapshot` and `settings` are where the new one is put.
    ///
    /// # Errors
    ///
    /// If the thread can't be started.
    pub fn start(
        path: Option<PathBuf>,
        files: Vec<SourceFile>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        settings: Arc<ArcSwap<Settings>>,
        shared: Arc<SharedState>,
        admin_address: SocketAddr,
    ) -> io::Result<Arc<Self>> {
        let status = Arc::new(ArcSwap::from_pointee(Status {
            loaded_at_seconds: now(),
            error: None,
        }));
        let (jobs, receiver) = mpsc::channel();
        let worker = Worker {
            path,
            snapshot,
            settings,
            shared,
            admin_address,
            files,
            watcher: None,
            unconfirmed: None,
            status: Arc::clone(&status),
        };
        worker.publish_certificates();
        // Nobody joins the thread: it may wait for a file system that doesn't respond.
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || worker.run(receiver))?;
        Ok(Arc::new(Self { jobs, status }))
    }

    /// Watches the files, and reloads whenever one has changed and is complete, for ever. Errors are logged and counted. To be
    /// called within a runtime, once at a time.
    pub async fn follow_changes(&self) -> Infallible {
        let (watcher, mut changes) = watch::start();
        let watch = |worker: &mut Worker| worker.watch(watcher);
        if self.run_on_thread(watch).await != Some(true) {
            return std::future::pending().await;
        }
        loop {
            match changes.next().await {
                Due::Reload => self.run_on_thread(Worker::reload_if_changed).await,
                Due::Poll => self.run_on_thread(Worker::poll).await,
            };
        }
    }

    /// How the last reload went.
    pub fn status(&self) -> Status {
        (**self.status.load()).clone()
    }

    /// Reloads. If the future is dropped, the reload goes on. Errors are logged and counted, too.
    ///
    /// # Errors
    ///
    /// Why the previous configuration stays in force.
    pub async fn reload(&self) -> Result<(), Error> {
        let reloaded = self.run_on_thread(Worker::reload).await;
        reloaded.unwrap_or(Err(Error::Panicked))
    }

    /// Runs a job on the thread, after those that wait already. None if it panics.
    async fn run_on_thread<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, result) = oneshot::channel();
        let job = Box::new(move |worker: &mut Worker| {
            // The caller may be gone.
            let _ = sender.send(job(worker));
        });
        self.jobs.send(job).ok()?;
        result.await.ok()
    }
}

/// What the thread works on.
struct Worker {
    path: Option<PathBuf>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    settings: Arc<ArcSwap<Settings>>,
    shared: Arc<SharedState>,
    /// The address of the admin socket, which systemd may have passed.
    admin_address: SocketAddr,
    /// The files as the last reload found them.
    files: Vec<SourceFile>,
    watcher: Option<Watcher>,
    /// The files with which the last reload failed, until that is confirmed and logged.
    unconfirmed: Option<Vec<SourceFile>>,
    status: Arc<ArcSwap<Status>>,
}

impl Worker {
    /// Runs jobs until the [`Reloader`] is dropped.
    fn run(mut self, jobs: mpsc::Receiver<Job>) {
        for job in jobs {
            // A panic leaves the previous configuration in force.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut self)));
        }
    }

    /// Publishes when each certificate in use expires.
    fn publish_certificates(&self) {
        let (settings, snapshot) = (self.settings.load(), self.snapshot.load());
        let servers = settings.tls.iter().flat_map(|tls| tls.identities());
        let clients = snapshot.upstreams.iter();
        let clients = clients.filter_map(|upstream| upstream.settings.tls.as_ref()?.identity());
        let expiries = servers
            .chain(clients)
            .map(|identity| (identity.name.as_str(), identity.validity.not_after));
        self.shared.metrics.set_certificates(expiries);
    }

    /// Watches the files from now on. Returns false if there are none.
    fn watch(&mut self, watcher: Watcher) -> bool {
        if self.path.is_none() {
            return false;
        }
        self.watcher = Some(watcher);
        // A file may have changed between being read and being watched.
        self.reload_if_changed();
        true
    }

    fn poll(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.poll();
        }
    }

    /// Reloads if a file has changed since the last reload. An error is logged and counted only if a second try, a moment later,
    /// fails with the same files: until then somebody may be writing them.
    fn reload_if_changed(&mut self) {
        let is_new = self.watch_files();
        let changed = self.changed_files();
        if changed.is_empty() && self.unconfirmed.is_none() {
            return;
        }
        if is_new && !changed.is_empty() {
            // Nobody has seen whether their writer is done.
            self.wait_for(&changed);
            return;
        }
        let unconfirmed = self.unconfirmed.take();
        let reloaded = self.try_reload();
        if reloaded.is_err() && unconfirmed.as_ref() != Some(&self.files) {
            self.unconfirmed = Some(self.files.clone());
            self.watch_files();
            self.wait_for(self.path.as_slice());
        } else {
            self.finish_reload(&reloaded);
        }
    }

    fn reload(&mut self) -> Result<(), Error> {
        self.unconfirmed = None;
        let reloaded = self.try_reload();
        self.finish_reload(&reloaded);
        reloaded
    }

    fn finish_reload(&mut self, reloaded: &Result<(), Error>) {
        self.record(reloaded);
        // A file may have changed while it was read, in a folder that is watched only from now on.
        if self.watch_files() {
            self.wait_for(&self.changed_files());
        }
    }

    /// Has [`Worker::reload_if_changed`] called again once these files rest.
    fn wait_for(&self, files: &[PathBuf]) {
        if let Some(watcher) = &self.watcher {
            files.iter().for_each(|file| watcher.record(file));
        }
    }

    fn try_reload(&mut self) -> Result<(), Error> {
        let path = self.path.as_ref().ok_or(Error::NoFile)?;
        let config = Config::load(path).map_err(|errors| {
            self.files = errors.files().to_vec();
            Error::Invalid(errors)
        })?;
        self.files = config.files;
        let mut keys = changed_restart_keys(&self.settings.load(), &config.server);
        keys.extend(changed_queue_place(
            self.snapshot.load().queue.as_ref(),
            config.proxy.queue.as_ref(),
        ));
        if !keys.is_empty() {
            return Err(Error::RestartRequired(keys));
        }
        check_admin_socket(self.admin_address, config.server.admin_token.as_ref())
            .map_err(Error::AdminExposed)?;
        for note in &config.notes {
            warn!(note = %note, "configuration note");
        }
        let snapshot = Snapshot::new(config.proxy, &self.shared, Some(&self.snapshot.load()));
        self.snapshot.store(Arc::new(snapshot));
        self.apply_queue_size();
        let current = self.settings.load_full();
        self.settings.store(Arc::new(Settings {
            listen: current.listen.clone(),
            tls: keep_equal(&current.tls, config.server.tls),
            ..config.server
        }));
        self.publish_certificates();
        Ok(())
    }

    /// Has the queue hold as much as the configuration in force says.
    fn apply_queue_size(&self) {
        let snapshot = self.snapshot.load();
        if let (Some(store), Some(settings)) = (self.shared.queue(), &snapshot.queue) {
            store.set_max_size(settings.max_size);
        }
    }

    /// Keeps the status of a reload, counts and logs it.
    fn record(&self, reloaded: &Result<(), Error>) {
        let status = match reloaded {
            Ok(()) => Status {
                loaded_at_seconds: now(),
                error: None,
            },
            Err(error) => Status {
                error: Some(error.to_string()),
                ..self.status.load().as_ref().clone()
            },
        };
        let status = Arc::new(status);
        self.status.store(Arc::clone(&status));
        self.shared.metrics.record_reload(reloaded.is_ok());
        let Some(error) = &status.error else {
            info!("configuration reloaded");
            return;
        };
        for line in error.lines() {
            error!(
                error = line,
                "configuration not reloaded: the old one stays"
            );
        }
    }

    /// Watches what may change the files. Returns whether some of that is new.
    fn watch_files(&mut self) -> bool {
        let files: Vec<_> = self.files.iter().map(|file| file.path.as_path()).collect();
        let watcher = self.watcher.as_mut();
        watcher.is_some_and(|watcher| watcher.watch(&files))
    }

    fn changed_files(&self) -> Vec<PathBuf> {
        let changed = self.files.iter().filter(|file| file.has_changed());
        changed.map(|file| file.path.clone()).collect()
    }
}

/// Keeps the current value where the new one is equal: clients hold tickets for its sessions.
fn keep_equal(current: &Option<tls::Server>, new: Option<tls::Server>) -> Option<tls::Server> {
    if *current == new {
        current.clone()
    } else {
        new
    }
}

/// The keys that differ and can't change while the process runs.
fn changed_restart_keys(current: &Settings, new: &Settings) -> Vec<&'static str> {
    let keys = [
        ("server.listen", current.listen != new.listen),
        ("server.admin", current.admin != new.admin),
        ("server.workers", current.workers != new.workers),
        (
            "server.max_connections",
            current.max_connections != new.max_connections,
        ),
    ];
    let changed = keys.into_iter().filter(|(_, has_changed)| *has_changed);
    changed.map(|(key, _)| key).collect()
}

/// The key of the queue that differs and can't change while the process runs.
fn changed_queue_place(
    current: Option<&queue::Settings>,
    new: Option<&queue::Settings>,
) -> Option<&'static str> {
    if current.map(|queue| &queue.place) == new.map(|queue| &queue.place) {
        return None;
    }
    let is_url = |queue: &queue::Settings| matches!(queue.place, queue::Place::Nats(_));
    Some(match new.or(current).is_some_and(is_url) {
        true => "queue.url",
        false => "queue.path",
    })
}

#[cfg(test)]
mod tests;
