//! A client within TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pki::{Authority, provider};
use support::wait_for;

pub(crate) static BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// How to trust one authority, speaking these versions and offering these protocols.
pub(crate) fn config(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().into())
        .collect();
    Arc::new(config)
}

/// A connection for this name.
pub(crate) async fn connect(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_behind(b"", config, address, name).await
}

/// The same behind these bytes, which are sent before the handshake.
pub(crate) async fn connect_behind(
    header: &[u8],
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut socket = wait_for("a connection", TcpStream::connect(address)).await?;
    socket.write_all(header).await?;
    let name = name.to_owned().try_into().expect("a name");
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, socket);
    wait_for("a handshake", handshake).await
}

/// What comes for this request until the connection's end; the request should ask for that.
pub(crate) async fn ask(stream: &mut TlsStream<TcpStream>, request: impl Into<Vec<u8>>) -> String {
    let asked = async {
        stream.write_all(&request.into()).await.expect("it is read");
        let mut response = Vec::new();
        stream
            .read_to_end(&mut response)
            .await
            .expect("it ends well");
        String::from_utf8(response).expect("text")
    };
    wait_for("a response", asked).await
}
