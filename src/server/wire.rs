//! A client's socket, or what is within TLS on it: it tells the connection's [`Watch`] when bytes come, and closes so that the
//! last answer arrives.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::control_frames::{ControlFrameBudget, ControlFrameCounter};
use super::watch::Watch;
use crate::tls::Stream;

/// How long, and for how many bytes, a client that still sends is listened to after the last answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// A client's stream with its [`Watch`].
pub(super) struct Wire {
    stream: Stream<TcpStream>,
    watch: Rc<Watch>,
    /// For HTTP/2.
    control_frames: Option<ControlFrameCounter>,
    lingering: Option<Lingering>,
}

struct Lingering {
    patience: Pin<Box<Sleep>>,
    left: usize,
}

impl Wire {
    pub(super) fn new(stream: Stream<TcpStream>, watch: Rc<Watch>) -> Self {
        Self {
            stream,
            watch,
            control_frames: None,
            lingering: None,
        }
    }

    /// The same for HTTP/2, which may have so many control frames.
    pub(super) fn bounding(self, budget: &Rc<ControlFrameBudget>) -> Self {
        let counter = ControlFrameCounter::new(Rc::clone(budget));
        Self {
            control_frames: Some(counter),
            ..self
        }
    }

    /// What is wrong with these bytes that have just come, if there are too many of their kind.
    fn excess(&mut self, bytes: &[u8]) -> Option<&'static str> {
        if bytes.is_empty() {
            None
        } else if !self.watch.bytes_came(bytes.len()) {
            Some("a body's framing without end")
        } else {
            let counter = self.control_frames.as_mut();
            let exceeded = counter.is_some_and(|counter| counter.is_exceeded_by(bytes));
            exceeded.then_some("too many control frames")
        }
    }

    /// Ends it at once. What the client doesn't take is dropped, which the kernel would keep for minutes else.
    pub(super) fn abort(self) {
        let stream = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        // If it can't be set, it just ends later.
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }

    /// Reads and forgets what the client still sends, for a while (RFC 9112 §9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let new = || Lingering {
            patience: Box::pin(sleep(LINGER)),
            left: LINGER_BYTES,
        };
        let lingering = self.lingering.get_or_insert_with(new);
        if lingering.patience.as_mut().poll(cx).is_ready() {
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

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match self.excess(&buf.filled()[before..]) {
            Some(excess) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, excess);
                Poll::Ready(Err(error))
            }
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch.wrote(wrote.is_ready());
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch.wrote(wrote.is_ready());
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.watch.has_unread() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
