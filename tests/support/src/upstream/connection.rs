//! One connection to the app: requests are read as bytes, scripts are played.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::request::Request;
use super::script::Step;
use super::state::{Event, State};
use crate::stream::{Stream, socket, wait_for_end};

/// Serves every request of a connection until it ends, or is hung up.
pub(super) async fn serve(
    stream: Stream,
    number: usize,
    state: &State,
    hung_up: impl Future<Output = ()>,
) {
    let mut connection = Connection {
        stream,
        unread: BytesMut::new(),
        number,
        requests: 0,
        complete: false,
        state,
    };
    let ended = tokio::select! {
        () = hung_up => Ok(Next::End),
        ended = connection.run() => ended,
    };
    // The peer's leaving is an end like any other.
    if !matches!(ended, Ok(Next::Broken)) {
        // Closing alone would leave it open while a process that is just being started has a copy of it.
        let _ = socket(&connection.stream).shutdown(Shutdown::Both);
    }
}

struct Connection<'a> {
    stream: Stream,
    /// What has come and belongs to no request yet.
    unread: BytesMut,
    number: usize,
    /// How many requests have come.
    requests: usize,
    /// The last of them has come with its body.
    complete: bool,
    state: &'a State,
}

/// A script that runs. Dropped, it says how far it came.
struct Running<'a> {
    state: &'a State,
    request: &'a Request,
    is_complete: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let is_complete = self.is_complete;
        self.state.observe(self.request, Event::End { is_complete });
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
    /// It ends with a reset, when it is dropped.
    Broken,
}

impl Connection<'_> {
    /// Never goes on.
    async fn run(&mut self) -> io::Result<Next> {
        while let Some(request) = self.next_head().await? {
            let next = self.follow_script(request).await?;
            if next != Next::GoOn {
                return Ok(next);
            }
        }
        Ok(Next::End)
    }

    /// The next request's head; none at the connection's end.
    async fn next_head(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                self.requests += 1;
                return Ok(Some(Request {
                    connection: self.number,
                    number: self.requests,
                    head: self.unread.split_to(end + 4).to_vec(),
                    body: Vec::new(),
                }));
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn follow_script(&mut self, request: Request) -> io::Result<Next> {
        let script = (self.state.choose)(&request);
        let at = self.keep(&request);
        self.state.observe(&request, Event::Head);
        self.complete = request.framing().end(&[]).is_some();
        if self.complete {
            self.state.complete.send_modify(|complete| *complete += 1);
        }
        let mut running = Running {
            state: self.state,
            request: &request,
            is_complete: false,
        };
        for step in script.steps {
            self.state.observe(&request, Event::Step(&step));
            let next = self.take(step, &request, at).await?;
            if next != Next::GoOn {
                running.is_complete = true;
                return Ok(next);
            }
        }
        running.is_complete = true;
        // Behind a body that wasn't read, no next request can be found.
        Ok(if self.complete { Next::GoOn } else { Next::End })
    }

    /// Keeps a request, unless an observer sees it. Its place is given back.
    fn keep(&self, request: &Request) -> Option<usize> {
        if self.state.observer.is_some() {
            return None;
        }
        let mut requests = self.state.requests();
        requests.push(request.clone());
        Some(requests.len() - 1)
    }

    async fn read_body(&mut self, request: &Request, at: Option<usize>) -> io::Result<()> {
        if self.complete {
            return Ok(());
        }
        let framing = request.framing();
        let end = loop {
            if let Some(end) = framing.end(&self.unread) {
                break end;
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let body = self.unread.split_to(end);
        if let Some(at) = at {
            self.state.requests()[at].body = body.to_vec();
        }
        self.complete = true;
        self.state.complete.send_modify(|complete| *complete += 1);
        Ok(())
    }

    async fn take(&mut self, step: Step, request: &Request, at: Option<usize>) -> io::Result<Next> {
        match step {
            Step::Read => self.read_body(request, at).await?,
            Step::Send(bytes) => self.send(&bytes).await?,
            Step::Pause(time) => sleep(time).await,
            Step::Trickle(bytes, pause) => self.trickle(&bytes, pause).await?,
            Step::Endless(bytes) => {
                // Several at once, or a busy machine takes long to send much.
                let bytes = bytes.repeat(4096 / bytes.len().max(1) + 1);
                loop {
                    self.send(&bytes).await?;
                }
            }
            Step::Stall => {
                wait_for_end(&self.stream).await?;
                return Ok(Next::End);
            }
            Step::Echo => {
                self.echo().await?;
                return Ok(Next::End);
            }
            Step::Close => {
                self.stream.shutdown().await?;
                return Ok(Next::End);
            }
            Step::Reset => {
                socket(&self.stream).set_linger(Some(Duration::ZERO))?;
                return Ok(Next::Broken);
            }
        }
        Ok(Next::GoOn)
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.state.sent.fetch_add(bytes.len(), Relaxed);
        Ok(())
    }

    async fn trickle(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            sleep(pause).await;
            self.send(std::slice::from_ref(byte)).await?;
        }
        Ok(())
    }

    async fn echo(&mut self) -> io::Result<()> {
        loop {
            self.stream.write_all(&self.unread).await?;
            self.unread.advance(self.unread.len());
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return self.stream.shutdown().await;
            }
        }
    }
}
