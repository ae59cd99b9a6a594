//! Each way in which an app fails to take a callback queues it, and names its reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use support::{FakeUpstream, Script};

use super::{app_that_takes, before, callback, folder, numbers, queued, wait_until_empty};
use crate::drill;

#[tokio::test]
async fn what_the_app_sends_instead_of_a_response_is_the_reason() {
    for (fault, reason) in [
        ("status", "status_5xx"),
        ("stall", "deadline"),
        ("reset", "reset"),
        ("nonsense", "protocol"),
    ] {
        let is_well = Arc::new(AtomicBool::new(false));
        let now = Arc::clone(&is_well);
        let app = FakeUpstream::start(move |_| match (now.load(Relaxed), fault) {
            (true, _) => Script::response("204 No Content", "text/plain", ""),
            (_, "status") => Script::response("503 Busy", "text/plain", "busy"),
            (_, "stall") => Script::new().stall(),
            (_, "reset") => Script::new().reset(),
            _ => Script::new().send("nonsense\r\n\r\n"),
        });
        let folder = folder();
        let sidecar = before(&app, folder.path(), "").start().await;
        assert_eq!(
            queued(&sidecar.request(callback("CA1", 1)).await),
            Some(reason)
        );
        is_well.store(true, Relaxed);
        wait_until_empty(&sidecar).await;
        let last = numbers(&app, "CA1");
        assert!(
            last.len() >= 2 && last.iter().all(|number| *number == 1),
            "{reason}: {last:?}"
        );
    }
}

#[tokio::test]
async fn while_the_breaker_is_open_callbacks_are_queued_at_once() {
    let app = app_that_takes();
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    app.refuse().await;
    for number in 0..20 {
        let got = sidecar
            .request(callback(&format!("CA{number}"), number))
            .await;
        assert!(queued(&got).is_some());
    }
    let open = [("reason", "breaker_open")];
    assert!(
        sidecar
            .metric("understudy_queue_enqueued_total", &open)
            .await
            >= 10.0
    );
    app.recover().await;
    wait_until_empty(&sidecar).await;
    assert_eq!(app.requests().len(), 20);
}

#[tokio::test]
async fn a_callback_over_the_limit_is_queued_at_once() {
    let is_well = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&is_well);
    let app = FakeUpstream::start(move |_| match now.load(Relaxed) {
        true => Script::response("204 No Content", "text/plain", ""),
        false => Script::new().stall(),
    });
    let folder = folder();
    let sidecar = before(&app, folder.path(), "")
        .defaults("max_in_flight = 1")
        .deadline(support::millis(10_000))
        .start()
        .await;
    let mut waiting = sidecar.connect().await;
    waiting.send(callback("CA1", 1)).await;
    app.wait_for_requests(1).await;
    let got = sidecar.request(callback("CA2", 2)).await;
    assert_eq!(queued(&got), Some("overload"));
    is_well.store(true, Relaxed);
    drop(waiting);
    wait_until_empty(&sidecar).await;
    assert_eq!(numbers(&app, "CA2"), [2]);
}

#[tokio::test]
async fn a_drill_queues_callbacks_and_the_app_gets_them_all_the_same() {
    let app = app_that_takes();
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    drill::begin(&sidecar, "status", "status_5xx").await;
    let got = sidecar.request(callback("CA1", 1)).await;
    assert_eq!(queued(&got), Some("drill"));
    wait_until_empty(&sidecar).await;
    assert_eq!(numbers(&app, "CA1"), [1]);
}
