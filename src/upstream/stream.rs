//! A stream to the upstream that counts the bytes in both directions: only bytes that were sent can have been seen. It counts
//! below TLS, so bytes that TLS or hyper still buffers don't count as sent.

use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use memchr::memchr_iter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::own_connections::OwnConnection;
use super::request_head::RequestHead;
use crate::body::FramingBytes;
use crate::tcp;
use crate::tls::{self, Client};

/// A TCP or a Unix socket.
pub(super) type Socket = Either<TcpStream, UnixStream>;

/// The largest head of a response, in bytes.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// The bytes that the socket has transferred since the current request began.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: Cell<u64>,
    received: Cell<u64>,
    /// The bytes of the response's head that hyper took, which TLS has decrypted.
    taken: Cell<u64>,
    /// The response's head is not whole yet.
    in_head: Cell<bool>,
    request_head: RefCell<RequestHead>,
    /// The bytes behind the head that are not content.
    framing: FramingBytes,
}

impl Traffic {
    /// A request begins.
    pub(super) fn begin(&self) {
        self.sent.set(0);
        self.received.set(0);
        self.taken.set(0);
        self.in_head.set(true);
        self.request_head.borrow_mut().clear();
    }

    /// The request's head as it was written; empty if it wasn't.
    pub(super) fn request_head(&self) -> Ref<'_, [u8]> {
        Ref::map(self.request_head.borrow(), RequestHead::bytes)
    }

    /// The response's head is whole.
    pub(super) fn head_done(&self) {
        self.in_head.set(false);
        self.framing.reset();
    }

    /// So many bytes of the response's body were taken.
    pub(super) fn content_taken(&self, many: usize) {
        self.framing.add_content(many);
    }

    /// Counts bytes that came, and says whether they are within bounds.
    fn add_read(&self, many: usize) -> bool {
        self.in_head.get() || self.framing.add_read(many)
    }

    /// Whether the kernel took any byte of the request.
    pub(super) fn sent_any(&self) -> bool {
        self.sent.get() > 0
    }

    /// Whether any byte of a response came.
    pub(super) fn received_any(&self) -> bool {
        self.received.get() > 0
    }

    /// Whether the last bytes that came, so many, are the first ones of a response.
    fn is_at_beginning(&self, many: usize) -> bool {
        self.in_head.get() && self.taken.replace(self.taken.get() + many as u64) == 0
    }

    /// Interim responses are heads too, and nothing else bounds how many of them an upstream may send.
    fn head_is_endless(&self) -> bool {
        self.in_head.get() && self.received.get() > 2 * HEAD_LIMIT as u64
    }
}

/// A stream to the upstream, and its [`Traffic`].
#[derive(Debug)]
pub(super) struct Stream {
    stream: tls::Stream<CountedSocket>,
    traffic: Rc<Traffic>,
    /// HTTP has ended, and a tunnel has begun.
    is_tunnel: bool,
    _own: Option<OwnConnection>,
}

impl Stream {
    /// A stream over this socket, within TLS if there are settings for it.
    ///
    /// # Errors
    ///
    /// Why there is no TLS.
    pub(super) async fn new(socket: Socket, tls: Option<&Client>) -> Result<Self, tls::Error> {
        let own = match &socket {
            Either::Left(tcp) => Some(OwnConnection::new(tcp)),
            Either::Right(_) => None,
        };
        let traffic = Rc::new(Traffic::default());
        let counted = CountedSocket {
            socket,
            traffic: Rc::clone(&traffic),
        };
        let stream = match tls {
            Some(tls) => tls.connect(counted).await?,
            None => tls::Stream::Plain(counted),
        };
        Ok(Self {
            stream,
            traffic,
            is_tunnel: false,
            _own: own,
        })
    }

    /// The bytes that it has transferred.
    pub(super) fn traffic(&self) -> &Rc<Traffic> {
        &self.traffic
    }

    /// The same socket, after HTTP has ended on it.
    pub(super) fn into_tunnel(self) -> Self {
        if let Either::Left(socket) = &self.stream.get_ref().socket {
            tcp::set_user_timeout(socket);
        }
        Self {
            is_tunnel: true,
            ..self
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.traffic.head_is_endless() {
            let error = "the response's head has no end";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let many = buf.filled().len() - before;
        if self.traffic.is_at_beginning(many) {
            mark_invalid_bytes(&mut buf.filled_mut()[before..]);
        }
        if !self.is_tunnel && !self.traffic.add_read(many) {
            let error = "the response's framing has no end";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(()))
    }
}

/// The result of a write of so many bytes. An upstream may respond and close before it has read the request. hyper would give up at the
/// failed write, but the response may be there to be read; if it is not, reading fails just as soon.
fn ignore_closed(wrote: io::Result<usize>, asked: usize) -> io::Result<usize> {
    match wrote {
        Err(error) if is_closed(&error) => Ok(asked),
        wrote => wrote,
    }
}

/// Makes NUL, and a CR that no LF follows, another control character. hyper leaves out a header line with one of those, but refuses
/// the response for these two.
fn mark_invalid_bytes(beginning: &mut [u8]) {
    const MARK: u8 = 1;
    let is_invalid =
        |(byte, next): (&u8, &u8)| (*byte == 0) | ((*byte == b'\r') & (*next != b'\n'));
    let pairs = beginning.iter().zip(beginning.iter().skip(1));
    // Without an early end, so that it compiles to vector instructions: nearly always there is none.
    let any = pairs.fold(beginning.last() == Some(&0), |any, pair| {
        any | is_invalid(pair)
    });
    if !any {
        return;
    }
    let is_end = |at: &usize| {
        let rest = &beginning[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    };
    let end = memchr_iter(b'\n', beginning).find(is_end);
    let end = end.unwrap_or(beginning.len());
    let head = &mut beginning[..end];
    for at in 0..head.len() {
        let is_bare_cr = head[at] == b'\r' && head.get(at + 1).is_some_and(|next| *next != b'\n');
        if head[at] == 0 || is_bare_cr {
            head[at] = MARK;
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

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_tunnel {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        let Self {
            stream, traffic, ..
        } = &mut *self;
        let mut head = traffic.request_head.borrow_mut();
        let bytes = head.rewrite(buf);
        let asked = bytes.len();
        let wrote = ready!(Pin::new(stream).poll_write(cx, bytes));
        let wrote = ignore_closed(wrote, asked);
        head.advance(*wrote.as_ref().unwrap_or(&0));
        Poll::Ready(wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        if self.is_tunnel {
            return Poll::Ready(flushed);
        }
        // Sending what TLS has buffered fails only here.
        Poll::Ready(ignore_closed(flushed.map(|()| 0), 0).map(drop))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A socket that counts its bytes.
#[derive(Debug)]
struct CountedSocket {
    socket: Socket,
    traffic: Rc<Traffic>,
}

impl CountedSocket {
    fn count_sent(&self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(wrote)) = wrote {
            let sent = &self.traffic.sent;
            sent.set(sent.get() + *wrote as u64);
        }
    }
}

impl AsyncRead for CountedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        let received = &self.traffic.received;
        received.set(received.get() + read as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CountedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.count_sent(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.count_sent(&wrote);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_bytes_are_marked_in_the_head_alone() {
        for (read, expected) in [
            (
                &b"A: 1\r\nB: \0\r\n\r\n\0\rx"[..],
                &b"A: 1\r\nB: \x01\r\n\r\n\0\rx"[..],
            ),
            (b"A: \rb\nB: c\n\n\0", b"A: \x01b\nB: c\n\n\0"),
            (b"A: \r\r\nB: \0\0", b"A: \x01\r\nB: \x01\x01"),
            // What follows the last one is not known yet.
            (b"A: b\r", b"A: b\r"),
            (b"A: b\r\n\r\n", b"A: b\r\n\r\n"),
            (b"", b""),
        ] {
            let mut bytes = read.to_vec();
            mark_invalid_bytes(&mut bytes);
            assert_eq!(bytes, expected, "{}", read.escape_ascii());
        }
    }
}
