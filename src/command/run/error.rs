//! Why a proxy can't start, and whether a restart may help.

use std::process::ExitCode;

use crate::command::exit_status::EX_CONFIG;
use crate::config::Diagnostic;
use crate::queue::embedded::OpenError;
use crate::queue::nats;
use crate::server;

/// Why a proxy can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address or a socket that systemd passes can't be listened on.
    #[error(transparent)]
    Listen(#[from] server::Error),
    /// The admin listener would be open to others without a token.
    #[error(transparent)]
    AdminExposed(#[from] Diagnostic),
    /// Callbacks can't be stored where the configuration says.
    #[error(transparent)]
    Queue(#[from] OpenError),
    /// What the configuration says of a NATS server can't be used.
    #[error("queue.url: {0}")]
    Nats(#[from] nats::OpenError),
    /// A thread or a runtime can't be started.
    #[error("understudy can't start: {0}")]
    Io(#[from] std::io::Error),
}

impl StartError {
    /// With status 1 systemd starts us again.
    pub(super) fn exit_code(&self) -> ExitCode {
        let may_pass = match self {
            Self::Listen(error) => error.may_pass(),
            Self::AdminExposed(_) | Self::Queue(_) | Self::Nats(_) => false,
            Self::Io(_) => true,
        };
        if may_pass {
            ExitCode::FAILURE
        } else {
            ExitCode::from(EX_CONFIG)
        }
    }
}
