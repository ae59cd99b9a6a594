//! The models: what a few threads do at once, and what must hold whatever the order.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use loom::thread::{self, JoinHandle};
use real_std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use real_std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;

use crate::breaker::{self, Breaker, State};
use crate::budget::MemoryBudget;
use crate::drill::{self, Drill};
use crate::failure::{Outcome, Reason};
use crate::metrics::RouteMetrics;
use crate::permit::ConcurrencyPermit;
use crate::upstream::{Settings, Upstream};

/// Each with its name.
pub(crate) const ALL: [(&str, fn()); 9] = [
    (
        "failures_at_once_open_a_breaker_once",
        failures_at_once_open_a_breaker_once,
    ),
    (
        "a_success_does_not_close_a_breaker_that_a_failure_opens",
        a_success_does_not_close_a_breaker_that_a_failure_opens,
    ),
    (
        "half_open_one_request_is_tried_at_a_time",
        half_open_one_request_is_tried_at_a_time,
    ),
    ("each_request_is_counted_once", each_request_is_counted_once),
    (
        "what_is_observed_at_once_is_counted",
        what_is_observed_at_once_is_counted,
    ),
    (
        "a_drill_runs_until_it_is_stopped",
        a_drill_runs_until_it_is_stopped,
    ),
    (
        "each_request_of_a_drill_is_counted_once",
        each_request_of_a_drill_is_counted_once,
    ),
    (
        "no_more_requests_are_admitted_than_the_limits_allow",
        no_more_requests_are_admitted_than_the_limits_allow,
    ),
    (
        "bodies_never_hold_more_than_the_budget",
        bodies_never_hold_more_than_the_budget,
    ),
];

/// Runs a model in every order of its threads in which none is interrupted more than three times.
pub(crate) fn check(name: &str, model: fn()) {
    let began = Instant::now();
    let runs = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 10_000;
    let counted = Arc::clone(&runs);
    builder.check(move || {
        counted.fetch_add(1, SeqCst);
        model();
    });
    let took = began.elapsed();
    let line = format!(
        "{name}: {} interleavings in {took:.1?}\n",
        runs.load(SeqCst)
    );
    let written = std::io::stdout().write_all(line.as_bytes());
    written.expect("standard output is open");
}

fn both<T: 'static>(one: JoinHandle<T>, other: JoinHandle<T>) -> [T; 2] {
    [one, other].map(|thread| thread.join().expect("no thread panics"))
}

/// A breaker that opens at so many failures.
fn settings(failures: u32) -> breaker::Settings {
    breaker::Settings {
        failures,
        probe_every: Duration::ZERO,
        health_path: None,
    }
}

/// A request that fails, and whether that opened the breaker.
fn fail(breaker: &Arc<Breaker>, limit: u32) -> bool {
    let permit = breaker.try_acquire();
    permit.is_some_and(|permit| permit.fail(&settings(limit)).is_some())
}

fn failures_at_once_open_a_breaker_once() {
    let breaker = Breaker::new();
    let failing = || {
        let breaker = Arc::clone(&breaker);
        thread::spawn(move || fail(&breaker, 2))
    };
    let opened = both(failing(), failing());
    assert_eq!(opened.into_iter().filter(|opened| *opened).count(), 1);
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.try_acquire().is_none());
}

fn a_success_does_not_close_a_breaker_that_a_failure_opens() {
    let breaker = Breaker::new();
    assert!(!fail(&breaker, 2));
    let request = |succeeds: bool| {
        let breaker = Arc::clone(&breaker);
        thread::spawn(move || {
            if !succeeds {
                return fail(&breaker, 2);
            }
            if let Some(permit) = breaker.try_acquire() {
                permit.succeed();
            }
            false
        })
    };
    let others = [request(true), request(false)];
    let opened_here = fail(&breaker, 2);
    let [succeeding, failing] = others;
    let [_, opened_there] = both(succeeding, failing);
    // If the success comes first, both failures are needed; else the first of them is enough.
    assert!(opened_here != opened_there, "it is opened once");
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.try_acquire().is_none());
}

fn half_open_one_request_is_tried_at_a_time() {
    let breaker = Breaker::new();
    assert!(fail(&breaker, 1));
    wait_for(async {
        breaker
            .probe_until_reachable(&settings(1), async || true)
            .await
    });
    assert_eq!(breaker.state(), State::HalfOpen);
    // Loom knows nothing of it, so it adds no interleavings.
    let running = Arc::new(AtomicUsize::new(0));
    let trial = |succeeds: bool| {
        let (breaker, running) = (Arc::clone(&breaker), Arc::clone(&running));
        thread::spawn(move || {
            let Some(permit) = breaker.try_acquire() else {
                return false;
            };
            if breaker.state() == State::HalfOpen {
                assert_eq!(running.fetch_add(1, SeqCst), 0, "another one is tried");
                thread::yield_now();
                running.fetch_sub(1, SeqCst);
            }
            if succeeds {
                permit.succeed();
            }
            // Else it is dropped, as when its client leaves.
            succeeds
        })
    };
    let [_, succeeded] = both(trial(false), trial(true));
    let expected = match succeeded {
        true => State::Closed,
        false => State::HalfOpen,
    };
    assert_eq!(breaker.state(), expected);
    assert!(breaker.try_acquire().is_some(), "no trial is left behind");
}

/// Runs a future that waits for tokio's clock, on this thread. The threads of a model are no threads of the system, and their
/// stacks are too small for a runtime of their own.
fn wait_for(future: impl Future<Output = ()>) {
    static CLOCK: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(1).enable_time();
        builder.build().expect("a runtime")
    });
    let _inside = CLOCK.enter();
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut cx).is_pending() {
        real_std::thread::yield_now();
    }
}

fn each_request_is_counted_once() {
    let route = Arc::new(RouteMetrics::default());
    let request = |finish: fn(&Arc<RouteMetrics>)| {
        let route = Arc::clone(&route);
        thread::spawn(move || finish(&route))
    };
    let finished = request(|route| route.start().finish(Outcome::Upstream));
    let dropped = request(|route| drop(route.start()));
    let seen = route.requests(Outcome::Upstream);
    both(finished, dropped);
    assert!(seen <= 1);
    let counts = Outcome::ALL.map(|outcome| route.requests(outcome));
    assert_eq!(counts.iter().sum::<u64>(), 2);
    assert_eq!(route.requests(Outcome::Upstream), 1);
    assert_eq!(route.requests(Outcome::Abandoned), 1);
}

fn what_is_observed_at_once_is_counted() {
    let route = Arc::new(RouteMetrics::default());
    let observe = || {
        let route = Arc::clone(&route);
        thread::spawn(move || {
            route.record_observed_failure(Reason::Root);
            route.record_fallback(Reason::Root);
        })
    };
    both(observe(), observe());
    assert_eq!(route.observed_failures()[Reason::Root.index()].get(), 2);
    assert_eq!(route.fallbacks(Reason::Root), 2);
}

fn drill_settings() -> drill::Settings {
    drill::Settings {
        fault: drill::Fault::Root,
        percent: drill::Percent::default(),
        time_limit: "5m".parse().expect("it is one"),
    }
}

fn a_drill_runs_until_it_is_stopped() {
    let drill = Arc::new(Drill::default());
    let starting = {
        let drill = Arc::clone(&drill);
        thread::spawn(move || drill.start(drill_settings()).is_some())
    };
    let stopping = {
        let drill = Arc::clone(&drill);
        thread::spawn(move || drill.stop().is_some())
    };
    let [replaced, stopped] = both(starting, stopping);
    assert!(!replaced);
    assert_eq!(drill.progress().is_some(), !stopped);
    assert_eq!(drill.next_fault().is_some(), !stopped);
}

fn each_request_of_a_drill_is_counted_once() {
    let drill = Arc::new(Drill::default());
    let _ = drill.start(drill_settings());
    let request = || {
        let drill = Arc::clone(&drill);
        thread::spawn(move || u64::from(drill.next_fault().is_some()))
    };
    let requests = [request(), request()];
    let stopped = drill.stop().expect("it runs");
    let [one, other] = requests;
    let injected: u64 = both(one, other).iter().sum();
    assert_eq!((stopped.requests, stopped.injected), (injected, injected));
    assert_eq!(drill.next_fault(), None);
}

fn no_more_requests_are_admitted_than_the_limits_allow() {
    let upstream = Arc::new(Upstream {
        in_flight: Default::default(),
        settings: Settings { max_in_flight: 1 },
    });
    let routes = [(); 2].map(|()| Arc::new(RouteMetrics::default()));
    let running = Arc::new(AtomicUsize::new(0));
    let request = |route: &Arc<RouteMetrics>| {
        let (route, upstream, running) = (
            Arc::clone(route),
            Arc::clone(&upstream),
            Arc::clone(&running),
        );
        thread::spawn(move || {
            let (_permit, is_within) = ConcurrencyPermit::take(&route, 1, &upstream);
            if is_within {
                assert_eq!(running.fetch_add(1, SeqCst), 0, "another one is in flight");
                thread::yield_now();
                running.fetch_sub(1, SeqCst);
            }
            is_within
        })
    };
    let admitted = both(request(&routes[0]), request(&routes[1]));
    assert!(admitted.contains(&true), "both are refused");
    for route in &routes {
        let (_permit, is_within) = ConcurrencyPermit::take(route, 1, &upstream);
        assert!(is_within, "a place is lost");
    }
}

fn bodies_never_hold_more_than_the_budget() {
    let budget = Arc::new(MemoryBudget::new(10));
    let held = Arc::new(AtomicUsize::new(0));
    let body = |bytes: usize| {
        let (budget, held) = (Arc::clone(&budget), Arc::clone(&held));
        thread::spawn(move || {
            let mut reservation = budget.reserve();
            let is_within = reservation.grow_to(3) && reservation.grow_to(bytes);
            if is_within {
                assert!(held.fetch_add(bytes, SeqCst) + bytes <= 10);
                thread::yield_now();
                held.fetch_sub(bytes, SeqCst);
            }
            is_within
        })
    };
    both(body(6), body(7));
    assert!(budget.reserve().grow_to(10), "all of it is free again");
}
