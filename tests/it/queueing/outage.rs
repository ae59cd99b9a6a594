//! The app is down under load and comes back: all that was acknowledged is delivered, the app gets few at once, and what comes meanwhile
//! stays in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use support::{Client, Event, FakeUpstream, Script, Webhook, millis, wait_for, wait_until};
use tokio::task::JoinSet;
use tokio::time::interval;

use super::account::{Account, name_of, target_of};
use super::{before_with, folder, wait_until_empty};

/// How many callbacks come in a second, and how many come while the app is down, unless this variable says otherwise.
const LOAD: &str = "100/300";
const VARIABLE: &str = "UNDERSTUDY_TEST_OUTAGE";

/// How many calls there are at once, and how many callbacks each has.
const CALLS: usize = 20;
const CALLBACKS: usize = 4;

/// The most deliveries at once that docs/queue.md promises.
const MOST_AT_ONCE: usize = 16;

/// How many deliveries the app has at the moment, and the most it ever had.
#[derive(Default)]
struct AtOnce {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_comes_back_gets_all_in_order_and_few_at_once() {
    let load = std::env::var(VARIABLE).unwrap_or_else(|_| LOAD.to_owned());
    let (rate, many) = load.split_once('/').expect("two numbers");
    let rate: u32 = rate.parse().expect("how many in a second");
    let many: usize = many.parse().expect("how many while it is down");

    let account = Arc::new(Account::default());
    let at_once = Arc::new(AtOnce::default());
    let (taken, seen) = (Arc::clone(&account), Arc::clone(&at_once));
    let app = FakeUpstream::observed_at(
        ([127, 0, 0, 1], 0).into(),
        |_| {
            let response = "HTTP/1.1 204 No Content\r\n\r\n";
            Script::new().pause(millis(2)).send(response)
        },
        move |request, event| match event {
            Event::Head => {
                taken.take(name_of(request.target()).expect("it has a name"));
                if request.header("understudy-delivery").is_some() {
                    let now = seen.now.fetch_add(1, Relaxed) + 1;
                    seen.most.fetch_max(now, Relaxed);
                }
            }
            Event::End { .. } if request.header("understudy-delivery").is_some() => {
                seen.now.fetch_sub(1, Relaxed);
            }
            Event::End { .. } | Event::Step(_) => {}
        },
    );
    let folder = folder();
    let sidecar = before_with(&app, folder.path(), "", "1GiB").start().await;
    app.refuse().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for call in 0..CALLS {
        let client = sidecar.connect().await;
        let pause = Duration::from_secs(CALLS as u64) / rate;
        let (account, is_over) = (Arc::clone(&account), Arc::clone(&is_over));
        clients.spawn(send_until_over(client, call, pause, account, is_over));
    }
    wait_until("callbacks that wait", async || {
        account.acknowledgements.load(Relaxed) >= many
    })
    .await;
    let waiting = sidecar.metric("understudy_queue_depth", &[]).await;
    let back = Instant::now();
    app.recover().await;
    wait_until_empty(&sidecar).await;
    let caught_up = back.elapsed();
    is_over.store(true, Relaxed);
    wait_for("the clients", clients.join_all()).await;
    wait_until_empty(&sidecar).await;
    account.check_none_lost();
    account.check_order(&account.taken());
    let most = at_once.most.load(Relaxed);
    assert!((1..=MOST_AT_ONCE).contains(&most), "{most} at once");
    eprintln!("{waiting} waited, and were delivered within {caught_up:?}, {most} at once at most");
}

/// Sends the callbacks of one call after the other.
async fn send_until_over(
    mut client: Client,
    call: usize,
    pause: Duration,
    account: Arc<Account>,
    is_over: Arc<AtomicBool>,
) {
    let mut pause = interval(pause);
    for number in 0.. {
        if is_over.load(Relaxed) {
            return;
        }
        pause.tick().await;
        let name = (call + number / CALLBACKS * CALLS, number % CALLBACKS);
        let webhook = Webhook::status_callback(&target_of(name));
        let webhook = webhook.with("CallSid", &format!("CA{}", name.0));
        let response = client.request(&webhook).await;
        assert_eq!(response.status, 204, "{response:?}");
        account.acknowledge(name);
    }
}
