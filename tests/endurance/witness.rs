//! Timers that do nothing else: how late they are shows how long a processor of this machine, or this program, let everybody wait. A
//! response that is late by no more than that is not understudy's fault.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// How often the timer should fire.
const INTERVAL: Duration = Duration::from_millis(2);

/// What is no stall yet.
const UNNOTICED: Duration = Duration::from_millis(2);

/// For how long stalls are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The stalls of the last minute.
#[derive(Default)]
pub(crate) struct Witness {
    stalls: Mutex<VecDeque<(Instant, Instant)>>,
    longest: Mutex<Duration>,
}

impl Witness {
    /// Starts one on each processor, since one may stand still alone, and one as a task, for this program. To be called within a
    /// runtime.
    pub(crate) fn start() -> Arc<Self> {
        let witness = Arc::<Self>::default();
        let own_processors = sched_getaffinity(Pid::from_raw(0)).expect("Linux says where it runs");
        for processor in 0..CpuSet::count() {
            if own_processors.is_set(processor) != Ok(true) {
                continue;
            }
            let own = Arc::clone(&witness);
            thread::spawn(move || own.watch(processor));
        }
        let own = Arc::clone(&witness);
        tokio::spawn(async move {
            loop {
                let due = Instant::now() + INTERVAL;
                tokio::time::sleep(INTERVAL).await;
                own.note(due);
            }
        });
        witness
    }

    /// Stays on one processor.
    fn watch(&self, processor: usize) {
        let mut only = CpuSet::new();
        let is_pinned = only
            .set(processor)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
        is_pinned.expect("this program may run there");
        loop {
            let due = Instant::now() + INTERVAL;
            thread::sleep(INTERVAL);
            self.note(due);
        }
    }

    fn note(&self, due: Instant) {
        let now = Instant::now();
        if now - due < UNNOTICED {
            return;
        }
        let mut stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        while stalls
            .front()
            .is_some_and(|(_, end)| now - *end > REMEMBERED)
        {
            stalls.pop_front();
        }
        // Who is late for so long may have been kept waiting all the time.
        stalls.push_back((due - INTERVAL, now));
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = (*longest).max(now - due);
    }

    /// For how long it stood still between these, in all. Stalls of several timers at once count once.
    pub(crate) fn stalled(&self, from: Instant, to: Instant) -> Duration {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own: Vec<_> = stalls
            .iter()
            .filter(|(begin, end)| *begin <= to && *end >= from)
            .copied()
            .collect();
        own.sort();
        let mut sum = Duration::ZERO;
        let mut counted = from;
        for (begin, end) in own {
            let (begin, end) = (begin.max(counted), end.min(to));
            sum += end.saturating_duration_since(begin);
            counted = counted.max(end);
        }
        sum
    }

    /// The longest stall.
    pub(crate) fn longest(&self) -> Duration {
        *self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
