//! The stream of a client connection, with or without TLS. It reports what it sees to the connection's [`Activity`], ends a
//! connection that sends overhead without end, and closes so that the last response arrives.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::activity::Activity;
use super::control_frames::ControlFrameCounter;
use crate::tls::{Protocol, Stream};

/// How long, and for how many bytes, the rest of what a client sends is read after the last response.
const LINGERING_TIMEOUT: Duration = Duration::from_secs(1);
const LINGERING_LIMIT: usize = 1024 * 1024;

/// A client's stream with the connection's [`Activity`].
pub(super) struct ClientStream {
    stream: Stream<TcpStream>,
    activity: Rc<Activity>,
    /// HTTP/2 only.
    control_frames: Option<ControlFrameCounter>,
    lingering_close: Option<LingeringClose>,
    /// Bytes have come that hyper has not read yet.
    has_unread_bytes: bool,
}

struct LingeringClose {
    timeout: Pin<Box<Sleep>>,
    left: usize,
}

impl ClientStream {
    pub(super) fn new(stream: Stream<TcpStream>, activity: Rc<Activity>) -> Self {
        let is_http2 = activity.protocol == Protocol::Http2;
        Self {
            stream,
            activity,
            control_frames: is_http2.then(ControlFrameCounter::new),
            lingering_close: None,
            has_unread_bytes: false,
        }
    }

    /// Whether TLS is spoken on it.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// The socket.
    pub(super) fn tcp(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Whether the client has closed its side, and hyper has read everything that came before. hyper can tell as well, but takes
    /// a buffer of 8 KiB for it, for as long as the request waits. Within TLS only hyper can tell.
    fn poll_client_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Stream::Plain(tcp) = &self.stream else {
            return Poll::Pending;
        };
        if self.has_unread_bytes {
            return Poll::Pending;
        }
        match ready!(tcp.poll_peek(cx, &mut ReadBuf::new(&mut [0]))) {
            Ok(1..) => {
                self.has_unread_bytes = true;
                Poll::Pending
            }
            Ok(0) | Err(_) => Poll::Ready(()),
        }
    }

    /// Counts bytes that came.
    fn add_read(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.activity.add_read(bytes.len()) {
            return Err("the framing of a request's body has no end");
        }
        let budget = &self.activity.control_frames;
        let frames = self.control_frames.as_mut();
        if frames.is_some_and(|frames| !frames.add_read(bytes, budget)) {
            return Err("too many control frames");
        }
        Ok(())
    }

    /// Closes the connection at once. What the client hasn't taken is dropped; else the kernel would keep it for minutes.
    pub(super) fn abort(self) {
        // If this fails, the kernel keeps it.
        let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
    }

    /// Reads and drops what the client still sends, for a while (RFC 9112 §9.6).
    fn poll_lingering_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering_close.get_or_insert_with(|| LingeringClose {
            timeout: Box::pin(sleep(LINGERING_TIMEOUT)),
            left: LINGERING_LIMIT,
        });
        if lingering.timeout.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            let length = buf.filled().len();
            if read.is_err() || length == 0 || lingering.left < length {
                return Poll::Ready(());
            }
            lingering.left -= length;
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        self.has_unread_bytes = false;
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let counted = self.add_read(&buf.filled()[before..]);
        Poll::Ready(counted.map_err(|excess| io::Error::new(io::ErrorKind::InvalidData, excess)))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.set_write_blocked(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.activity.set_write_blocked(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering_close.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        let _ = self.poll_client_left(cx);
        if self.activity.closes_lingering(self.has_unread_bytes) {
            ready!(self.poll_lingering_close(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// A client's stream as hyper has it, while the driver of the connection watches it too.
#[derive(Clone)]
pub(super) struct WatchedStream(Rc<RefCell<ClientStream>>);

impl WatchedStream {
    pub(super) fn new(stream: ClientStream) -> Self {
        Self(Rc::new(RefCell::new(stream)))
    }

    /// Whether the client has left while hyper, which is served by [`super::http1::serve`], waits for a response.
    pub(super) fn poll_client_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.borrow_mut().poll_client_left(cx)
    }

    /// The stream.
    ///
    /// # Panics
    ///
    /// If there is another handle to it.
    pub(super) fn into_inner(self) -> ClientStream {
        let stream = Rc::into_inner(self.0).expect("hyper and the driver have ended");
        stream.into_inner()
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}
