//! Two sockets joined after an upgrade: bytes both ways, until both sides have ended, one has ended and the other doesn't follow, or
//! nothing comes any more.

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::time::{Instant, Sleep, sleep};

use super::stream::Stream;

/// How long one side may go on after the other has ended.
const END_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// When either side breaks, no byte comes from either for `idle_timeout`, or one doesn't end within ten seconds after the other.
    pub async fn join(
        self,
        client: impl AsyncRead + AsyncWrite + Unpin,
        early: Bytes,
        idle_timeout: Duration,
    ) -> io::Result<()> {
        let (mut upstream, from_upstream) = (self.stream, self.early);
        let progress = Progress::new(idle_timeout);
        let mut client = Watched {
            stream: client,
            progress: &progress,
        };
        let copy = async {
            upstream.write_all(&early).await?;
            client.write_all(&from_upstream).await?;
            copy_bidirectional(&mut client, &mut upstream).await?;
            Ok(())
        };
        progress.limit(copy).await
    }
}

/// When bytes last crossed a tunnel, and when its first side ended.
struct Progress {
    idle_timeout: Duration,
    last: Cell<Instant>,
    ended: Cell<Option<Instant>>,
}

impl Progress {
    fn new(idle_timeout: Duration) -> Self {
        Self {
            idle_timeout,
            last: Cell::new(Instant::now()),
            ended: Cell::new(None),
        }
    }

    fn add_bytes(&self) {
        self.last.set(Instant::now());
    }

    /// One side has ended.
    fn end_one_side(&self) {
        if self.ended.get().is_none() {
            self.ended.set(Some(Instant::now()));
        }
    }

    /// When the tunnel has lasted too long, if nothing happens until then, and why.
    fn due(&self) -> (Instant, &'static str) {
        let idle = self.last.get() + self.idle_timeout;
        match self.ended.get() {
            Some(ended) if ended + END_TIMEOUT < idle => (
                ended + END_TIMEOUT,
                "one side has ended and the other does not",
            ),
            Some(_) | None => (idle, "no byte came from either side"),
        }
    }

    /// Copies until the end, or until it is due.
    async fn limit(&self, copy: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let mut copy = pin!(copy);
        let mut timer = pin!(sleep(self.idle_timeout));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(result) = copy.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            let reason = ready!(self.poll_due(timer.as_mut(), cx));
            Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
        })
        .await
    }

    /// Ready when it is due, with the reason. The timer is not reset for each byte, only when it fires too early or would fire
    /// too late.
    fn poll_due(&self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<&'static str> {
        loop {
            let (due, reason) = self.due();
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            if due <= Instant::now() {
                return Poll::Ready(reason);
            }
            timer.as_mut().reset(due);
        }
    }
}

/// The client's side. What is read from it comes from the client, and what is written to it from the upstream.
struct Watched<'a, S> {
    stream: S,
    progress: &'a Progress,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match buf.filled().len() - before {
            0 => self.progress.end_one_side(),
            _ => self.progress.add_bytes(),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.progress.add_bytes();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// The upstream has ended.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.progress.end_one_side();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

    /// A tunnel between these streams: how it ends, and after how long.
    async fn join(mut upstream: DuplexStream, client: DuplexStream) -> (io::Result<()>, Duration) {
        let began = Instant::now();
        let progress = Progress::new(IDLE_TIMEOUT);
        let mut client = Watched {
            stream: client,
            progress: &progress,
        };
        let copy = async {
            copy_bidirectional(&mut client, &mut upstream).await?;
            Ok(())
        };
        (progress.limit(copy).await, began.elapsed())
    }

    fn assert_timed_out(result: io::Result<()>, words: &str) {
        let error = result.expect_err("it ends by time");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains(words), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_without_a_byte_either_way_is_closed() {
        let ((_app, upstream), (_caller, client)) = (duplex(64), duplex(64));
        let (result, time) = join(upstream, client).await;
        assert_timed_out(result, "no byte");
        assert_eq!(time, IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_from_either_side_keeps_it_open() {
        let ((mut app, upstream), (mut caller, client)) = (duplex(64), duplex(64));
        let talk = async {
            for _ in 0..3 {
                sleep(IDLE_TIMEOUT - SECOND).await;
                app.write_all(b"a").await.unwrap();
                assert_eq!(caller.read_u8().await.unwrap(), b'a');
                sleep(IDLE_TIMEOUT - SECOND).await;
                caller.write_all(b"c").await.unwrap();
                assert_eq!(app.read_u8().await.unwrap(), b'c');
            }
            std::future::pending::<()>().await;
        };
        let (result, time) = tokio::select! {
            ended = join(upstream, client) => ended,
            () = talk => unreachable!("it never ends"),
        };
        assert_timed_out(result, "no byte");
        assert_eq!(time, 6 * (IDLE_TIMEOUT - SECOND) + IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn when_one_side_has_ended_the_other_has_ten_seconds() {
        for app_ends in [true, false] {
            let ((mut app, upstream), (mut caller, client)) = (duplex(64), duplex(64));
            let (ends, goes_on) = match app_ends {
                true => (&mut app, &mut caller),
                false => (&mut caller, &mut app),
            };
            let talk = async {
                sleep(SECOND).await;
                ends.shutdown().await.unwrap();
                // It may say something more, but not for ever.
                for _ in 0..20 {
                    sleep(SECOND).await;
                    goes_on.write_all(b"x").await.unwrap();
                    assert_eq!(ends.read_u8().await.unwrap(), b'x');
                }
            };
            let (result, time) = tokio::select! {
                ended = join(upstream, client) => ended,
                () = talk => unreachable!("it ends before"),
            };
            assert_timed_out(result, "one side");
            assert_eq!(time, SECOND + END_TIMEOUT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn both_sides_may_end_one_after_the_other() {
        let ((mut app, upstream), (mut caller, client)) = (duplex(64), duplex(64));
        let talk = async {
            app.write_all(b"bye").await.unwrap();
            app.shutdown().await.unwrap();
            sleep(9 * SECOND).await;
            caller.write_all(b"good bye").await.unwrap();
            caller.shutdown().await.unwrap();
            let (mut to_app, mut to_caller) = (String::new(), String::new());
            app.read_to_string(&mut to_app).await.unwrap();
            caller.read_to_string(&mut to_caller).await.unwrap();
            (to_app, to_caller)
        };
        let ((result, time), said) = tokio::join!(join(upstream, client), talk);
        result.expect("a good end");
        assert_eq!(time, 9 * SECOND);
        assert_eq!(said, ("good bye".to_owned(), "bye".to_owned()));
    }
}
