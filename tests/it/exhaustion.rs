//! No exhaustion: clients that send slowly, read slowly, send too much or just stay cost a bounded time and a bounded memory,
//! and healthy callers notice nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use support::{
    Client, FakeUpstream, Script, Sidecar, Step, TIMEOUT, Webhook, millis, response, wait_for,
};

const DOCUMENT: &str = "<Response/>";

/// Between the bytes of a slow client.
const SLOW: Duration = Duration::from_millis(100);

/// By how many KiB memory may grow under an attack that sends or asks for much more.
const BOUND: u64 = 40 * 1024;

/// Attacking clients of one kind.
const MANY: usize = 50;

/// Sends byte after byte, until it can't any more.
async fn trickle(client: &mut Client, bytes: &[u8]) {
    for byte in bytes {
        sleep(SLOW).await;
        if client.send_more([*byte]).await.is_err() {
            return;
        }
    }
}

/// What becomes of clients that send this at once, and that bit by bit: each one's status and how long it took.
async fn trickled(sidecar: &Sidecar, at_once: &str, slowly: &str) -> Vec<(u16, Duration)> {
    let mut clients = JoinSet::new();
    for _ in 0..MANY {
        let (address, at_once, slowly) = (sidecar.address, at_once.to_owned(), slowly.to_owned());
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            client.send(at_once).await;
            let began = Instant::now();
            trickle(&mut client, slowly.as_bytes()).await;
            (client.response().await.status, began.elapsed())
        });
    }
    healthy(sidecar, 20).await;
    clients.join_all().await
}

/// Healthy callers get the app's own response, and so are answered within the deadline.
async fn healthy(sidecar: &Sidecar, many: usize) {
    for _ in 0..many {
        let got = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!((got.status, got.reason()), (200, None));
    }
}

/// Waits until no client is left, and no request.
async fn none_left(sidecar: &Sidecar) {
    let gone = async {
        for gauge in [
            "understudy_client_connections",
            "understudy_in_flight_requests",
        ] {
            while sidecar.metric(gauge, &[]).await > 0.0 {}
        }
    };
    wait_for("every client to be gone", gone).await;
}

/// A proxy's memory, from now on.
struct Memory<'a> {
    sidecar: &'a Sidecar,
    before: u64,
}

impl<'a> Memory<'a> {
    fn of(sidecar: &'a Sidecar) -> Self {
        let before = sidecar.peak_memory();
        Self { sidecar, before }
    }

    /// By how much it has grown at most, in KiB.
    fn growth(&self) -> u64 {
        (self.sidecar.peak_memory() - self.before) / 1024
    }

    #[track_caller]
    fn is_bounded(&self) {
        let growth = self.growth();
        assert!(growth < BOUND, "it has grown by {growth} KiB");
    }
}

#[tokio::test]
async fn heads_that_trickle_are_timed_out_and_healthy_callers_answered() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app)
        .server("header_timeout = \"500ms\"")
        .start()
        .await;
    let got = trickled(&sidecar, "GET /voice/x HTTP/1.1\r\n", "X-Slow: 12345").await;
    // No byte that comes puts it off.
    let wrong = got.iter().find(|(status, _)| *status != 408);
    assert_eq!((wrong, got.len()), (None, MANY));
    none_left(&sidecar).await;
}

#[tokio::test]
async fn bodies_that_trickle_are_timed_out_at_the_deadline() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).deadline(millis(500)).start().await;
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let head = format!("POST /voice/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        let got = trickled(&sidecar, &head, "00000000000001").await;
        let wrong = got.iter().find(|(status, _)| *status != 408);
        assert_eq!((wrong, got.len()), (None, MANY));
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_a_big_response_is_left_after_a_while() {
    let app = FakeUpstream::start(|request| match request.path() {
        "/voice/x" => Script::twiml(DOCUMENT),
        _ => Script::new()
            .send(
                "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 900000000\r\n\r\n",
            )
            .then(Step::Endless(vec![7; 65536].into())),
    });
    let sidecar = Sidecar::before(&app)
        // Long enough for a healthy caller to ask on a connection that it has just made.
        .server("keep_alive = \"3s\"")
        .start()
        .await;
    let memory = Memory::of(&sidecar);
    for path in ["/pass/big", "/voice/big.mp3"] {
        let mut clients = Vec::new();
        for _ in 0..MANY {
            let mut client = sidecar.connect().await;
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            client.send(request).await;
            clients.push(client);
        }
        healthy(&sidecar, 10).await;
        none_left(&sidecar).await;
        for mut client in clients {
            assert!(client.closed().await.len() < 900_000_000);
        }
    }
    let abandoned = [("outcome", "abandoned")];
    let many = (2 * MANY) as f64;
    sidecar
        .wait_for_metric("understudy_requests_total", &abandoned, many)
        .await;
    memory.is_bounded();
}

#[tokio::test]
async fn a_slow_reader_that_reads_is_not_left() {
    const LENGTH: usize = 8_000_000;
    let app = FakeUpstream::start(|_| Script::response("200 OK", "audio/mpeg", vec![7; LENGTH]));
    let sidecar = Sidecar::before(&app)
        .server("keep_alive = \"400ms\"")
        .start()
        .await;
    let mut client = sidecar.connect().await;
    client
        .send("GET /pass/big HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(head.status, 200);
    for _ in 0..20 {
        // It is slow, three times as long in all as one may stand still.
        sleep(millis(60)).await;
        client.bytes(LENGTH / 20).await;
    }
}

#[tokio::test]
async fn floods_of_fields_are_refused_with_431() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    let memory = Memory::of(&sidecar);
    let many = "X-A: b\r\n".repeat(5000);
    let long = format!("X-A: {}\r\n", "b".repeat(500_000));
    let named = format!("{}: b\r\n", "X".repeat(500_000));
    let target = format!("X: y\r\nCookie: {}\r\n", "a=b; ".repeat(100_000));
    for flood in [many, long, named, target] {
        let mut clients = JoinSet::new();
        for _ in 0..10 {
            let (address, flood) = (sidecar.address, flood.clone());
            clients.spawn(async move {
                let mut client = Client::connect(address).await;
                let request = format!("GET /voice/x HTTP/1.1\r\nHost: a\r\n{flood}\r\n");
                // The response may come before all of it is taken.
                let _ = client.send_more(request).await;
                client.response().await.status
            });
        }
        healthy(&sidecar, 5).await;
        assert_eq!(clients.join_all().await, [431; 10]);
    }
    assert_eq!(
        sidecar
            .request(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(65_600)))
            .await
            .status,
        431
    );
    memory.is_bounded();
    assert!(
        app.requests()
            .iter()
            .all(|request| request.path() == "/voice/x")
    );
}

#[tokio::test]
async fn a_thousand_idle_connections_cost_little_and_end_in_time() {
    const IDLE: usize = 1000;
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app)
        .server("keep_alive = \"4s\"")
        .start()
        .await;
    healthy(&sidecar, 1).await;
    let memory = Memory::of(&sidecar);
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut client = sidecar.connect().await;
        assert_eq!(client.request(Webhook::voice("/voice/x")).await.status, 200);
        idle.push(client);
    }
    let each = memory.growth() / IDLE as u64;
    eprintln!("{each} KiB per idle connection, in a debug build");
    assert!(each < 64);
    healthy(&sidecar, 10).await;
    for mut client in idle {
        assert_eq!(client.closed().await, b"");
    }
    none_left(&sidecar).await;
}

#[tokio::test]
async fn bodies_without_end_pass_through_a_bounded_memory_or_are_refused() {
    const LENGTH: usize = 100_000_000;
    let app = FakeUpstream::start(|request| match request.path() {
        "/pass/down" => Script::response("200 OK", "audio/mpeg", vec![7; LENGTH]),
        // What it doesn't keep, the test's own memory need not hold.
        "/pass/up" => Script::unread()
            .send(response("200 OK", &[], "early"))
            .stall(),
        _ => Script::twiml(DOCUMENT),
    });
    let sidecar = Sidecar::before(&app).start().await;
    healthy(&sidecar, 1).await;
    let memory = Memory::of(&sidecar);

    let down = sidecar
        .request("GET /pass/down HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!((down.status, down.body.len()), (200, LENGTH));
    for framing in [
        format!("Content-Length: {LENGTH}"),
        "Transfer-Encoding: chunked".to_owned(),
    ] {
        let mut client = sidecar.connect().await;
        client
            .send(format!(
                "POST /voice/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"
            ))
            .await;
        let piece = [b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat();
        for _ in 0..20 {
            // The connection closes at some point.
            let _ = client.send_more(piece.clone()).await;
        }
        assert_eq!(client.response().await.status, 413, "{framing}");
    }
    memory.is_bounded();
}

#[tokio::test]
async fn an_upload_that_the_app_does_not_read_piles_up_nowhere() {
    let app = FakeUpstream::start(|_| Script::unread().stall());
    let sidecar = Sidecar::before(&app).deadline(millis(1500)).start().await;
    let memory = Memory::of(&sidecar);
    let mut client = sidecar.connect().await;
    client
        .send("POST /pass/up HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n")
        .await;
    let piece = vec![b'x'; 1_000_000];
    let sent = async {
        let mut sent = 0;
        while client.send_more(piece.clone()).await.is_ok() {
            sent += piece.len();
        }
        sent
    };
    let sent = wait_for("the deadline", sent).await;
    assert!(sent < 50_000_000, "{sent} bytes went where nobody read");
    memory.is_bounded();
}

/// An app that reads everything and says nothing; and how much it has read.
async fn sink() -> (SocketAddr, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port on loopback");
    let address = listener.local_addr().expect("a bound socket");
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut scratch = vec![0; 0x10000];
                while let Ok(read @ 1..) = stream.read(&mut scratch).await {
                    sender.send_modify(|all| *all += read);
                }
            });
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn a_body_in_tiny_chunks_costs_little_more_than_its_bytes() {
    const BODIES: usize = 3;
    let (address, mut read) = sink().await;
    let sidecar = Sidecar::before_address(address).start().await;
    let memory = Memory::of(&sidecar);
    // As much as is remembered of a body, a byte at a time.
    let body = "1\r\nx\r\n".repeat(60_000);
    let mut clients = Vec::new();
    for _ in 0..BODIES {
        let mut client = sidecar.connect().await;
        // There the deadline counts from the last bytes, so it doesn't matter how long all of them take.
        let head = "POST /pass/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{body}")).await;
        clients.push(client);
    }
    let all = read.wait_for(|read| *read > BODIES * body.len());
    drop(wait_for("the bodies at the app", all).await);
    let each = memory.growth() / BODIES as u64;
    eprintln!("{each} KiB per body of 60,000 tiny chunks");
    assert!(each < 700);
}

#[tokio::test]
async fn trailers_extensions_and_sizes_without_end_are_cut_off() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).deadline(millis(2000)).start().await;
    let memory = Memory::of(&sidecar);
    for (begin, piece) in [
        ("0\r\n", "T: 1\r\n"),
        ("0\r\nT: ", "1111111111"),
        ("0\r\n", "TTTTTTTTTT"),
        ("3;", "xxxxxxxxxx"),
        ("3;x=\"", "y;y;y;y;y;"),
        ("0", "0000000000"),
    ] {
        let mut client = sidecar.connect().await;
        let head = "POST /voice/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{begin}")).await;
        let piece = piece.repeat(2000);
        for _ in 0..100 {
            // The connection closes at some point.
            let _ = client.send_more(piece.clone()).await;
        }
        let status = client.response().await.status;
        assert!(
            matches!(status, 400 | 408),
            "{status} to {begin}{piece:.10}…"
        );
    }
    healthy(&sidecar, 3).await;
    memory.is_bounded();
}

/// Heads of chunked bodies whose framing never ends, and what it goes on with.
const ENDLESS_FRAMING: [(&str, &str); 7] = [
    ("", "0000000000"),
    ("3\r\nabc\r\n", "0000000000"),
    ("3", "          "),
    ("3", "\t\t\t\t\t\t\t\t\t\t"),
    ("3;", "xxxxxxxxxx"),
    ("0\r\nT: ", "yyyyyyyyyy"),
    ("", "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nz\r\n"),
];

/// Sends a chunked request whose framing goes on until the connection ends.
async fn send_framing(client: &mut Client, path: &str, begin: &str, piece: &str) -> usize {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{begin}");
    client.send(head).await;
    let piece = piece.repeat(2000);
    wait_for("the connection's end", async {
        let mut sent = 0;
        while client.send_more(piece.clone()).await.is_ok() {
            sent += piece.len();
        }
        sent
    })
    .await
}

#[tokio::test]
async fn framing_without_end_is_refused_long_before_the_deadline() {
    let app = FakeUpstream::start(|_| Script::unread().stall());
    let sidecar = Sidecar::before(&app)
        .defaults("deadline = \"14s\"")
        .start()
        .await;
    for (begin, piece) in ENDLESS_FRAMING {
        for path in ["/voice/x", "/pass/x"] {
            let mut client = sidecar.connect().await;
            let sent = send_framing(&mut client, path, begin, piece).await;
            assert!(sent < 50_000_000, "{sent} bytes: {path} {begin}{piece}");
            let got = client.response().await;
            assert_eq!(got.status, 400, "{path} {begin}{piece}");
        }
    }
    let rejected = [("outcome", "rejected")];
    let many = 2.0 * ENDLESS_FRAMING.len() as f64;
    sidecar
        .wait_for_metric("understudy_requests_total", &rejected, many)
        .await;
}

#[tokio::test]
async fn framing_without_end_behind_a_response_ends_the_connection() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nbegun";
    let app = FakeUpstream::start(move |_| Script::unread().send(head).stall());
    let sidecar = Sidecar::before(&app).start().await;
    for (begin, piece) in ENDLESS_FRAMING {
        // Its response is under way, and the app reads nothing.
        let mut client = sidecar.connect().await;
        send_framing(&mut client, "/pass/x", begin, piece).await;
        client.closed().await;
    }
    none_left(&sidecar).await;
}

#[tokio::test]
async fn zeros_before_each_chunk_are_bounded_and_a_few_are_nothing() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    let ask = async |zeros: usize, chunks: usize| {
        let zeros = "0".repeat(zeros);
        let body = format!("{zeros}1\r\nx\r\n").repeat(chunks);
        let head = "POST /pass/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut client = sidecar.connect().await;
        client.send(head).await;
        // It may be refused before all of it is sent.
        let _ = client.send_more(format!("{body}0\r\n\r\n")).await;
        client.response().await.status
    };
    assert_eq!(ask(15, 50_000).await, 200);
    assert_eq!(ask(10_000, 5).await, 200);
    assert_eq!(ask(1000, 2000).await, 400);
}

#[tokio::test]
async fn an_apps_framing_without_end_is_a_failure_long_before_the_deadline() {
    let app = FakeUpstream::start(|request| {
        let (begin, piece) = match request.path().rsplit('/').next() {
            Some("zeros") => ("", "0"),
            Some("blanks") => ("3", " "),
            Some("begun") => ("3\r\nabc\r\n", "0"),
            _ => return Script::twiml(DOCUMENT),
        };
        Script::new()
            .send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n{begin}"))
            .then(Step::Endless(piece.repeat(10_000).into()))
    });
    let sidecar = Sidecar::before(&app)
        .defaults("deadline = \"14s\"")
        .start()
        .await;
    for kind in ["zeros", "blanks", "begun"] {
        let before = app.bytes_sent();
        let got = sidecar
            .request(Webhook::voice(&format!("/voice/{kind}")))
            .await;
        assert_eq!(
            (got.status, got.reason()),
            (200, Some("protocol")),
            "{kind}"
        );
        let sent = app.bytes_sent() - before;
        assert!(sent < 50_000_000, "{sent} bytes: {kind}");
        // Where the body streams, it is broken off.
        let mut client = sidecar.connect().await;
        client
            .send(format!("GET /pass/{kind} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        client.closed().await;
    }
    healthy(&sidecar, 3).await;
    none_left(&sidecar).await;
}

#[tokio::test]
async fn an_app_that_continues_for_ever_and_a_client_that_never_does_are_cut_off() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
    let app = FakeUpstream::start(move |request| match request.path() {
        "/voice/x" => Script::twiml(DOCUMENT),
        _ => Script::new().then(Step::Endless(interim.clone().into())),
    });
    let sidecar = Sidecar::before(&app).deadline(millis(800)).start().await;
    let got = sidecar.request(Webhook::voice("/voice/continues")).await;
    assert_eq!((got.status, got.reason()), (200, Some("protocol")));

    let mut client = sidecar.connect().await;
    let head =
        "POST /voice/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
    let got = wait_for("a response", client.request(head)).await;
    assert_eq!((got.status, got.interim.as_slice()), (408, &[100][..]));
    client.closed().await;
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = Sidecar::before(&app).start().await;
    healthy(&sidecar, 1).await;
    let memory = Memory::of(&sidecar);
    let until = Instant::now() + TIMEOUT;
    for round in 0..500 {
        assert!(Instant::now() < until, "slow: {round}");
        let mut client = sidecar.connect().await;
        match round % 4 {
            0 => drop(client),
            1 => client.reset(),
            2 => {
                client
                    .send("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
                    .await
            }
            _ => {
                client.send(Webhook::voice("/voice/x")).await;
                client.reset();
            }
        }
    }
    none_left(&sidecar).await;
    healthy(&sidecar, 5).await;
    memory.is_bounded();
}
