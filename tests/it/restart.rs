//! A restart on a socket that systemd holds: nobody waits for a slow request of somebody else, and streams hold up nothing.

use std::net::TcpListener;

use support::{Client, FakeUpstream, Script, Sidecar, Signal, Webhook, millis, response, wait_for};

const DOCUMENT: &str = "<Response/>";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// An app with a slow document, a tunnel and a download without end.
pub(crate) fn app() -> FakeUpstream {
    FakeUpstream::start(|request| match request.path() {
        "/voice/slow" => {
            let document = response("200 OK", &[("Content-Type", "text/xml")], DOCUMENT);
            Script::new().pause(millis(3000)).send(document)
        }
        "/voice/media" => Script::new().send(SWITCH).echo(),
        "/pass/download" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nbegun";
            Script::new().send(head).stall()
        }
        _ => Script::twiml(DOCUMENT),
    })
}

fn socket() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

/// Opens a tunnel to the app.
pub(crate) async fn open_tunnel(sidecar: &Sidecar) -> Client {
    let mut client = sidecar.connect().await;
    client
        .send("GET /voice/media HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status, 101);
    client
}

async fn open_download(sidecar: &Sidecar) -> Client {
    let mut client = sidecar.connect().await;
    client
        .send("GET /pass/download HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.bytes(5).await, b"begun");
    client
}

async fn wait_until_unready(sidecar: &Sidecar) {
    wait_for("it to be unready", async {
        while sidecar.admin_get("/readyz").await.status != 503 {}
    })
    .await;
}

#[tokio::test]
async fn callers_are_served_while_a_slow_request_finishes_and_then_by_the_next_process() {
    let (app, socket) = (app(), socket());
    let mut sidecar = Sidecar::before(&app).socket(&socket).start().await;
    let mut idle = sidecar.connect().await;
    assert_eq!(idle.request(Webhook::voice("/voice/x")).await.status, 200);
    let mut slow = sidecar.connect().await;
    slow.send(Webhook::voice("/voice/slow")).await;
    app.wait_for_requests(2).await;

    sidecar.signal(Signal::Terminate);
    wait_until_unready(&sidecar).await;
    wait_for("the workers to hear of it", async {
        let last = async || sidecar.request(Webhook::voice("/voice/x")).await;
        while last().await.header("connection") != Some("close") {}
    })
    .await;
    let callers = async {
        let mut served = 0;
        loop {
            let got = sidecar.request(Webhook::voice("/voice/x")).await;
            assert_eq!((got.status, got.reason()), (200, None));
            assert_eq!(got.header("connection"), Some("close"));
            served += 1;
            tokio::time::sleep(millis(20)).await;
            if served == 5 {
                // Whoever stays without a request is not waited for.
                idle.closed().await;
            }
        }
    };
    let got = tokio::select! {
        got = slow.response() => got,
        () = callers => unreachable!("they call for ever"),
    };
    assert_eq!((got.status, got.reason()), (200, None));
    assert_eq!(got.header("connection"), Some("close"));
    assert_eq!(sidecar.wait().await.code(), Some(0));
    let line = sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    assert_eq!(line["cut_off"], 0);

    // Whoever comes now waits in the socket.
    let mut waiting = Client::connect(sidecar.address).await;
    waiting.send(Webhook::voice("/voice/x")).await;
    let _next = Sidecar::before(&app).socket(&socket).start().await;
    let got = waiting.response().await;
    assert_eq!((got.status, got.header("connection")), (200, None));
}

#[tokio::test]
async fn streams_end_with_the_last_request_and_hold_up_nothing() {
    for own_socket in [true, false] {
        let app = app();
        let mut builder = Sidecar::before(&app).server("drain = \"1h\"");
        if !own_socket {
            builder = builder.socket(&socket());
        }
        let mut sidecar = builder.start().await;
        let mut tunnel = open_tunnel(&sidecar).await;
        let mut download = open_download(&sidecar).await;
        let mut slow = sidecar.connect().await;
        slow.send(Webhook::voice("/voice/slow")).await;
        app.wait_for_requests(3).await;

        sidecar.signal(Signal::Terminate);
        wait_until_unready(&sidecar).await;
        tunnel.send_more("still there").await.expect("it is open");
        assert_eq!(tunnel.bytes(11).await, b"still there");
        let got = slow.response().await;
        assert_eq!((got.status, got.reason()), (200, None));
        assert_eq!(tunnel.closed().await, b"");
        assert_eq!(download.closed().await, b"");
        assert_eq!(sidecar.wait().await.code(), Some(0));
        let line = sidecar
            .wait_for_log(|line| line["message"] == "stopped")
            .await;
        assert_eq!(line["cut_off"], 2);
    }
}

#[tokio::test]
async fn requests_that_never_stop_coming_end_with_the_drain() {
    let (app, socket) = (app(), socket());
    let mut sidecar = Sidecar::before(&app)
        .socket(&socket)
        .server("drain = \"9s\"")
        .deadline(millis(8000))
        .start()
        .await;
    let address = sidecar.address;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        callers.spawn(async move {
            let mut slow = Client::connect(address).await;
            slow.send(Webhook::voice("/voice/slow")).await;
            slow.response().await.status
        });
    }
    app.wait_for_requests(4).await;
    sidecar.signal(Signal::Terminate);
    wait_until_unready(&sidecar).await;
    // New ones come in all the time.
    let more = async {
        loop {
            callers.spawn(async move {
                let mut slow = Client::connect(address).await;
                slow.send(Webhook::voice("/voice/slow")).await;
                slow.response().await.status
            });
            tokio::time::sleep(millis(200)).await;
        }
    };
    let status = tokio::select! {
        status = sidecar.wait() => status,
        () = more => unreachable!("they call for ever"),
    };
    assert_eq!(status.code(), Some(0));
    let line = sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    // Whoever was accepted has had time enough.
    assert_eq!(line["cut_off"], 0);
}
