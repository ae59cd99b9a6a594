//! A client that takes whatever comes, an early end too.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use support::wait_for;

/// How long a response may take: longer than the proxy's own limits.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What matters here of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The request that the app says it is for; none if it isn't the app's.
    pub(crate) seen: Option<Vec<u8>>,
    pub(crate) keeps_alive: bool,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = wait_for("a connection", TcpStream::connect(address)).await;
        let stream = stream.expect("the proxy takes connections");
        stream.set_nodelay(true).expect("a TCP connection");
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Sends these bytes, as far as they are taken.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(RESPONSE_TIMEOUT, self.stream.write_all(bytes)).await;
    }

    /// The next response that isn't an interim one; none if the connection ends before it, or stays silent.
    pub(crate) async fn response(&mut self) -> Option<Response> {
        timeout(RESPONSE_TIMEOUT, self.read()).await.ok().flatten()
    }

    async fn read(&mut self) -> Option<Response> {
        loop {
            let head = self.head().await?;
            let status = head
                .get(9..12)
                .and_then(|code| std::str::from_utf8(code).ok());
            let status = status.and_then(|code| code.parse().ok()).expect("a status");
            if status < 200 {
                continue;
            }
            let length = field(&head, "content-length").unwrap_or_default();
            let length: usize = std::str::from_utf8(&length).ok()?.parse().unwrap_or(0);
            while self.unread.len() < length {
                self.more().await?;
            }
            self.unread.drain(..length);
            return Some(Response {
                status,
                seen: field(&head, "seen"),
                keeps_alive: head.starts_with(b"HTTP/1.1")
                    && field(&head, "connection").is_none_or(|value| value != b"close"),
            });
        }
    }

    async fn head(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                return Some(self.unread.drain(..end + 4).collect());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.unread).await;
        read.is_ok_and(|read| read > 0).then_some(())
    }
}

fn field(head: &[u8], name: &str) -> Option<Vec<u8>> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let named = line[..colon].eq_ignore_ascii_case(name.as_bytes());
        named.then(|| line[colon + 1..].trim_ascii().to_vec())
    })
}
