//! What we show to clients: a certificate for each name, and the protocol that is spoken inside.

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

use super::{HTTP_1, Identity, Stream, Unfit, provider};

const HTTP_2: &[u8] = b"h2";

/// How we speak TLS to clients. Shared by all workers, and with it the tickets by which clients resume their sessions.
#[derive(Clone)]
pub struct Server {
    config: Arc<ServerConfig>,
    identities: Arc<[Identity]>,
}

/// What is spoken inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, also where the client asked for nothing.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Server {
    /// Shows these: to each client the first that is for the name it asks for, or else the first of all.
    ///
    /// # Errors
    ///
    /// If one can't be shown, or there is none.
    pub fn new(identities: Vec<Identity>) -> Result<Self, Unfit> {
        let shown = identities
            .iter()
            .map(Shown::new)
            .collect::<Result<_, _>>()?;
        let identities = Arc::<[_]>::from(identities);
        if identities.is_empty() {
            return Err(Unfit::NoCertificate);
        }
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByName(shown)));
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        // Without one only TLS 1.2's session identifiers would be left; if randomness fails, so be it.
        if let Ok(ticketer) = Ticketer::new() {
            config.ticketer = ticketer;
        }
        Ok(Self {
            config: Arc::new(config),
            identities,
        })
    }

    /// Shakes hands over this stream.
    ///
    /// # Errors
    ///
    /// What the client did wrong; a stranger's fault is nobody's business.
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
        Ok((Stream::secure(stream), protocol))
    }

    /// What is shown.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }
}

/// Equal ones show the same, so that the tickets of one can go on being used.
impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.identities == other.identities
    }
}

impl Eq for Server {}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.identities).finish()
    }
}

/// Finds the certificate for a name.
#[derive(Debug)]
struct ByName(Vec<Shown>);

/// One certificate with its key, ready to sign.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl Shown {
    fn new(identity: &Identity) -> Result<Self, Unfit> {
        ParsedCertificate::try_from(identity.certificate()).map_err(|_| Unfit::BadCertificate)?;
        Ok(Self(Arc::new(identity.certified()?)))
    }

    fn is_for(&self, name: &ServerName<'_>) -> bool {
        let own = self.0.end_entity_cert();
        let own = own
            .ok()
            .and_then(|own| ParsedCertificate::try_from(own).ok());
        own.is_some_and(|own| verify_server_name(&own, name).is_ok())
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let first = self.0.first()?;
        let asked = client.server_name().filter(|_| self.0.len() > 1);
        let asked = asked.and_then(|name| ServerName::try_from(name).ok());
        let found = asked.and_then(|name| self.0.iter().find(|shown| shown.is_for(&name)));
        Some(Arc::clone(&found.unwrap_or(first).0))
    }
}
