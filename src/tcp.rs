//! How soon it is noticed that a TCP peer is gone without a word, because its machine lost its power or its network: within 20 s.

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// After how long without a byte the first probe is sent, how long after it the next ones, and how many may get no reply.
const KEEPALIVE_TIME: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;

/// How long bytes may be sent without being acknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(19);

/// Sets on a listener what holds for each connection that it accepts: Linux hands these options down, and so no connection costs five
/// system calls for them.
pub fn prepare_listener(listener: &TcpListener) {
    // Connections without them work all the same.
    let _ = SockRef::from(listener).set_tcp_nodelay(true);
    set_keepalive(listener);
}

/// Notices within 20 s that the peer of an idle connection is gone, by TCP keep-alive.
pub fn set_keepalive(socket: &impl AsFd) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    // A connection without it works all the same.
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
}

/// Notices within 20 s that the peer of a tunnel is gone while bytes are on their way to it: the kernel sends no keep-alive
/// probe then, and by itself gives up after 15 minutes. A peer that is there but reads nothing is gone too, once its buffers have
/// been full for so long.
pub fn set_user_timeout(stream: &TcpStream) {
    // A connection without it works all the same.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(USER_TIMEOUT));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_notices_within_20_s(stream: &TcpStream) {
        let socket = SockRef::from(stream);
        assert!(socket.keepalive().unwrap());
        let probes =
            socket.tcp_keepalive_interval().unwrap() * socket.tcp_keepalive_retries().unwrap();
        let limit = Duration::from_secs(20);
        assert!(socket.tcp_keepalive_time().unwrap() + probes < limit);
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_noticed_within_20_s() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        set_keepalive(&stream);
        assert_notices_within_20_s(&stream);
        set_user_timeout(&stream);
        let user_timeout = SockRef::from(&stream).tcp_user_timeout().unwrap();
        assert!(user_timeout.is_some_and(|timeout| timeout < Duration::from_secs(20)));
    }

    #[tokio::test]
    async fn accepted_connections_have_the_options_of_their_listener() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address).await else {
                continue; // A machine without IPv6.
            };
            prepare_listener(&listener);
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await;
            let (accepted, _) = listener.accept().await.unwrap();
            assert!(accepted.nodelay().unwrap());
            assert_notices_within_20_s(&accepted);
        }
    }
}
