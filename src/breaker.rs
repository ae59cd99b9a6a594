//! Why a call may be answered without a try: the app is known to be down.
//!
//! Closed, every call is tried. After so many failures in a row it opens: no call is tried, and a probe in the background asks
//! now and then whether the app is there. If it is, one live call may try; its success closes the breaker, its failure opens it
//! again. What counts as a failure is not decided here, and no clock is read but by the probe.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest pause between two probes.
const LONGEST: Duration = Duration::from_secs(30);

/// When a route's breaker opens, and how it looks whether it may close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many failures in a row open it; 0: none does.
    pub failures: u32,
    /// How long after it opened the first probe is made; each failure doubles the pause, up to 30 s.
    pub probe_every: Duration,
    /// What a probe asks for with GET; none: a TCP connection is enough.
    pub health_path: Option<String>,
}

/// What a breaker is at, as `breaker_state` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Every call is tried.
    Closed = 0,
    /// One call may try.
    HalfOpen = 1,
    /// No call is tried.
    Open = 2,
}

impl State {
    /// The word that the status has for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// One route's breaker. It outlives reloads.
#[derive(Debug)]
pub struct Breaker {
    /// Closed without a failure: what nearly every call finds, without taking the lock.
    calm: AtomicBool,
    machine: Mutex<Machine>,
}

/// The states and what leads from one to another; pure.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Machine {
    phase: Phase,
    /// How many times it has opened: what a call from before says counts no more.
    openings: u64,
    /// How many probes and trials have failed since it was last closed.
    setbacks: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed { failures: u32 },
    Open,
    HalfOpen { taken: bool },
}

/// A call that may be tried. What became of it is to be told; dropped untold, it counts for nothing.
#[derive(Debug)]
pub struct Permit {
    breaker: Arc<Breaker>,
    openings: u64,
    trial: bool,
    told: bool,
}

/// The breaker has opened: a probe is to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "without a probe it never closes"]
pub struct Opened;

impl Breaker {
    /// A breaker that is closed.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            calm: AtomicBool::new(true),
            machine: Mutex::new(Machine::new()),
        })
    }

    /// What it is at.
    pub fn state(&self) -> State {
        if self.calm.load(Ordering::Acquire) {
            return State::Closed;
        }
        self.machine().state()
    }

    /// Whether a call may be tried.
    pub fn admit(self: &Arc<Self>) -> Option<Permit> {
        let (openings, trial) = if self.calm.load(Ordering::Acquire) {
            // A breaker that has opened is calm again only after a success, so the number is looked up when it matters.
            (u64::MAX, false)
        } else {
            self.machine().admit()?
        };
        Some(Permit {
            breaker: Arc::clone(self),
            openings,
            trial,
            told: false,
        })
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state; whether it is calm is settled before another sees it.
    fn change<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.machine();
        let result = change(&mut machine);
        self.calm.store(machine.is_calm(), Ordering::Release);
        result
    }

    /// Probes until the app is there, then lets one call try. `probe` says whether it is.
    pub async fn probe_until_there(&self, settings: &Settings, probe: impl AsyncFn() -> bool) {
        loop {
            let setbacks = self.machine().setbacks;
            tokio::time::sleep(pause(settings.probe_every, setbacks, random())).await;
            if probe().await {
                self.change(Machine::app_is_there);
                return;
            }
            self.change(Machine::app_is_away);
        }
    }
}

impl Permit {
    /// The app answered.
    pub fn succeed(mut self) {
        self.told = true;
        if !self.breaker.calm.load(Ordering::Acquire) {
            self.breaker
                .change(|machine| machine.succeed(self.openings, self.trial));
        }
    }

    /// The app failed.
    pub fn fail(mut self, settings: &Settings) -> Option<Opened> {
        self.told = true;
        self.breaker
            .change(|machine| machine.fail(self.openings, self.trial, settings.failures))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.trial && !self.told {
            self.breaker
                .change(|machine| machine.give_back(self.openings));
        }
    }
}

impl Machine {
    fn new() -> Self {
        Self {
            phase: Phase::Closed { failures: 0 },
            openings: 0,
            setbacks: 0,
        }
    }

    fn is_calm(&self) -> bool {
        self.phase == Phase::Closed { failures: 0 }
    }

    fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::Open => State::Open,
        }
    }

    /// Since which opening the call counts, and whether it is the one that tries.
    fn admit(&mut self) -> Option<(u64, bool)> {
        match &mut self.phase {
            Phase::Closed { .. } => Some((self.openings, false)),
            Phase::HalfOpen { taken } if !*taken => {
                *taken = true;
                Some((self.openings, true))
            }
            Phase::HalfOpen { .. } | Phase::Open => None,
        }
    }

    fn succeed(&mut self, openings: u64, trial: bool) {
        let current = openings == self.openings;
        match self.phase {
            Phase::Closed { .. } => self.close(),
            Phase::HalfOpen { .. } if trial && current => self.close(),
            Phase::HalfOpen { .. } | Phase::Open => {}
        }
    }

    fn close(&mut self) {
        self.phase = Phase::Closed { failures: 0 };
        self.setbacks = 0;
    }

    fn fail(&mut self, openings: u64, trial: bool, limit: u32) -> Option<Opened> {
        match self.phase {
            Phase::Closed { failures } => {
                self.phase = Phase::Closed {
                    failures: failures.saturating_add(1),
                };
                (limit > 0 && failures + 1 >= limit).then(|| self.open())
            }
            Phase::HalfOpen { .. } if trial && openings == self.openings => {
                self.setbacks = self.setbacks.saturating_add(1);
                Some(self.open())
            }
            Phase::HalfOpen { .. } | Phase::Open => None,
        }
    }

    fn open(&mut self) -> Opened {
        self.phase = Phase::Open;
        self.openings += 1;
        Opened
    }

    fn give_back(&mut self, openings: u64) {
        if openings == self.openings && self.phase == (Phase::HalfOpen { taken: true }) {
            self.phase = Phase::HalfOpen { taken: false };
        }
    }

    fn app_is_there(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::HalfOpen { taken: false };
        }
    }

    fn app_is_away(&mut self) {
        self.setbacks = self.setbacks.saturating_add(1);
    }
}

/// How long to wait before the next probe: doubled by each setback, up to [`LONGEST`], and up to a fifth shorter by chance, so
/// that many proxies don't ask in step.
fn pause(every: Duration, setbacks: u32, chance: f64) -> Duration {
    let doubled = every.saturating_mul(1_u32.checked_shl(setbacks).unwrap_or(u32::MAX));
    doubled.min(LONGEST.max(every)).mul_f64(1.0 - 0.2 * chance)
}

/// A number from 0 to 1. The standard library's hash keys are random, which is enough to get out of step.
fn random() -> f64 {
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
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
        breaker.admit().expect("it is closed").fail(&SETTINGS)
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
        breaker.change(Machine::app_is_there);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let breaker = Breaker::new();
        assert_eq!([fail(&breaker), fail(&breaker)], [None, None]);
        breaker.admit().expect("it is closed").succeed();
        assert_eq!(
            [fail(&breaker), fail(&breaker), fail(&breaker)],
            [None, None, Some(Opened)]
        );
        assert_eq!(breaker.state(), State::Open);
        assert!(breaker.admit().is_none());
    }

    #[test]
    fn a_limit_of_none_never_opens_it() {
        let breaker = Breaker::new();
        let never = Settings {
            failures: 0,
            ..SETTINGS
        };
        for _ in 0..100 {
            assert_eq!(breaker.admit().expect("it is closed").fail(&never), None);
        }
    }

    #[test]
    fn half_open_lets_one_call_through_and_its_success_closes_it() {
        let breaker = half_open();
        let trial = breaker.admit().expect("one may try");
        assert!(breaker.admit().is_none());
        trial.succeed();
        assert_eq!(breaker.state(), State::Closed);
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn the_failure_of_the_one_call_opens_it_again() {
        let breaker = half_open();
        assert_eq!(
            breaker.admit().expect("one may try").fail(&SETTINGS),
            Some(Opened)
        );
        assert_eq!(breaker.state(), State::Open);
    }

    #[test]
    fn a_call_that_is_dropped_leaves_its_place_to_another() {
        let breaker = half_open();
        drop(breaker.admit().expect("one may try"));
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn what_a_call_from_before_the_opening_says_changes_nothing() {
        let breaker = Breaker::new();
        let [early, late] = [(); 2].map(|()| breaker.admit().expect("it is closed"));
        for _ in 0..3 {
            let _ = fail(&breaker);
        }
        early.succeed();
        assert_eq!(late.fail(&SETTINGS), None);
        assert_eq!(breaker.state(), State::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn probes_come_at_growing_pauses_until_the_app_is_there() {
        let breaker = opened();
        let (began, asked) = (Instant::now(), Cell::new(0));
        let last = Cell::new(began);
        let probe = async || {
            asked.set(asked.get() + 1);
            let pause = last.replace(Instant::now()).elapsed();
            let longest = [5, 10, 20, 30, 30, 30][asked.get() - 1];
            let longest = Duration::from_secs(longest);
            assert!(
                pause <= longest + Duration::from_millis(1) && pause >= longest.mul_f64(0.79),
                "{pause:?}"
            );
            asked.get() == 6
        };
        breaker.probe_until_there(&SETTINGS, probe).await;
        assert_eq!((asked.get(), breaker.state()), (6, State::HalfOpen));
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Admit,
        Succeed(usize),
        Fail(usize),
        Leave(usize),
        There,
        Away,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Admit),
            2 => (0..8_usize).prop_map(Event::Succeed),
            3 => (0..8_usize).prop_map(Event::Fail),
            1 => (0..8_usize).prop_map(Event::Leave),
            1 => Just(Event::There),
            1 => Just(Event::Away),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: open, no call is tried; half-open, at most one is; each opening is told to
        /// exactly one, so that there is one probe.
        #[test]
        fn no_crowd_ever_gets_through(events in proptest::collection::vec(event(), 0..200)) {
            let breaker = Breaker::new();
            let mut calls: Vec<Permit> = Vec::new();
            let mut probes = 0;
            for event in events {
                let before = breaker.state();
                match event {
                    Event::Admit => {
                        let trials = calls.iter().filter(|call| {
                            call.trial && call.openings == breaker.machine().openings
                        });
                        let trials = trials.count();
                        let admitted = breaker.admit();
                        match before {
                            State::Closed => prop_assert!(admitted.is_some()),
                            State::Open => prop_assert!(admitted.is_none()),
                            State::HalfOpen => prop_assert_eq!(admitted.is_some(), trials == 0),
                        }
                        calls.extend(admitted);
                    }
                    Event::Succeed(at) if at < calls.len() => calls.swap_remove(at).succeed(),
                    Event::Leave(at) if at < calls.len() => drop(calls.swap_remove(at)),
                    Event::Fail(at) if at < calls.len() => {
                        let opened = calls.swap_remove(at).fail(&SETTINGS);
                        prop_assert_eq!(opened.is_some(), before != State::Open && breaker.state() == State::Open);
                        probes += usize::from(opened.is_some());
                    }
                    Event::There if probes > 0 && before == State::Open => {
                        breaker.change(Machine::app_is_there);
                        probes -= 1;
                    }
                    Event::Away if probes > 0 => breaker.change(Machine::app_is_away),
                    Event::Succeed(_) | Event::Leave(_) | Event::Fail(_) | Event::There | Event::Away => {}
                }
                prop_assert_eq!(probes, usize::from(breaker.state() == State::Open));
            }
        }
    }
}
