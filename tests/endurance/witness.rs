//! Timers that do nothing else: how late they are shows how long a processor of this machine, or this program, let everybody wait. A
//! response that is late by no more than that is not understudy's fault.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// When each timer should fire next.
    due: Mutex<Vec<Instant>>,
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
            let timer = own.add_timer();
            thread::spawn(move || own.watch(processor, timer));
        }
        let own = Arc::clone(&witness);
        let timer = own.add_timer();
        tokio::spawn(async move {
            loop {
                let due = own.set(timer);
                tokio::time::sleep(INTERVAL).await;
                own.note(due);
            }
        });
        witness
    }

    /// Stays on one processor.
    fn watch(&self, processor: usize, timer: usize) {
        let mut only = CpuSet::new();
        let is_pinned = only
            .set(processor)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
        is_pinned.expect("this program may run there");
        loop {
            let due = self.set(timer);
            thread::sleep(INTERVAL);
            self.note(due);
        }
    }

    fn add_timer(&self) -> usize {
        let mut due = lock(&self.due);
        due.push(Instant::now() + INTERVAL);
        due.len() - 1
    }

    /// Sets a timer; when it should fire.
    fn set(&self, timer: usize) -> Instant {
        let at = Instant::now() + INTERVAL;
        lock(&self.due)[timer] = at;
        at
    }

    fn note(&self, due: Instant) {
        let now = Instant::now();
        if now - due < UNNOTICED {
            return;
        }
        let mut stalls = lock(&self.stalls);
        while stalls
            .front()
            .is_some_and(|(_, end)| now - *end > REMEMBERED)
        {
            stalls.pop_front();
        }
        // Who is late for so long may have been kept waiting all the time.
        stalls.push_back((due - INTERVAL, now));
        let mut longest = lock(&self.longest);
        *longest = (*longest).max(now - due);
    }

    /// For how long it stood still between these, in all. Stalls of several timers at once count once.
    pub(crate) fn stalled(&self, from: Instant, to: Instant) -> Duration {
        // A timer that should have fired by now, and has not: whoever asks may be the first to run again.
        let due = lock(&self.due).clone();
        let overdue = due.iter().filter(|due| to > **due + UNNOTICED);
        let overdue = overdue.map(|due| (*due - INTERVAL, to));
        let stalls = lock(&self.stalls);
        let within = stalls.iter().copied().chain(overdue);
        let mut own: Vec<_> = within
            .filter(|(begin, end)| *begin <= to && *end >= from)
            .collect();
        drop(stalls);
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
        *lock(&self.longest)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
