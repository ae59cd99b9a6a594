//! How callbacks, and what is known of them, are written: fields one after the other, numbers in big endian, texts behind their
//! length, and a CRC-32 of it all at the end.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::callback::Callback;

/// The first byte, for the version of the format.
const FORMAT: u8 = 1;

/// The bytes are not those that were stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Milliseconds since 1970; 0 for a time before.
pub(super) fn to_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time that is so many milliseconds after 1970.
pub(super) fn from_millis(millis: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(UNIX_EPOCH)
}

/// A callback as it is stored.
pub(super) fn encode(callback: &Callback) -> Vec<u8> {
    let mut writer = Writer::new(callback.body.len() + 1024);
    writer.text(callback.route.as_bytes());
    writer.text(callback.key.as_bytes());
    writer.text(callback.reason.as_bytes());
    writer.number(to_millis(callback.received));
    writer.text(callback.client.to_string().as_bytes());
    writer.text(callback.method.as_str().as_bytes());
    writer.text(callback.target.as_bytes());
    writer.number(callback.headers.len() as u64);
    for (name, value) in &callback.headers {
        writer.text(name.as_str().as_bytes());
        writer.text(value.as_bytes());
    }
    writer.text(&callback.body);
    writer.finish()
}

/// The callback that was stored as `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Result<Callback, Damaged> {
    let mut reader = Reader::new(bytes)?;
    let (route, key, reason) = (reader.string()?, reader.string()?, reader.string()?);
    let received = from_millis(reader.number()?);
    let client: IpAddr = reader.string()?.parse().map_err(|_| Damaged)?;
    let method = Method::from_bytes(reader.text()?).map_err(|_| Damaged)?;
    let target = reader.string()?;
    let mut headers = HeaderMap::new();
    for _ in 0..reader.number()? {
        let name = HeaderName::from_bytes(reader.text()?).map_err(|_| Damaged)?;
        let value = HeaderValue::from_bytes(reader.text()?).map_err(|_| Damaged)?;
        headers.append(name, value);
    }
    let body = Bytes::copy_from_slice(reader.text()?);
    Ok(Callback {
        route,
        key,
        reason,
        received,
        client,
        method,
        target,
        headers,
        body,
    })
}

/// Writes fields one after the other.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(FORMAT);
        Self(bytes)
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let sum = checksum(&self.0);
        self.0.extend_from_slice(&sum.to_be_bytes());
        self.0
    }
}

/// Reads what a [`Writer`] has written.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let (fields, sum) = bytes.split_last_chunk().ok_or(Damaged)?;
        let (format, fields_only) = fields.split_first().ok_or(Damaged)?;
        if *format == FORMAT && checksum(fields) == u32::from_be_bytes(*sum) {
            Ok(Self(fields_only))
        } else {
            Err(Damaged)
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        let (number, rest) = self.0.split_first_chunk().ok_or(Damaged)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*number))
    }

    pub(super) fn text(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(text)
    }

    pub(super) fn string(&mut self) -> Result<String, Damaged> {
        String::from_utf8(self.text()?.to_vec()).map_err(|_| Damaged)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback() -> Callback {
        let mut headers = HeaderMap::new();
        headers.append("x-twice", HeaderValue::from_static("one"));
        headers.append("x-twice", HeaderValue::from_bytes(b"tw\xF6").unwrap());
        headers.append("x-twilio-signature", HeaderValue::from_static("abc="));
        Callback {
            route: "status".to_owned(),
            key: "CA1".to_owned(),
            reason: "connect".to_owned(),
            received: from_millis(1_700_000_000_123),
            client: "2001:db8::1".parse().unwrap(),
            method: Method::POST,
            target: "/status?a=%20".to_owned(),
            headers,
            body: Bytes::from_static(b"CallSid=CA1\0\xFF"),
        }
    }

    #[test]
    fn a_callback_is_read_as_it_was_written() {
        assert_eq!(decode(&encode(&callback())), Ok(callback()));
    }

    #[test]
    fn no_changed_or_shortened_bytes_are_taken_for_a_callback() {
        let bytes = encode(&callback());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), Err(Damaged), "byte {at}");
            assert_eq!(decode(&bytes[..at]), Err(Damaged), "{at} bytes");
        }
    }
}
