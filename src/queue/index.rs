//! The index in memory: a record of each stored callback, by route and key.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::callback::Callback;
use super::encoding::{Damaged, Reader, Writer, from_millis, to_millis};
use super::store::{Entry, Filter, Id, RouteSummary, State, Summary};

/// A longer error is cut: it is for a person.
const MAX_ERROR_LEN: usize = 500;

/// What the index has of a stored callback. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) route: Arc<str>,
    pub(super) key: Arc<str>,
    pub(super) reason: Arc<str>,
    pub(super) received: u64,
    pub(super) since: u64,
    pub(super) next_try: u64,
    pub(super) attempts: u32,
    pub(super) is_dead: bool,
    pub(super) is_claimed: bool,
    pub(super) last_error: Option<Arc<str>>,
    pub(super) size: u64,
}

impl Record {
    /// The record of a callback that is appended now.
    pub(super) fn new(callback: &Callback, size: u64) -> Self {
        let received = to_millis(callback.received);
        Self {
            route: callback.route.as_str().into(),
            key: callback.key.as_str().into(),
            reason: callback.reason.as_str().into(),
            received,
            since: received,
            next_try: received,
            attempts: 0,
            is_dead: false,
            is_claimed: false,
            last_error: None,
            size,
        }
    }

    /// The record of a dead letter.
    pub(super) fn into_dead_letter(mut self, at: SystemTime, error: &str) -> Self {
        self.is_claimed = false;
        self.is_dead = true;
        self.since = to_millis(at);
        self.attempts += 1;
        self.set_error(error);
        self
    }

    /// The record of a dead letter that waits again.
    pub(super) fn wait_again(&self, now: SystemTime) -> Self {
        let now = to_millis(now);
        Self {
            since: now,
            next_try: now,
            attempts: 0,
            is_dead: false,
            last_error: None,
            ..self.clone()
        }
    }

    /// The record as it is stored, without the claim, which ends with its process.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(256);
        writer.text(self.route.as_bytes());
        writer.text(self.key.as_bytes());
        writer.text(self.reason.as_bytes());
        writer.number(self.received);
        writer.number(self.since);
        writer.number(self.next_try);
        writer.number(self.attempts.into());
        writer.number(self.is_dead.into());
        writer.text(self.last_error.as_deref().unwrap_or_default().as_bytes());
        writer.number(self.size);
        writer.finish()
    }

    /// The record that was stored as `bytes`.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes)?;
        Ok(Self {
            route: reader.string()?.into(),
            key: reader.string()?.into(),
            reason: reader.string()?.into(),
            received: reader.number()?,
            since: reader.number()?,
            next_try: reader.number()?,
            attempts: u32::try_from(reader.number()?).map_err(|_| Damaged)?,
            is_dead: reader.number()? != 0,
            is_claimed: false,
            last_error: Some(reader.string()?.into()).filter(|error: &Arc<str>| !error.is_empty()),
            size: reader.number()?,
        })
    }

    pub(super) fn to_entry(&self, id: Id) -> Entry {
        Entry {
            id,
            route: self.route.as_ref().to_owned(),
            key: self.key.as_ref().to_owned(),
            reason: self.reason.as_ref().to_owned(),
            received: from_millis(self.received),
            since: from_millis(self.since),
            state: match (self.is_dead, self.is_claimed) {
                (true, _) => State::Dead,
                (false, true) => State::Claimed,
                (false, false) => State::Waiting {
                    next_try: from_millis(self.next_try),
                },
            },
            attempts: self.attempts,
            last_error: self.last_error.as_deref().map(str::to_owned),
            size: self.size,
        }
    }

    fn set_error(&mut self, error: &str) {
        let end = error.floor_char_boundary(MAX_ERROR_LEN);
        self.last_error = Some(error[..end].into());
    }
}

/// All that is stored.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: BTreeMap<Id, Record>,
    routes: HashMap<Arc<str>, Route>,
    bytes: u64,
    damaged: u64,
}

/// What is stored of one route.
#[derive(Debug, Default)]
struct Route {
    keys: HashMap<Arc<str>, BTreeSet<Id>>,
    /// The oldest callback of each key that isn't claimed, in the order in which they are due.
    due: BTreeSet<(u64, Id)>,
    waiting: BTreeSet<Id>,
    dead: u64,
    bytes: u64,
    last_error: Option<Arc<str>>,
}

impl Index {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, id: Id) -> Option<&Record> {
        self.records.get(&id)
    }

    /// How many callbacks are stored.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing of a file is stored.
    pub(super) fn is_file_empty(&self, file: u32) -> bool {
        self.ids_of_file(file).next().is_none()
    }

    /// The first id of a file that is greater than all that are stored.
    pub(super) fn next_of_file(&self, file: u32) -> Id {
        let range = Id::new(file, 0)..Id::new(file + 1, 0);
        let last = self.records.range(range).next_back();
        last.map_or_else(|| Id::new(file, 1), |(id, _)| Id(id.0 + 1))
    }

    fn ids_of_file(&self, file: u32) -> impl Iterator<Item = Id> + '_ {
        let range = Id::new(file, 0)..Id::new(file + 1, 0);
        self.records.range(range).map(|(id, _)| *id)
    }

    pub(super) fn count_damaged(&mut self) {
        self.damaged += 1;
    }

    pub(super) fn insert(&mut self, id: Id, mut record: Record) {
        let route = match self.routes.get_key_value(&record.route) {
            Some((name, _)) => {
                record.route = Arc::clone(name);
                self.routes.get_mut(&record.route).expect("it was found")
            }
            None => self.routes.entry(Arc::clone(&record.route)).or_default(),
        };
        route.bytes += record.size;
        self.bytes += record.size;
        if record.last_error.is_some() {
            route.last_error.clone_from(&record.last_error);
        }
        if record.is_dead {
            route.dead += 1;
        } else {
            route.waiting.insert(id);
            if let Some((key, _)) = route.keys.get_key_value(&record.key) {
                record.key = Arc::clone(key);
            }
            let ids = route.keys.entry(Arc::clone(&record.key)).or_default();
            let previous = ids.first().copied();
            ids.insert(id);
            if previous.is_none_or(|previous| id < previous) {
                if let Some(old) = previous.and_then(|id| Some((self.records.get(&id)?, id))) {
                    route.due.remove(&(old.0.next_try, old.1));
                }
                if !record.is_claimed {
                    route.due.insert((record.next_try, id));
                }
            }
        }
        self.records.insert(id, record);
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Record> {
        let record = self.records.remove(&id)?;
        let route = self.routes.get_mut(&record.route)?;
        route.bytes -= record.size;
        self.bytes -= record.size;
        if record.is_dead {
            route.dead -= 1;
        } else {
            route.waiting.remove(&id);
            route.due.remove(&(record.next_try, id));
            let ids = route.keys.get_mut(&record.key).expect("its key waits");
            ids.remove(&id);
            match ids.first() {
                None => {
                    route.keys.remove(&record.key);
                }
                Some(next) => {
                    let oldest = &self.records[next];
                    if !oldest.is_claimed {
                        route.due.insert((oldest.next_try, *next));
                    }
                }
            }
        }
        if route.waiting.is_empty() && route.dead == 0 {
            self.routes.remove(&record.route);
        }
        Some(record)
    }

    pub(super) fn is_waiting(&self, route: &str, key: &str) -> bool {
        let route = self.routes.get(route);
        route.is_some_and(|route| route.keys.contains_key(key))
    }

    /// Claims the callback that is due first.
    pub(super) fn claim(&mut self, route: &str, now: SystemTime) -> Option<Id> {
        let route = self.routes.get_mut(route)?;
        let (due, id) = *route.due.first()?;
        if due > to_millis(now) {
            return None;
        }
        route.due.pop_first();
        let record = self.records.get_mut(&id).expect("what is due is stored");
        record.is_claimed = true;
        Some(id)
    }

    /// Ends a claim without an attempt.
    pub(super) fn release(&mut self, id: Id) {
        self.change(id, |record| record.is_claimed = false);
    }

    /// Ends a claim whose delivery has failed; the callback is due again `at`.
    pub(super) fn put_off(&mut self, id: Id, at: SystemTime, error: &str) -> Option<&Record> {
        self.change(id, |record| {
            record.is_claimed = false;
            record.next_try = to_millis(at);
            record.attempts += 1;
            record.set_error(error);
        })
    }

    /// Makes a dead letter of a callback.
    pub(super) fn make_dead_letter(
        &mut self,
        id: Id,
        at: SystemTime,
        error: &str,
    ) -> Option<&Record> {
        self.change(id, |record| {
            *record = record.clone().into_dead_letter(at, error)
        })
    }

    /// Makes a callback due now.
    pub(super) fn make_due(&mut self, id: Id, now: SystemTime) -> Option<&Record> {
        self.change(id, |record| {
            record.next_try = record.next_try.min(to_millis(now));
        })
    }

    /// Changes a record, and the index with it.
    pub(super) fn change(&mut self, id: Id, change: impl FnOnce(&mut Record)) -> Option<&Record> {
        let mut record = self.remove(id)?;
        change(&mut record);
        self.insert(id, record);
        self.records.get(&id)
    }

    /// Clears the last error of a route, after a delivery that succeeded.
    pub(super) fn forget_error(&mut self, route: &str) {
        if let Some(route) = self.routes.get_mut(route) {
            route.last_error = None;
        }
    }

    pub(super) fn next_due(&self, route: &str) -> Option<SystemTime> {
        let (due, _) = self.routes.get(route)?.due.first()?;
        Some(from_millis(*due))
    }

    pub(super) fn summary(&self) -> Summary {
        let summary_of = |route: &Route| RouteSummary {
            waiting: route.waiting.len() as u64,
            dead: route.dead,
            bytes: route.bytes,
            oldest: route
                .waiting
                .first()
                .map(|id| from_millis(self.records[id].since)),
            next_try: route.due.first().map(|(due, _)| from_millis(*due)),
            last_error: route.last_error.as_deref().map(str::to_owned),
        };
        Summary {
            routes: self
                .routes
                .iter()
                .map(|(name, route)| (name.as_ref().to_owned(), summary_of(route)))
                .collect(),
            bytes: self.bytes,
            damaged: self.damaged,
        }
    }

    pub(super) fn list(&self, filter: Filter<'_>, after: Option<Id>, limit: usize) -> Vec<Entry> {
        let first = after.map_or(Id(0), |id| Id(id.0.saturating_add(1)));
        self.records
            .range(first..)
            .filter(|(_, record)| filter.route.is_none_or(|route| *record.route == *route))
            .filter(|(_, record)| filter.is_dead.is_none_or(|dead| record.is_dead == dead))
            .take(limit)
            .map(|(id, record)| record.to_entry(*id))
            .collect()
    }
}
