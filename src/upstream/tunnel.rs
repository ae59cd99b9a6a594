//! Two sockets joined after an upgrade: bytes both ways, until both sides have ended.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};

use super::wire::Wire;

/// The app's side of a connection that has switched protocols (RFC 9110 §7.8).
#[derive(Debug)]
pub struct Tunnel {
    wire: Wire,
    /// What the app sent right behind its answer.
    early: Bytes,
}

impl Tunnel {
    pub(super) fn new(wire: Wire, early: Bytes) -> Self {
        Self {
            wire: wire.into_raw(),
            early,
        }
    }

    /// Joins it with the client's side, of which `early` was read already, until both have ended.
    ///
    /// # Errors
    ///
    /// When either side breaks.
    pub async fn join(
        mut self,
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        early: Bytes,
    ) -> std::io::Result<()> {
        self.wire.write_all(&early).await?;
        client.write_all(&self.early).await?;
        copy_bidirectional(&mut client, &mut self.wire).await?;
        Ok(())
    }
}
