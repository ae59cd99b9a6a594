//! TLS towards clients: a certificate for each name, and the choice between HTTP/1.1 and HTTP/2.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::ring::Ticketer;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::identity::{Identity, provider};
use super::load_error::LoadError;
use super::stream::{HTTP_1_1, HTTP_2, Protocol, Stream};

/// The TLS settings of client connections. All workers share them, and with them the keys of session tickets.
#[derive(Clone)]
pub struct Server {
    config: Arc<ServerConfig>,
    identities: Arc<[Identity]>,
}

impl Server {
    /// Shows each client the first identity that is for the name it asks for, or else the first of all.
    ///
    /// # Errors
    ///
    /// If there is none, or one can't be used for a server.
    pub fn new(identities: Vec<Identity>) -> Result<Self, LoadError> {
        let certificates = identities.iter().map(Certificate::new);
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() {
            return Err(LoadError::NoCertificate);
        }
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(CertificateResolver(certificates)));
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
        // Without a ticketer, which needs random bytes, clients can resume sessions of TLS 1.2 only.
        if let Ok(ticketer) = Ticketer::new() {
            config.ticketer = ticketer;
        }
        Ok(Self {
            config: Arc::new(config),
            identities: identities.into(),
        })
    }

    /// Does the TLS handshake over this stream.
    ///
    /// # Errors
    ///
    /// What the client did wrong. Anybody can connect to a public listener, so this is not worth a warning.
    pub async fn accept<S>(&self, stream: S) -> io::Result<(Stream<S>, Protocol)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(Arc::clone(&self.config))
            .accept(stream)
            .await?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => Protocol::Http2,
            Some(_) | None => Protocol::Http1,
        };
        Ok((Stream::tls(stream), protocol))
    }

    /// The certificates that clients may see.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }
}

/// Equal settings show the same certificates, so the session tickets of one can be used with the other.
impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.identities == other.identities
    }
}

impl Eq for Server {}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.identities).finish()
    }
}

/// Finds the certificate for the name that a client asks for.
#[derive(Debug)]
struct CertificateResolver(Vec<Certificate>);

/// One certificate with its key, ready to sign.
#[derive(Debug)]
struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    fn new(identity: &Identity) -> Result<Self, LoadError> {
        ParsedCertificate::try_from(identity.certificate())
            .map_err(|_| LoadError::BadCertificate)?;
        Ok(Self(Arc::new(identity.certified_key()?)))
    }

    fn is_for(&self, name: &ServerName<'_>) -> bool {
        let certificate = self.0.end_entity_cert().ok();
        let parsed = certificate.and_then(|der| ParsedCertificate::try_from(der).ok());
        parsed.is_some_and(|parsed| verify_server_name(&parsed, name).is_ok())
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let first = self.0.first()?;
        let name = client.server_name().filter(|_| self.0.len() > 1);
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let found = name.and_then(|name| self.0.iter().find(|one| one.is_for(&name)));
        Some(Arc::clone(&found.unwrap_or(first).0))
    }
}
