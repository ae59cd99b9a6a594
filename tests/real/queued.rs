//! Queued callbacks: Twilio's own packages accept what is delivered an hour later, and a full disk loses none that was acknowledged.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use support::{FakeUpstream, Script, Sidecar, Webhook, skip, wait_until};
use tempfile::TempDir;
use understudy::queue::embedded::{Embedded, Settings};
use understudy::queue::{Ending, Store};

use crate::proxy::behind;
use crate::real_app::{App, Kind};
use crate::requests;

/// A route that queues, in this folder.
fn routes(folder: &Path) -> String {
    format!(
        "[queue]\npath = {folder:?}\n\
         [[route]]\nname = \"status\"\npath = \"/*\"\nkind = \"callback\"\nwhen_down = \"queue\"\n"
    )
}

#[tokio::test]
async fn twilio_s_own_check_passes_on_a_callback_that_was_queued_an_hour_ago() {
    for kind in Kind::all() {
        let mut app = App::start(kind);
        let folder = TempDir::new().expect("a folder");
        let queue = folder.path().join("queue");
        let start = async || {
            let sidecar = Sidecar::before_address(app.address);
            sidecar.routes(&routes(&queue)).start().await
        };
        let mut sidecar = start().await;
        app.kill();
        let callback = requests::named("voice-status-callback.http").behind_tls();
        let response = behind(&sidecar, &callback).await;
        assert_eq!(response.status, 204, "{kind}: {response:?}");
        assert_eq!(response.header("understudy-queued"), Some("connect"));
        sidecar.signal(support::Signal::Terminate);
        sidecar.wait().await;
        make_older(&queue, Duration::from_secs(60 * 60)).await;

        app.start_again();
        let sidecar = Sidecar::before_address(app.address);
        let sidecar = sidecar.routes(&routes(&queue)).start().await;
        wait_until("the delivery", async || {
            sidecar.metric("understudy_queue_depth", &[]).await == 0.0
        })
        .await;
        // What the app refuses is a dead letter.
        let delivered = sidecar.metric("understudy_queue_delivered_total", &[]);
        assert_eq!(delivered.await, 1.0, "{kind}");
    }
}

/// Lets all that waits have come so much earlier.
async fn make_older(queue: &Path, age: Duration) {
    let store = Embedded::open(&Settings {
        folder: queue.to_owned(),
        max_size: 1 << 30,
        is_successor: false,
    });
    let store = store.expect("the folder is free");
    let later = SystemTime::now() + age;
    while let Some(claim) = store.claim("status", later).await.expect("it is open") {
        let mut callback = claim.callback.clone();
        if callback.received + age > SystemTime::now() {
            callback.received -= age;
            store.append(callback).await.expect("it is stored");
            store
                .finish(claim, Ending::Delivered)
                .await
                .expect("it is open");
        } else {
            drop(claim);
            break;
        }
    }
    store.close().await;
}

#[tokio::test]
async fn on_a_full_disk_callbacks_are_refused_and_what_was_acknowledged_is_delivered() {
    let can_mount = Command::new("unshare").args(["--mount", "true"]).status();
    if !can_mount.is_ok_and(|status| status.success()) {
        return skip("unshare, and the right to mount a file system");
    }
    let app = FakeUpstream::start(|_| Script::response("200 OK", "text/plain", "thanks"));
    let folder = TempDir::new().expect("a folder");
    let disk = folder.path().to_str().expect("it is a text");
    let script = format!("mount -t tmpfs -o size=12m none {disk} && exec \"$@\"");
    let sidecar = Sidecar::before(&app)
        .upstream("retry_connect = \"0s\"")
        .routes(&routes(&folder.path().join("queue")))
        .within(&["unshare", "--mount", "sh", "-c", &script, "sh"])
        .start()
        .await;
    let large = |number: usize| {
        Webhook::status_callback("/status")
            .with("CallSid", &format!("CA{number}"))
            .with("Large", &"x".repeat(200_000))
    };
    app.refuse().await;
    let mut acknowledged = 0;
    let refused = loop {
        let response = sidecar.request(&large(acknowledged)).await;
        match response.status {
            204 => acknowledged += 1,
            status => break status,
        }
    };
    assert_eq!(refused, 503);
    assert!(acknowledged > 5, "{acknowledged}");
    let labels = [("reason", "io")];
    let refused = sidecar.metric("understudy_queue_refused_total", &labels);
    assert_eq!(refused.await, 1.0);

    app.recover().await;
    sidecar
        .wait_for_metric("understudy_queue_delivered_total", &[], acknowledged as f64)
        .await;
    let mut calls: Vec<_> = app
        .requests()
        .iter()
        .map(|request| request.payload())
        .collect();
    calls.dedup();
    assert_eq!(calls.len(), acknowledged);
    app.refuse().await;
    wait_until("room for callbacks", async || {
        sidecar.request(&large(0)).await.status == 204
    })
    .await;
}
