//! A circuit breaker for each route: it answers requests from the fallback at once while the upstream is known to be down.
//!
//! While it is closed, every request is tried. A number of failures in a row opens it: no request is tried, and a probe in the
//! background asks now and then whether the upstream can be reached. If so, the breaker is half-open and one request is tried;
//! its success closes the breaker, its failure opens it again. The caller decides what counts as a failure. Only the probe
//! reads the clock.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strum::IntoStaticStr;

/// The longest pause between two probes, unless `probe_every` is longer.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// When a route's breaker opens, and how it finds out whether it may close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many failures in a row open it; 0: it never opens.
    pub failures: u32,
    /// How long after it opened the first probe is made; each failed probe doubles the pause, up to 30 s.
    pub probe_every: Duration,
    /// The target of a probe's GET; `None`: a TCP connection is enough.
    pub health_path: Option<String>,
}

/// The state of a breaker; its number is the value of the `breaker_state` metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum State {
    /// Every request is tried.
    Closed = 0,
    /// One request is tried.
    HalfOpen = 1,
    /// No request is tried.
    Open = 2,
}

impl State {
    /// Its name in the status document.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// One route's breaker. It is kept when the configuration is reloaded.
#[derive(Debug)]
pub struct Breaker {
    /// Closed, and the last request did not fail: nearly every request finds this, and takes no lock.
    is_healthy: AtomicBool,
    machine: Mutex<StateMachine>,
}

/// The states and the transitions between them, without a clock or a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StateMachine {
    circuit: Circuit,
    /// How many times it has opened. The result of a trial that belongs to an earlier opening is ignored.
    openings: u64,
    /// How many probes and trial requests have failed since it was last closed.
    failed_probes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed { failures: u32 },
    Open,
    HalfOpen { trial_running: bool },
}

/// The one request that is tried while the breaker is half-open, by the number of the opening that it may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trial {
    opening: u64,
}

/// The right to try one request. Its result is recorded with [`Permit::succeed`] or [`Permit::fail`]; dropped without one, it
/// counts neither as a success nor as a failure.
#[derive(Debug)]
pub struct Permit {
    breaker: Arc<Breaker>,
    trial: Option<Trial>,
    is_recorded: bool,
}

/// The breaker has opened, and the caller must start [`Breaker::probe_until_reachable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a breaker closes only after a probe"]
pub struct Opened;

impl Breaker {
    /// A breaker that is closed.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            is_healthy: AtomicBool::new(true),
            machine: Mutex::new(StateMachine::new()),
        })
    }

    /// Its current state.
    pub fn state(&self) -> State {
        if self.is_healthy.load(Ordering::Acquire) {
            return State::Closed;
        }
        self.machine().state()
    }

    /// The right to try a request, if it may be tried.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let trial = if self.is_healthy.load(Ordering::Acquire) {
            None
        } else {
            self.machine().try_acquire()?
        };
        Some(Permit {
            breaker: Arc::clone(self),
            trial,
            is_recorded: false,
        })
    }

    fn machine(&self) -> MutexGuard<'_, StateMachine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and updates `is_healthy` before the lock is released.
    fn update<T>(&self, change: impl FnOnce(&mut StateMachine) -> T) -> T {
        let mut machine = self.machine();
        let result = change(&mut machine);
        self.is_healthy
            .store(machine.is_healthy(), Ordering::Release);
        result
    }

    /// Calls `probe` until it returns true, then lets one request try the upstream.
    pub async fn probe_until_reachable(&self, settings: &Settings, probe: impl AsyncFn() -> bool) {
        loop {
            let failed_probes = self.machine().failed_probes;
            let pause = probe_pause(settings.probe_every, failed_probes, random_fraction());
            tokio::time::sleep(pause).await;
            if probe().await {
                self.update(StateMachine::half_open);
                return;
            }
            self.update(StateMachine::count_failed_probe);
        }
    }
}

impl Permit {
    /// Records that the upstream answered the request.
    pub fn succeed(mut self) {
        self.is_recorded = true;
        if !self.breaker.is_healthy.load(Ordering::Acquire) {
            self.breaker.update(|machine| machine.succeed(self.trial));
        }
    }

    /// Records that the upstream failed.
    pub fn fail(mut self, settings: &Settings) -> Option<Opened> {
        self.is_recorded = true;
        self.breaker
            .update(|machine| machine.fail(self.trial, settings.failures))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.trial.is_some() && !self.is_recorded {
            let trial = self.trial;
            self.breaker.update(|machine| machine.release(trial));
        }
    }
}

impl StateMachine {
    fn new() -> Self {
        Self {
            circuit: Circuit::Closed { failures: 0 },
            openings: 0,
            failed_probes: 0,
        }
    }

    fn is_healthy(&self) -> bool {
        self.circuit == Circuit::Closed { failures: 0 }
    }

    fn state(&self) -> State {
        match self.circuit {
            Circuit::Closed { .. } => State::Closed,
            Circuit::HalfOpen { .. } => State::HalfOpen,
            Circuit::Open => State::Open,
        }
    }

    /// `None` if no request may be tried now.
    fn try_acquire(&mut self) -> Option<Option<Trial>> {
        match &mut self.circuit {
            Circuit::Closed { .. } => Some(None),
            Circuit::HalfOpen { trial_running } if !*trial_running => {
                *trial_running = true;
                Some(self.current_trial())
            }
            Circuit::HalfOpen { .. } | Circuit::Open => None,
        }
    }

    fn current_trial(&self) -> Option<Trial> {
        Some(Trial {
            opening: self.openings,
        })
    }

    fn succeed(&mut self, trial: Option<Trial>) {
        match self.circuit {
            Circuit::Closed { .. } => self.close(),
            Circuit::HalfOpen { .. } if trial == self.current_trial() => self.close(),
            Circuit::HalfOpen { .. } | Circuit::Open => {}
        }
    }

    fn fail(&mut self, trial: Option<Trial>, limit: u32) -> Option<Opened> {
        match self.circuit {
            Circuit::Closed { failures } => {
                self.circuit = Circuit::Closed {
                    failures: failures.saturating_add(1),
                };
                (limit > 0 && failures + 1 >= limit).then(|| self.open())
            }
            Circuit::HalfOpen { .. } if trial == self.current_trial() => {
                self.count_failed_probe();
                Some(self.open())
            }
            Circuit::HalfOpen { .. } | Circuit::Open => None,
        }
    }

    fn close(&mut self) {
        self.circuit = Circuit::Closed { failures: 0 };
        self.failed_probes = 0;
    }

    fn open(&mut self) -> Opened {
        self.circuit = Circuit::Open;
        self.openings += 1;
        Opened
    }

    fn half_open(&mut self) {
        if self.circuit == Circuit::Open {
            self.circuit = Circuit::HalfOpen {
                trial_running: false,
            };
        }
    }

    /// Lets another request be the trial.
    fn release(&mut self, trial: Option<Trial>) {
        let is_current = trial == self.current_trial();
        if let Circuit::HalfOpen { trial_running } = &mut self.circuit
            && is_current
        {
            *trial_running = false;
        }
    }

    fn count_failed_probe(&mut self) {
        self.failed_probes = self.failed_probes.saturating_add(1);
    }
}

/// How long to wait before the next probe: doubled by each failed probe, up to [`MAX_PROBE_INTERVAL`], and up to a fifth shorter
/// by chance, so that many proxies don't probe at the same moment.
fn probe_pause(every: Duration, failed_probes: u32, fraction: f64) -> Duration {
    let factor = 1_u32.checked_shl(failed_probes).unwrap_or(u32::MAX);
    let longest = MAX_PROBE_INTERVAL.max(every);
    let doubled = every.saturating_mul(factor).min(longest);
    doubled.mul_f64(1.0 - 0.2 * fraction)
}

/// A number from 0 to 1. The keys of the standard library's hasher are random, which is good enough here.
fn random_fraction() -> f64 {
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests;
