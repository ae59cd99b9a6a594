//! Why TLS with the app failed: what an operator must renew, rename or trust.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// Why the handshake with the app failed, or TLS broke after it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate is no longer valid.
    #[error("the app's certificate has expired")]
    Expired,
    /// The certificate isn't valid yet.
    #[error("the app's certificate isn't valid yet")]
    NotYetValid,
    /// The certificate is for another name.
    #[error("the app's certificate is for another name")]
    NameMismatch,
    /// No trusted authority has issued the certificate.
    #[error("the app's certificate was not issued by a trusted authority")]
    UnknownIssuer,
    /// The certificate is that of an authority, as self-signed certificates often are.
    #[error(
        "the app's certificate is that of an authority, which no server may show; \
         issue one for the server, or name this one as pin"
    )]
    CaUsedAsEndEntity,
    /// The certificate is of an old version.
    #[error(
        "the app's certificate is of an old X.509 version; issue one of version 3, or name this one as pin"
    )]
    UnsupportedVersion,
    /// The app showed another certificate than the pinned one.
    #[error("the app's certificate is not the pinned one")]
    NotPinned,
    /// The two sides have no key exchange, cipher suite or protocol version in common.
    #[error(
        "the app has no TLS version, cipher suite or curve in common with understudy; \
         it has to offer TLS 1.2 or 1.3 with X25519, P-256 or P-384"
    )]
    Incompatible(#[source] rustls::Error),
    /// Something else is wrong with the certificate.
    #[error("the app's certificate is not valid")]
    Certificate(#[source] rustls::Error),
    /// The app sent an alert: it may require a certificate of ours, or another one.
    #[error("the app refused the TLS handshake")]
    Refused(#[source] rustls::Error),
    /// The two sides have no version or cipher suite in common, or the app doesn't speak TLS.
    #[error("the TLS handshake with the app failed")]
    Handshake(#[source] rustls::Error),
    /// The connection ended within the handshake.
    #[error("the connection ended within the TLS handshake")]
    Io(#[source] io::Error),
    /// The handshake took longer than `connect_timeout`.
    #[error("the app took too long for the TLS handshake")]
    TimedOut,
}

impl Error {
    /// What an error of the handshake means.
    pub(super) fn from_handshake(error: io::Error) -> Self {
        Self::from_stream(&error).unwrap_or(Self::Io(error))
    }

    /// What an error of a stream means, if it comes from TLS: the app may refuse our certificate after the handshake.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls adds variants in minor versions"
    )]
    pub fn from_stream(error: &io::Error) -> Option<Self> {
        let error: &rustls::Error = error.get_ref()?.downcast_ref()?;
        Some(match error {
            rustls::Error::InvalidCertificate(reason) => {
                Self::from_certificate(reason).unwrap_or_else(|| Self::Certificate(error.clone()))
            }
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                AlertDescription::HandshakeFailure
                | AlertDescription::ProtocolVersion
                | AlertDescription::InsufficientSecurity,
            ) => Self::Incompatible(error.clone()),
            rustls::Error::AlertReceived(_) => Self::Refused(error.clone()),
            _ => Self::Handshake(error.clone()),
        })
    }

    /// The certificate errors that have a variant of their own.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls adds variants in minor versions"
    )]
    fn from_certificate(reason: &CertificateError) -> Option<Self> {
        use CertificateError as E;
        match reason {
            E::Expired | E::ExpiredContext { .. } => Some(Self::Expired),
            E::NotValidYet | E::NotValidYetContext { .. } => Some(Self::NotYetValid),
            E::NotValidForName | E::NotValidForNameContext { .. } => Some(Self::NameMismatch),
            E::UnknownIssuer => Some(Self::UnknownIssuer),
            E::ApplicationVerificationFailure => Some(Self::NotPinned),
            // The errors of webpki, which is rustls's own dependency, are known by their names.
            E::Other(other) => match other.0.to_string().as_str() {
                "CaUsedAsEndEntity" => Some(Self::CaUsedAsEndEntity),
                "UnsupportedCertVersion" => Some(Self::UnsupportedVersion),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether another try could end otherwise.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Io(_) | Self::TimedOut)
    }
}
