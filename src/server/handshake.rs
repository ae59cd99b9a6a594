//! TLS with a client, before a word of HTTP: bounded in time, and nobody's business if it fails. Anybody may knock.

use tokio::net::TcpStream;
use tokio::time::sleep;
use tracing::debug;

use super::Settings;
use super::connection::LAST_REQUEST;
use super::worker::Drain;
use crate::log::describe_error;
use crate::tls::{Protocol, Server, Stream};

/// The stream inside, and what is spoken there; none if the client made no good handshake in time.
pub(super) async fn shaken(
    stream: TcpStream,
    tls: &Server,
    settings: &Settings,
    drain: &Drain,
) -> Option<(Stream<TcpStream>, Protocol)> {
    let shaken = tokio::select! {
        shaken = tls.accept(stream) => shaken,
        () = patience(settings, drain) => {
            debug!("TLS handshake timed out");
            return None;
        }
    };
    shaken
        .inspect_err(|error| debug!(error = describe_error(error), "TLS handshake failed"))
        .ok()
}

/// As long as a request's head may take; at shutdown, a moment.
async fn patience(settings: &Settings, drain: &Drain) {
    if !drain.is_on() {
        let drained = drain.begun();
        tokio::select! {
            () = sleep(settings.header_timeout) => return,
            () = drained => {}
        }
    }
    sleep(LAST_REQUEST).await;
}
