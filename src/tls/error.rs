//! Why the TLS handshake with the app failed: what an operator must renew, rename or trust.

use std::error::Error as StdError;
use std::{fmt, io};

use rustls::CertificateError;

/// Why a handshake failed, or TLS broke after it.
#[derive(Debug)]
pub enum Error {
    /// The certificate is no longer valid.
    Expired,
    /// The certificate isn't valid yet.
    NotYetValid,
    /// The certificate is another name's.
    NameMismatch,
    /// No way leads from the certificate to one that is trusted.
    NoPath,
    /// The certificate is no good in another way.
    Certificate(rustls::Error),
    /// The other side sent an alert: it may want a certificate of ours, or another one.
    Refused(rustls::Error),
    /// There is no agreement, or what came isn't TLS.
    Handshake(rustls::Error),
    /// The connection ended within the handshake.
    Broken(io::Error),
    /// The handshake took too long.
    TimedOut,
}

impl Error {
    /// What the error of a handshake means.
    pub(super) fn of(error: io::Error) -> Self {
        match super::within(&error) {
            Some(inner) => Self::of_tls(inner.clone()),
            None => Self::Broken(error),
        }
    }

    /// What an error of a stream means, if TLS is behind it: the app may refuse our certificate after the handshake.
    pub fn of_stream(error: &io::Error) -> Option<Self> {
        super::within(error).cloned().map(Self::of_tls)
    }

    fn of_tls(error: rustls::Error) -> Self {
        if let rustls::Error::InvalidCertificate(why) = &error {
            return known(why).unwrap_or(Self::Certificate(error));
        }
        if let rustls::Error::AlertReceived(_) = error {
            return Self::Refused(error);
        }
        Self::Handshake(error)
    }

    /// Whether another try could end otherwise.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken(_) | Self::TimedOut => true,
            Self::Expired
            | Self::NotYetValid
            | Self::NameMismatch
            | Self::NoPath
            | Self::Certificate(_)
            | Self::Refused(_)
            | Self::Handshake(_) => false,
        }
    }
}

/// The faults of certificates that have a name of their own.
fn known(why: &CertificateError) -> Option<Error> {
    use CertificateError as Why;
    if matches!(why, Why::Expired | Why::ExpiredContext { .. }) {
        Some(Error::Expired)
    } else if matches!(why, Why::NotValidYet | Why::NotValidYetContext { .. }) {
        Some(Error::NotYetValid)
    } else if matches!(
        why,
        Why::NotValidForName | Why::NotValidForNameContext { .. }
    ) {
        Some(Error::NameMismatch)
    } else if matches!(why, Why::UnknownIssuer) {
        Some(Error::NoPath)
    } else {
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the app's certificate has expired",
            Self::NotYetValid => "the app's certificate isn't valid yet",
            Self::NameMismatch => "the app's certificate is for another name",
            Self::NoPath => "the app's certificate leads to none that is trusted",
            Self::Certificate(_) => "the app's certificate is not valid",
            Self::Refused(_) => "the app refused the TLS handshake",
            Self::Handshake(_) => "the TLS handshake with the app failed",
            Self::Broken(_) => "the connection ended within the TLS handshake",
            Self::TimedOut => "the app took too long for the TLS handshake",
        })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Certificate(error) | Self::Refused(error) | Self::Handshake(error) => Some(error),
            Self::Broken(error) => Some(error),
            Self::Expired
            | Self::NotYetValid
            | Self::NameMismatch
            | Self::NoPath
            | Self::TimedOut => None,
        }
    }
}
