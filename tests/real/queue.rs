//! Callbacks in JetStream: the same promises as those of the embedded store, and several instances with one queue.

mod instances;
mod server;
#[path = "../it/queue/suite.rs"]
pub(crate) mod suite;

use std::sync::Arc;
use std::time::Duration;

use understudy::queue::nats::{Nats, Settings};
use understudy::queue::{Claim, Ending, Filter, Store};

use server::Server;
use suite::{Fixture, ROUTE, append, at, callback, claim, text};

impl Fixture for Server {
    async fn open(&self) -> Box<dyn Store> {
        Box::new(ready(self.instance()).await)
    }
}

impl Server {
    fn instance(&self) -> Nats {
        Nats::open(settings(self)).unwrap()
    }
}

fn settings(server: &Server) -> Settings {
    Settings {
        url: server.url(),
        name: Settings::NAME.to_owned(),
        max_size: 1 << 20,
        lease: Duration::from_secs(1),
    }
}

/// Waits until it has read what is stored.
async fn ready(store: Nats) -> Nats {
    while store.list(Filter::default(), None, 1).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    store
}

suite::tests_of_a_store!(Server::start().await);

/// Waits for a claim.
async fn next(store: &dyn Store) -> Claim {
    next_at(store, 1).await
}

/// Waits for a claim of what is due then: what another instance has done comes by itself, but later.
async fn next_at(store: &dyn Store, seconds: u64) -> Claim {
    let mut changes = store.changes();
    loop {
        if let Ok(Some(claim)) = store.claim(ROUTE, at(seconds)).await {
            return claim;
        }
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn three_instances_deliver_everything_once_and_in_order() {
    let Some(server) = Server::start().await else {
        return;
    };
    let instances: Vec<Arc<Nats>> = (0..3).map(|_| Arc::new(server.instance())).collect();
    for number in 0..60 {
        let key = format!("CA{}", number % 6);
        append(&*instances[number % 3], &key, &format!("{number}")).await;
    }
    let (sender, mut delivered) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for instance in &instances {
        let (instance, sender) = (Arc::clone(instance), sender.clone());
        tasks.spawn(async move {
            loop {
                let claim = next(&*instance).await;
                sender.send(text(&claim).parse::<usize>().unwrap()).unwrap();
                instance.finish(claim, Ending::Delivered).await.unwrap();
            }
        });
    }
    let mut seen: Vec<Vec<usize>> = vec![Vec::new(); 6];
    for _ in 0..60 {
        let number = delivered.recv().await.unwrap();
        seen[number % 6].push(number);
    }
    for (key, numbers) in seen.iter().enumerate() {
        let expected: Vec<_> = (0..10).map(|round| round * 6 + key).collect();
        assert_eq!(*numbers, expected);
    }
    tasks.abort_all();
    assert!(delivered.try_recv().is_err(), "and nothing twice");
}

#[tokio::test]
async fn another_instance_delivers_what_one_that_died_had_claimed() {
    let Some(server) = Server::start().await else {
        return;
    };
    let first = server.instance();
    append(&first, "CA1", "1").await;
    append(&first, "CA1", "2").await;
    let claimed = claim(&first, 1).await.unwrap();
    let second = server.instance();
    assert!(claim(&second, 1).await.is_none());
    // It lives for longer than a claim that isn't renewed.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(claim(&second, 1).await.is_none(), "the claim was renewed");
    // It dies: nothing is said, and nothing is renewed.
    std::mem::forget(claimed);
    drop(first);
    let again = next(&second).await;
    assert_eq!(text(&again), "1");
    second.finish(again, Ending::Delivered).await.unwrap();
    assert_eq!(text(&next(&second).await), "2");
}

#[tokio::test]
async fn what_one_instance_puts_off_is_put_off_for_all() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (first, second) = (server.instance(), server.instance());
    append(&first, "CA1", "1").await;
    let claimed = next(&second).await;
    second.finish(claimed, suite::retry(100)).await.unwrap();
    assert!(claim(&first, 99).await.is_none());
    let again = next_at(&first, 100).await;
    assert_eq!((text(&again), again.attempts), ("1", 1));
}

#[tokio::test]
async fn a_server_that_is_away_refuses_and_nothing_is_lost_when_it_is_back() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let store = server.instance();
    append(&store, "CA1", "1").await;
    server.stop().await;
    let error = store.append(callback("CA1", "2")).await.unwrap_err();
    assert_eq!(error.reason(), "away", "{error}");
    assert!(store.is_waiting(ROUTE, "CA1").await.is_err());
    server.start_again().await;
    while store.append(callback("CA1", "3")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut delivered = Vec::new();
    while delivered.last().is_none_or(|last| last != "3") {
        let claim = next(&store).await;
        delivered.push(text(&claim).to_owned());
        store.finish(claim, Ending::Delivered).await.unwrap();
    }
    // What was refused may have come through all the same.
    delivered.retain(|text| text != "2");
    assert_eq!(delivered, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_starts_reads_all_of_a_long_queue() {
    const COUNT: usize = 5000;
    let Some(server) = Server::start().await else {
        return;
    };
    let open = || {
        Nats::open(Settings {
            max_size: 64 << 20,
            ..settings(&server)
        })
        .unwrap()
    };
    let first = Arc::new(ready(open()).await);
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..COUNT {
        let first = Arc::clone(&first);
        appends.spawn(async move { append(&*first, &format!("CA{number}"), "1").await });
    }
    appends.join_all().await;
    // It doesn't send more than is read, so this has to say what it has read.
    let second = ready(open()).await;
    assert_eq!(second.summary().routes[ROUTE].waiting, COUNT as u64);
    let (first, second) = (first.summary(), second.summary());
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_server_that_wants_a_password_gets_that_of_the_url() {
    let Some(server) = Server::start_with(&["--user", "me", "--pass", "s@cret"]).await else {
        return;
    };
    let open = |login: &str| {
        Nats::open(Settings {
            url: server.url().replace("://", &format!("://{login}@")),
            ..settings(&server)
        })
        .unwrap()
    };
    let stranger = open("me:other");
    let error = stranger.append(callback("CA1", "1")).await.unwrap_err();
    assert_eq!(error.reason(), "away");
    assert!(!error.to_string().contains("other"), "{error}");
    let store = ready(open("me:s%40cret")).await;
    append(&store, "CA1", "1").await;
}

#[tokio::test]
async fn a_new_size_holds_at_once() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = ready(server.instance()).await;
    let large = "x".repeat(600_000);
    append(&store, "CA1", &large).await;
    let error = store.append(callback("CA1", &large)).await.unwrap_err();
    assert_eq!(error.reason(), "full");
    store.set_max_size(2 << 20);
    while store.append(callback("CA1", &large)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    server.stop().await;
    let store = server.instance();
    let error = store.append(callback("CA1", "1")).await.unwrap_err();
    assert_eq!(error.reason(), "away");
    server.start_again().await;
    while store.append(callback("CA1", "1")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_callback_that_is_too_large_for_the_server_is_refused() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = server.instance();
    let error = store.append(callback("CA1", &"x".repeat(2 << 20))).await;
    assert_eq!(error.unwrap_err().reason(), "too_large");
    append(&store, "CA1", "1").await;
}

#[test]
fn a_url_that_is_none_is_refused() {
    let open = |url: &str, name: &str| {
        let settings = Settings {
            url: url.to_owned(),
            name: name.to_owned(),
            max_size: 1,
            lease: Settings::LEASE,
        };
        Nats::open(settings).err().unwrap().to_string()
    };
    assert!(open("nats://a b", "q").contains("not a valid URL"));
    assert!(open("nats://a", "q.>").contains("not a valid name"));
}
