//! The demo's upstream on raw sockets: it sends bytes as a script says, since no HTTP library would misbehave as it has to.
//! Each connection serves one request.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// One step of a response. After the last one the connection is closed.
pub(super) enum Step {
    /// Sends these bytes.
    Send(Bytes),
    /// Sends these bytes one by one, with a pause before each.
    Trickle(Bytes, Duration),
    /// Does nothing until the peer closes the connection.
    Stall,
    /// Resets the connection.
    Reset,
}

/// A running upstream.
pub(super) struct Upstream {
    address: SocketAddr,
    script: fn(&str) -> Vec<Step>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Serves the listener's connections; `script` gives the response for a path. To be called within a runtime.
    pub(super) fn start(
        listener: std::net::TcpListener,
        script: fn(&str) -> Vec<Step>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            address: listener.local_addr()?,
            script,
            task: tokio::spawn(serve(listener, script)),
        })
    }

    /// Closes the listener and all connections, as if the app had crashed.
    pub(super) async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Listens on the same address again.
    pub(super) async fn restart(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.task = tokio::spawn(serve(listener, self.script));
        Ok(())
    }
}

async fn serve(listener: TcpListener, script: fn(&str) -> Vec<Step>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(respond(stream, script))),
                Err(_) => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn respond(mut stream: TcpStream, script: fn(&str) -> Vec<Step>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let path = read_request(&mut stream).await?;
    for step in script(&path) {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Trickle(bytes, pause) => {
                for byte in bytes {
                    sleep(pause).await;
                    stream.write_all(&[byte]).await?;
                }
            }
            Step::Stall => drop(stream.read_to_end(&mut Vec::new()).await?),
            // With SO_LINGER at zero, closing sends a reset.
            Step::Reset => return SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        }
    }
    stream.shutdown().await
}

/// Reads a request with its body, which has a `Content-Length`, and returns its path.
async fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    while !line.trim().is_empty() {
        line.clear();
        stream.read_line(&mut line).await?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or_default();
            }
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(path)
}

/// A response's bytes, with its length.
pub(super) fn response(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Bytes {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [head.as_bytes(), body].concat().into()
}
