//! TLS on both sides: the certificates that clients see, the authorities that the app's certificate is checked against, and the
//! errors of either.
//!
//! This module reads no files and opens no sockets. PEM text becomes an [`Identity`] or a [`Trust`]; these become a [`Client`] or
//! a [`Server`]; either makes a [`Stream`] of any stream. Private keys are held in a type that can't be printed.

mod client;
mod error;
mod identity;
mod load_error;
mod pem;
mod pin;
mod server;
mod stream;

pub use client::{Client, Trust};
pub use error::Error;
pub use identity::{Identity, Validity, ValidityStatus};
pub use load_error::{IdentityError, LoadError};
pub use rustls::pki_types::ServerName;
pub use server::Server;
pub use stream::{Protocol, Stream};
