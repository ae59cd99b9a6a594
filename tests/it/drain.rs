//! At shutdown nothing new is taken, and what is under way is let finish, for as long as it may.

use support::{FakeUpstream, Script, Sidecar, Signal, Webhook, millis, response};

#[tokio::test]
async fn calls_under_way_finish_and_their_connections_close() {
    let app = FakeUpstream::start(|_| {
        let reply = response(
            "200 OK",
            &[("Content-Type", "text/xml")],
            "<Response><Say>late but fine</Say></Response>",
        );
        Script::new().pause(millis(700)).send(reply)
    });
    let mut sidecar = Sidecar::before(&app).start().await;
    let mut clients = Vec::new();
    for many in 1..=4 {
        let mut client = sidecar.connect().await;
        client.send(Webhook::voice("/voice/x")).await;
        app.wait_for_requests(many).await;
        clients.push(client);
    }
    sidecar.signal(Signal::Terminate);
    for client in &mut clients {
        let got = client.response().await;
        assert_eq!((got.status, got.reason()), (200, None));
        assert_eq!(got.header("connection"), Some("close"));
        client.closed().await;
    }
    assert_eq!(sidecar.wait().await.code(), Some(0));
    let line = sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    assert_eq!(line["cut_off"], 0);
}

#[tokio::test]
async fn what_takes_longer_than_the_drain_is_cut_off_and_said() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let mut sidecar = Sidecar::before(&app)
        .server("drain = \"300ms\"")
        .start()
        .await;
    let mut clients = Vec::new();
    for many in 1..=3 {
        let mut client = sidecar.connect().await;
        client.send(Webhook::voice("/voice/x")).await;
        app.wait_for_requests(many).await;
        clients.push(client);
    }
    sidecar.signal(Signal::Interrupt);
    assert_eq!(sidecar.wait().await.code(), Some(0));
    let line = sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    assert_eq!(line["cut_off"], 3);
}

#[tokio::test]
async fn a_client_that_waits_for_a_connection_to_end_does_not_hold_up_the_drain() {
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let app = FakeUpstream::start(move |_| Script::new().send(switch).echo());
    let mut sidecar = Sidecar::before(&app)
        .server("max_connections = 1")
        .server("drain = \"300ms\"")
        .start()
        .await;
    let mut tunnel = sidecar.connect().await;
    let upgrade =
        "GET /voice/media HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    tunnel.send(upgrade).await;
    assert_eq!(tunnel.head().await.status, 101);
    let mut waiting = sidecar.connect().await;
    waiting.send(Webhook::voice("/voice/x")).await;
    sidecar.signal(Signal::Terminate);
    assert_eq!(sidecar.wait().await.code(), Some(0));
    let line = sidecar
        .wait_for_log(|line| line["message"] == "stopped")
        .await;
    assert_eq!(line["cut_off"], 1);
}

#[tokio::test]
async fn a_request_that_is_on_its_way_at_shutdown_is_still_answered() {
    let app = FakeUpstream::with_document("<Response/>");
    let mut sidecar = Sidecar::before(&app).start().await;
    let mut waiting = sidecar.connect().await;
    assert_eq!(
        waiting.request(Webhook::voice("/voice/x")).await.status,
        200
    );
    let mut fresh = sidecar.connect().await;
    let request = Webhook::voice("/voice/y").bytes();
    fresh.send(&request[..20]).await;
    sidecar
        .wait_for_metric("understudy_client_connections", &[], 2.0)
        .await;
    sidecar.signal(Signal::Terminate);
    for client in [&mut waiting] {
        client.send(request.clone()).await;
        assert_eq!(client.response().await.status, 200);
    }
    fresh.send_more(&request[20..]).await.expect("it is open");
    assert_eq!(fresh.response().await.status, 200);
    assert_eq!(sidecar.wait().await.code(), Some(0));
}

#[tokio::test]
async fn while_it_drains_it_is_alive_but_not_ready_and_takes_no_new_connection() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let mut sidecar = Sidecar::before(&app).deadline(millis(1500)).start().await;
    assert_eq!(sidecar.admin_get("/readyz").await.status, 200);
    let mut client = sidecar.connect().await;
    client.send(Webhook::voice("/voice/x")).await;
    app.wait_for_requests(1).await;
    sidecar.signal(Signal::Terminate);
    support::wait_for("it to be unready", async {
        while sidecar.admin_get("/readyz").await.status != 503 {}
    })
    .await;
    assert_eq!(sidecar.admin_get("/healthz").await.status, 200);
    support::wait_for("new connections to be refused", async {
        while tokio::net::TcpStream::connect(sidecar.address)
            .await
            .is_ok()
        {}
    })
    .await;
    assert_eq!(client.response().await.reason(), Some("deadline"));
    assert_eq!(sidecar.wait().await.code(), Some(0));
}

#[tokio::test]
async fn until_the_shutdown_delay_is_over_it_takes_calls_but_is_not_ready() {
    let app = FakeUpstream::with_document("<Response/>");
    let mut sidecar = Sidecar::before(&app)
        .server("shutdown_delay = \"1h\"")
        .start()
        .await;
    let mut waiting = sidecar.connect().await;
    sidecar.signal(Signal::Terminate);
    support::wait_for("it to be unready", async {
        while sidecar.admin_get("/readyz").await.status != 503 {}
    })
    .await;
    for client in [&mut waiting, &mut sidecar.connect().await] {
        for _ in 0..2 {
            let got = client.request(Webhook::voice("/voice/x")).await;
            assert_eq!((got.status, got.reason()), (200, None));
        }
    }
    sidecar.rewrite_config(&sidecar.config().replace("1h", "30m"));
    sidecar
        .wait_for_metric(
            "understudy_config_reloads_total",
            &[("result", "success")],
            1.0,
        )
        .await;
    // Whoever can't wait says so.
    sidecar.signal(Signal::Terminate);
    assert_eq!(sidecar.wait().await.code(), Some(0));
    waiting.closed().await;
}

#[tokio::test]
async fn after_the_shutdown_delay_it_ends() {
    let app = FakeUpstream::with_document("<Response/>");
    let mut sidecar = Sidecar::before(&app)
        .server("shutdown_delay = \"300ms\"")
        .start()
        .await;
    sidecar.signal(Signal::Terminate);
    let delayed = |line: &serde_json::Value| line["delay"] == "300ms";
    sidecar.wait_for_log(delayed).await;
    assert_eq!(sidecar.wait().await.code(), Some(0));
}
