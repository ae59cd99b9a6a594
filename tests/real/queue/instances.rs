//! Instances of understudy with one queue at a NATS server.

#[path = "../../it/queueing/account.rs"]
mod account;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::{
    Builder, FakeUpstream, Script, Sidecar, Signal, Webhook, millis, wait_for, wait_until,
};
use tokio::task::JoinSet;

use super::server::Server;
use account::{Account, KEYS, Name, app_of, name_of};

/// How long the app takes for a callback, at least.
const WORK: Duration = Duration::from_millis(30);

/// So many callbacks are queued before the app is well again.
const BEFORE: usize = 100;

/// A proxy that queues at this server.
fn before(app: &FakeUpstream, url: &str) -> Builder {
    Sidecar::before(app)
        .deadline(millis(1000))
        .upstream("retry_connect = \"10ms\"")
        .defaults("breaker = { failures = 3, probe_every = \"100ms\" }")
        .routes(&format!(
            "[queue]\nurl = \"{url}\"\nmax_size = \"64MiB\"\n\
             [[route]]\nname = \"status\"\npath = \"/status/*\"\nkind = \"callback\"\nwhen_down = \"queue\"\n\
             [[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\n"
        ))
}

/// What came to the app, and when.
#[derive(Default)]
struct Arrivals(Mutex<Vec<(Name, Instant)>>);

impl Arrivals {
    fn record(&self, name: Name) {
        let arrival = (name, Instant::now());
        self.0.lock().expect("no poison").push(arrival);
    }

    /// No two of one key were at the app at the same time: it had each of them for [`WORK`].
    fn check_none_overlap(&self) {
        let arrivals = self.0.lock().expect("no poison");
        for key in 0..KEYS {
            let of_key = arrivals.iter().filter(|((of, _), _)| *of == key);
            let of_key: Vec<_> = of_key.collect();
            for pair in of_key.windows(2) {
                let between = pair[1].1.duration_since(pair[0].1);
                assert!(between >= WORK, "{pair:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_lose_nothing_when_one_is_killed_and_deliver_each_key_in_its_order() {
    let Some(server) = Server::start().await else {
        return;
    };
    let account = Arc::new(Account::default());
    let arrivals = Arc::new(Arrivals::default());
    let (own, seen) = (Arc::clone(&account), Arc::clone(&arrivals));
    let app = FakeUpstream::start(move |request| {
        let Some(name) = name_of(request.target()) else {
            return Script::response("204 No Content", "text/plain", "");
        };
        seen.record(name);
        let status = match own.is_down.load(Relaxed) {
            true => "503 Busy",
            false => {
                own.take(name);
                "204 No Content"
            }
        };
        let response = support::response(status, &[("content-length", "0")], "");
        Script::new().pause(WORK).send(response)
    });
    account.is_down.store(true, Relaxed);
    let killed = before(&app, &server.url()).start().await;
    let others = [
        before(&app, &server.url()).start().await,
        before(&app, &server.url()).start().await,
    ];
    for sidecar in [&killed, &others[0], &others[1]] {
        wait_until_ready(sidecar).await;
    }
    let addresses = [killed.address, others[0].address, others[1].address];
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for key in 0..KEYS {
        let (account, is_over) = (Arc::clone(&account), Arc::clone(&is_over));
        clients.spawn(async move {
            for address in addresses.iter().cycle().skip(key) {
                account.send_next(key, *address).await;
                if is_over.load(Relaxed) {
                    break;
                }
            }
        });
    }
    let reach = async |more: usize| {
        let before = account.acknowledgements.load(Relaxed);
        wait_until("acknowledgements", async || {
            account.acknowledgements.load(Relaxed) >= before + more
        })
        .await;
    };
    reach(BEFORE).await;
    assert_eq!(account.taken().len(), 0);
    account.is_down.store(false, Relaxed);
    wait_until("deliveries", async || account.taken().len() >= 2 * KEYS).await;
    // With SIGKILL, while it delivers and receives.
    drop(killed);
    reach(2 * KEYS).await;
    is_over.store(true, Relaxed);
    wait_for("the clients", clients.join_all()).await;
    for sidecar in &others {
        wait_until_empty(sidecar).await;
    }
    account.check_none_lost();
    account.check_order(&account.taken_and_acknowledged());
    arrivals.check_none_overlap();
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_stops_no_call_and_refuses_callbacks_until_it_is_there()
{
    let Some(mut server) = Server::start().await else {
        return;
    };
    server.stop().await;
    let document = "<Response><Say>Hello</Say></Response>";
    let is_well = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&is_well);
    let app = FakeUpstream::start(move |request| match request.path() {
        "/voice/hello" => Script::twiml(document),
        _ if now.load(Relaxed) => Script::response("204 No Content", "text/plain", ""),
        _ => Script::response("503 Busy", "text/plain", "busy"),
    });
    let url = server.url().replace("://", "://me:s3cret@");
    let sidecar = before(&app, &url).start().await;
    let callback = Webhook::status_callback("/status/x").with("CallSid", "CA1");

    for round in 1..=2 {
        let called = sidecar.request(Webhook::voice("/voice/hello")).await;
        assert_eq!((called.status, called.text()), (200, document.to_owned()));
        wait_until("the warning", async || count(&sidecar, AWAY) == round).await;
        for _ in 0..2 {
            assert_eq!(sidecar.request(&callback).await.status, 503);
        }
        let reason = [("reason", "away")];
        let refused = sidecar.metric("understudy_queue_refused_total", &reason);
        assert_eq!(refused.await, (2 * round) as f64);

        server.start_again().await;
        wait_until("it to be back", async || count(&sidecar, BACK) == round).await;
        let got = sidecar.request(&callback).await;
        assert_eq!(got.status, 204, "{got:?}");
        assert!(got.header("understudy-queued").is_some());
        if round == 1 {
            server.stop().await;
        }
    }
    is_well.store(true, Relaxed);
    wait_until_empty(&sidecar).await;
    let delivered = sidecar
        .metric("understudy_queue_delivered_total", &[])
        .await;
    assert_eq!(delivered, 2.0);
    assert_eq!((count(&sidecar, AWAY), count(&sidecar, BACK)), (2, 2));
    let log = sidecar.log_lines().concat();
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn what_waits_at_the_server_is_delivered_in_order_across_an_upgrade_in_place() {
    let Some(server) = Server::start().await else {
        return;
    };
    let account = Arc::new(Account::default());
    let app = app_of(&account);
    account.is_down.store(true, Relaxed);
    let mut sidecar = before(&app, &server.url()).start().await;
    wait_until_ready(&sidecar).await;
    for _ in 0..3 {
        assert_eq!(account.send_next(1, sidecar.address).await, Some(204));
    }
    sidecar.signal(Signal::Upgrade);
    let upgraded = sidecar
        .wait_for_log(|line| {
            let text = line["message"].as_str();
            text.is_some_and(|text| text.starts_with("upgraded"))
        })
        .await;
    // The new process has to connect first.
    while account.send_next(1, sidecar.address).await != Some(204) {}
    assert_eq!(account.send_next(1, sidecar.address).await, Some(204));
    account.is_down.store(false, Relaxed);
    let acknowledged = account.acknowledgements.load(Relaxed);
    wait_until("deliveries", async || account.taken().len() >= acknowledged).await;
    wait_until_empty(&sidecar).await;
    account.check_none_lost();
    account.check_order(&account.taken());
    assert!(sidecar.wait().await.success(), "the old process");
    let pid = upgraded["pid"].as_u64().expect("a process id");
    let killed = std::process::Command::new("kill")
        .arg(pid.to_string())
        .status();
    assert!(killed.expect("kill runs").success());
}

const AWAY: &str = "the server of the queue is away";
const BACK: &str = "the server of the queue is back";

/// How many lines of the log say this.
fn count(sidecar: &Sidecar, words: &str) -> usize {
    let lines = sidecar.log_lines();
    lines.iter().filter(|line| line.contains(words)).count()
}

/// Waits until a callback is not refused any more.
async fn wait_until_ready(sidecar: &Sidecar) {
    wait_until("the server of the queue", async || {
        let callback = Webhook::status_callback("/status/ready").with("CallSid", "CA0");
        sidecar.request(callback).await.status == 204
    })
    .await;
}

async fn wait_until_empty(sidecar: &Sidecar) {
    wait_until("the queue to be empty", async || {
        sidecar.metric("understudy_queue_depth", &[]).await == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_server_with_tls_gets_callbacks_if_the_machine_trusts_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a text").to_owned()
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a certificate");
    let certificate = file("server.pem", made.cert.pem());
    let key = file("server.key", made.signing_key.serialize_pem());
    let arguments = ["--tls", "--tlscert", &certificate, "--tlskey", &key];
    let Some(server) = Server::start_with(&arguments).await else {
        return;
    };
    let url = server.url().replace("nats://127.0.0.1", "tls://localhost");
    let app = FakeUpstream::with_document("<Response/>");
    app.refuse().await;
    let callback = Webhook::status_callback("/status/x");

    let trusts = format!("SSL_CERT_FILE={certificate}");
    let sidecar = before(&app, &url).within(&["env", &trusts]).start().await;
    wait_until_ready(&sidecar).await;
    assert_eq!(sidecar.request(&callback).await.status, 204);

    let sidecar = before(&app, &url).start().await;
    let line = sidecar
        .wait_for_log(|line| line["message"] == "the server of the queue is away")
        .await;
    let error = line["error"].as_str().expect("a reason");
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert_eq!(sidecar.request(&callback).await.status, 503);
}
