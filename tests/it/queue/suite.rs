//! What every store of callbacks does, be it embedded or NATS: `tests/real` runs the same tests over that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Method};
use understudy::queue::{Callback, Claim, Ending, Filter, Id, State, Store};

/// Makes stores.
pub(crate) trait Fixture {
    /// A store of what was stored before; the one before it is closed.
    async fn open(&self) -> Box<dyn Store>;
}

/// A test for each promise, over the fixture that an expression makes.
macro_rules! tests_of_a_store {
    ($fixture:expr; $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let Some(fixture) = $fixture else { return };
            $crate::queue::suite::$name(&fixture).await;
        }
    )*};
    ($fixture:expr) => {
        $crate::queue::suite::tests_of_a_store!($fixture;
            a_callback_is_claimed_as_it_was_appended
            callbacks_of_a_key_are_claimed_in_their_order
            a_key_does_not_wait_for_another
            routes_do_not_see_each_other
            nothing_is_claimed_twice_by_many_at_once
            a_dropped_claim_gives_the_callback_back
            a_failed_delivery_is_due_when_it_says
            a_dead_letter_makes_room_for_the_next_of_its_key
            a_dead_letter_waits_again_when_it_is_retried
            a_put_off_callback_is_due_at_once_when_it_is_retried
            dropped_callbacks_are_gone
            pages_of_a_list_have_everything_once
            attempts_and_errors_are_there_after_it_is_opened_again
            a_claim_that_was_not_finished_is_free_after_it_is_opened_again
            the_summary_counts_what_is_there
            changes_are_told
            a_full_queue_refuses_and_takes_again_when_there_is_room
            a_closed_store_refuses
        );
    };
}

pub(crate) use tests_of_a_store;

pub(crate) const ROUTE: &str = "status";

/// Some time; no test waits for it.
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

pub(crate) fn callback(key: &str, text: &str) -> Callback {
    let mut headers = HeaderMap::new();
    headers.append("x-twilio-signature", HeaderValue::from_static("c2lnbmVk"));
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_bytes(b"tw\xF6").unwrap());
    Callback {
        route: ROUTE.to_owned(),
        key: key.to_owned(),
        reason: "connect".to_owned(),
        received: at(0),
        client: "192.0.2.7".parse().unwrap(),
        method: Method::POST,
        target: "/status?tenant=%20a".to_owned(),
        headers,
        body: text.to_owned().into(),
    }
}

pub(crate) async fn append(store: &dyn Store, key: &str, text: &str) -> Id {
    store.append(callback(key, text)).await.unwrap()
}

pub(crate) async fn claim(store: &dyn Store, seconds: u64) -> Option<Claim> {
    store.claim(ROUTE, at(seconds)).await.unwrap()
}

pub(crate) fn text(claim: &Claim) -> &str {
    std::str::from_utf8(&claim.callback.body).unwrap()
}

pub(crate) fn retry(seconds: u64) -> Ending {
    Ending::Retry {
        at: at(seconds),
        error: "connection refused".to_owned(),
    }
}

fn dead(seconds: u64) -> Ending {
    Ending::Dead {
        at: at(seconds),
        error: "status 404".to_owned(),
    }
}

/// Delivers what is due, and gives back the bodies.
async fn deliver_all(store: &dyn Store, seconds: u64) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some(claim) = claim(store, seconds).await {
        bodies.push(text(&claim).to_owned());
        store.finish(claim, Ending::Delivered).await.unwrap();
    }
    bodies
}

pub(crate) async fn a_callback_is_claimed_as_it_was_appended(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let id = append(&*store, "CA1", "CallSid=CA1&x=\u{F6}").await;
    let claim = claim(&*store, 1).await.unwrap();
    assert_eq!(claim.callback, callback("CA1", "CallSid=CA1&x=\u{F6}"));
    assert_eq!((claim.id, claim.attempts, claim.since), (id, 0, at(0)));
    let (entry, found) = store.find(id).await.unwrap().unwrap();
    assert_eq!(found, claim.callback);
    assert_eq!(entry.state, State::Claimed);
}

pub(crate) async fn callbacks_of_a_key_are_claimed_in_their_order(fixture: &impl Fixture) {
    let store = fixture.open().await;
    for text in ["1", "2", "3"] {
        append(&*store, "CA1", text).await;
    }
    let first = claim(&*store, 1).await.unwrap();
    assert_eq!(text(&first), "1");
    assert!(claim(&*store, 1).await.is_none(), "one of a key at a time");
    assert!(store.is_waiting(ROUTE, "CA1").await.unwrap());
    store.finish(first, Ending::Delivered).await.unwrap();
    assert_eq!(deliver_all(&*store, 1).await, ["2", "3"]);
    assert!(!store.is_waiting(ROUTE, "CA1").await.unwrap());
}

pub(crate) async fn a_key_does_not_wait_for_another(fixture: &impl Fixture) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    append(&*store, "CA2", "2").await;
    let first = claim(&*store, 1).await.unwrap();
    let second = claim(&*store, 1).await.unwrap();
    assert_eq!((text(&first), text(&second)), ("1", "2"));
}

pub(crate) async fn routes_do_not_see_each_other(fixture: &impl Fixture) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    let mut other = callback("CA1", "2");
    other.route = "payments \u{F6}.*".to_owned();
    store.append(other).await.unwrap();
    assert!(store.is_waiting(ROUTE, "CA1").await.unwrap());
    assert!(!store.is_waiting("fax", "CA1").await.unwrap());
    assert!(store.claim("fax", at(1)).await.unwrap().is_none());
    let claim = store.claim("payments \u{F6}.*", at(1)).await.unwrap();
    assert_eq!(text(&claim.unwrap()), "2");
}

pub(crate) async fn nothing_is_claimed_twice_by_many_at_once(fixture: &impl Fixture) {
    let store: std::sync::Arc<dyn Store> = fixture.open().await.into();
    for number in 0..30 {
        append(&*store, &format!("CA{}", number % 10), &number.to_string()).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = std::sync::Arc::clone(&store);
        tasks.spawn(async move {
            let mut changes = store.changes();
            let mut delivered = Vec::new();
            while store.summary().routes.contains_key(ROUTE) {
                match claim(&*store, 1).await {
                    Some(claim) => {
                        delivered.push(text(&claim).parse::<u32>().unwrap());
                        tokio::task::yield_now().await;
                        store.finish(claim, Ending::Delivered).await.unwrap();
                    }
                    None => changes.changed().await.unwrap(),
                }
            }
            delivered
        });
    }
    let mut delivered: Vec<_> = tasks.join_all().await.concat();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..30).collect::<Vec<_>>());
}

pub(crate) async fn a_dropped_claim_gives_the_callback_back(fixture: &impl Fixture) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    let mut changes = store.changes();
    let first = claim(&*store, 1).await.unwrap();
    changes.mark_unchanged();
    drop(first);
    let again = loop {
        if let Some(claim) = claim(&*store, 1).await {
            break claim;
        }
        changes.changed().await.unwrap();
    };
    assert_eq!((text(&again), again.attempts), ("1", 0));
}

pub(crate) async fn a_failed_delivery_is_due_when_it_says(fixture: &impl Fixture) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    append(&*store, "CA1", "2").await;
    let first = claim(&*store, 1).await.unwrap();
    store.finish(first, retry(10)).await.unwrap();
    assert_eq!(store.next_due(ROUTE), Some(at(10)));
    assert!(claim(&*store, 9).await.is_none());
    assert!(store.is_waiting(ROUTE, "CA1").await.unwrap());
    let again = claim(&*store, 10).await.unwrap();
    assert_eq!((text(&again), again.attempts), ("1", 1));
}

pub(crate) async fn a_dead_letter_makes_room_for_the_next_of_its_key(fixture: &impl Fixture) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    append(&*store, "CA1", "2").await;
    let first = claim(&*store, 1).await.unwrap();
    store.finish(first, dead(5)).await.unwrap();
    assert_eq!(deliver_all(&*store, 1).await, ["2"]);
    assert!(!store.is_waiting(ROUTE, "CA1").await.unwrap());
    let filter = Filter {
        route: Some(ROUTE),
        is_dead: Some(true),
    };
    let listed = store.list(filter, None, 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state, State::Dead);
    assert_eq!((listed[0].since, listed[0].received), (at(5), at(0)));
    assert_eq!(listed[0].last_error.as_deref(), Some("status 404"));
    let (_, found) = store.find(listed[0].id).await.unwrap().unwrap();
    assert_eq!(found, callback("CA1", "1"));
}

pub(crate) async fn a_dead_letter_waits_again_when_it_is_retried(fixture: &impl Fixture) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    append(&*store, "CA1", "2").await;
    let first = claim(&*store, 1).await.unwrap();
    store.finish(first, dead(5)).await.unwrap();
    let id = store.list(dead_ones(), None, 10).await.unwrap()[0].id;
    assert_eq!(store.retry(&[id, id, Id(9999)], at(20)).await.unwrap(), 1);
    assert_eq!(store.retry(&[id], at(20)).await.unwrap(), 0);
    assert!(store.list(dead_ones(), None, 10).await.unwrap().is_empty());
    let second = claim(&*store, 20).await.unwrap();
    assert_eq!(text(&second), "2", "it goes behind those that wait");
    store.finish(second, Ending::Delivered).await.unwrap();
    let again = claim(&*store, 20).await.unwrap();
    assert_eq!((text(&again), again.attempts), ("1", 0));
    assert_eq!((again.since, again.callback.received), (at(20), at(0)));
}

fn dead_ones() -> Filter<'static> {
    Filter {
        route: None,
        is_dead: Some(true),
    }
}

pub(crate) async fn a_put_off_callback_is_due_at_once_when_it_is_retried(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let id = append(&*store, "CA1", "1").await;
    let first = claim(&*store, 1).await.unwrap();
    store.finish(first, retry(1000)).await.unwrap();
    assert!(claim(&*store, 2).await.is_none());
    assert_eq!(store.retry(&[id], at(2)).await.unwrap(), 1);
    let again = claim(&*store, 2).await.unwrap();
    assert_eq!(again.attempts, 1, "what has failed is not forgotten");
}

pub(crate) async fn dropped_callbacks_are_gone(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let first = append(&*store, "CA1", "1").await;
    let second = append(&*store, "CA1", "2").await;
    let third = append(&*store, "CA2", "3").await;
    let claimed = claim(&*store, 1).await.unwrap();
    assert_eq!(claimed.id, first);
    let dropped = store.remove(&[first, second, Id(9999)]).await.unwrap();
    assert_eq!(dropped, 1, "one is claimed, one is not there");
    assert!(store.find(second).await.unwrap().is_none());
    store.finish(claimed, Ending::Delivered).await.unwrap();
    assert!(!store.is_waiting(ROUTE, "CA1").await.unwrap());
    store.close().await;
    drop(store);
    let store = fixture.open().await;
    let listed = store.list(Filter::default(), None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        [third]
    );
}

pub(crate) async fn pages_of_a_list_have_everything_once(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut appended = Vec::new();
    for number in 0..7 {
        appended.push(append(&*store, &format!("CA{}", number % 3), "x").await);
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(Filter::default(), after, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        listed.extend(page.iter().map(|entry| entry.id));
    }
    assert_eq!(listed, appended);
    let none = Filter {
        route: Some("fax"),
        is_dead: None,
    };
    assert!(store.list(none, None, 3).await.unwrap().is_empty());
}

pub(crate) async fn attempts_and_errors_are_there_after_it_is_opened_again(fixture: &impl Fixture) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    append(&*store, "CA1", "2").await;
    append(&*store, "CA2", "3").await;
    for due in [10, 20] {
        let first = claim(&*store, due).await.unwrap();
        assert_eq!(text(&first), if due == 10 { "1" } else { "3" });
        store.finish(first, retry(due + 100)).await.unwrap();
    }
    let again = claim(&*store, 110).await.unwrap();
    assert_eq!(text(&again), "1");
    store.finish(again, dead(110)).await.unwrap();
    let before = store.list(Filter::default(), None, 10).await.unwrap();
    store.close().await;
    drop(store);

    let store = fixture.open().await;
    assert_eq!(
        store.list(Filter::default(), None, 10).await.unwrap(),
        before
    );
    assert_eq!(deliver_all(&*store, 110).await, ["2"]);
    let again = claim(&*store, 120).await.unwrap();
    assert_eq!((text(&again), again.attempts), ("3", 1));
    let route = store.summary().routes[ROUTE].clone();
    assert_eq!((route.waiting, route.dead), (1, 1));
}

pub(crate) async fn a_claim_that_was_not_finished_is_free_after_it_is_opened_again(
    fixture: &impl Fixture,
) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    let first = claim(&*store, 1).await.unwrap();
    store.close().await;
    drop(first);
    drop(store);
    let store = fixture.open().await;
    let again = loop {
        let mut changes = store.changes();
        if let Some(claim) = claim(&*store, 1).await {
            break claim;
        }
        changes.changed().await.unwrap();
    };
    assert_eq!(text(&again), "1");
}

pub(crate) async fn the_summary_counts_what_is_there(fixture: &impl Fixture) {
    let store = fixture.open().await;
    assert!(store.summary().routes.is_empty());
    assert_eq!(store.next_due(ROUTE), None);
    for (key, text) in [("CA1", "1"), ("CA2", "2"), ("CA3", "3")] {
        append(&*store, key, text).await;
    }
    let first = claim(&*store, 1).await.unwrap();
    store.finish(first, dead(1)).await.unwrap();
    let second = claim(&*store, 1).await.unwrap();
    store.finish(second, retry(50)).await.unwrap();
    let summary = store.summary();
    let route = &summary.routes[ROUTE];
    assert_eq!((route.waiting, route.dead), (2, 1));
    assert_eq!(route.oldest, Some(at(0)));
    assert_eq!(route.next_try, Some(at(0)));
    assert_eq!(route.last_error.as_deref(), Some("connection refused"));
    assert!(route.bytes > 0 && route.bytes == summary.bytes);
    assert_eq!(deliver_all(&*store, 50).await, ["3", "2"]);
    let dead = store.list(dead_ones(), None, 10).await.unwrap()[0].id;
    store.remove(&[dead]).await.unwrap();
    assert_eq!(store.summary(), understudy::queue::Summary::default());
}

pub(crate) async fn changes_are_told(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut changes = store.changes();
    assert!(claim(&*store, 1).await.is_none());
    append(&*store, "CA1", "1").await;
    append(&*store, "CA1", "2").await;
    changes.changed().await.unwrap();
    let first = claim(&*store, 1).await.unwrap();
    changes.mark_unchanged();
    store.finish(first, Ending::Delivered).await.unwrap();
    changes.changed().await.unwrap();
    let second = claim(&*store, 1).await.unwrap();
    store.finish(second, dead(1)).await.unwrap();
    let dead = store.list(dead_ones(), None, 10).await.unwrap()[0].id;
    changes.mark_unchanged();
    store.retry(&[dead], at(2)).await.unwrap();
    changes.changed().await.unwrap();
    assert!(claim(&*store, 2).await.is_some());
}

/// Stores are opened with a `max_size` of 1 MiB.
pub(crate) async fn a_full_queue_refuses_and_takes_again_when_there_is_room(
    fixture: &impl Fixture,
) {
    let store = fixture.open().await;
    let large = "x".repeat(100_000);
    let mut count = 0;
    let error = loop {
        match store.append(callback("CA1", &large)).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), "full", "{error}");
    assert!((9..=10).contains(&count), "{count} of 100 kB in 1 MiB");
    let first = claim(&*store, 1).await.unwrap();
    store.finish(first, Ending::Delivered).await.unwrap();
    append(&*store, "CA1", &large).await;
}

pub(crate) async fn a_closed_store_refuses(fixture: &impl Fixture) {
    let store = fixture.open().await;
    append(&*store, "CA1", "1").await;
    store.close().await;
    let error = store.append(callback("CA1", "2")).await.unwrap_err();
    assert_eq!(error.reason(), "closed");
}
