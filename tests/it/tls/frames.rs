//! HTTP/2 frame by frame (RFC 9113 §4), with field blocks that no library would write (RFC 7541).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client;
use super::pki::Authority;
use support::{Sidecar, wait_for};

/// What a client sends first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

/// Flags, of `PING` and of `HEADERS` and `DATA`.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short frame")
        .to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A block of these headers, each a literal that isn't indexed (RFC 7541 §6.2.2).
pub(crate) fn block(headers: &[(&str, &[u8])]) -> Vec<u8> {
    let field = |(name, value): &(&str, &[u8])| {
        [&[0][..], &string(name.as_bytes()), &string(value)].concat()
    };
    headers.iter().flat_map(field).collect()
}

/// A string literal without Huffman's code (RFC 7541 §5.2).
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut string = Vec::new();
    if length < 127 {
        string.push(length as u8);
    } else {
        string.push(127);
        length -= 127;
        while length >= 128 {
            string.push((length % 128) as u8 | 128);
            length /= 128;
        }
        string.push(length as u8);
    }
    [&string, bytes].concat()
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A response; 0 for a status that isn't in the static table.
    Status(u16),
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// `GOAWAY` with this code, or the end of the connection.
    Closed(u32),
}

impl End {
    /// The server has refused the request as malformed, in one of the ways that there are.
    pub(crate) fn is_refusal(self) -> bool {
        // PROTOCOL_ERROR, and COMPRESSION_ERROR for what isn't even a field.
        matches!(
            self,
            Self::Status(400) | Self::Reset(1) | Self::Closed(1 | 9)
        )
    }
}

/// A connection on which frames are written and read.
pub(crate) struct Connection(TlsStream<TcpStream>);

impl Connection {
    /// A new one, the preface and our settings sent.
    pub(crate) async fn open(authority: &Authority, sidecar: &Sidecar, name: &str) -> Self {
        let first = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        Self::open_with(authority, sidecar, name, &first).await
    }

    /// A new one on which these bytes were sent.
    pub(crate) async fn open_with(
        authority: &Authority,
        sidecar: &Sidecar,
        name: &str,
        first: &[u8],
    ) -> Self {
        let config = client::config(authority, client::BOTH, &["h2"]);
        let stream = client::connect(&config, sidecar.address, name).await;
        let mut connection = Self(stream.expect("TLS"));
        connection.send(first).await;
        connection
    }

    /// Sends these bytes; the server may have closed the connection by then.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = wait_for("the bytes to be taken", self.0.write_all(bytes)).await;
    }

    /// Waits for what becomes of a stream.
    pub(crate) async fn end_of(&mut self, stream: u32) -> End {
        wait_for("the stream's end", self.read_end(stream)).await
    }

    async fn read_end(&mut self, stream: u32) -> End {
        while let Some(frame) = self.read_frame().await {
            match frame.kind {
                // The status comes first; these are its places in the static table (RFC 7541, Appendix A).
                HEADERS if frame.stream == stream => {
                    let known = [200, 204, 206, 304, 400, 404, 500];
                    let at = frame.payload[0].wrapping_sub(0x88);
                    let status = known.get(usize::from(at)).copied();
                    return End::Status(status.unwrap_or_default());
                }
                RST_STREAM if frame.stream == stream => return End::Reset(frame.number(0)),
                GOAWAY if frame.number(4) != 0 => return End::Closed(frame.number(4)),
                _ => {}
            }
        }
        End::Closed(0)
    }

    /// The next frame, if the connection doesn't end before.
    pub(crate) async fn read_frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Sends these bytes again and again and takes what comes, until the connection ends.
    pub(crate) async fn flood(&mut self, bytes: &[u8]) {
        let (mut reader, mut writer) = tokio::io::split(&mut self.0);
        let write = async { while writer.write_all(bytes).await.is_ok() {} };
        let read = async {
            let mut scratch = vec![0; 0x10000];
            while matches!(reader.read(&mut scratch).await, Ok(1..)) {}
        };
        tokio::join!(write, read);
    }

    /// How many bytes of data come on a stream. For each frame of them the client says twice how much it has taken.
    pub(crate) async fn take_all(&mut self, stream: u32) -> usize {
        let mut taken = 0;
        loop {
            let frame = self.read_frame().await.expect("the connection is open");
            if frame.kind != DATA {
                continue;
            }
            let length = frame.payload.len();
            taken += length;
            if frame.flags & END_STREAM != 0 {
                return taken;
            }
            let many = u32::try_from(length).expect("a short frame").to_be_bytes();
            for on in [0, stream] {
                self.send(&self::frame(WINDOW_UPDATE, 0, on, &many)).await;
            }
        }
    }
}

/// A frame that came.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The number at this place of the payload.
    pub(crate) fn number(&self, at: usize) -> u32 {
        let bytes = self.payload[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes)
    }
}
