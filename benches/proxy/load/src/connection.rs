//! A connection that sends a request and reads its response, one at a time.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::{Error, Target};

pub(crate) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(target: &Target) -> Result<Self, Error> {
        let socket = TcpStream::connect(target.address)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            buffer: Vec::new(),
        })
    }

    /// Sends the request and reads its response to the last byte.
    pub(crate) fn exchange(&mut self, target: &Target) -> Result<(), Error> {
        self.send(target)?;
        self.receive()
    }

    pub(crate) fn send(&mut self, target: &Target) -> Result<(), Error> {
        Ok(self.socket.write_all(&target.request)?)
    }

    /// Reads a response, which must have status 200 and a length.
    pub(crate) fn receive(&mut self) -> Result<(), Error> {
        self.buffer.clear();
        let end = loop {
            if let Some(end) = end_of_response(&self.buffer)? {
                break end;
            }
            self.read_more()?;
        };
        while self.buffer.len() < end {
            self.read_more()?;
        }
        Ok(())
    }

    fn read_more(&mut self) -> Result<(), Error> {
        let mut part = [0; 16 * 1024];
        match self.socket.read(&mut part)? {
            0 => Err("a connection was closed before its response was whole".into()),
            length => {
                self.buffer.extend_from_slice(&part[..length]);
                Ok(())
            }
        }
    }
}

/// Where the response ends that begins here; none while its head isn't whole.
fn end_of_response(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    if !(head.starts_with("http/1.") && head[8..].starts_with(" 200 ")) {
        return Err(format!("not a 200: {head}").into());
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .ok_or("a response has no Content-Length")?;
    Ok(Some(end + 4 + length.trim().parse::<usize>()?))
}
