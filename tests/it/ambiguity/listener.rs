//! The app's side: it keeps every byte that it receives and reads them with the strict reader only.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::strict::{self, Read, Request};

/// What came to the app.
#[derive(Clone)]
pub(crate) enum Seen {
    Request(Request),
    /// Why these bytes are no request.
    Malformed(String, Vec<u8>),
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = match self {
            Self::Request(request) => request,
            Self::Malformed(why, bytes) => {
                return write!(f, "{why} in {}", bytes.escape_ascii());
            }
        };
        write!(f, "{} {}", request.method, request.target.escape_ascii())?;
        for (name, value) in &request.headers {
            write!(f, " {name}: {};", value.escape_ascii())?;
        }
        write!(f, " {:?}", request.body.escape_ascii().to_string())
    }
}

/// A running app. It says in every response which request it is for.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Listener {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket");
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let keeps = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&keeps)));
            }
        });
        Self { address, seen }
    }

    /// What came since this was asked last.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("no poison"))
    }
}

/// Serves a connection until it ends, or until what comes can't be read. A request that never becomes whole is none.
async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    loop {
        match strict::read(&unread) {
            Read::Whole(request, end) => {
                unread.drain(..end);
                let response = response(&request);
                seen.lock().expect("no poison").push(Seen::Request(request));
                stream.write_all(&response).await?;
            }
            Read::Partial => {
                if stream.read_buf(&mut unread).await? == 0 {
                    return Ok(());
                }
            }
            Read::Malformed(why) => {
                let malformed = Seen::Malformed(why, unread);
                seen.lock().expect("no poison").push(malformed);
                return Ok(());
            }
        }
    }
}

fn response(request: &Request) -> Vec<u8> {
    let document = "<Response/>";
    let mut response = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nSeen: ".to_vec();
    response.extend(seen_as(&request.method, &request.target));
    response.extend(format!("\r\nContent-Length: {}\r\n\r\n", document.len()).bytes());
    if request.method != "HEAD" {
        response.extend(document.bytes());
    }
    response
}

/// How a response names the request that it is for.
pub(crate) fn seen_as(method: &str, target: &[u8]) -> Vec<u8> {
    format!("{method} {}", target.escape_ascii()).into_bytes()
}
