//! A client of HTTP/1.1 that sends bytes exactly as given and sees bytes as they come.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use crate::stream::{Stream, socket};
use crate::time::wait_for;

/// One connection. When a test fails, it prints what was sent and received.
pub struct Client {
    stream: Stream,
    /// What has come and belongs to no response yet.
    unread: BytesMut,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// The method of the request that was sent last.
    method: Vec<u8>,
    /// When the last request began to be sent.
    sent_at: Instant,
}

/// A response, or as much of it as came.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The 1xx statuses that came before it.
    pub interim: Vec<u16>,
    /// The status of the final response.
    pub status: u16,
    /// The header headers as they came, values without blanks around them.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The body came to its end; if not, the connection broke off within it.
    pub whole: bool,
    /// By all that the response says, the connection can be used again.
    pub keeps_alive: bool,
    /// From the request's first byte to the response's last.
    pub took: Duration,
}

impl Client {
    /// A new connection.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = wait_for("a connection", TcpStream::connect(address)).await;
        let stream = stream.expect("the proxy takes connections");
        stream.set_nodelay(true).expect("a TCP connection");
        Self::on(Either::Left(stream))
    }

    /// A new connection to a Unix socket.
    pub async fn connect_unix(path: &Path) -> Self {
        let stream = wait_for("a connection", UnixStream::connect(path)).await;
        Self::on(Either::Right(stream.expect("the app takes connections")))
    }

    /// A client on this connection.
    pub(crate) fn on(stream: Stream) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
            sent: Vec::new(),
            received: Vec::new(),
            method: Vec::new(),
            sent_at: Instant::now(),
        }
    }

    /// Sends a request and waits for its response.
    pub async fn request(&mut self, request: impl Into<Vec<u8>>) -> Response {
        self.send(request).await;
        self.response().await
    }

    /// Sends a request, or its beginning.
    pub async fn send(&mut self, request: impl Into<Vec<u8>>) {
        let request = request.into();
        let method = request.split(|byte| *byte == b' ').next();
        self.method = method.unwrap_or_default().to_vec();
        self.sent_at = Instant::now();
        self.send_more(request)
            .await
            .expect("the connection takes a request");
    }

    /// Sends more of a request.
    pub async fn send_more(&mut self, bytes: impl Into<Vec<u8>>) -> io::Result<()> {
        let bytes = bytes.into();
        self.sent.extend_from_slice(&bytes);
        wait_for("the peer to read", self.stream.write_all(&bytes)).await
    }

    /// Says that nothing more will be sent.
    pub async fn end(&mut self) {
        self.stream
            .shutdown()
            .await
            .expect("the connection is open");
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        socket(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a TCP connection");
    }

    /// The next response, its body as far as it comes.
    pub async fn response(&mut self) -> Response {
        let response = self.response_or_end().await;
        response.expect("a response comes before the connection ends")
    }

    /// The next response, if the connection doesn't end before it.
    pub async fn response_or_end(&mut self) -> Option<Response> {
        let mut response = self.head_or_end().await?;
        response.whole = wait_for("a response's body", self.body(&mut response)).await;
        response.keeps_alive &= response.whole;
        response.took = self.sent_at.elapsed();
        Some(response)
    }

    /// The next response's head; its body isn't read.
    pub async fn head(&mut self) -> Response {
        let head = self.head_or_end().await;
        head.expect("a response comes before the connection ends")
    }

    async fn head_or_end(&mut self) -> Option<Response> {
        let mut interim = Vec::new();
        loop {
            let head = wait_for("a response's head", self.until(&[b"\r\n\r\n", b"\n\n"])).await?;
            let mut response = Response::of_head(&head);
            response.took = self.sent_at.elapsed();
            if response.status >= 200 || response.status == 101 {
                response.interim = interim;
                return Some(response);
            }
            interim.push(response.status);
        }
    }

    /// So many bytes, whatever they mean.
    pub async fn bytes(&mut self, many: usize) -> Vec<u8> {
        let bytes = wait_for("bytes", self.exactly(many)).await;
        bytes.expect("the bytes come before the connection ends")
    }

    /// Waits for the connection's end: what came before it.
    pub async fn closed(&mut self) -> Vec<u8> {
        wait_for("the connection's end", self.rest()).await
    }

    /// Whether the body came to its end.
    async fn body(&mut self, response: &mut Response) -> bool {
        if self.method == b"HEAD" || matches!(response.status, 101 | 204 | 304) {
            return true;
        }
        if response.header("transfer-encoding").is_some() {
            return self.chunks(&mut response.body).await.is_some();
        }
        let length = response.header("content-length").map(str::parse::<usize>);
        let Some(length) = length else {
            response.keeps_alive = false;
            response.body = self.rest().await;
            return true;
        };
        let length = length.expect("a length is a number");
        match self.exactly(length).await {
            Some(body) => {
                response.body = body;
                true
            }
            None => {
                response.body = self.take(self.unread.len());
                false
            }
        }
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let line = self.until(&[b"\r\n"]).await?;
            let size = String::from_utf8_lossy(&line);
            let size = size.trim_end().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).expect("a chunk size is hexadecimal");
            if size == 0 {
                while self.until(&[b"\r\n"]).await? != b"\r\n" {}
                return Some(());
            }
            body.extend(self.exactly(size).await?);
            self.exactly(2).await?;
        }
    }

    /// The bytes up to and with the first of these ends; none if the connection ends before.
    async fn until(&mut self, ends: &[&[u8]]) -> Option<Vec<u8>> {
        loop {
            let found = ends.iter().filter_map(|end| {
                let at = self.unread.windows(end.len()).position(|part| part == *end);
                at.map(|at| at + end.len())
            });
            if let Some(end) = found.min() {
                return Some(self.take(end));
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, many: usize) -> Option<Vec<u8>> {
        while self.unread.len() < many {
            self.more().await?;
        }
        Some(self.take(many))
    }

    async fn rest(&mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        self.take(self.unread.len())
    }

    fn take(&mut self, many: usize) -> Vec<u8> {
        self.unread.copy_to_bytes(many).to_vec()
    }

    /// Reads what comes; a reset is an end too.
    async fn more(&mut self) -> Option<()> {
        let before = self.unread.len();
        let read = self.stream.read_buf(&mut self.unread).await;
        self.received.extend_from_slice(&self.unread[before..]);
        read.is_ok_and(|read| read > 0).then_some(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- sent ---\n{}", shown(&self.sent));
            eprintln!("--- received ---\n{}", shown(&self.received));
        }
    }
}

impl Response {
    fn of_head(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.trim_end().lines();
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let mut response = Self {
            interim: Vec::new(),
            status: status.unwrap_or_else(|| panic!("no status line: {status_line:?}")),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
            whole: false,
            keeps_alive: true,
            took: Duration::ZERO,
        };
        let closes = |value: &str| value.eq_ignore_ascii_case("close");
        response.keeps_alive = status_line.starts_with("HTTP/1.1 ")
            && !response.header("connection").is_some_and(closes);
        response
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(named)
            .map(|(_, value)| value.as_str())
    }

    /// Why it is a fallback, if it is one.
    pub fn reason(&self) -> Option<&str> {
        self.header("understudy-fallback")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &shown(&self.body))
            .field("whole", &self.whole)
            .field("keeps_alive", &self.keeps_alive)
            .field("took", &self.took)
            .finish_non_exhaustive()
    }
}

/// As much of these bytes as a person wants to read.
fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 4096;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    match bytes.len().checked_sub(SHOWN) {
        None | Some(0) => text.into_owned(),
        Some(more) => format!("{text}… and {more} bytes more"),
    }
}
