//! `understudy queue` lists, shows, retries and drops what a running proxy has queued, and masks what callers sent.

use support::{Sidecar, understudy, wait_until};

use super::{app_that_takes, before, callback, folder, numbers, queued, wait_until_empty};

/// What the command prints on its output and on its error output, and its exit status.
fn queue(sidecar: &Sidecar, arguments: &[&str]) -> (String, String, Option<i32>) {
    let admin = sidecar.admin.to_string();
    let output = understudy(&[&["queue"], arguments, &["--admin", &admin]].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code(),
    )
}

#[tokio::test]
async fn queued_callbacks_are_listed_shown_retried_and_dropped() {
    let app = app_that_takes();
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    let (text, _, status) = queue(&sidecar, &["list"]);
    assert_eq!((&*text, status), ("no callback is queued\n", Some(0)));

    app.refuse().await;
    for number in 1..=3 {
        let callback = callback("CA1", number).with("From", "+12025550147");
        assert!(queued(&sidecar.request(callback).await).is_some());
    }
    let (list, _, status) = queue(&sidecar, &["list", "--route", "status"]);
    let lines: Vec<_> = list.lines().collect();
    assert_eq!((lines.len(), status), (3, Some(0)), "{list}");
    assert!(lines[0].contains(": status, CA1, received "), "{list}");
    let ids: Vec<_> = lines
        .iter()
        .map(|line| line.split(':').next().expect("an id"))
        .collect();

    let (shown, _, status) = queue(&sidecar, &["show", ids[0]]);
    assert_eq!(status, Some(0));
    assert!(shown.contains("From: …"), "{shown}");
    assert!(!shown.contains("12025550147"), "{shown}");
    let (revealed, _, _) = queue(&sidecar, &["show", ids[0], "--reveal"]);
    assert!(revealed.contains("From: +12025550147"), "{revealed}");
    sidecar
        .wait_for_log(|line| line["message"] == "values of a callback revealed")
        .await;
    let log = sidecar.log_lines().concat();
    assert!(!log.contains("12025550147"));

    wait_until("a callback that isn't being delivered", async || {
        queue(&sidecar, &["drop", ids[1]]).2 == Some(0)
    })
    .await;
    let (_, error, status) = queue(&sidecar, &["show", ids[1]]);
    assert_eq!(status, Some(1));
    assert!(
        error.contains(&format!("callback {} does not exist", ids[1])),
        "{error}"
    );
    let (_, error, status) = queue(&sidecar, &["show", "seventeen"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("not a valid id"), "{error}");

    app.recover().await;
    let (_, _, status) = queue(&sidecar, &["retry", ids[0], ids[2]]);
    assert!(matches!(status, Some(0 | 1)), "it may be delivered already");
    wait_until_empty(&sidecar).await;
    assert_eq!(numbers(&app, "CA1"), [1, 3]);
}

#[tokio::test]
async fn a_proxy_without_a_queue_says_so() {
    let app = app_that_takes();
    let sidecar = Sidecar::before(&app).start().await;
    let (_, error, status) = queue(&sidecar, &["list"]);
    assert_eq!(status, Some(1));
    assert!(error.contains("no queue is configured"), "{error}");
}
