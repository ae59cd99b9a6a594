//! An upgrade in place, at SIGUSR2: starts the binary again, which may be a new version by now, with the sockets of this process.
//! The caller ends this process when the new one is ready, and goes on if it never is.

use std::io;
use std::path::{Path, PathBuf};

use tracing::{error, info};

use crate::log::describe_error;
use crate::notify;
use crate::server::{PassedSocket, Successor};

/// What a later upgrade needs.
pub(super) struct Upgrade {
    /// The binary as it was called when this process started. Later the system only knows that it was replaced.
    binary: io::Result<PathBuf>,
    sockets: Vec<PassedSocket>,
}

impl Upgrade {
    /// An upgrade that passes these sockets.
    pub(super) fn new(sockets: Vec<PassedSocket>) -> Self {
        Self {
            binary: std::env::current_exe(),
            sockets,
        }
    }

    /// Starts the new process, and waits until it is ready and the service manager knows of it. None if that failed: the reason is
    /// logged.
    pub(super) async fn start(&self) -> Option<Successor> {
        notify::status("upgrading");
        let result = match &self.binary {
            Ok(binary) => self.start_binary(binary).await,
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        match result {
            Ok(successor) => {
                info!(pid = successor.pid(), "upgraded: the new process is ready");
                Some(successor)
            }
            Err(error) => {
                error!(
                    error = describe_error(&error),
                    "upgrade failed; this process goes on"
                );
                notify::status("the upgrade failed: this process goes on, and the log says why");
                None
            }
        }
    }

    async fn start_binary(&self, binary: &Path) -> io::Result<Successor> {
        if std::process::id() == 1 {
            let reason = "this process is the first one of its container, which would end with it";
            return Err(io::Error::other(reason));
        }
        info!(binary = %binary.display(), "upgrading");
        let arguments = std::env::args_os().skip(1);
        let successor = Successor::start(binary, arguments, &self.sockets)?;
        // Dropped early, by a signal to end, it kills the new process.
        let starting = Starting(Some(successor));
        let channel = starting.successor().channel()?;
        let ready = tokio::task::spawn_blocking(move || Successor::wait_until_ready(&channel));
        ready.await.map_err(io::Error::other)??;
        let successor = starting.finish();
        // The other way round, systemd would take no notice of what the new process says.
        notify::main_process(successor.pid());
        successor.acknowledge()?;
        Ok(successor)
    }
}

/// A new process that isn't ready yet. It is killed when this is dropped.
struct Starting(Option<Successor>);

impl Starting {
    fn successor(&self) -> &Successor {
        self.0.as_ref().expect("it is there until it is ready")
    }

    fn finish(mut self) -> Successor {
        self.0.take().expect("it is there until it is ready")
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(successor) = &self.0 {
            successor.kill();
        }
    }
}
