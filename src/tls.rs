//! TLS on both sides: what we show to clients, whom we trust at the app, and what can go wrong with either.
//!
//! Files are not read here and no socket is opened: bytes in PEM become an [`Identity`] or a [`Trust`], these become a [`Client`]
//! or a [`Server`], and either makes a [`Stream`] of any stream. Keys are held in a type that can't be printed.

mod error;
mod identity;
mod server;
mod stream;
mod validity;

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

pub use error::Error;
pub use identity::{Identity, Unfit};
pub use rustls::pki_types::ServerName;
pub use server::{Protocol, Server};
pub use stream::Stream;
pub use validity::{Standing, Validity};

/// The protocol that is offered to the app, which is spoken to in no other.
const HTTP_1: &[u8] = b"http/1.1";

/// How we speak TLS to one app.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    trust: Trust,
    identity: Option<Arc<Identity>>,
}

/// Whose certificates are believed.
#[derive(Clone)]
pub struct Trust(Arc<RootCertStore>);

impl Trust {
    /// The roots that the machine trusts. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`Unfit::NoRoots`] if there are none.
    pub fn of_system() -> Result<Self, Unfit> {
        let found = rustls_native_certs::load_native_certs();
        Self::of(found.certs).map_err(|_| Unfit::NoRoots)
    }

    /// The authorities of this PEM text.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn of_pem(pem: &[u8]) -> Result<Self, Unfit> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        Self::of(certificates.map_err(|_| Unfit::NotPem)?)
    }

    fn of(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Unfit> {
        if certificates.is_empty() {
            return Err(Unfit::NoCertificate);
        }
        let mut roots = RootCertStore::empty();
        match roots.add_parsable_certificates(certificates) {
            (0, _) => Err(Unfit::BadCertificate),
            _ => Ok(Self(Arc::new(roots))),
        }
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.roots == other.0.roots
    }
}

impl Client {
    /// Trusts these, expects a certificate for this name, and shows this identity if it is asked for one.
    ///
    /// # Errors
    ///
    /// If the identity can't be shown.
    pub fn new(
        name: ServerName<'static>,
        trust: Trust,
        identity: Option<Arc<Identity>>,
    ) -> Result<Self, Unfit> {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&trust.0), provider())
                .build()
                .map_err(|_| Unfit::BadCertificate)?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_webpki_verifier(verifier);
        let mut config = match &identity {
            Some(identity) => config
                .with_client_auth_cert(identity.chain(), identity.key())
                .map_err(|_| Unfit::BadKey)?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            name,
            trust,
            identity,
        })
    }

    /// Shakes hands over this stream.
    ///
    /// # Errors
    ///
    /// Why that failed.
    pub async fn connect<S>(&self, stream: S) -> Result<Stream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let connected = connector.connect(self.name.clone(), stream).await;
        connected.map(Stream::secure).map_err(Error::of)
    }

    /// What we show of ourselves, if anything.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }
}

/// Equal ones would make the same handshakes, so that connections made by one can go on being used by the other.
impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.trust == other.trust && self.identity == other.identity
    }
}

impl Eq for Client {}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// One source of cryptography for all.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The error of TLS at the bottom of this one, if it is one.
fn within(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
