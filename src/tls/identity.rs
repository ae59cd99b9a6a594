//! A certificate, what leads from it to a root, and its key: read together, shown together.

use std::fmt;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::provider;
use super::validity::Validity;

/// What proves who somebody is.
pub struct Identity {
    /// What it is called in metrics and messages: its file.
    pub name: String,
    /// From when to when the first certificate is valid.
    pub validity: Validity,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why a certificate or a key can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The text is no PEM.
    NotPem,
    /// There is no certificate in it.
    NoCertificate,
    /// What stands there as a certificate is none.
    BadCertificate,
    /// There is no private key in it.
    NoKey,
    /// The key is encrypted, and nobody is here to give the passphrase.
    EncryptedKey,
    /// What stands there as a key is none, or of a kind that isn't supported.
    BadKey,
    /// The key is another certificate's.
    Mismatch,
    /// The machine trusts nobody.
    NoRoots,
}

impl Unfit {
    /// Whether it is the key, and not the certificate, that is wrong.
    pub fn is_of_key(self) -> bool {
        match self {
            Self::NoKey | Self::EncryptedKey | Self::BadKey | Self::Mismatch => true,
            Self::NotPem | Self::NoCertificate | Self::BadCertificate | Self::NoRoots => false,
        }
    }
}

impl Identity {
    /// Reads both from PEM; the first certificate is the one whose key it is.
    ///
    /// # Errors
    ///
    /// What is wrong with either, or with both together.
    pub fn parse(name: &str, certificates: &[u8], key: &[u8]) -> Result<Self, Unfit> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| Unfit::NotPem)?;
        let own = chain.first().ok_or(Unfit::NoCertificate)?;
        let validity = Validity::of(own).ok_or(Unfit::BadCertificate)?;
        let identity = Self {
            name: name.to_owned(),
            validity,
            key: private_key(key)?,
            chain,
        };
        identity.certified()?;
        Ok(identity)
    }

    /// Both, ready to sign.
    pub(super) fn certified(&self) -> Result<CertifiedKey, Unfit> {
        CertifiedKey::from_der(self.chain(), self.key(), &provider()).map_err(|error| {
            if let Error::InconsistentKeys(InconsistentKeys::KeyMismatch) = error {
                Unfit::Mismatch
            } else if let Error::InvalidCertificate(_) = error {
                Unfit::BadCertificate
            } else {
                Unfit::BadKey
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

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Unfit> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let is_none = matches!(error, pem::Error::NoItemsFound);
        if is_none && has(text, b"ENCRYPTED PRIVATE KEY") {
            Unfit::EncryptedKey
        } else if is_none {
            Unfit::NoKey
        } else {
            Unfit::BadKey
        }
    })
}

fn has(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|part| part == words)
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.chain == other.chain && self.key == other.key
    }
}

impl Eq for Identity {}

/// Its name alone: a key is never printed.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPem => "is not valid PEM; write each part between its BEGIN and END lines",
            Self::NoCertificate => {
                "holds no certificate; name a PEM file with the certificate first, then what leads to its root"
            }
            Self::BadCertificate => "holds a certificate that can't be read; have it issued again",
            Self::NoKey => "holds no private key; name the PEM file with the certificate's key",
            Self::EncryptedKey => {
                "holds a key that is encrypted; write it without a passphrase: openssl pkey -in key.pem -out plain.pem"
            }
            Self::BadKey => {
                "holds a key that can't be used; RSA of 2048 bits and over, ECDSA P-256 or P-384 and Ed25519 can"
            }
            Self::Mismatch => {
                "holds the key of another certificate; name the one that belongs to `cert`"
            }
            Self::NoRoots => {
                "no certificate is trusted on this machine; install its package ca-certificates, or name a file: ca = \"ca.pem\""
            }
        })
    }
}

impl std::error::Error for Unfit {}
