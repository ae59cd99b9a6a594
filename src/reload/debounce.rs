//! When a change of the files is taken up: once every file that has changed is complete. This does no I/O and reads no clock.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A change is taken up when nothing has happened for so long: editors and deployments change files in several steps.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(100);

/// A file that is complete again and again is taken up after so long, however soon it changes again.
const DEBOUNCE_LIMIT: Duration = Duration::from_secs(1);

/// A file whose writer can't be seen counts as complete when it has not changed for so long.
pub(super) const REST: Duration = Duration::from_secs(1);

/// A file that a writer keeps open counts as complete when it has not changed for so long.
const OPEN_REST: Duration = Duration::from_secs(5);

/// The longest time that one file holds up the changes of the others.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// What has happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Somebody is writing it, and its closing will be noticed.
    Writing,
    /// It is complete: closed by its writer, renamed, linked or removed.
    Complete,
    /// It has changed. Nobody knows whether its writer is done, and its closing may go unnoticed.
    Unknown,
    /// Its owner or permissions have changed, or its time, which says nothing about its writer.
    Metadata,
}

/// The changes that are not taken up yet.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    files: HashMap<PathBuf, File>,
    /// When the first of them happened.
    first: Option<Instant>,
}

#[derive(Debug)]
struct File {
    last_change: Change,
    last: Instant,
    first_complete: Option<Instant>,
}

impl Debounce {
    /// Notes what has happened to a file.
    pub(super) fn record(&mut self, path: &Path, change: Change, now: Instant) {
        self.first.get_or_insert(now);
        let Some(file) = self.files.get_mut(path) else {
            self.files.insert(path.to_owned(), File::new(change, now));
            return;
        };
        match (file.last_change, change) {
            // The permissions may change while it is written, and after.
            (_, Change::Metadata) => {}
            // Its closing will still be noticed.
            (Change::Writing, Change::Unknown) => file.last = now,
            _ => {
                file.last_change = change;
                file.last = now;
            }
        }
        if change == Change::Complete {
            file.first_complete.get_or_insert(now);
        }
    }

    #[cfg(test)]
    pub(super) fn last_change(&self, path: &Path) -> Option<Change> {
        self.files.get(path).map(|file| file.last_change)
    }

    /// When the changes are to be taken up, if nothing else happens. None if there are none.
    pub(super) fn due(&self) -> Option<Instant> {
        let limit = self.first? + WRITE_LIMIT;
        let last = self.files.values().map(File::due).max()?;
        Some(last.min(limit))
    }

    /// Whether the changes are to be taken up now. If so, they count as taken up.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            *self = Self::default();
        }
        is_due
    }
}

impl File {
    fn new(change: Change, now: Instant) -> Self {
        Self {
            last_change: change,
            last: now,
            first_complete: (change == Change::Complete).then_some(now),
        }
    }

    /// When it counts as complete, if nothing else happens.
    fn due(&self) -> Instant {
        match self.last_change {
            Change::Writing => self.last + OPEN_REST,
            Change::Unknown | Change::Metadata => self.last + REST,
            Change::Complete => {
                let limit = self.first_complete.unwrap_or(self.last) + DEBOUNCE_LIMIT;
                (self.last + DEBOUNCE).min(limit.max(self.last))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    const A: &str = "a";
    const B: &str = "b";

    /// When changes at these milliseconds are taken up, in milliseconds.
    fn taken_up(changes: &[(u64, &str, Change)], end: u64) -> Vec<u64> {
        let began = Instant::now();
        let mut debounce = Debounce::default();
        let mut changes = changes.iter().peekable();
        let mut taken = Vec::new();
        for millis in 0..=end {
            let now = began + Duration::from_millis(millis);
            while let Some((_, path, change)) = changes.next_if(|change| change.0 == millis) {
                debounce.record(Path::new(path), *change, now);
            }
            if debounce.take(now) {
                taken.push(millis);
            }
        }
        taken
    }

    #[test]
    fn nothing_is_due_without_a_change() {
        assert_eq!(Debounce::default().due(), None);
        assert!(!Debounce::default().take(Instant::now()));
    }

    #[test]
    fn a_complete_file_is_taken_up_once_its_folder_rests() {
        let changes = [(0, A, Change::Complete), (50, B, Change::Complete)];
        assert_eq!(taken_up(&changes, 5_000), [150]);
    }

    #[test]
    fn a_file_that_is_written_waits_for_its_closing() {
        let changes = [
            (0, A, Change::Writing),
            (4_000, A, Change::Writing),
            (4_050, A, Change::Metadata),
            (4_100, A, Change::Unknown),
            (8_000, A, Change::Complete),
        ];
        assert_eq!(taken_up(&changes, 20_000), [8_100]);
    }

    #[test]
    fn one_file_that_is_written_holds_up_the_others() {
        let changes = [
            (0, A, Change::Complete),
            (50, B, Change::Writing),
            (2_000, B, Change::Complete),
        ];
        assert_eq!(taken_up(&changes, 20_000), [2_100]);
    }

    #[test]
    fn a_file_that_stays_open_is_taken_up_when_it_has_rested() {
        let changes = [(0, A, Change::Writing), (500, A, Change::Writing)];
        assert_eq!(taken_up(&changes, 30_000), [5_500]);
    }

    #[test]
    fn a_file_whose_writer_is_unknown_is_taken_up_when_it_has_rested() {
        let changes = [
            (0, A, Change::Unknown),
            (900, A, Change::Unknown),
            (1_800, A, Change::Unknown),
        ];
        assert_eq!(taken_up(&changes, 10_000), [2_800]);
    }

    #[test]
    fn permissions_are_taken_up() {
        assert_eq!(taken_up(&[(0, A, Change::Metadata)], 10_000), [1_000]);
    }

    #[test]
    fn a_file_that_is_complete_again_and_again_is_taken_up_in_time() {
        let rewritten = (0..100).flat_map(|i| {
            [
                (i * 50, A, Change::Writing),
                (i * 50 + 10, A, Change::Complete),
            ]
        });
        let taken = taken_up(&rewritten.collect::<Vec<_>>(), 5_000);
        assert_eq!(taken.first(), Some(&1_010));
    }

    #[test]
    fn a_file_that_is_written_for_ever_holds_up_the_others_for_a_time() {
        let mut changes = vec![(0, B, Change::Complete)];
        changes.extend((0..2_000).map(|i| (i * 50, A, Change::Writing)));
        let taken = taken_up(&changes, 40_000);
        assert_eq!(taken, [30_000]);
    }

    #[test]
    fn what_happens_after_a_change_was_taken_up_is_a_new_change() {
        let changes = [(0, A, Change::Complete), (200, A, Change::Complete)];
        assert_eq!(taken_up(&changes, 5_000), [100, 300]);
    }

    fn change() -> impl Strategy<Value = (u64, &'static str, Change)> {
        let pause = prop_oneof![4 => 0..200_u64, 2 => 0..2000_u64, 1 => 0..10_000_u64];
        let changes = [
            Change::Writing,
            Change::Complete,
            Change::Unknown,
            Change::Metadata,
        ];
        (pause, select(vec![A, B, "c"]), select(changes.to_vec()))
    }

    /// Whether a file to which this has happened, at these instants, may be read now.
    fn may_be_read(own: &[(Instant, Change)], now: Instant) -> bool {
        let is_known = |change: &Change| *change != Change::Metadata;
        let last = own.iter().rev().find(|(_, change)| is_known(change));
        let (at, last) = *last.unwrap_or(&own[0]);
        let rested = now - at;
        let is_open = own.iter().rev().map(|(_, change)| change);
        let mut is_open = is_open.filter(|change| is_known(change));
        // Until its writer closes it, changes that say nothing of him don't count.
        let is_open = is_open.find(|change| **change != Change::Unknown) == Some(&Change::Writing);
        let closed = own.iter().find(|(_, change)| *change == Change::Complete);
        match last {
            _ if is_open => rested >= OPEN_REST,
            Change::Complete => {
                let closed = closed.expect("the last one is");
                rested >= DEBOUNCE || now - closed.0 >= DEBOUNCE_LIMIT
            }
            Change::Writing | Change::Unknown | Change::Metadata => rested >= REST,
        }
    }

    proptest! {
        /// Files that are written, closed, replaced and left open in any order: nothing is taken up early, nothing is missed, and nothing
        /// waits for longer than it may.
        #[test]
        fn in_any_schedule_changes_are_taken_up_in_time(changes in vec(change(), 1..100)) {
            let mut debounce = Debounce::default();
            let mut now = Instant::now();
            let mut waiting: Vec<(Instant, &str, Change)> = Vec::new();
            let mut changes = changes.into_iter();
            let mut next = changes.next();
            let mut next_at = now;
            while next.is_some() || !waiting.is_empty() {
                let due = debounce.due();
                prop_assert_eq!(due.is_none(), waiting.is_empty(), "a change is missed");
                match (next, due) {
                    (Some((_, path, change)), due) if due.is_none_or(|due| next_at < due) => {
                        now = now.max(next_at);
                        debounce.record(Path::new(path), change, now);
                        waiting.push((now, path, change));
                        next = changes.next();
                        next_at = now + Duration::from_millis(next.map_or(0, |next| next.0));
                    }
                    (_, Some(due)) => {
                        now = now.max(due);
                        prop_assert!(debounce.take(now));
                        let first = waiting[0].0;
                        prop_assert!(now <= first + WRITE_LIMIT, "one file holds up the others");
                        let last = waiting[waiting.len() - 1].0;
                        prop_assert!(now <= last + OPEN_REST);
                        let all_complete = waiting.iter().all(|(.., change)| *change == Change::Complete);
                        prop_assert!(!all_complete || now <= last + DEBOUNCE);
                        for path in [A, B, "c"] {
                            let own = waiting.iter().filter(|(_, other, _)| *other == path);
                            let own: Vec<_> = own.map(|(at, _, change)| (*at, *change)).collect();
                            let is_ready = own.is_empty() || may_be_read(&own, now);
                            prop_assert!(is_ready || now == first + WRITE_LIMIT, "{path}: {own:?} at {now:?}");
                        }
                        waiting.clear();
                    }
                    (_, None) => unreachable!("either is there"),
                }
            }
            prop_assert!(!debounce.take(now + WRITE_LIMIT));
        }
    }
}
