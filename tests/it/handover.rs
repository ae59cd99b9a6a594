//! An upgrade in place: a new process takes over the sockets, the old one stays for what is open, and nobody waits.

use std::net::TcpListener;

use crate::restart::{app, open_tunnel};
use support::{Client, Sidecar, Signal, Webhook, millis, wait_for, wait_until};

/// A process that isn't a child of the test. It is killed when this is dropped.
struct Process(u64);

impl Process {
    fn is_running(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.0));
        status.is_ok_and(|status| !status.contains(") Z "))
    }

    fn signal(&self, name: &str) {
        let kill = std::process::Command::new("sh")
            .args(["-c", &format!("kill {name} {}", self.0)])
            .status();
        kill.expect("a shell runs");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal("-KILL");
        }
    }
}

/// Upgrades it, and waits for the new process.
async fn upgrade(sidecar: &Sidecar) -> Process {
    sidecar.signal(Signal::Upgrade);
    let line = sidecar
        .wait_for_log(|line| line["message"] == "upgraded: the new process is ready")
        .await;
    Process(line["pid"].as_u64().expect("a process id"))
}

async fn serve(client: &mut Client) {
    let got = client.request(Webhook::voice("/voice/x")).await;
    assert_eq!((got.status, got.reason()), (200, None));
}

async fn echoes(tunnel: &mut Client) {
    tunnel.send_more("still there").await.expect("it is open");
    assert_eq!(tunnel.bytes(11).await, b"still there");
}

/// When the process behind the admin listener started.
async fn started_at(sidecar: &Sidecar) -> f64 {
    let started = "understudy_config_last_reload_success_timestamp_seconds";
    sidecar.metric(started, &[]).await
}

#[tokio::test]
async fn callers_are_served_all_the_time_and_the_old_process_stays_for_what_is_open() {
    for socket in [None, TcpListener::bind("127.0.0.1:0").ok()] {
        let app = app();
        let mut builder = Sidecar::before(&app);
        if let Some(socket) = &socket {
            builder = builder.socket(socket);
        }
        let mut sidecar = builder.start().await;
        let before = started_at(&sidecar).await;
        let mut tunnel = open_tunnel(&sidecar).await;
        let mut idle = sidecar.connect().await;
        serve(&mut idle).await;
        let mut slow = sidecar.connect().await;
        slow.send(Webhook::voice("/voice/slow")).await;
        app.wait_for_requests(3).await;

        let callers = async {
            loop {
                serve(&mut sidecar.connect().await).await;
                tokio::time::sleep(millis(50)).await;
            }
        };
        let upgraded = async {
            let process = upgrade(&sidecar).await;
            let got = slow.response().await;
            assert_eq!((got.status, got.reason()), (200, None));
            process
        };
        let process = tokio::select! {
            process = upgraded => process,
            () = callers => unreachable!("they call for ever"),
        };
        idle.closed().await;
        echoes(&mut tunnel).await;
        wait_until("the new process's metrics", async || {
            started_at(&sidecar).await > before
        })
        .await;
        for _ in 0..10 {
            serve(&mut sidecar.connect().await).await;
        }

        tunnel.end().await;
        assert_eq!(sidecar.wait().await.code(), Some(0));
        let line = sidecar
            .wait_for_log(|line| line["message"] == "stopped")
            .await;
        assert_eq!(line["cut_off"], 0);
        assert!(process.is_running());
        serve(&mut sidecar.connect().await).await;
        process.signal("-TERM");
        wait_until("its end", async || !process.is_running()).await;
    }
}

#[tokio::test]
async fn a_new_process_may_have_more_or_fewer_workers_and_other_addresses() {
    for (before, behind) in [(1, 3), (3, 1), (2, 3)] {
        let app = app();
        let sidecar = Sidecar::before(&app).workers(before).start().await;
        let more = sidecar
            .config()
            .replace(
                &format!("workers = {before}"),
                &format!("workers = {behind}"),
            )
            .replace(
                "listen = \"127.0.0.1:0\"",
                "listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]",
            );
        sidecar.rewrite_config(&more);
        let _process = upgrade(&sidecar).await;
        for _ in 0..30 {
            serve(&mut sidecar.connect().await).await;
        }
        let listening = sidecar
            .wait_for_log(|line| {
                let listen = line["listen"].as_str().unwrap_or_default();
                line["message"] == "listening" && listen.contains(' ')
            })
            .await;
        let listen = listening["listen"].as_str().expect("addresses");
        let (first, second) = listen.split_once(' ').expect("two addresses");
        assert_eq!(first, sidecar.address.to_string());
        serve(&mut Client::connect(second.parse().expect("an address")).await).await;
    }
}

#[tokio::test]
async fn if_the_new_process_does_not_start_the_old_one_goes_on() {
    let app = app();
    let mut sidecar = Sidecar::before(&app).start().await;
    let mut tunnel = open_tunnel(&sidecar).await;
    let config = sidecar.config();
    sidecar.rewrite_config(&config.replace("[upstream]", "[upstreams]"));
    sidecar.signal(Signal::Upgrade);
    let line = sidecar
        .wait_for_log(|line| line["message"] == "upgrade failed; this process goes on")
        .await;
    let error = line["error"].as_str().expect("a reason");
    assert_eq!(error, "the new process ended before it was ready");
    serve(&mut sidecar.connect().await).await;
    echoes(&mut tunnel).await;
    assert_eq!(sidecar.admin_get("/readyz").await.status, 200);

    // Once it is mended, the next one succeeds.
    sidecar.rewrite_config(&config);
    let _process = upgrade(&sidecar).await;
    serve(&mut sidecar.connect().await).await;
    tunnel.end().await;
    assert_eq!(sidecar.wait().await.code(), Some(0));
}

#[tokio::test]
async fn an_upgraded_process_can_be_upgraded_again_and_each_one_stays_for_its_streams() {
    let app = app();
    let sidecar = Sidecar::before(&app).start().await;
    let mut first_tunnel = open_tunnel(&sidecar).await;
    let first = upgrade(&sidecar).await;
    let mut second_tunnel = open_tunnel(&sidecar).await;
    first.signal("-USR2");
    let is_second = |line: &serde_json::Value| {
        line["message"] == "upgraded: the new process is ready" && line["pid"] != first.0
    };
    let line = sidecar.wait_for_log(is_second).await;
    let second = Process(line["pid"].as_u64().expect("a process id"));
    serve(&mut sidecar.connect().await).await;
    echoes(&mut first_tunnel).await;
    echoes(&mut second_tunnel).await;
    second_tunnel.end().await;
    wait_for("the second's end", async {
        while first.is_running() {
            tokio::time::sleep(millis(5)).await;
        }
    })
    .await;
    // That it ended in good order is no reason for the first one to end.
    for _ in 0..10 {
        serve(&mut sidecar.connect().await).await;
        echoes(&mut first_tunnel).await;
    }
    assert!(second.is_running());
    serve(&mut sidecar.connect().await).await;
}

#[tokio::test]
async fn an_old_process_does_not_outlive_a_new_one_that_dies() {
    let app = app();
    let mut sidecar = Sidecar::before(&app).start().await;
    let mut tunnel = open_tunnel(&sidecar).await;
    let process = upgrade(&sidecar).await;
    echoes(&mut tunnel).await;
    process.signal("-KILL");
    assert_eq!(sidecar.wait().await.code(), Some(1));
    assert_eq!(tunnel.closed().await, b"");
}
