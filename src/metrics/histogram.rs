//! A histogram of durations.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the buckets, in seconds: from a cached document to the time that Twilio waits.
pub(super) const BOUNDS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 12.0,
    15.0,
];

/// How many durations fell into each bucket, and their sum.
#[derive(Default)]
#[repr(C)]
pub(super) struct Histogram {
    /// In nanoseconds. It stands beside the buckets of short durations, so that most observations write to one cache line.
    sum: AtomicU64,
    /// Each counts the durations that are over the bound before its own; the last one those over every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(duration.as_nanos() as u64, Relaxed);
    }

    /// How many durations there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// How many durations were not over each bound; the last: how many there were.
    pub(super) fn cumulative_counts(&self) -> [u64; BOUNDS.len() + 1] {
        let mut count = 0;
        self.buckets.each_ref().map(|bucket| {
            count += bucket.load(Relaxed);
            count
        })
    }

    /// All durations together, in seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum.load(Relaxed) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the durations are within each bucket, by its upper bound.
    fn buckets(durations: &[Duration]) -> Vec<(f64, u64)> {
        let histogram = Histogram::default();
        durations.iter().for_each(|one| histogram.observe(*one));
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds.zip(histogram.cumulative_counts()).collect()
    }

    #[test]
    fn a_duration_that_equals_a_bound_is_within_it() {
        for bound in BOUNDS {
            let duration = Duration::from_secs_f64(bound);
            for (upper, count) in buckets(&[duration]) {
                assert_eq!(count, u64::from(upper >= bound), "{bound} in {upper}");
            }
            let longer = duration + Duration::from_nanos(1);
            for (upper, count) in buckets(&[longer]) {
                assert_eq!(count, u64::from(upper > bound), "over {bound} in {upper}");
            }
        }
    }

    #[test]
    fn buckets_count_what_is_in_smaller_ones_too() {
        let counts = buckets(&[0, 1, 2, 60_000].map(Duration::from_millis));
        assert_eq!(counts[..3], [(0.001, 2), (0.0025, 3), (0.005, 3)]);
        assert_eq!(counts[16..], [(15.0, 3), (f64::INFINITY, 4)]);
    }

    #[test]
    fn the_sum_and_the_count_are_of_every_duration() {
        let histogram = Histogram::default();
        assert_eq!(histogram.count(), 0);
        for millis in [0, 250, 20_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        assert_eq!(histogram.count(), 3);
        assert_eq!(histogram.sum(), 20.25);
    }
}
