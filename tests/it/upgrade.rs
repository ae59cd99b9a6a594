//! WebSockets go through on any route, and nothing else that asks for an upgrade does.

use std::net::SocketAddr;

use support::{Client, FakeUpstream, Script, Sidecar, wait_until};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";

fn handshake(path: &str, upgrade: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: hooks.example.com\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dCUj2u9Z20txhAn0beBdDA==\r\nX-Twilio-Signature: ihJj\r\n\r\n"
    )
}

#[tokio::test]
async fn a_websocket_is_tunnelled_on_any_route_and_counted_once() {
    let app = FakeUpstream::start(|_| Script::new().send(format!("{SWITCH}hello")).echo());
    let sidecar = Sidecar::before(&app).start().await;
    for path in ["/voice/media", "/pass/media", "/nowhere"] {
        let mut client = sidecar.connect().await;
        // Bytes that follow at once belong to the tunnel.
        client
            .send(format!("{}early", handshake(path, "websocket")))
            .await;
        let head = client.head().await;
        assert_eq!(head.status, 101);
        assert_eq!(head.header("upgrade"), Some("websocket"));
        assert_eq!(head.header("sec-websocket-accept"), Some("x"));
        assert_eq!(client.bytes(10).await, b"helloearly");
        for size in [1, 1000, 100_000] {
            let frame = vec![b'z'; size];
            client.send_more(frame.clone()).await.expect("it is open");
            assert_eq!(client.bytes(size).await, frame);
        }
        client.end().await;
        assert_eq!(client.closed().await, b"");
    }
    sidecar
        .wait_for_metric("understudy_requests_total", &[("outcome", "upstream")], 3.0)
        .await;
    assert_eq!(sidecar.metric("understudy_requests_total", &[]).await, 3.0);
    let request = &app.requests()[0];
    assert_eq!(
        request.header("sec-websocket-key"),
        Some("dCUj2u9Z20txhAn0beBdDA==")
    );
    assert_eq!(
        request
            .header("connection")
            .map(str::to_lowercase)
            .as_deref(),
        Some("upgrade")
    );
}

#[tokio::test]
async fn a_tunnel_outlives_the_deadline_and_an_idle_time() {
    let app = FakeUpstream::start(|_| Script::new().send(SWITCH).echo());
    let sidecar = Sidecar::before(&app)
        .server("keep_alive = \"100ms\"")
        .deadline(support::millis(100))
        .upstream("connect_timeout = \"100ms\"")
        .start()
        .await;
    let mut client = sidecar.connect().await;
    client.send(handshake("/voice/media", "websocket")).await;
    assert_eq!(client.head().await.status, 101);
    // Others come and go on the clock that would have ended it.
    for _ in 0..2 {
        let mut idle = sidecar.connect().await;
        idle.closed().await;
    }
    client.send_more("still there").await.expect("it is open");
    assert_eq!(client.bytes(11).await, b"still there");
}

#[tokio::test]
async fn an_app_that_declines_answers_as_always() {
    let app = FakeUpstream::start(|_| Script::response("403 Forbidden", "text/plain", "no"));
    let sidecar = Sidecar::before(&app).start().await;
    let mut client = sidecar.connect().await;
    let got = client.request(handshake("/voice/media", "websocket")).await;
    assert_eq!((got.status, got.text().as_str()), (403, "no"));
}

#[tokio::test]
async fn an_app_that_is_down_gives_502_to_a_websocket() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = Sidecar::before(&app).start().await;
    app.refuse().await;
    let got = sidecar
        .request(handshake("/voice/media", "websocket"))
        .await;
    assert_eq!((got.status, got.reason()), (502, None));
}

#[tokio::test]
async fn another_upgrade_is_not_passed_on() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.request(handshake("/voice/x", "h2c")).await;
    assert_eq!(got.status, 200);
    let request = &app.requests()[0];
    assert_eq!(
        (request.header("upgrade"), request.header("connection")),
        (None, None)
    );
}

async fn open_tunnel(sidecar: &Sidecar) -> Client {
    let mut client = sidecar.connect().await;
    client.send(handshake("/voice/media", "websocket")).await;
    assert_eq!(client.head().await.status, 101);
    client
}

#[tokio::test]
async fn a_tunnel_is_counted_and_closed_on_both_sides_when_nothing_comes_any_more() {
    let app = FakeUpstream::start(|_| Script::new().send(SWITCH).echo());
    let sidecar = Sidecar::before(&app)
        .server("tunnel_idle_timeout = \"500ms\"")
        .start()
        .await;
    let mut client = open_tunnel(&sidecar).await;
    sidecar
        .wait_for_metric("understudy_tunnels", &[], 1.0)
        .await;
    assert_eq!(client.closed().await, b"");
    wait_until("the tunnel's end", async || {
        sidecar.metric("understudy_tunnels", &[]).await == 0.0 && app.open_connections() == 0
    })
    .await;
}

/// The timers of the open connections that have this port at one end, as Linux numbers them; 2 is keep-alive.
fn timers(is_local: bool, address: SocketAddr) -> Vec<u8> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has the table");
    let port = format!(":{:04X}", address.port());
    let established = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let own = columns[if is_local { 1 } else { 2 }];
        let is_open = own.ends_with(&port) && columns[3] == "01";
        is_open.then(|| columns[5][..2].parse().expect("a number"))
    });
    established.collect()
}

#[tokio::test]
async fn both_sides_of_a_tunnel_are_probed_for_whether_they_are_still_there() {
    let app = FakeUpstream::start(|_| Script::new().send(SWITCH).echo());
    let sidecar = Sidecar::before(&app).start().await;
    let _client = open_tunnel(&sidecar).await;
    for (is_local, address) in [(true, sidecar.address), (false, app.address())] {
        // Until the last byte is acknowledged there is another timer.
        wait_until("keep-alive", async || timers(is_local, address) == [2]).await;
    }
}
