//! A connection, over TCP or a Unix socket.

use std::io;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

/// A connection, over TCP or a Unix socket.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

/// What both kinds of sockets have in common.
pub(crate) fn socket(stream: &Stream) -> SockRef<'_> {
    match stream {
        Either::Left(stream) => SockRef::from(stream),
        Either::Right(stream) => SockRef::from(stream),
    }
}

/// Waits until the peer has gone, and leaves unread what it sends until then.
pub(crate) async fn wait_for_end(stream: &Stream) -> io::Result<()> {
    loop {
        let ready = match stream {
            Either::Left(stream) => stream.ready(Interest::READABLE).await?,
            Either::Right(stream) => stream.ready(Interest::READABLE).await?,
        };
        if ready.is_read_closed() {
            return Ok(());
        }
        // To tokio, nothing is there until something new comes.
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = match stream {
            Either::Left(stream) => stream.try_io(Interest::READABLE, nothing),
            Either::Right(stream) => stream.try_io(Interest::READABLE, nothing),
        };
    }
}
