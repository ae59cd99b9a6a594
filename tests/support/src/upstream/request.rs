//! A request as it came, byte for byte.

/// One request that the app was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// On which connection it came, from 1.
    pub connection: usize,
    /// Which one on that connection it was, from 1.
    pub number: usize,
    /// From the request line to the empty line.
    pub head: Vec<u8>,
    /// What followed, framing included; what a script doesn't read is not here.
    pub body: Vec<u8>,
}

/// How a body's end is marked (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
}

impl Request {
    /// The method.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// The target, with its query.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The values of a header, in their order; names are compared without regard to case.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.head_text().split("\r\n").skip(1);
        let headers = lines.filter_map(|line| line.split_once(':'));
        headers
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The first value of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// All of it, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.head[..], &self.body[..]].concat()
    }

    /// The body without its framing.
    pub fn payload(&self) -> Vec<u8> {
        match self.framing() {
            Framing::Length(_) => self.body.clone(),
            Framing::Chunked => Chunks(&self.body).flatten().flatten().copied().collect(),
        }
    }

    pub(super) fn framing(&self) -> Framing {
        let chunked = |coding: &str| coding.eq_ignore_ascii_case("chunked");
        if self.header("transfer-encoding").is_some_and(chunked) {
            return Framing::Chunked;
        }
        let length = self.header("content-length");
        Framing::Length(
            length
                .and_then(|length| length.parse().ok())
                .unwrap_or_default(),
        )
    }

    fn word(&self, at: usize) -> &str {
        let line = self.head_text().split("\r\n").next().unwrap_or_default();
        line.split(' ').nth(at).unwrap_or_default()
    }

    /// The head up to its first byte that isn't UTF-8.
    fn head_text(&self) -> &str {
        let first = self.head.utf8_chunks().next();
        first.map_or("", |chunk| chunk.valid())
    }
}

/// Shown as text: who reads it wants to know what the app was sent.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            connection, number, ..
        } = self;
        let text = String::from_utf8_lossy(&self.bytes()).into_owned();
        writeln!(f, "request {number} on connection {connection}:\n{text}")
    }
}

impl Framing {
    /// How many bytes of these the body takes; none as long as its end isn't there.
    pub(super) fn end(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Length(length) => (bytes.len() >= length).then_some(length),
            Self::Chunked => {
                let mut chunks = Chunks(bytes);
                let last = chunks.find(|chunk| chunk.is_none_or(<[u8]>::is_empty));
                last.flatten()?;
                let after = trailers_end(chunks.0)?;
                Some(bytes.len() - after.len())
            }
        }
    }
}

/// The chunks of a chunked body; `None` where one isn't there yet, and an empty one for the last.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (chunk, rest) = match chunk(self.0) {
            Some((chunk, rest)) => (Some(chunk), rest),
            None => (None, &self.0[self.0.len()..]),
        };
        self.0 = rest;
        Some(chunk)
    }
}

/// The first chunk and what is behind it.
fn chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = bytes.windows(2).position(|two| two == b"\r\n")?;
    let size = std::str::from_utf8(&bytes[..line]).ok()?;
    let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
    let begins = line + 2;
    match size {
        0 => Some((&[], &bytes[begins..])),
        _ => Some((
            bytes.get(begins..begins + size)?,
            bytes.get(begins + size + 2..)?,
        )),
    }
}

/// What is behind the trailers.
fn trailers_end(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes.windows(2).position(|two| two == b"\r\n")?;
    match line {
        0 => Some(&bytes[2..]),
        _ => trailers_end(&bytes[line + 2..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str, body: &str) -> Request {
        Request {
            connection: 1,
            number: 1,
            head: head.into(),
            body: body.into(),
        }
    }

    #[test]
    fn a_head_is_read_without_being_changed() {
        let request = request(
            "POST /voice?a=1 HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a:2\r\n\r\n",
            "",
        );
        assert_eq!(
            (request.method(), request.target(), request.path()),
            ("POST", "/voice?a=1", "/voice")
        );
        assert_eq!(request.headers("X-a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(request.header("b"), None);
        assert_eq!(request.framing(), Framing::Length(0));
    }

    #[test]
    fn a_chunked_body_ends_behind_its_trailers() {
        let body = "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n";
        let chunked = request(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            body,
        );
        assert_eq!(chunked.framing(), Framing::Chunked);
        assert_eq!(chunked.payload(), b"abcde");
        for end in 0..body.len() {
            assert_eq!(Framing::Chunked.end(&body.as_bytes()[..end]), None, "{end}");
        }
        let longer = format!("{body}GET");
        assert_eq!(Framing::Chunked.end(longer.as_bytes()), Some(body.len()));
    }
}
