//! TLS towards the app: which authorities are trusted, which name is expected, and the certificate that we show if asked.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::error::Error;
use super::identity::{Identity, provider};
use super::load_error::LoadError;
use super::pem::check;
use super::pin::PinVerifier;
use super::stream::{HTTP_1_1, Stream};

/// The TLS settings of connections to one app.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    trust: Trust,
    identity: Option<Arc<Identity>>,
}

impl Client {
    /// Trusts these authorities, expects a certificate for this name, and shows this identity if the app asks for one.
    ///
    /// # Errors
    ///
    /// If the authorities or the identity can't be used.
    pub fn new(
        name: ServerName<'static>,
        trust: Trust,
        identity: Option<Arc<Identity>>,
    ) -> Result<Self, LoadError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .dangerous()
            .with_custom_certificate_verifier(trust.verifier()?);
        let mut config = match &identity {
            Some(identity) => config
                .with_client_auth_cert(identity.chain(), identity.key())
                .map_err(|_| LoadError::BadKey)?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            name,
            trust,
            identity,
        })
    }

    /// Does the TLS handshake over this stream.
    ///
    /// # Errors
    ///
    /// Why the handshake failed.
    pub async fn connect<S>(&self, stream: S) -> Result<Stream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(self.name.clone(), stream).await;
        stream.map(Stream::tls).map_err(Error::from_handshake)
    }

    /// The certificate that we show if the app asks for one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }
}

/// Equal settings make the same handshakes, so connections that one has made can be used with the other.
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

/// Which certificates of the app are accepted.
#[derive(Clone)]
pub struct Trust(Accepted);

#[derive(Clone)]
enum Accepted {
    /// Those that these authorities have issued.
    IssuedBy(Arc<RootCertStore>),
    /// This one.
    Pinned(CertificateDer<'static>),
}

impl Trust {
    /// The authorities that the operating system trusts. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`LoadError::NoRoots`] if there are none.
    pub fn of_system() -> Result<Self, LoadError> {
        let found = rustls_native_certs::load_native_certs();
        Self::new(found.certs).map_err(|_| LoadError::NoRoots)
    }

    /// The authorities in this PEM text.
    ///
    /// # Errors
    ///
    /// If the text isn't PEM or has no usable certificate.
    pub fn of_pem(pem: &[u8]) -> Result<Self, LoadError> {
        let certificates =
            CertificateDer::pem_slice_iter(check(pem)?).collect::<Result<Vec<_>, _>>();
        Self::new(certificates.map_err(|_| LoadError::NotPem)?)
    }

    fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, LoadError> {
        if certificates.is_empty() {
            return Err(LoadError::NoCertificate);
        }
        let mut roots = RootCertStore::empty();
        match roots.add_parsable_certificates(certificates) {
            (0, _) => Err(LoadError::BadCertificate),
            _ => Ok(Self(Accepted::IssuedBy(Arc::new(roots)))),
        }
    }

    /// Exactly the first certificate in this PEM text, whatever else it says.
    ///
    /// # Errors
    ///
    /// If the text isn't PEM or has no certificate.
    pub fn of_pin(pem: &[u8]) -> Result<Self, LoadError> {
        let first = CertificateDer::pem_slice_iter(check(pem)?).next();
        let certificate = first.ok_or(LoadError::NoCertificate)?;
        let pinned = Self(Accepted::Pinned(
            certificate.map_err(|_| LoadError::NotPem)?,
        ));
        pinned.verifier().map(|_| pinned)
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, LoadError> {
        match &self.0 {
            Accepted::IssuedBy(roots) => {
                WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider())
                    .build()
                    .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
                    .map_err(|_| LoadError::BadCertificate)
            }
            Accepted::Pinned(certificate) => PinVerifier::new(certificate.clone(), &provider())
                .map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
                .ok_or(LoadError::BadCertificate),
        }
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Accepted::IssuedBy(own), Accepted::IssuedBy(other)) => {
                Arc::ptr_eq(own, other) || own.roots == other.roots
            }
            (Accepted::Pinned(own), Accepted::Pinned(other)) => own == other,
            (Accepted::IssuedBy(_), Accepted::Pinned(_))
            | (Accepted::Pinned(_), Accepted::IssuedBy(_)) => false,
        }
    }
}
