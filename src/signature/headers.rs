//! The headers that hold a request's signature, and how it was made.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use strum::{EnumString, IntoStaticStr};

use super::error::Error;

/// The header that holds the signature.
pub const HEADER: &str = "x-twilio-signature";

/// The header that says how the request was signed, where that isn't an auth token and HMAC-SHA1: `key=…,algorithm=…`.
pub const SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE", ascii_case_insensitive)]
pub enum Algorithm {
    /// With an auth token.
    HmacSha1,
    /// With the secret of a SharedKey.
    HmacSha256,
}

impl Algorithm {
    /// Its name in [`SETTINGS_HEADER`].
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// In bytes.
    fn signature_length(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
        }
    }
}

/// What a request's headers say about its signature.
pub(super) struct SignatureHeaders<'h> {
    pub(super) signature: Signature,
    pub(super) algorithm: Algorithm,
    /// The id of the SharedKey; empty if none is named.
    pub(super) key_id: &'h [u8],
}

impl<'h> SignatureHeaders<'h> {
    pub(super) fn parse(headers: &'h HeaderMap) -> Result<Self, Error> {
        let signature = single_value(headers, HEADER)?.ok_or(Error::Missing)?;
        let settings = single_value(headers, SETTINGS_HEADER)?.unwrap_or_default();
        let (algorithm, key_id) = parse_settings(settings)?;
        let signature = Signature::decode(signature, algorithm)?;
        Ok(Self {
            signature,
            algorithm,
            key_id,
        })
    }
}

/// The value of a header that a request has at most once: of several, the upstream may read another one than we do.
fn single_value<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h [u8]>, Error> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(HeaderValue::as_bytes);
    match values.next() {
        Some(_) => Err(Error::Invalid),
        None => Ok(value),
    }
}

/// The algorithm and the key's id in the value of [`SETTINGS_HEADER`], read as Twilio's own libraries do (npm `twilio` 6.3.1,
/// PyPI `twilio` 9.13.0): names in exactly this case, values in any case, spaces around both, the first value that isn't empty.
/// Without an algorithm it is HMAC-SHA1.
///
/// # Errors
///
/// [`Error::Invalid`] for an unknown algorithm.
fn parse_settings(settings: &[u8]) -> Result<(Algorithm, &[u8]), Error> {
    let find = |name: &[u8]| {
        let settings = settings.split(|byte| *byte == b',');
        let mut values = settings.filter_map(|setting| {
            let equals = setting.iter().position(|byte| *byte == b'=')?;
            let (own, value) = setting.split_at(equals);
            (own.trim_ascii() == name).then(|| value[1..].trim_ascii())
        });
        values.find(|value| !value.is_empty())
    };
    let algorithm = match find(b"algorithm") {
        None => Algorithm::HmacSha1,
        Some(name) => str::from_utf8(name)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or(Error::Invalid)?,
    };
    Ok((algorithm, find(b"key").unwrap_or_default()))
}

/// A signature's bytes: 20 by HMAC-SHA1, 32 by HMAC-SHA256.
pub(super) struct Signature {
    bytes: [u8; 33],
    length: usize,
}

impl Signature {
    fn decode(base64: &[u8], algorithm: Algorithm) -> Result<Self, Error> {
        // The buffer has one byte more than needed, so that a longer signature is decoded and its length found wrong.
        let mut bytes = [0; 33];
        let length = algorithm.signature_length();
        match STANDARD.decode_slice(base64, &mut bytes[..=length]) {
            Ok(decoded) if decoded == length => Ok(Self { bytes, length }),
            Ok(_) | Err(_) => Err(Error::Invalid),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Algorithm::{HmacSha1, HmacSha256};

    #[test]
    fn settings_are_read_as_twilios_own_libraries_read_them() {
        for (settings, algorithm, key_id) in [
            ("", HmacSha1, ""),
            ("key=k,algorithm=HMAC_SHA256", HmacSha256, "k"),
            (" algorithm = hmac_sha256 , key = k ", HmacSha256, "k"),
            (
                "algorithm= ,algorithm=HMAC_SHA1,key=,key=a=b,key=c",
                HmacSha1,
                "a=b",
            ),
            ("KEY=k,Algorithm=HMAC_SHA256,mykey=k", HmacSha1, ""),
            ("key,algorithm,k=key", HmacSha1, ""),
        ] {
            let read = parse_settings(settings.as_bytes());
            assert_eq!(read, Ok((algorithm, key_id.as_bytes())), "{settings}");
        }
        for settings in [&b"algorithm=HMAC_MD5"[..], b"algorithm=\xff"] {
            assert_eq!(parse_settings(settings), Err(Error::Invalid));
        }
        assert_eq!(
            [HmacSha1, HmacSha256].map(Algorithm::as_str),
            ["HMAC_SHA1", "HMAC_SHA256"]
        );
    }

    #[test]
    fn a_signature_is_exactly_as_long_as_its_algorithm_makes_it() {
        for (algorithm, length) in [(HmacSha1, 20), (HmacSha256, 32)] {
            let decode = |length| {
                let bytes = vec![7; length];
                let decoded = Signature::decode(STANDARD.encode(&bytes).as_bytes(), algorithm);
                decoded.map(|decoded| decoded.as_bytes() == bytes)
            };
            assert_eq!(decode(length), Ok(true));
            for other in [0, 1, length - 1, length + 1, length + 2, 64] {
                assert_eq!(decode(other), Err(Error::Invalid), "{other}");
            }
        }
    }
}
