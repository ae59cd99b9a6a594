//! What ends TLS before a plain app, as the tests want it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::pki::{Authority, Issued, provider};
use support::FakeUpstream;

/// A listener that takes TLS and passes what is in it to the app. It ends with its runtime.
pub(crate) struct Terminator {
    pub(crate) address: SocketAddr,
    /// Handshakes that were resumed from a session before.
    pub(crate) resumed: Arc<AtomicUsize>,
}

impl Terminator {
    /// One that shows this certificate.
    pub(crate) async fn before(app: &FakeUpstream, issued: &Issued) -> Self {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth();
        let config = config.with_single_cert(issued.chain(), issued.private_key());
        Self::with(app, config.expect("a certificate")).await
    }

    /// One that wants a certificate of this authority.
    pub(crate) async fn asking(app: &FakeUpstream, issued: &Issued, authority: &Authority) -> Self {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(authority.roots(), provider()).build();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.expect("roots"));
        let config = config.with_single_cert(issued.chain(), issued.private_key());
        Self::with(app, config.expect("a certificate")).await
    }

    async fn with(app: &FakeUpstream, config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let resumed = Arc::new(AtomicUsize::new(0));
        let (app, count) = (app.address(), Arc::clone(&resumed));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(mut inside) = acceptor.accept(socket).await else {
                        return;
                    };
                    if inside.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    let mut app = TcpStream::connect(app).await.expect("the app is there");
                    // Either side may break off.
                    let _ = copy_bidirectional(&mut inside, &mut app).await;
                });
            }
        });
        Self { address, resumed }
    }
}
