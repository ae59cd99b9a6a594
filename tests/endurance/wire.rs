//! A client's connection over HTTP/1.1, byte by byte. Nothing here panics or repairs anything: whatever comes is evidence.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use rustls::ClientConfig;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::plan::Leave;

/// The host of every request, and the name in the certificates.
pub(crate) const HOST: &str = "hooks.example.com";

/// How long anything may take before it counts as lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// One connection.
pub(crate) struct Wire {
    stream: Stream,
    unread: BytesMut,
    /// How many responses came on it.
    pub(crate) responses: usize,
    /// When the last request on it began.
    pub(crate) last_began: Option<Instant>,
    /// What was sent and came on it before, for a story.
    pub(crate) history: Vec<(Instant, String)>,
}

/// A response, or as much of it as came.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// The body came to its end.
    pub(crate) is_whole: bool,
    pub(crate) keeps_alive: bool,
    pub(crate) head_at: Instant,
    pub(crate) end_at: Instant,
}

/// Why no response came.
#[derive(Clone, Debug)]
pub(crate) enum NoResponse {
    /// No connection could be made.
    Connect(String),
    /// The connection ended, before any byte of the response or within its head.
    Ended { error: Option<String>, begun: bool },
    /// What came is not a response.
    Garbage(String),
    /// Nothing came for very long.
    Silence,
}

impl fmt::Display for NoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Ended { error, begun } => {
                let error = error.as_deref().unwrap_or("end");
                let place = if *begun { "within" } else { "before" };
                write!(f, "the connection ended {place} the response: {error}")
            }
            Self::Garbage(bytes) => write!(f, "what came is no response: {bytes}"),
            Self::Silence => write!(f, "nothing for {PATIENCE:?}"),
        }
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }

    /// Why it is a fallback, if it is one.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.header("understudy-fallback")
    }
}

impl Wire {
    /// Connects, within TLS where there is a configuration for it.
    pub(crate) async fn connect(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, NoResponse> {
        let stream = connect(address, tls).await?;
        Ok(Self {
            stream,
            unread: BytesMut::new(),
            responses: 0,
            last_began: None,
            history: Vec::new(),
        })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(PATIENCE, sent).await {
            Ok(sent) => sent,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Leaves. A client that has only ended its side still reads.
    pub(crate) async fn leave(mut self, how: Leave) -> Option<Self> {
        match how {
            Leave::Fin => {
                // It may have been closed by now.
                let _ = self.stream.shutdown().await;
                Some(self)
            }
            Leave::Close => None,
            Leave::Reset => {
                let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
                None
            }
        }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Either::Left(stream) => stream,
            Either::Right(stream) => stream.get_ref().0,
        }
    }

    /// The next response.
    pub(crate) async fn response(&mut self) -> Result<Response, NoResponse> {
        match timeout(PATIENCE, self.read_response(usize::MAX)).await {
            Ok(response) => response,
            Err(_) => Err(NoResponse::Silence),
        }
    }

    /// The next response, if it is successful with at least so much of its body, if there is so much.
    pub(crate) async fn beginning(&mut self, bytes: usize) -> Result<Response, NoResponse> {
        match timeout(PATIENCE, self.read_response(bytes)).await {
            Ok(response) => response,
            Err(_) => Err(NoResponse::Silence),
        }
    }

    /// Waits for any byte, or the end.
    pub(crate) async fn readable(&mut self) {
        let _ = timeout(PATIENCE, self.more()).await;
    }

    /// So many bytes of a tunnel.
    pub(crate) async fn bytes(&mut self, many: usize) -> io::Result<Vec<u8>> {
        let read = async {
            while self.unread.len() < many {
                if self.more().await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok(self.unread.split_to(many).to_vec())
        };
        match timeout(PATIENCE, read).await {
            Ok(read) => read,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Ends its side, and waits for the other's end.
    pub(crate) async fn close(mut self) {
        let _ = self.stream.shutdown().await;
        let rest = async { while self.more().await.is_ok_and(|read| read > 0) {} };
        let _ = timeout(PATIENCE, rest).await;
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.unread).await
    }

    async fn read_response(&mut self, enough: usize) -> Result<Response, NoResponse> {
        loop {
            while let Some(end) = memchr::memmem::find(&self.unread, b"\r\n\r\n") {
                let head = self.unread.split_to(end + 4);
                let mut response = parse_head(&head)?;
                // A head like 103 comes before the response.
                if response.status >= 200 || response.status == 101 {
                    self.responses += 1;
                    let enough = match response.status {
                        200 => enough,
                        _ => usize::MAX,
                    };
                    response.is_whole = self.read_body(&mut response, enough).await?;
                    response.keeps_alive &= response.is_whole;
                    response.end_at = Instant::now();
                    return Ok(response);
                }
            }
            let begun = !self.unread.is_empty();
            match self.more().await {
                Ok(0) => return Err(NoResponse::Ended { error: None, begun }),
                Ok(_) => {}
                Err(error) => {
                    let error = Some(error.to_string());
                    return Err(NoResponse::Ended { error, begun });
                }
            }
        }
    }

    /// Whether the body came to its end.
    async fn read_body(
        &mut self,
        response: &mut Response,
        enough: usize,
    ) -> Result<bool, NoResponse> {
        if matches!(response.status, 101 | 204 | 304) {
            return Ok(true);
        }
        if response.header("transfer-encoding").is_some() {
            return self.read_chunks(&mut response.body, enough).await;
        }
        let length = match response.header("content-length") {
            Some(length) => match length.parse::<usize>() {
                Ok(length) => Some(length),
                Err(_) => return Err(NoResponse::Garbage(format!("{response:?}"))),
            },
            None => {
                response.keeps_alive = false;
                None
            }
        };
        let wanted = length.unwrap_or(usize::MAX).min(enough);
        while self.unread.len() < wanted {
            match self.more().await {
                Ok(0) if length.is_none() => {
                    response.body = self.unread.split().to_vec();
                    return Ok(true);
                }
                Ok(0) | Err(_) => {
                    response.body = self.unread.split().to_vec();
                    return Ok(false);
                }
                Ok(_) => {}
            }
        }
        response.body = self.unread.split_to(wanted).to_vec();
        Ok(length == Some(wanted))
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>, enough: usize) -> Result<bool, NoResponse> {
        loop {
            if body.len() >= enough {
                return Ok(false);
            }
            let Some(line) = self.line().await else {
                return Ok(false);
            };
            let text = String::from_utf8_lossy(&line);
            let size = text.trim_end().split(';').next().unwrap_or_default();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return Err(NoResponse::Garbage(format!("a chunk of size {size:?}")));
            };
            if size == 0 {
                loop {
                    match self.line().await {
                        Some(line) if line == b"\r\n" => return Ok(true),
                        Some(_) => {}
                        None => return Ok(false),
                    }
                }
            }
            while self.unread.len() < size + 2 {
                let is_enough = body.len() + self.unread.len() >= enough;
                if is_enough || !self.more().await.is_ok_and(|read| read > 0) {
                    body.extend_from_slice(&self.unread[..self.unread.len().min(size)]);
                    return Ok(false);
                }
            }
            body.extend_from_slice(&self.unread[..size]);
            self.unread.advance(size + 2);
        }
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.unread, b"\r\n") {
                return Some(self.unread.split_to(end + 2).to_vec());
            }
            if !self.more().await.is_ok_and(|read| read > 0) {
                return None;
            }
        }
    }
}

/// A connection, within TLS where there is a configuration for it.
pub(crate) async fn connect(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Stream, NoResponse> {
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else {
            return Ok(Either::Left(stream));
        };
        let name = HOST.try_into().expect("a name");
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        Ok(Either::Right(Box::new(stream.await?)))
    };
    match timeout(PATIENCE, connected).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            let error: io::Error = error;
            Err(NoResponse::Connect(error.to_string()))
        }
        Err(_) => Err(NoResponse::Connect("it took too long".to_owned())),
    }
}

fn parse_head(head: &[u8]) -> Result<Response, NoResponse> {
    let garbage = || NoResponse::Garbage(String::from_utf8_lossy(head).into_owned());
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(_) => return Err(garbage()),
    }
    let status = parsed.code.ok_or_else(garbage)?;
    let headers = parsed.headers.iter();
    let headers: Vec<_> = headers
        .map(|header| (header.name.to_owned(), header.value.to_owned()))
        .collect();
    let now = Instant::now();
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
        is_whole: false,
        keeps_alive: parsed.version == Some(1),
        head_at: now,
        end_at: now,
    };
    let connection = response.header("connection");
    let closes = connection.is_some_and(|value| value.eq_ignore_ascii_case("close"));
    response.keeps_alive &= !closes;
    Ok(response)
}
