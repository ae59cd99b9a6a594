//! Requests at a fixed rate, whatever the answers do. Each is measured from the moment at which it was due, so one that had to wait
//! for the answer before it counts the wait too: nothing is left out while a proxy stalls (no "coordinated omission").

use std::sync::Barrier;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::connection::Connection;
use crate::{Error, Target};

/// Prints the percentiles of the times, in microseconds.
pub(crate) fn run(target: &Target, rate: u32, seconds: u32, connections: u32) -> Result<(), Error> {
    // Sleeping threads are woken on time, not up to 50 µs later. The threads below inherit it.
    fs::write("/proc/self/timerslack_ns", "1")?;
    let schedule = Schedule {
        rate,
        requests: rate * seconds,
        connections,
        begin: Barrier::new(connections as usize),
    };
    let mut times = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|first| {
                let schedule = &schedule;
                scope.spawn(move || schedule.send_each(target, first))
            })
            .collect();
        for thread in threads {
            times.extend(thread.join().expect("a thread doesn't panic")?);
        }
        Ok::<_, Error>(())
    })?;
    print(&mut times);
    Ok(())
}

struct Schedule {
    /// Requests a second, over all connections.
    rate: u32,
    requests: u32,
    connections: u32,
    begin: Barrier,
}

impl Schedule {
    /// Sends every request of one connection, of which there is one for each thread.
    fn send_each(&self, target: &Target, first: u32) -> Result<Vec<Duration>, Error> {
        let connection = Connection::open(target).and_then(|mut connection| {
            connection.exchange(target)?;
            Ok(connection)
        });
        // Also if it failed, or the others would wait for ever.
        self.begin.wait();
        let mut connection = connection?;
        let start = Instant::now();
        let own = (first..self.requests).step_by(self.connections as usize);
        own.map(|number| {
            let due = start + Duration::from_secs(number.into()) / self.rate;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            connection.exchange(target)?;
            Ok(due.elapsed())
        })
        .collect()
    }
}

fn print(times: &mut [Duration]) {
    times.sort_unstable();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let index = ((times.len() as f64 * share) as usize).min(times.len() - 1);
        println!("{name} {}", times[index].as_micros());
    }
}
