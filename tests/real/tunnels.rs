//! A tunnel whose client is gone without a word, as a machine that loses its power: it gives its place back.
//!
//! The client is in a network namespace of its own, whose cable is cut.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use support::{FakeUpstream, Script, Sidecar, skip, wait_until};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Opens a WebSocket to the address and port that it is given, says so, and waits.
const CLIENT: &str = r#"
import socket, sys, time
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
connection.sendall(b"GET /media HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dCUj2u9Z20txhAn0beBdDA==\r\n\r\n")
print(connection.recv(1000).split()[1].decode(), flush=True)
time.sleep(600)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_whose_client_is_gone_gives_its_place_back() {
    let Some(network) = Network::create() else {
        return;
    };
    let app = FakeUpstream::start(|_| Script::unread().send(SWITCH).echo());
    let listen = format!("listen = \"{}:0\"", network.address());
    let sidecar = Sidecar::before(&app).server(&listen).start().await;
    let client = network.start_client(sidecar.address.port());
    sidecar
        .wait_for_metric("understudy_tunnels", &[], 1.0)
        .await;

    network.cut();

    // Without keep-alive the kernel would never notice.
    wait_until("the tunnel to end", async || {
        sidecar.metric("understudy_tunnels", &[]).await == 0.0
    })
    .await;
    wait_until("the app's connection to end", async || {
        app.open_connections() == 0
    })
    .await;
    drop(client);
}

/// A network namespace that is connected to this one. It ends with this.
struct Network {
    id: u32,
}

/// A program that is killed when this is dropped.
struct Client(Child);

impl Network {
    /// None where nobody may make one.
    fn create() -> Option<Self> {
        let network = Self {
            id: std::process::id() % 0x1_0000,
        };
        let (here, there, address) = (network.link('a'), network.link('b'), network.address());
        let (high, low) = (network.id / 256, network.id % 256);
        let steps = [
            format!("ip netns add {there}"),
            format!("ip link add {here} type veth peer name {there} netns {there}"),
            format!("ip address add {address}/30 dev {here}"),
            format!("ip link set {here} up"),
            format!("ip -n {there} address add 10.{high}.{low}.2/30 dev {there}"),
            format!("ip -n {there} link set {there} up"),
        ];
        if steps.iter().all(|step| runs(step)) && runs("python3 --version") {
            return Some(network);
        }
        skip("root's rights, python3, and ip (Debian's package iproute2)");
        None
    }

    fn link(&self, end: char) -> String {
        format!("ustest{:04x}{end}", self.id)
    }

    /// Our own address on it.
    fn address(&self) -> String {
        format!("10.{}.{}.1", self.id / 256, self.id % 256)
    }

    /// Starts the client, and waits until its tunnel is open.
    fn start_client(&self, port: u16) -> Client {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.link('b'), "python3", "-c", CLIENT])
            .args([self.address(), port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let output = child.stdout.take().expect("a pipe");
        let client = Client(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "101");
        client
    }

    fn cut(&self) {
        let there = self.link('b');
        assert!(runs(&format!("ip -n {there} link set {there} down")));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        runs(&format!("ip netns delete {}", self.link('b')));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn runs(command: &str) -> bool {
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    let output = command.args(words).stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}
