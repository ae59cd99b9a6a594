use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use tokio::time::Instant;

const SETTINGS: Settings = Settings {
    failures: 3,
    probe_every: Duration::from_secs(5),
    health_path: None,
};

fn fail(breaker: &Arc<Breaker>) -> Option<Opened> {
    breaker.try_acquire().expect("it is closed").fail(&SETTINGS)
}

fn opened() -> Arc<Breaker> {
    let breaker = Breaker::new();
    assert_eq!(
        [fail(&breaker), fail(&breaker), fail(&breaker)],
        [None, None, Some(Opened)]
    );
    breaker
}

fn half_open() -> Arc<Breaker> {
    let breaker = opened();
    breaker.update(StateMachine::half_open);
    breaker
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
    let breaker = Breaker::new();
    assert_eq!([fail(&breaker), fail(&breaker)], [None, None]);
    breaker.try_acquire().expect("it is closed").succeed();
    assert_eq!(
        [fail(&breaker), fail(&breaker), fail(&breaker)],
        [None, None, Some(Opened)]
    );
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.try_acquire().is_none());
}

#[test]
fn a_success_after_a_failure_lets_requests_pass_without_a_lock_again() {
    let breaker = Breaker::new();
    let _ = fail(&breaker);
    assert!(!breaker.is_healthy.load(Ordering::Acquire));
    breaker.try_acquire().expect("it is closed").succeed();
    assert!(breaker.is_healthy.load(Ordering::Acquire));
}

#[test]
fn each_state_has_its_name_in_the_status_document() {
    let states = [State::Closed, State::HalfOpen, State::Open];
    assert_eq!(states.map(State::label), ["closed", "half-open", "open"]);
}

#[test]
fn a_limit_of_0_never_opens_it() {
    let breaker = Breaker::new();
    let never = Settings {
        failures: 0,
        ..SETTINGS
    };
    for _ in 0..100 {
        assert_eq!(
            breaker.try_acquire().expect("it is closed").fail(&never),
            None
        );
    }
}

#[test]
fn half_open_tries_one_request_and_its_success_closes_it() {
    let breaker = half_open();
    let trial = breaker.try_acquire().expect("one request is tried");
    assert!(breaker.try_acquire().is_none());
    trial.succeed();
    assert_eq!(breaker.state(), State::Closed);
    assert!(breaker.try_acquire().is_some());
}

#[test]
fn half_open_the_failure_of_the_trial_opens_it_again() {
    let breaker = half_open();
    assert_eq!(
        breaker
            .try_acquire()
            .expect("one request is tried")
            .fail(&SETTINGS),
        Some(Opened)
    );
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_trial_that_is_dropped_lets_another_request_try() {
    let breaker = half_open();
    drop(breaker.try_acquire().expect("one request is tried"));
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(breaker.try_acquire().is_some());
}

#[test]
fn the_result_of_a_request_from_before_the_opening_is_ignored() {
    let breaker = Breaker::new();
    let [early, late] = [(); 2].map(|()| breaker.try_acquire().expect("it is closed"));
    for _ in 0..3 {
        let _ = fail(&breaker);
    }
    early.succeed();
    assert_eq!(late.fail(&SETTINGS), None);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn half_open_only_the_trial_decides() {
    let breaker = Breaker::new();
    let [early, late] = [(); 2].map(|()| breaker.try_acquire().expect("it is closed"));
    for _ in 0..3 {
        let _ = fail(&breaker);
    }
    breaker.update(StateMachine::half_open);
    let trial = breaker.try_acquire().expect("one request is tried");
    early.succeed();
    assert_eq!(late.fail(&SETTINGS), None);
    assert_eq!(breaker.state(), State::HalfOpen);
    trial.succeed();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_pause_between_probes_doubles_until_the_upstream_is_reachable() {
    let breaker = opened();
    let (began, probes) = (Instant::now(), Cell::new(0));
    let last = Cell::new(began);
    let probe = async || {
        probes.set(probes.get() + 1);
        let pause = last.replace(Instant::now()).elapsed();
        let longest = [5, 10, 20, 30, 30, 30][probes.get() - 1];
        let longest = Duration::from_secs(longest);
        assert!(
            pause <= longest + Duration::from_millis(1) && pause >= longest.mul_f64(0.79),
            "{pause:?}"
        );
        probes.get() == 6
    };
    breaker.probe_until_reachable(&SETTINGS, probe).await;
    assert_eq!((probes.get(), breaker.state()), (6, State::HalfOpen));
}

#[test]
fn a_pause_is_up_to_a_fifth_shorter_by_chance() {
    let seconds = Duration::from_secs;
    assert_eq!(probe_pause(seconds(10), 0, 0.0), seconds(10));
    assert_eq!(probe_pause(seconds(10), 0, 0.5), seconds(9));
    assert_eq!(probe_pause(seconds(10), 0, 1.0), seconds(8));
    let fractions = [(); 100].map(|()| random_fraction());
    assert!(
        fractions
            .iter()
            .all(|fraction| (0.0..=1.0).contains(fraction))
    );
    assert!(fractions.iter().any(|fraction| *fraction != fractions[0]));
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Acquire,
    Succeed(usize),
    Fail(usize),
    Drop(usize),
    Reachable,
    Unreachable,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Acquire),
        2 => (0..8_usize).prop_map(Event::Succeed),
        3 => (0..8_usize).prop_map(Event::Fail),
        1 => (0..8_usize).prop_map(Event::Drop),
        1 => Just(Event::Reachable),
        1 => Just(Event::Unreachable),
    ]
}

proptest! {
    /// In any order of events: while it is open, no request is tried; while it is half-open, at most one is; each opening is
    /// reported once, so that one probe runs.
    #[test]
    fn half_open_never_tries_more_than_one_request(events in proptest::collection::vec(event(), 0..200)) {
        let breaker = Breaker::new();
        let mut permits: Vec<Permit> = Vec::new();
        let mut probes = 0;
        for event in events {
            let before = breaker.state();
            match event {
                Event::Acquire => {
                    let trials = permits.iter().filter(|permit| {
                        permit.trial.is_some_and(|trial| trial.opening == breaker.machine().openings)
                    });
                    let trials = trials.count();
                    let admitted = breaker.try_acquire();
                    match before {
                        State::Closed => prop_assert!(admitted.is_some()),
                        State::Open => prop_assert!(admitted.is_none()),
                        State::HalfOpen => prop_assert_eq!(admitted.is_some(), trials == 0),
                    }
                    permits.extend(admitted);
                }
                Event::Succeed(at) if at < permits.len() => permits.swap_remove(at).succeed(),
                Event::Drop(at) if at < permits.len() => drop(permits.swap_remove(at)),
                Event::Fail(at) if at < permits.len() => {
                    let opened = permits.swap_remove(at).fail(&SETTINGS);
                    prop_assert_eq!(opened.is_some(), before != State::Open && breaker.state() == State::Open);
                    probes += usize::from(opened.is_some());
                }
                Event::Reachable if probes > 0 && before == State::Open => {
                    breaker.update(StateMachine::half_open);
                    probes -= 1;
                }
                Event::Unreachable if probes > 0 => breaker.update(StateMachine::count_failed_probe),
                Event::Succeed(_) | Event::Drop(_) | Event::Fail(_) | Event::Reachable | Event::Unreachable => {}
            }
            prop_assert_eq!(probes, usize::from(breaker.state() == State::Open));
        }
    }
}
