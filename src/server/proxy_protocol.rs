//! The PROXY protocol, versions 1 and 2: a balancer that forwards bytes, and not HTTP, writes a header before them, which says who
//! its client is (HAProxy's `doc/proxy-protocol.txt`).
//!
//! Exactly the bytes of the header are read. What follows stays in the socket, for TLS or HTTP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use memchr::memchr2;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, with its CRLF (§2.1).
const V1_LIMIT: usize = 107;

/// The longest header of version 2 that is read, with its extensions (TLVs). nginx has the same limit.
const V2_LIMIT: usize = 4096;

/// How long the part of version 2 is that says how long the rest is.
const V2_FIXED: usize = 16;

/// Why a connection has no valid PROXY header.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The connection is from an address that is not one of `trusted_proxies`.
    #[error("the peer is not one of trusted_proxies, so it may not send a PROXY header")]
    Untrusted,
    /// It begins with something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// It has ended before its first byte.
    #[error("the connection ended before its PROXY header")]
    Unused,
    /// It has ended within the header.
    #[error("the connection ended within its PROXY header")]
    Truncated,
    /// The header is longer than [`V1_LIMIT`] or [`V2_LIMIT`].
    #[error("the PROXY header is too long")]
    TooLong,
    /// The line of version 1 is not one of those that the protocol has.
    #[error("the line of the PROXY header is not valid")]
    Line,
    /// The binary header is not of version 2.
    #[error("{0} is not a valid version of a binary PROXY header")]
    Version(u8),
    /// The command is neither LOCAL nor PROXY.
    #[error("{0} is not a valid command in a PROXY header")]
    Command(u8),
    /// The family of addresses, or the transport, is none that the protocol has.
    #[error("{0:#04x} is not a valid family and transport in a PROXY header")]
    Family(u8),
    /// The header is shorter than the addresses of its family.
    #[error("the PROXY header is too short for its addresses")]
    TooShort,
    /// The header was not whole within `header_timeout`.
    #[error("the PROXY header was not whole within header_timeout")]
    Timeout,
    /// The place of the connection was needed, or the server stops.
    #[error("the connection was closed before its PROXY header was whole")]
    Closed,
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// Whether the peer did something wrong. Balancers connect and leave to check whether we are there, and connections break.
    pub(super) fn is_of_peer(&self) -> bool {
        match self {
            Self::Untrusted
            | Self::Missing
            | Self::Truncated
            | Self::TooLong
            | Self::Line
            | Self::Version(_)
            | Self::Command(_)
            | Self::Family(_)
            | Self::TooShort
            | Self::Timeout => true,
            Self::Unused | Self::Closed | Self::Io(_) => false,
        }
    }
}

/// Reads the header of a connection. Returns the client's address and port; None if the connection is the balancer's own (LOCAL),
/// or if the header names no client with an IP address.
pub(super) async fn receive(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Error> {
    // A peer that says nothing holds no memory for a header.
    stream.readable().await?;
    let mut buffer = vec![0; V2_LIMIT];
    let mut length = 0;
    loop {
        // Peeked at first, since only the bytes show where the header ends.
        let peeked = stream.peek(&mut buffer[length..]).await?;
        if peeked == 0 {
            return Err(match length {
                0 => Error::Unused,
                _ => Error::Truncated,
            });
        }
        let header = parse(&buffer[..length + peeked])?;
        let end = header.map_or(length + peeked, |header| header.length);
        stream.read_exact(&mut buffer[length..end]).await?;
        length = end;
        if let Some(header) = header {
            return Ok(header.client);
        }
    }
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// Its length in bytes.
    length: usize,
    client: Option<SocketAddr>,
}

/// Parses the header with which these bytes begin. None if it is not whole yet. An error is found at the first byte that shows it,
/// and at [`V2_LIMIT`] at the latest.
fn parse(bytes: &[u8]) -> Result<Option<Header>, Error> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => parse_v1(bytes),
        Some(_) => parse_v2(bytes),
    }
}

/// Whether this signature is whole. An error if the bytes begin with something else.
fn has_signature(bytes: &[u8], signature: &[u8]) -> Result<bool, Error> {
    if bytes.starts_with(signature) {
        Ok(true)
    } else if signature.starts_with(bytes) {
        Ok(false)
    } else {
        Err(Error::Missing)
    }
}

/// §2.1.
fn parse_v1(bytes: &[u8]) -> Result<Option<Header>, Error> {
    if !has_signature(bytes, V1_SIGNATURE)? {
        return Ok(None);
    }
    let bytes = &bytes[..bytes.len().min(V1_LIMIT)];
    let Some(end) = memchr2(b'\r', b'\n', bytes) else {
        // The CRLF is still to come.
        return match bytes.len() + 2 <= V1_LIMIT {
            true => Ok(None),
            false => Err(Error::TooLong),
        };
    };
    let length = end + 2;
    match &bytes[end..] {
        b"\r" if length > V1_LIMIT => Err(Error::TooLong),
        b"\r" => Ok(None),
        [b'\r', b'\n', ..] => {
            let client = parse_line(&bytes[V1_SIGNATURE.len()..end])?;
            Ok(Some(Header { length, client }))
        }
        _ => Err(Error::Line),
    }
}

/// The client's address in what stands between `PROXY ` and the CRLF.
fn parse_line(line: &[u8]) -> Result<Option<SocketAddr>, Error> {
    let mut words = line.split(|byte| *byte == b' ');
    let client = match words.next() {
        // Whatever stands behind it is ignored.
        Some(b"UNKNOWN") => return Ok(None),
        Some(b"TCP4") => parse_source::<Ipv4Addr>(words),
        Some(b"TCP6") => parse_source::<Ipv6Addr>(words),
        Some(_) | None => None,
    };
    client.map(Some).ok_or(Error::Line)
}

/// The first of two addresses, with the first of the two ports behind them.
fn parse_source<'a, A: FromStr + Into<IpAddr>>(
    mut words: impl Iterator<Item = &'a [u8]>,
) -> Option<SocketAddr> {
    let mut address = || str::from_utf8(words.next()?).ok()?.parse::<A>().ok();
    let (source, _destination) = (address()?, address()?);
    let (port, _) = (parse_port(words.next()?)?, parse_port(words.next()?)?);
    let is_end = words.next().is_none();
    is_end.then(|| canonical(source, port))
}

/// A port in decimal digits without leading zeros.
fn parse_port(word: &[u8]) -> Option<u16> {
    let is_number =
        word.iter().all(u8::is_ascii_digit) && (word == b"0" || !word.starts_with(b"0"));
    str::from_utf8(word)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

/// §2.2.
fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, Error> {
    if !has_signature(bytes, V2_SIGNATURE)? {
        return Ok(None);
    }
    let fixed = &bytes[V2_SIGNATURE.len()..];
    let Some(&version_and_command) = fixed.first() else {
        return Ok(None);
    };
    if version_and_command >> 4 != 2 {
        return Err(Error::Version(version_and_command >> 4));
    }
    let is_local = match version_and_command & 0xf {
        0 => true,
        1 => false,
        command => return Err(Error::Command(command)),
    };
    let Some(&family) = fixed.get(1) else {
        return Ok(None);
    };
    // The family of a LOCAL connection is to be ignored.
    let address_length = if is_local { 0 } else { address_length(family)? };
    let Some(&rest_length) = fixed[2..].first_chunk::<2>() else {
        return Ok(None);
    };
    let rest_length = usize::from(u16::from_be_bytes(rest_length));
    if rest_length < address_length {
        return Err(Error::TooShort);
    }
    let length = V2_FIXED + rest_length;
    if length > V2_LIMIT {
        return Err(Error::TooLong);
    }
    if bytes.len() < length {
        return Ok(None);
    }
    let client = match family {
        _ if is_local => None,
        0x11 => read_source::<4>(&bytes[V2_FIXED..]),
        0x21 => read_source::<16>(&bytes[V2_FIXED..]),
        // Unix sockets, datagrams, and what the balancer doesn't know.
        _ => None,
    };
    Ok(Some(Header { length, client }))
}

/// How many bytes the addresses and ports of this family take.
fn address_length(family: u8) -> Result<usize, Error> {
    let length = match family >> 4 {
        0 => 0,
        1 => 2 * (4 + 2),
        2 => 2 * (16 + 2),
        3 => 2 * 108,
        _ => return Err(Error::Family(family)),
    };
    let is_transport = family & 0xf <= 2;
    is_transport.then_some(length).ok_or(Error::Family(family))
}

/// The first of two addresses of so many bytes, with the first of the two ports behind them. None if the bytes end before.
fn read_source<const N: usize>(bytes: &[u8]) -> Option<SocketAddr>
where
    [u8; N]: Into<IpAddr>,
{
    let source = *bytes.first_chunk::<N>()?;
    let port = *bytes.get(2 * N..)?.first_chunk::<2>()?;
    Some(canonical(source, u16::from_be_bytes(port)))
}

/// An IPv4 address has one form, also where the balancer has it as an IPv6 one.
fn canonical(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into().to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "203.0.113.9:4711";

    fn v2(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("it is short");
        let fixed = [version_and_command, family];
        [V2_SIGNATURE, &fixed, &length.to_be_bytes(), rest].concat()
    }

    /// The addresses and ports of IPv4, and of IPv6.
    fn ipv4() -> Vec<u8> {
        [[203, 0, 113, 9], [192, 0, 2, 1], [0x12, 0x67, 0x01, 0xbb]].concat()
    }

    fn ipv6(client: &str) -> Vec<u8> {
        let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
        let addresses = [address(client), address("2001:db8::1")].concat();
        [&addresses[..], &[0x12, 0x67, 0x01, 0xbb]].concat()
    }

    /// Parses a header that another protocol follows, checks its length, and that no shorter part of it is enough or wrong.
    fn client_of(header: &[u8]) -> Option<String> {
        for end in 0..header.len() {
            let parsed = parse(&header[..end]);
            assert!(matches!(parsed, Ok(None)), "{end} bytes: {parsed:?}");
        }
        for behind in [
            "",
            "\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
            "\u{16}\u{3}",
        ] {
            let parsed = parse(&[header, behind.as_bytes()].concat());
            let parsed = parsed.expect("valid").expect("whole");
            assert_eq!(parsed.length, header.len());
        }
        let header = parse(header).expect("valid").expect("whole");
        header.client.map(|client| client.to_string())
    }

    #[test]
    fn version_1_names_the_client() {
        for (line, client) in [
            ("TCP4 203.0.113.9 192.0.2.1 4711 443", Some(CLIENT)),
            ("TCP4 203.0.113.9 192.0.2.1 0 65535", Some("203.0.113.9:0")),
            (
                "TCP6 2001:db8::9 2001:db8::1 4711 443",
                Some("[2001:db8::9]:4711"),
            ),
            ("TCP6 ::ffff:203.0.113.9 ::1 4711 443", Some(CLIENT)),
            (
                "TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535",
                Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
            ),
            ("UNKNOWN", None),
            ("UNKNOWN 1.2.3.4 whatever", None),
            ("UNKNOWN f...f f...f 65535 65535", None),
        ] {
            let ones = ["ffff"; 8].join(":");
            let line = line.replace("ffff:f...f:ffff", &ones);
            let line = line.replace("f...f", &ones);
            let header = format!("PROXY {line}\r\n");
            assert!(header.len() <= V1_LIMIT);
            let found = client_of(header.as_bytes());
            assert_eq!(found.as_deref(), client, "{line}");
        }
    }

    #[test]
    fn version_1_has_one_form_only() {
        for line in [
            "",
            " ",
            "TCP4",
            "TCP4 ",
            "tcp4 203.0.113.9 192.0.2.1 4711 443",
            "UDP4 203.0.113.9 192.0.2.1 4711 443",
            "UNKNOWNS",
            " TCP4 203.0.113.9 192.0.2.1 4711 443",
            "TCP4  203.0.113.9 192.0.2.1 4711 443",
            "TCP4 203.0.113.9 192.0.2.1 4711 443 ",
            "TCP4 203.0.113.9 192.0.2.1 4711 443 1",
            "TCP4 203.0.113.9 192.0.2.1 4711",
            "TCP4 203.0.113.9 192.0.2.1 4711 ",
            "TCP4\t203.0.113.9 192.0.2.1 4711 443",
            "TCP4 203.0.113 192.0.2.1 4711 443",
            "TCP4 203.000.113.9 192.0.2.1 4711 443",
            "TCP4 203.0.113.256 192.0.2.1 4711 443",
            "TCP4 203.0.113.9 a.example 4711 443",
            "TCP4 203.0.113.9 192.0.2.1 04711 443",
            "TCP4 203.0.113.9 192.0.2.1 4711 00",
            "TCP4 203.0.113.9 192.0.2.1 +4711 443",
            "TCP4 203.0.113.9 192.0.2.1 -1 443",
            "TCP4 203.0.113.9 192.0.2.1 65536 443",
            "TCP4 2001:db8::9 2001:db8::1 4711 443",
            "TCP6 203.0.113.9 192.0.2.1 4711 443",
            "TCP6 2001:db8::9 192.0.2.1 4711 443",
            "TCP6 fe80::9%eth0 2001:db8::1 4711 443",
            "TCP6 [2001:db8::9] 2001:db8::1 4711 443",
            "TCP4 203.0.113.\u{e9} 192.0.2.1 4711 443",
        ] {
            let parsed = parse(format!("PROXY {line}\r\n").as_bytes());
            assert!(matches!(parsed, Err(Error::Line)), "{line:?}: {parsed:?}");
        }
        for end in ["\n", "\rX", "\r\r\n"] {
            let parsed = parse(format!("PROXY TCP4 1.1.1.1 1.1.1.1 1 1{end}").as_bytes());
            assert!(matches!(parsed, Err(Error::Line)), "{end:?}: {parsed:?}");
        }
    }

    #[test]
    fn version_1_has_107_bytes_at_most() {
        let line = |length: usize| format!("PROXY UNKNOWN{}", "x".repeat(length - 13));
        let line = |length: usize| line(length).replacen("UNKNOWNx", "UNKNOWN ", 1);
        let longest = line(105) + "\r\n";
        assert_eq!(longest.len(), V1_LIMIT);
        assert_eq!(client_of(longest.as_bytes()), None);
        for longer in [line(106), line(106) + "\r\n", line(107), line(3000)] {
            let parsed = parse(longer.as_bytes());
            assert!(matches!(parsed, Err(Error::TooLong)), "{longer}");
        }
    }

    #[test]
    fn version_2_names_the_client() {
        let unix = [b'/'; 216];
        for (family, addresses, client) in [
            (0x11, ipv4(), Some(CLIENT)),
            (0x21, ipv6("2001:db8::9"), Some("[2001:db8::9]:4711")),
            (0x21, ipv6("::ffff:203.0.113.9"), Some(CLIENT)),
            (0x00, Vec::new(), None),
            (0x01, Vec::new(), None),
            (0x31, unix.to_vec(), None),
            (0x32, unix.to_vec(), None),
            // Datagrams don't come by a TCP connection.
            (0x12, ipv4(), None),
            (0x22, ipv6("2001:db8::9"), None),
        ] {
            for extensions in [0, 3, 1000] {
                let rest = [&addresses[..], &vec![4; extensions]].concat();
                let found = client_of(&v2(0x21, family, &rest));
                assert_eq!(found.as_deref(), client, "{family:#x}");
            }
        }
    }

    #[test]
    fn a_local_connection_keeps_its_address_whatever_the_rest_says() {
        for family in [0x00, 0x11, 0x21, 0x31, 0xff] {
            for rest in [Vec::new(), vec![1, 2, 3], ipv4(), ipv6("::1")] {
                assert_eq!(client_of(&v2(0x20, family, &rest)), None);
            }
        }
    }

    #[test]
    fn version_2_has_valid_parts_and_4096_bytes_at_most() {
        let error = |header: Vec<u8>| parse(&header).expect_err("not valid").to_string();
        for (version_and_command, expected) in [
            (0x01, "0 is not a valid version of a binary PROXY header"),
            (0x11, "1 is not a valid version of a binary PROXY header"),
            (0x31, "3 is not a valid version of a binary PROXY header"),
            (0x22, "2 is not a valid command in a PROXY header"),
            (0x2f, "15 is not a valid command in a PROXY header"),
        ] {
            let header = v2(version_and_command, 0x11, &ipv4());
            assert_eq!(error(header[..13].to_vec()), expected);
        }
        for family in [0x03, 0x13, 0x41, 0xff] {
            let expected =
                format!("{family:#04x} is not a valid family and transport in a PROXY header");
            assert_eq!(error(v2(0x21, family, &[0; 216])[..14].to_vec()), expected);
        }
        for (family, length) in [(0x11, 11), (0x11, 0), (0x21, 35), (0x21, 12), (0x31, 215)] {
            let header = v2(0x21, family, &vec![0; length])[..16].to_vec();
            assert_eq!(
                error(header),
                "the PROXY header is too short for its addresses"
            );
        }
        for command in [0x20, 0x21] {
            let longest = v2(command, 0x11, &vec![1; V2_LIMIT - V2_FIXED]);
            assert_eq!(longest.len(), V2_LIMIT);
            client_of(&longest);
            let longer = v2(command, 0x11, &vec![1; V2_LIMIT - V2_FIXED + 1]);
            assert_eq!(error(longer[..16].to_vec()), "the PROXY header is too long");
        }
    }

    #[test]
    fn another_beginning_is_an_error_at_its_first_wrong_byte() {
        for signature in [V1_SIGNATURE, V2_SIGNATURE] {
            for at in 0..signature.len() {
                let mut bytes = signature[..=at].to_vec();
                assert!(matches!(parse(&bytes), Ok(None)));
                bytes[at] ^= 0x20;
                assert!(matches!(parse(&bytes), Err(Error::Missing)), "{bytes:?}");
            }
        }
        for beginning in [
            "POST /voice HTTP/1.1\r\n",
            "GET",
            "\r\n\r\nG",
            "\u{16}\u{3}",
        ] {
            let parsed = parse(beginning.as_bytes());
            assert!(matches!(parsed, Err(Error::Missing)), "{beginning:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_parser_and_what_follows_changes_no_result(
            beginning in 0..3_usize,
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ) {
            let bytes = [[&b""[..], V1_SIGNATURE, V2_SIGNATURE][beginning], &bytes].concat();
            if let Ok(Some(header)) = parse(&bytes) {
                let alone = parse(&bytes[..header.length]).expect("valid");
                assert_eq!(alone, Some(header));
                for end in 0..header.length {
                    assert!(matches!(parse(&bytes[..end]), Ok(None)));
                }
            }
        }
    }
}
