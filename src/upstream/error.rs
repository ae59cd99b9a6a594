//! Why the upstream gave no whole response.

use std::error::Error as _;
use std::io;

use crate::body::io_error_kind;
use crate::tls;

/// Why the upstream gave no whole response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name can't be resolved.
    #[error("the app's name can't be resolved")]
    Resolve(#[source] io::Error),
    /// Refused or unreachable.
    #[error("the app can't be reached")]
    Connect(#[source] io::Error),
    /// The connection was not made in `connect_timeout`.
    #[error("the app took no connection in time")]
    ConnectTimeout,
    /// This machine has no descriptor, port or buffer left for a connection.
    #[error("this machine has no resources left for a connection to the app")]
    Resources(#[source] io::Error),
    /// TLS with the upstream failed.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The connection ended before the response's head was whole.
    #[error("the connection ended before the response's head was whole")]
    Reset,
    /// The connection ended within the body.
    #[error("the connection ended within the response's body")]
    Truncated,
    /// What came isn't HTTP.
    #[error("what the app sent is not HTTP")]
    NotHttp(#[source] hyper::Error),
    /// The response's head is over 64 KiB.
    #[error("the response's head is over 64 KiB or has over 100 headers")]
    HeadTooLarge,
    /// The framing contradicts itself (RFC 9112 §6.3), so where the response ends is not certain.
    #[error("the response's framing contradicts itself")]
    Framing,
    /// 101 (Switching Protocols) that nobody asked for.
    #[error("the app switched protocols unasked")]
    UnaskedUpgrade,
    /// The body is over so many bytes.
    #[error("the response's body is over {0} bytes")]
    BodyTooLarge(usize),
}

impl Error {
    /// What an error of the operating system means while a connection is made.
    pub(super) fn of_connect(error: io::Error) -> Self {
        if is_out_of_resources(&error) {
            Self::Resources(error)
        } else {
            Self::Connect(error)
        }
    }

    /// What hyper's error means before the response's head is whole.
    pub(super) fn of_head(error: hyper::Error) -> Self {
        if let Some(error) = tls_error(&error) {
            Self::Tls(error)
        } else if error.is_parse_too_large()
            || io_error_kind(&error) == Some(io::ErrorKind::InvalidData)
        {
            Self::HeadTooLarge
        } else if error.is_parse() {
            Self::NotHttp(error)
        } else {
            Self::Reset
        }
    }

    /// What hyper's error means within the body.
    pub(super) fn of_body(error: hyper::Error) -> Self {
        match io_error_kind(&error) {
            _ if tls_error(&error).is_some() => Self::Truncated,
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Self::NotHttp(error),
            _ => Self::Truncated,
        }
    }

    /// Nothing listens there, at least for the moment: an app that restarts looks like this.
    pub(super) fn is_refused(&self) -> bool {
        let Self::Connect(error) = self else {
            return false;
        };
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::NotFound
        )
    }

    /// Another try may end otherwise, though not because the app restarts.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connect(_) | Self::ConnectTimeout => true,
            Self::Tls(error) => error.is_transient(),
            Self::Resolve(_)
            | Self::Resources(_)
            | Self::Reset
            | Self::Truncated
            | Self::NotHttp(_)
            | Self::HeadTooLarge
            | Self::Framing
            | Self::UnaskedUpgrade
            | Self::BodyTooLarge(_) => false,
        }
    }
}

/// Whether this machine ran out of descriptors, ports or buffers: that says nothing about the upstream.
fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL)
    )
}

/// The error of TLS behind one of hyper's, if there is one.
fn tls_error(error: &hyper::Error) -> Option<tls::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref() {
            return tls::Error::from_stream(io);
        }
        source = inner.source();
    }
    None
}
