//! When all client connections are taken, those that are idle give way to new ones: those that never had a request first. A
//! request in flight is never cut off for another one.

use support::{
    Client, FakeUpstream, Script, Sidecar, Webhook, millis, response, wait_for, wait_until,
};

const DOCUMENT: &str = "<Response/>";
const CONNECTIONS: &str = "understudy_client_connections";
const EVICTED: &str = "understudy_client_connections_evicted_total";

async fn with_places(app: &FakeUpstream, places: usize, workers: usize) -> Sidecar {
    Sidecar::before(app)
        .server(&format!("max_connections = {places}"))
        .server("keep_alive = \"1h\"")
        .server("header_timeout = \"1h\"")
        .workers(workers)
        .start()
        .await
}

/// A client that has connected as the one with this number, and says nothing.
async fn silent(sidecar: &Sidecar, number: usize) -> Client {
    let client = sidecar.connect().await;
    sidecar
        .wait_for_metric(CONNECTIONS, &[], number as f64)
        .await;
    client
}

/// A client whose request has been answered.
async fn served(sidecar: &Sidecar) -> Client {
    let mut client = sidecar.connect().await;
    serve(&mut client).await;
    client
}

async fn serve(client: &mut Client) {
    let got = wait_for("its place", client.request(Webhook::voice("/voice/x"))).await;
    assert_eq!((got.status, got.reason()), (200, None));
}

#[tokio::test]
async fn clients_that_say_nothing_give_way_before_those_that_had_a_request() {
    for workers in [1, 2] {
        let app = FakeUpstream::with_document(DOCUMENT);
        let sidecar = with_places(&app, 4, workers).await;
        let mut oldest = served(&sidecar).await;
        let mut first_silent = silent(&sidecar, 2).await;
        let mut second_silent = silent(&sidecar, 3).await;
        let mut used = served(&sidecar).await;

        let mut third = served(&sidecar).await;
        assert_eq!(first_silent.closed().await, b"");
        let mut fourth = served(&sidecar).await;
        assert_eq!(second_silent.closed().await, b"");
        // Whoever has just had a request is the last one to go.
        serve(&mut oldest).await;
        let mut fifth = served(&sidecar).await;
        assert_eq!(used.closed().await, b"");
        for client in [&mut oldest, &mut third, &mut fourth, &mut fifth] {
            serve(client).await;
        }
        assert_eq!(sidecar.metric(EVICTED, &[]).await, 3.0);
        assert_eq!(sidecar.metric(CONNECTIONS, &[]).await, 4.0);
        let said = sidecar.log_lines();
        let said = said.iter().filter(|line| line.contains("max_connections"));
        assert_eq!(said.count(), 1);
    }
}

#[tokio::test]
async fn a_crowd_of_silent_clients_keeps_no_caller_waiting() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = with_places(&app, 50, 2).await;
    let mut crowd = Vec::new();
    for _ in 0..10 {
        for _ in 0..50 {
            crowd.push(sidecar.connect().await);
        }
        serve(&mut sidecar.connect().await).await;
    }
    wait_until("the others to give way too", async || {
        sidecar.metric(EVICTED, &[]).await >= 450.0
    })
    .await;
}

#[tokio::test]
async fn requests_and_tunnels_are_never_cut_off() {
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let app = FakeUpstream::start(move |request| match request.path() {
        "/voice/media" => Script::new().send(switch).echo(),
        "/voice/slow" => {
            let document = response("200 OK", &[("Content-Type", "text/xml")], DOCUMENT);
            Script::new().pause(millis(700)).send(document)
        }
        _ => Script::twiml(DOCUMENT),
    });
    let sidecar = with_places(&app, 2, 2).await;
    let mut tunnel = sidecar.connect().await;
    tunnel
        .send("GET /voice/media HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert_eq!(tunnel.head().await.status, 101);
    let mut slow = sidecar.connect().await;
    slow.send(Webhook::voice("/voice/slow")).await;
    app.wait_for_requests(2).await;

    // It waits until the slow request has been answered, and no longer.
    serve(&mut sidecar.connect().await).await;
    let got = slow.response().await;
    assert_eq!((got.status, got.reason()), (200, None));
    assert_eq!(slow.closed().await, b"");
    tunnel.send_more("still there").await.expect("it is open");
    assert_eq!(tunnel.bytes(11).await, b"still there");
}

#[tokio::test]
async fn a_client_that_is_still_reading_its_response_is_not_cut_off() {
    const LENGTH: usize = 20_000_000;
    let app = FakeUpstream::start(|request| match request.path() {
        "/pass/big" => Script::response("200 OK", "audio/mpeg", vec![7; LENGTH]),
        _ => Script::twiml(DOCUMENT),
    });
    let sidecar = with_places(&app, 1, 1).await;
    let mut reader = sidecar.connect().await;
    reader
        .send("GET /pass/big HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(reader.head().await.status, 200);
    let mut waiting = sidecar.connect().await;
    let (_, body) = tokio::join!(serve(&mut waiting), reader.bytes(LENGTH));
    assert_eq!(body.len(), LENGTH);
    assert_eq!(reader.closed().await, b"");
}

#[tokio::test]
async fn a_head_that_never_becomes_whole_keeps_no_place() {
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = with_places(&app, 1, 1).await;
    let mut slow = sidecar.connect().await;
    slow.send("GET /voice/x HTTP/1.1\r\n").await;
    serve(&mut sidecar.connect().await).await;
    assert_eq!(slow.closed().await, b"");
}
