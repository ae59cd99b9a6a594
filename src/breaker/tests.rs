use super::*;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Instant, sleep};

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

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire,
    Succeed(usize),
    Fail(usize),
    Drop(usize),
    AppIs { reachable: bool },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Acquire),
        2 => (0..8_usize).prop_map(Step::Succeed),
        4 => (0..8_usize).prop_map(Step::Fail),
        1 => (0..8_usize).prop_map(Step::Drop),
        1 => any::<bool>().prop_map(|reachable| Step::AppIs { reachable }),
        2 => (0..40_000_u64).prop_map(Step::Wait),
    ]
}

/// What a breaker should be, in other words than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Closed {
        failures: u32,
    },
    Open,
    /// With the number of the request that is tried.
    HalfOpen(Option<u64>),
}

/// A breaker before an app, with its probes and the requests in flight.
struct Simulation {
    breaker: Arc<Breaker>,
    expected: Expected,
    in_flight: Vec<(u64, Permit)>,
    requests: u64,
    is_reachable: Rc<Cell<bool>>,
    /// When each probe was made that was not looked at yet, and what it found.
    probes: Rc<RefCell<Vec<(Instant, bool)>>>,
    /// When it opened, or was probed, last.
    last: Instant,
    /// How many probes and trials have failed since it was last closed.
    failed_probes: u32,
}

impl Simulation {
    fn new() -> Self {
        Self {
            breaker: Breaker::new(),
            expected: Expected::Closed { failures: 0 },
            in_flight: Vec::new(),
            requests: 0,
            is_reachable: Rc::default(),
            probes: Rc::default(),
            last: Instant::now(),
            failed_probes: 0,
        }
    }

    async fn run(mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            self.take(step).await?;
        }
        // However it went: an app that is well is served again.
        self.take(Step::AppIs { reachable: true }).await?;
        self.take(Step::Wait(40_000)).await?;
        self.in_flight.clear();
        if let Expected::HalfOpen(_) = self.expected {
            self.expected = Expected::HalfOpen(None);
        }
        self.take(Step::Acquire).await?;
        self.take(Step::Succeed(0)).await?;
        prop_assert_eq!(self.breaker.state(), State::Closed);
        Ok(())
    }

    async fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Acquire => self.acquire()?,
            Step::AppIs { reachable } => self.is_reachable.set(reachable),
            Step::Wait(millis) => sleep(Duration::from_millis(millis)).await,
            Step::Succeed(at) if at < self.in_flight.len() => {
                let (number, permit) = self.in_flight.swap_remove(at);
                permit.succeed();
                match self.expected {
                    Expected::HalfOpen(trial) if trial != Some(number) => {}
                    Expected::Open => {}
                    Expected::Closed { .. } | Expected::HalfOpen(_) => {
                        self.expected = Expected::Closed { failures: 0 };
                        self.failed_probes = 0;
                    }
                }
            }
            Step::Fail(at) if at < self.in_flight.len() => self.fail(at)?,
            Step::Drop(at) if at < self.in_flight.len() => {
                let (number, permit) = self.in_flight.swap_remove(at);
                drop(permit);
                if self.expected == Expected::HalfOpen(Some(number)) {
                    self.expected = Expected::HalfOpen(None);
                }
            }
            Step::Succeed(_) | Step::Fail(_) | Step::Drop(_) => {}
        }
        // Whatever is due now happens now.
        yield_now().await;
        yield_now().await;
        self.look_at_probes()?;
        let state = match self.expected {
            Expected::Closed { .. } => State::Closed,
            Expected::Open => State::Open,
            Expected::HalfOpen(_) => State::HalfOpen,
        };
        prop_assert_eq!(self.breaker.state(), state);
        Ok(())
    }

    fn acquire(&mut self) -> Result<(), TestCaseError> {
        let permit = self.breaker.try_acquire();
        let number = self.requests;
        self.requests += 1;
        match &mut self.expected {
            Expected::Closed { .. } => prop_assert!(permit.is_some()),
            Expected::HalfOpen(trial @ None) => {
                prop_assert!(permit.is_some());
                *trial = Some(number);
            }
            Expected::Open | Expected::HalfOpen(Some(_)) => prop_assert!(permit.is_none()),
        }
        self.in_flight.extend(permit.map(|permit| (number, permit)));
        Ok(())
    }

    fn fail(&mut self, at: usize) -> Result<(), TestCaseError> {
        let (number, permit) = self.in_flight.swap_remove(at);
        let opened = permit.fail(&SETTINGS);
        let opens = match &mut self.expected {
            Expected::Closed { failures } => {
                *failures += 1;
                *failures == SETTINGS.failures
            }
            Expected::HalfOpen(trial) if *trial == Some(number) => {
                self.failed_probes += 1;
                true
            }
            Expected::HalfOpen(_) | Expected::Open => false,
        };
        prop_assert_eq!(opened.is_some(), opens);
        if opens {
            self.expected = Expected::Open;
            self.last = Instant::now();
            self.probe();
        }
        Ok(())
    }

    fn probe(&self) {
        let breaker = Arc::clone(&self.breaker);
        let (is_reachable, probes) = (Rc::clone(&self.is_reachable), Rc::clone(&self.probes));
        spawn_local(async move {
            let probe = async || {
                let found = is_reachable.get();
                probes.borrow_mut().push((Instant::now(), found));
                found
            };
            breaker.probe_until_reachable(&SETTINGS, probe).await;
        });
    }

    fn look_at_probes(&mut self) -> Result<(), TestCaseError> {
        for (at, found) in self.probes.take() {
            prop_assert_eq!(
                self.expected,
                Expected::Open,
                "it is probed only while open"
            );
            let doubled = SETTINGS.probe_every * 2_u32.pow(self.failed_probes.min(5));
            let longest = doubled.min(MAX_PROBE_INTERVAL);
            let pause = at - self.last;
            // Timers have a resolution of a millisecond.
            prop_assert!(pause <= longest + Duration::from_millis(2), "{pause:?}");
            prop_assert!(pause >= longest.mul_f64(0.8), "{pause:?}");
            self.last = at;
            match found {
                true => self.expected = Expected::HalfOpen(None),
                false => self.failed_probes += 1,
            }
        }
        // The next probe is not overdue.
        let is_overdue = self.last.elapsed() > MAX_PROBE_INTERVAL + Duration::from_millis(2);
        prop_assert!(self.expected != Expected::Open || !is_overdue);
        Ok(())
    }
}

proptest! {
    /// Requests that succeed, fail or are dropped whenever, and an app that comes and goes: the breaker is in the state that it should be
    /// in, its probes come when they should, and it closes in the end.
    #[test]
    fn in_any_schedule_it_is_in_the_right_state(steps in proptest::collection::vec(step(), 0..80)) {
        support::run_on_paused_clock(async { Simulation::new().run(steps).await })?;
    }
}
