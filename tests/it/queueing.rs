//! A callback that the app can't take is acknowledged only when it is stored, and is delivered when the app is well again.

mod account;
mod command;
mod kills;
mod outage;
mod reasons;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use support::{
    Builder, FakeUpstream, Response, Script, Sidecar, Signal, Webhook, millis, wait_until,
};
use tempfile::TempDir;
use understudy::queue::embedded::{self, Embedded};
use understudy::queue::{Callback, Store};
use understudy::secret::Secret;
use understudy::signature::{self, Algorithm};

const PUBLIC_URL: &str = "https://hooks.example.com";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

/// A proxy with a route that queues, whose breaker opens after three failures.
fn before(app: &FakeUpstream, queue: &Path, more: &str) -> Builder {
    before_with(app, queue, more, "1MiB")
}

/// The same with a queue of this size.
fn before_with(app: &FakeUpstream, queue: &Path, more: &str, max_size: &str) -> Builder {
    let path = queue.join("queue");
    Sidecar::before(app)
        .deadline(millis(500))
        .upstream("retry_connect = \"10ms\"")
        .defaults("breaker = { failures = 3, probe_every = \"100ms\" }")
        .routes(&format!(
            "{more}\n[queue]\npath = {path:?}\nmax_size = \"{max_size}\"\n\
             [[route]]\nname = \"status\"\npath = \"/status/*\"\nkind = \"callback\"\nwhen_down = \"queue\"\n"
        ))
}

/// A status callback of this call.
fn callback(call: &str, number: usize) -> Webhook {
    Webhook::status_callback("/status/x?a=%2f")
        .with("CallSid", call)
        .with("SequenceNumber", &number.to_string())
}

fn queued(response: &Response) -> Option<&str> {
    assert_eq!(response.body.len(), 0, "{response:?}");
    assert_eq!(response.status, 204, "{response:?}");
    response.header("understudy-queued")
}

fn app_that_takes() -> FakeUpstream {
    FakeUpstream::start(|_| Script::response("200 OK", "text/plain", "thanks"))
}

/// The numbers of those that the app was sent, in their order.
fn numbers(app: &FakeUpstream, call: &str) -> Vec<usize> {
    let requests = app.requests();
    let parameter = |body: &[u8], wanted: &str| {
        let mut found = form_urlencoded::parse(body).filter(|(name, _)| name == wanted);
        found.next().map(|(_, value)| value.into_owned())
    };
    let of_call = requests.iter().map(support::Request::payload);
    let of_call = of_call.filter(|body| parameter(body, "CallSid").as_deref() == Some(call));
    of_call
        .map(|body| {
            let number = parameter(&body, "SequenceNumber").expect("it has a number");
            number.parse().expect("a number")
        })
        .collect()
}

async fn wait_until_empty(sidecar: &Sidecar) {
    wait_until("the queue to be empty", async || {
        sidecar.metric("understudy_queue_depth", &[]).await == 0.0
    })
    .await;
}

#[tokio::test]
async fn what_an_app_that_is_away_could_not_take_is_delivered_as_it_came() {
    let app = app_that_takes();
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    app.refuse().await;
    let sent = callback("CA1", 1);
    assert_eq!(queued(&sidecar.request(&sent).await), Some("connect"));
    app.recover().await;
    wait_until_empty(&sidecar).await;
    let [delivered] = &app.requests()[..] else {
        panic!("it is delivered once")
    };
    let bytes = sent.bytes();
    assert_eq!(
        (delivered.method(), delivered.target()),
        ("POST", "/status/x?a=%2f")
    );
    assert!(bytes.ends_with(&delivered.body), "the same bytes");
    assert_eq!(delivered.header("host"), Some("hooks.example.com"));
    assert_eq!(delivered.header("x-forwarded-for"), Some("127.0.0.1"));
    for name in [
        "X-Twilio-Signature",
        "I-Twilio-Idempotency-Token",
        "Content-Type",
        "User-Agent",
    ] {
        let value = delivered.header(name).expect(name);
        let line = format!("{name}: {value}\r\n");
        let is_there = String::from_utf8_lossy(&bytes).contains(&line);
        assert!(is_there, "{name}");
    }
    let delivery = delivered.header("understudy-delivery").expect("it says so");
    assert!(
        delivery.starts_with("attempt=") && delivery.contains(", received=20"),
        "{delivery}"
    );
    let counted = async |name: &str, labels: &[(&str, &str)]| sidecar.metric(name, labels).await;
    assert_eq!(
        counted("understudy_queue_enqueued_total", &[("reason", "connect")]).await,
        1.0
    );
    assert_eq!(
        counted("understudy_queue_delivered_total", &[("route", "status")]).await,
        1.0
    );
    assert_eq!(
        counted("understudy_requests_total", &[("outcome", "queued")]).await,
        1.0
    );
    assert_eq!(counted("understudy_queue_refused_total", &[]).await, 0.0);
}

#[tokio::test]
async fn what_the_app_refuses_or_takes_is_not_queued() {
    let app = FakeUpstream::start(|request| match request.path() {
        "/status/no" => Script::response("404 Not Found", "text/plain", "no"),
        _ => Script::response("202 Accepted", "text/plain", "yes"),
    });
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    for (path, status) in [("/status/no", 404), ("/status/yes", 202)] {
        let got = sidecar.request(Webhook::status_callback(path)).await;
        assert_eq!(
            (got.status, got.header("understudy-queued")),
            (status, None)
        );
    }
    assert_eq!(
        sidecar.metric("understudy_queue_enqueued_total", &[]).await,
        0.0
    );
}

#[tokio::test]
async fn nothing_overtakes_an_older_one_of_its_key_and_other_keys_do_not_wait() {
    let fails = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&fails);
    let app = FakeUpstream::start(move |request| {
        let is_first = request.target().contains("first");
        match is_first && now.load(Relaxed) {
            true => Script::response("503 Busy", "text/plain", "busy"),
            false => Script::response("204 No Content", "text/plain", ""),
        }
    });
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    let first = Webhook::status_callback("/status/first").with("CallSid", "CA1");
    let first = first.with("SequenceNumber", "0");
    assert_eq!(queued(&sidecar.request(first).await), Some("status_5xx"));
    for number in 1..4 {
        assert_eq!(
            queued(&sidecar.request(callback("CA1", number)).await),
            Some("order")
        );
    }
    assert_eq!(
        queued(&sidecar.request(callback("CA2", 9)).await),
        None,
        "the app's own"
    );
    fails.store(false, Relaxed);
    wait_until_empty(&sidecar).await;
    let mut numbers = numbers(&app, "CA1");
    numbers.dedup();
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!(
        queued(&sidecar.request(callback("CA1", 4)).await),
        None,
        "nothing waits"
    );
}

#[tokio::test]
async fn a_forged_callback_is_neither_acknowledged_nor_stored() {
    let app = app_that_takes();
    let folder = folder();
    let more = "signature = \"enforce\"\n[signature]\ntokens_file = \"tokens\"";
    let sidecar = before(&app, folder.path(), more)
        .server(&format!("public_url = \"{PUBLIC_URL}\""))
        .file("tokens", format!("*={TOKEN}\n"))
        .start()
        .await;
    app.refuse().await;
    assert_eq!(sidecar.request(callback("CA1", 1)).await.status, 403);
    assert_eq!(
        sidecar.request(callback("CA1", 1).unsigned()).await.status,
        403
    );
    assert_eq!(sidecar.metric("understudy_queue_depth", &[]).await, 0.0);
    let signed = callback("CA1", 2).signed(PUBLIC_URL, TOKEN);
    assert!(queued(&sidecar.request(signed).await).is_some());
    app.recover().await;
    wait_until_empty(&sidecar).await;
    assert_eq!(numbers(&app, "CA1"), [2]);
}

#[tokio::test]
async fn a_callback_for_which_there_is_no_room_is_refused_and_counted() {
    let app = app_that_takes();
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    app.refuse().await;
    let mut statuses = Vec::new();
    for number in 0..8 {
        let large = callback(&format!("CA{number}"), number).with("Large", &"x".repeat(200_000));
        statuses.push(sidecar.request(large).await.status);
    }
    let stored = statuses.iter().filter(|status| **status == 204).count();
    assert!((3..=5).contains(&stored), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&503));
    let refused = sidecar
        .metric("understudy_queue_refused_total", &[("reason", "full")])
        .await;
    assert_eq!(refused, (8 - stored) as f64);
    let errors = sidecar
        .metric("understudy_requests_total", &[("outcome", "error")])
        .await;
    assert_eq!(errors, (8 - stored) as f64);
    app.recover().await;
    wait_until_empty(&sidecar).await;
    assert_eq!(app.requests().len(), stored);
}

#[tokio::test]
async fn what_waits_is_delivered_by_the_next_process() {
    let app = app_that_takes();
    let folder = folder();
    let mut sidecar = before(&app, folder.path(), "").start().await;
    app.refuse().await;
    for number in 0..5 {
        assert!(queued(&sidecar.request(callback("CA1", number)).await).is_some());
    }
    sidecar.signal(Signal::Terminate);
    assert!(sidecar.wait().await.success());
    app.recover().await;
    let sidecar = before(&app, folder.path(), "").start().await;
    wait_until_empty(&sidecar).await;
    assert_eq!(numbers(&app, "CA1"), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn what_waits_is_delivered_once_and_in_order_across_an_upgrade_in_place() {
    let app = app_that_takes();
    let folder = folder();
    let mut sidecar = before(&app, folder.path(), "").start().await;
    app.refuse().await;
    for number in 0..3 {
        assert!(queued(&sidecar.request(callback("CA1", number)).await).is_some());
    }
    sidecar.signal(Signal::Upgrade);
    sidecar
        .wait_for_log(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("upgraded"))
        })
        .await;
    for number in 3..6 {
        assert!(queued(&sidecar.request(callback("CA1", number)).await).is_some());
    }
    app.recover().await;
    app.wait_for_requests(6).await;
    wait_until_empty(&sidecar).await;
    assert_eq!(numbers(&app, "CA1"), [0, 1, 2, 3, 4, 5]);
    assert!(sidecar.wait().await.success(), "the old process");
    kills::end_successor(&sidecar).await;
}

#[tokio::test]
async fn what_the_app_refuses_at_its_delivery_is_a_dead_letter_and_the_next_one_goes_on() {
    let app = FakeUpstream::start(|request| match request.target().contains("bad") {
        true => Script::response("410 Gone", "text/plain", "no"),
        false => Script::response("200 OK", "text/plain", "yes"),
    });
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    app.refuse().await;
    let bad = Webhook::status_callback("/status/bad").with("CallSid", "CA1");
    let bad = bad.with("SequenceNumber", "1");
    assert!(queued(&sidecar.request(bad).await).is_some());
    assert!(queued(&sidecar.request(callback("CA1", 2)).await).is_some());
    app.recover().await;
    wait_until_empty(&sidecar).await;
    assert_eq!(numbers(&app, "CA1"), [1, 2]);
    assert_eq!(
        sidecar.metric("understudy_queue_dead_letters", &[]).await,
        1.0
    );
    assert_eq!(
        sidecar
            .metric("understudy_queue_delivered_total", &[])
            .await,
        1.0
    );
}

/// Stores a callback that came so long ago, as a process of that time has stored it.
async fn store_of_old(folder: &Path, webhook: &Webhook, age: Duration) {
    let store = Embedded::open(&embedded::Settings {
        folder: folder.join("queue"),
        max_size: 1 << 20,
        is_successor: false,
    });
    let store = store.expect("the folder is free");
    let bytes = webhook.bytes();
    let text = String::from_utf8(bytes).expect("it is ASCII");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").expect("a header");
        let name: http::HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let stored = store.append(Callback {
        route: "status".to_owned(),
        key: "CA1".to_owned(),
        reason: "connect".to_owned(),
        received: SystemTime::now() - age,
        client: [127, 0, 0, 1].into(),
        method: Method::POST,
        target: "/status/x?a=%2f".to_owned(),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
    });
    stored.await.expect("it is stored");
    store.close().await;
}

#[tokio::test]
async fn the_app_s_own_check_of_the_signature_passes_on_a_delivery_that_is_an_hour_old() {
    let app = app_that_takes();
    let folder = folder();
    let signed = callback("CA1", 1).signed(PUBLIC_URL, TOKEN);
    store_of_old(folder.path(), &signed, Duration::from_secs(60 * 60)).await;
    let sidecar = before(&app, folder.path(), "").start().await;
    wait_until_empty(&sidecar).await;
    let [delivered] = &app.requests()[..] else {
        panic!("one is delivered")
    };
    let url = format!("{PUBLIC_URL}{}", delivered.target());
    let secret = Secret::new(TOKEN).expect("a token");
    let expected = signature::sign(Algorithm::HmacSha1, &secret, &url, &delivered.payload());
    assert_eq!(delivered.header("x-twilio-signature"), Some(&*expected));
}

#[tokio::test]
async fn what_is_older_than_max_age_is_a_dead_letter_and_is_not_delivered() {
    let app = app_that_takes();
    let folder = folder();
    let day = Duration::from_secs(24 * 60 * 60);
    store_of_old(folder.path(), &callback("CA1", 1), day + millis(1000)).await;
    let sidecar = before(&app, folder.path(), "").start().await;
    wait_until_empty(&sidecar).await;
    assert_eq!(app.requests().len(), 0);
    assert_eq!(
        sidecar.metric("understudy_queue_expired_total", &[]).await,
        1.0
    );
    assert_eq!(
        sidecar.metric("understudy_queue_dead_letters", &[]).await,
        1.0
    );
}

#[tokio::test]
async fn a_second_process_does_not_start_on_the_same_folder() {
    let app = app_that_takes();
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    let mut second = tokio::process::Command::new(env!("CARGO_BIN_EXE_understudy"));
    second.args(["run", "--config"]).arg(sidecar.config_path());
    second.stdin(Stdio::null()).kill_on_drop(true);
    let output = support::wait_for("its end", second.output())
        .await
        .expect("it runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(words.contains(&sidecar.pid().to_string()), "{words}");
}

#[tokio::test]
async fn a_queue_in_a_folder_that_cannot_be_written_is_refused_at_the_start() {
    let folder = folder();
    std::fs::write(folder.path().join("file"), "").expect("a file");
    let path = folder.path().join("file/queue");
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
         [queue]\npath = {path:?}\n\
         [[route]]\nname = \"status\"\npath = \"/status\"\nkind = \"callback\"\nwhen_down = \"queue\"\n"
    );
    let file = folder.path().join("understudy.toml");
    std::fs::write(&file, config).expect("a file");
    let output = support::understudy(&["run", "--config", file.to_str().expect("a text")]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{words}");
    let path = path.display().to_string();
    assert!(
        words.contains(&path) && words.contains("Not a directory"),
        "{words}"
    );
}

#[tokio::test]
async fn a_queue_in_another_place_needs_a_restart() {
    let app = app_that_takes();
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    let config = sidecar.config();
    sidecar.rewrite_config(&config.replace("/queue\"", "/other\""));
    let got = sidecar.admin_post("/api/reload").await;
    assert_eq!(got.status, 422);
    assert!(
        got.text().contains("queue.path can't change"),
        "{}",
        got.text()
    );
    sidecar.rewrite_config(&config.replace(
        "max_size = \"1MiB\"",
        "max_size = \"1MiB\"\nmax_age = \"1h\"",
    ));
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
}

#[tokio::test]
async fn a_reload_makes_room_in_a_full_queue_and_takes_it_away_again() {
    let app = app_that_takes();
    let folder = folder();
    let sidecar = before(&app, folder.path(), "").start().await;
    app.refuse().await;
    let send = async |number: usize| {
        let large = callback(&format!("CA{number}"), number).with("Large", &"x".repeat(200_000));
        sidecar.request(large).await.status
    };
    let mut stored = 0;
    while send(stored).await == 204 {
        stored += 1;
        assert!(stored < 6, "1 MiB holds no more");
    }
    let config = sidecar.config();
    let with_size = |size: &str| {
        let line = format!("max_size = \"{size}\"");
        sidecar.rewrite_config(&config.replace("max_size = \"1MiB\"", &line));
    };
    with_size("8MiB");
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    for number in 10..13 {
        assert_eq!(send(number).await, 204);
    }
    with_size("1MiB");
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    assert_eq!(send(20).await, 503, "what is stored is more than that");
    app.recover().await;
    wait_until_empty(&sidecar).await;
    assert_eq!(app.requests().len(), stored + 3);
}
