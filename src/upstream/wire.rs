//! A socket to the app that counts what crosses it: only bytes that left can have been seen. Below TLS, if there is TLS: what
//! it still holds back has left no more than what hyper does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::body::FramingBytes;
use crate::tls::{self, Client};

/// The most that an answer's head may take, in bytes.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// What has crossed the socket since the current request began.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    /// The answer's head isn't whole yet.
    in_head: AtomicBool,
    /// Counts what came behind the head and wasn't content.
    framing: FramingBytes,
}

impl Traffic {
    /// A request begins.
    pub(super) fn begin(&self) {
        self.sent.store(0, Relaxed);
        self.received.store(0, Relaxed);
        self.in_head.store(true, Relaxed);
    }

    /// The answer's head is whole.
    pub(super) fn head_done(&self) {
        self.in_head.store(false, Relaxed);
        self.framing.reset();
    }

    /// So many bytes of the answer's body were taken.
    pub(super) fn content_taken(&self, many: usize) {
        self.framing.add_content(many);
    }

    /// So many bytes came: whether that is still within bounds.
    fn add_read(&self, many: usize) -> bool {
        self.in_head.load(Relaxed) || self.framing.add_read(many)
    }

    /// Whether the kernel took any byte of the request.
    pub(super) fn sent_any(&self) -> bool {
        self.sent.load(Relaxed) > 0
    }

    /// Whether any byte of an answer came.
    pub(super) fn received_any(&self) -> bool {
        self.received.load(Relaxed) > 0
    }

    /// Interim responses are heads too, and nothing else bounds how many an app may send.
    fn head_is_endless(&self) -> bool {
        self.in_head.load(Relaxed) && self.received.load(Relaxed) > 2 * HEAD_LIMIT as u64
    }
}

/// A stream to the app and its [`Traffic`].
#[derive(Debug)]
pub(super) struct Wire {
    stream: tls::Stream<Counted>,
    traffic: Arc<Traffic>,
    /// HTTP has ended, and a tunnel begun.
    raw: bool,
}

impl Wire {
    /// A wire over this socket, within TLS if the app wants it.
    ///
    /// # Errors
    ///
    /// Why there is no TLS.
    pub(super) async fn over(socket: TcpStream, tls: Option<&Client>) -> Result<Self, tls::Error> {
        let traffic = Arc::new(Traffic::default());
        let counted = Counted {
            socket,
            traffic: Arc::clone(&traffic),
        };
        let stream = match tls {
            Some(tls) => tls.connect(counted).await?,
            None => tls::Stream::Plain(counted),
        };
        Ok(Self {
            stream,
            traffic,
            raw: false,
        })
    }

    /// What has crossed it.
    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The same socket, after HTTP has ended on it.
    pub(super) fn into_raw(self) -> Self {
        Self { raw: true, ..self }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.traffic.head_is_endless() {
            let error = "an answer's head without end";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let many = buf.filled().len() - before;
        if !self.raw && !self.traffic.add_read(many) {
            let error = "an answer's framing without end";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(()))
    }
}

impl Wire {
    /// What became of a write of so many bytes. An app may answer and close before it has read the request. hyper would give
    /// up at the failed write, but the answer may be here to be read; if it isn't, reading fails just as soon.
    fn written(&self, wrote: io::Result<usize>, asked: usize) -> io::Result<usize> {
        match wrote {
            Err(error) if !self.raw && is_closed(&error) => Ok(asked),
            wrote => wrote,
        }
    }
}

/// Whether the peer takes nothing more.
fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        Poll::Ready(self.written(wrote, buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        let asked = bufs.iter().map(|buf| buf.len()).sum();
        Poll::Ready(self.written(wrote, asked))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        // What TLS held back fails only here.
        Poll::Ready(self.written(flushed.map(|()| 0), 0).map(drop))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A socket that counts.
#[derive(Debug)]
struct Counted {
    socket: TcpStream,
    traffic: Arc<Traffic>,
}

impl Counted {
    fn sent(&self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(wrote)) = wrote {
            self.traffic.sent.fetch_add(*wrote as u64, Relaxed);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.traffic.received.fetch_add(read as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.sent(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.sent(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
