//! A WebSocket and a slow request that are open during an upgrade and a restart: nobody waits for them.

use std::sync::Arc;

use tokio::sync::Notify;

use super::boot::{Machine, on_a_machine};
use super::load::Load;
use super::service::{DOCUMENT, PUBLIC, call};
use support::{Client, FakeUpstream, Script, Webhook, millis, response};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

const HANDSHAKE: &str = "GET /media HTTP/1.1\r\nHost: hooks.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dCUj2u9Z20txhAn0beBdDA==\r\n\r\n";

/// How long the slow request takes.
const SLOW: u64 = 6000;

/// A stream and a slow request that are open on a machine whose app has them.
struct Open {
    _app: FakeUpstream,
    stream: Client,
    slow: Client,
}

async fn open_on(machine: &Machine) -> Open {
    let has_come = Arc::new(Notify::new());
    let slow_came = Arc::clone(&has_come);
    let app = FakeUpstream::start(move |request| match request.path() {
        "/media" => Script::unread().send(SWITCH).echo(),
        "/slow" => {
            slow_came.notify_one();
            let document = response("200 OK", &[("Content-Type", "text/xml")], DOCUMENT);
            Script::new().pause(millis(SLOW)).send(document)
        }
        _ => Script::twiml(DOCUMENT),
    });
    machine.install_before(&app).await;
    let mut stream = Client::connect(PUBLIC).await;
    stream.send(HANDSHAKE).await;
    assert_eq!(stream.head().await.status, 101);
    let mut slow = Client::connect(PUBLIC).await;
    slow.send(Webhook::voice("/slow")).await;
    support::wait_for("the slow request", has_come.notified()).await;
    Open {
        _app: app,
        stream,
        slow,
    }
}

/// Makes calls until the slow request has its response, and returns how many were answered before.
async fn calls_before(slow: &mut Client) -> usize {
    let mut answered = 0;
    let calls = async {
        loop {
            assert_eq!(call(PUBLIC).await.text(), DOCUMENT);
            answered += 1;
            tokio::time::sleep(millis(50)).await;
        }
    };
    tokio::select! {
        response = slow.response() => assert_eq!(response.text(), DOCUMENT),
        never = calls => match never {},
    }
    answered
}

#[test]
fn in_an_upgrade_the_stream_goes_on_and_the_slow_request_is_answered_while_others_do_not_wait() {
    on_a_machine(async |machine| {
        let mut open = open_on(machine).await;
        let before = machine.property("MainPID").await;
        let load = Load::of_new_connections();
        machine
            .run("systemctl kill --signal=USR2 --kill-whom=main understudy")
            .await;
        // The new process answers while the old one still has the slow request.
        let new_process = async {
            while machine.property("MainPID").await == before {
                assert_eq!(call(PUBLIC).await.text(), DOCUMENT);
            }
        };
        support::wait_for("the new process", new_process).await;
        assert!(calls_before(&mut open.slow).await > 0);
        load.end().await.nobody_was_lost();
        machine.is_active().await;
        open.stream
            .send_more("still there")
            .await
            .expect("it is open");
        assert_eq!(open.stream.bytes(11).await, b"still there");
        assert!(machine.path(&format!("/proc/{before}")).exists());

        // The old process ends with its stream.
        open.stream.end().await;
        let end = async {
            while machine.path(&format!("/proc/{before}")).exists() {
                tokio::time::sleep(millis(20)).await;
            }
        };
        support::wait_for("the old process's end", end).await;
        machine.is_active().await;
    });
}

#[test]
fn in_a_restart_the_slow_request_is_answered_others_do_not_wait_for_it_and_the_stream_ends() {
    on_a_machine(async |machine| {
        let mut open = open_on(machine).await;
        let before = machine.property("MainPID").await;
        let load = Load::of_new_connections();
        let restart = machine.run("systemctl restart understudy");
        let (_, answered) = tokio::join!(restart, calls_before(&mut open.slow));
        assert!(answered > 0, "calls were answered before the slow one");
        load.answered(100).await;
        load.end().await.nobody_was_lost();
        assert_ne!(machine.property("MainPID").await, before);
        assert_eq!(open.stream.closed().await, b"");
        machine.is_active().await;
    });
}
