//! TLS on both sides: what the app may show us, what we show to clients, and how certificates are renewed.

pub(crate) mod client;
pub(crate) mod frames;
mod http2;
mod in_front;
mod malformed;
pub(crate) mod pki;
mod renewal;
mod terminator;
mod to_app;

/// Waits until so many client connections are left.
async fn left(sidecar: &support::Sidecar, many: f64) {
    let reach = async {
        while sidecar.metric("understudy_client_connections", &[]).await != many {
            tokio::task::yield_now().await;
        }
    };
    support::wait_for("connections to end", reach).await;
}
