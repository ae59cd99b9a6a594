//! A certificate chain with its private key, read from PEM and checked to belong together.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;

use super::load_error::{IdentityError, LoadError};
use super::pem::{check, has_encrypted_key};

/// A certificate chain and the private key of its first certificate.
pub struct Identity {
    /// Its name in metrics and messages: the certificate's file.
    pub name: String,
    /// When the first certificate is valid.
    pub validity: Validity,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both from PEM. The key must be that of the first certificate.
    ///
    /// # Errors
    ///
    /// What is wrong with either, or with both together.
    pub fn parse(name: &str, certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let (chain, validity) = parse_chain(certificates).map_err(IdentityError::Certificate)?;
        let identity = Self {
            name: name.to_owned(),
            validity,
            key: parse_key(key).map_err(IdentityError::Key)?,
            chain,
        };
        identity.certified_key().map_err(|error| {
            if error == LoadError::BadCertificate {
                IdentityError::Certificate(error)
            } else {
                IdentityError::Key(error)
            }
        })?;
        Ok(identity)
    }

    /// Both, ready to sign.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey, LoadError> {
        CertifiedKey::from_der(self.chain(), self.key(), &provider()).map_err(|error| {
            if let Error::InconsistentKeys(InconsistentKeys::KeyMismatch) = error {
                LoadError::Mismatch
            } else if let Error::InvalidCertificate(_) = error {
                LoadError::BadCertificate
            } else {
                LoadError::BadKey
            }
        })
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.chain == other.chain && self.key == other.key
    }
}

impl Eq for Identity {}

/// Only the name: a key is never printed.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The certificates of a text, and the validity of the first.
fn parse_chain(text: &[u8]) -> Result<(Vec<CertificateDer<'static>>, Validity), LoadError> {
    let chain = CertificateDer::pem_slice_iter(check(text)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| LoadError::NotPem)?;
    let first = chain.first().ok_or(LoadError::NoCertificate)?;
    let validity = Validity::of(first).ok_or(LoadError::BadCertificate)?;
    Ok((chain, validity))
}

fn parse_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, LoadError> {
    let text = check(text)?;
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        if has_encrypted_key(text) {
            LoadError::EncryptedKey
        } else if matches!(error, pem::Error::NoItemsFound) {
            LoadError::NoKey
        } else {
            LoadError::BadKey
        }
    })
}

/// A certificate's first and last second, since 1970. rustls checks them, but doesn't expose them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second in which it is valid.
    pub not_before: i64,
    /// The last second in which it is valid.
    pub not_after: i64,
}

/// Whether a certificate is valid now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityStatus {
    /// It will be.
    NotYetValid,
    /// It is.
    Valid,
    /// It was.
    Expired,
}

impl Validity {
    /// The validity of a certificate in DER; none if it can't be parsed.
    fn of(certificate: &[u8]) -> Option<Self> {
        // Nothing but the dates is needed, so a certificate with an odd extension isn't refused here.
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        let (_, certificate) = parser.parse(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Whether the certificate is valid now.
    pub fn status(&self) -> ValidityStatus {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs().cast_signed());
        if now < self.not_before {
            ValidityStatus::NotYetValid
        } else if now > self.not_after {
            ValidityStatus::Expired
        } else {
            ValidityStatus::Valid
        }
    }
}

/// The implementation of cryptography that both sides use.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validity_of(first: (i32, u8, u8), last: (i32, u8, u8)) -> Option<Validity> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["a.example".into()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(first.0, first.1, first.2);
        params.not_after = rcgen::date_time_ymd(last.0, last.1, last.2);
        let certificate = params.self_signed(&key).expect("a certificate");
        Validity::of(certificate.der())
    }

    #[test]
    fn the_dates_of_a_certificate_are_read() {
        for (first, last, not_before, not_after, status) in [
            (
                (2021, 2, 3),
                (2051, 6, 7),
                1_612_310_400,
                2_569_708_800,
                ValidityStatus::Valid,
            ),
            (
                (1999, 12, 31),
                (2000, 3, 1),
                946_598_400,
                951_868_800,
                ValidityStatus::Expired,
            ),
            (
                (2050, 1, 1),
                (9999, 12, 31),
                2_524_608_000,
                253_402_214_400,
                ValidityStatus::NotYetValid,
            ),
        ] {
            let validity = validity_of(first, last).expect("a certificate");
            assert_eq!(
                (validity.not_before, validity.not_after, validity.status()),
                (not_before, not_after, status)
            );
        }
    }

    #[test]
    fn text_that_is_not_a_certificate_has_no_validity() {
        for text in [
            &b""[..],
            b"0",
            b"0\x82",
            b"0\x03\x30\x05a",
            b"0\x84\xff\xff\xff\xff",
        ] {
            assert_eq!(Validity::of(text), None, "{text:?}");
        }
    }
}
