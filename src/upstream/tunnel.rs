//! Two sockets joined after an upgrade: bytes both ways, until both sides have ended.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};

use super::stream::Stream;

/// The upstream's side of a connection that has switched protocols (RFC 9110 §7.8).
#[derive(Debug)]
pub struct Tunnel {
    stream: Stream,
    /// What the upstream sent right behind its response.
    early: Bytes,
}

impl Tunnel {
    pub(super) fn new(stream: Stream, early: Bytes) -> Self {
        Self {
            stream: stream.into_tunnel(),
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
        self.stream.write_all(&early).await?;
        client.write_all(&self.early).await?;
        copy_bidirectional(&mut client, &mut self.stream).await?;
        Ok(())
    }
}
