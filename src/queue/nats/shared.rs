//! The index that an instance has of the callbacks of all instances. It may be a moment old, so every claim is checked at the server.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::queue::index::{Index, Record};
use crate::queue::store::{Error, Id};

use super::jetstream::JetStream;
use super::settings::Settings;
use super::state::{State, token};

/// How long the first connection may take before those that wait for it are refused.
const START_TIMEOUT: Duration = Duration::from_secs(2);

/// How soon a key is tried again that another instance delivers, if a quarter of the lease isn't shorter.
const MAX_BLOCKED: Duration = Duration::from_secs(1);

/// Whether the server can be asked.
#[derive(Clone)]
pub(super) enum Phase {
    Starting,
    Ready(JetStream),
    Away(String),
    Closed,
}

/// What the methods of the store share with the thread that reads the server's streams.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// The random name of this process.
    pub(super) owner: String,
    /// The runtime of the store's thread, for tasks in the background.
    pub(super) runtime: Handle,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) changes: watch::Sender<()>,
    pub(super) max_size: watch::Sender<u64>,
    known: Mutex<Known>,
}

/// The index, and what is needed to keep it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) index: Index,
    /// The claims of this instance.
    pub(super) held: HashMap<Id, Held>,
    /// Callbacks that this instance tries to claim at the moment.
    candidates: BTreeSet<Id>,
    states: HashMap<String, Seen>,
    /// The last message that was read from the stream.
    position: u64,
    /// Callbacks that are erased already, and that the stream's reader has not reached yet.
    gone: BTreeSet<Id>,
    /// Callbacks that another instance delivers, and when that was noticed.
    blocked: HashMap<Id, Instant>,
    /// Messages of the stream that can't be read.
    unreadable: BTreeSet<Id>,
}

/// A claim of this instance.
pub(super) struct Held {
    pub(super) renewal: tokio::task::AbortHandle,
    pub(super) token: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// A state, and when this instance first saw it.
struct Seen {
    state: State,
    revision: u64,
    at: Instant,
}

impl Shared {
    pub(super) fn new(settings: Settings, owner: String, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            max_size: watch::Sender::new(settings.max_size),
            settings,
            owner,
            runtime,
            phase: watch::Sender::new(Phase::Starting),
            changes: watch::Sender::new(()),
            known: Mutex::default(),
        })
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a claim in the index.
    pub(super) fn release(&self, id: Id, token: &str) {
        self.known().release(id, token, &self.owner);
        self.notify();
    }

    pub(super) fn notify(&self) {
        self.changes.send_replace(());
    }

    /// A closed store stays closed.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let is_open = !matches!(current, Phase::Closed);
            if is_open {
                *current = phase;
            }
            is_open
        });
    }

    /// The connection. Only before the first one this waits, for at most [`START_TIMEOUT`].
    pub(super) async fn session(&self) -> Result<JetStream, Error> {
        let mut phase = self.phase.subscribe();
        let started = phase.wait_for(|phase| !matches!(phase, Phase::Starting));
        let phase = match tokio::time::timeout(START_TIMEOUT, started).await {
            Ok(Ok(phase)) => phase.clone(),
            Ok(Err(_)) => Phase::Closed,
            Err(_) => Phase::Starting,
        };
        match phase {
            Phase::Ready(session) => Ok(session),
            Phase::Away(error) => Err(Error::Away(error)),
            Phase::Starting => Err(Error::Away(
                "the connection is not established yet".to_owned(),
            )),
            Phase::Closed => Err(Error::Closed),
        }
    }

    /// The subject of the waiting callbacks of a key, by its [`token`].
    pub(super) fn waiting_subject(&self, token: &str) -> String {
        format!("{}.waiting.{token}", self.settings.name)
    }

    /// The subject of dead letters, by a [`token`].
    pub(super) fn dead_subject(&self, token: &str) -> String {
        format!("{}.dead.{token}", self.settings.name)
    }

    /// The stream of callbacks.
    pub(super) fn stream(&self) -> &str {
        &self.settings.name
    }

    /// The stream of states.
    pub(super) fn state_stream(&self) -> String {
        format!("{}-state", self.settings.name)
    }

    /// The subject of a state, by a [`token`].
    pub(super) fn state_subject(&self, token: &str) -> String {
        format!("{}.state.{token}", self.settings.name)
    }

    /// The [`token`] in the subject of a state.
    pub(super) fn token_in<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix(self.settings.name.as_str())?;
        rest.strip_prefix(".state.")
    }

    /// The subject on which instances announce what they have erased.
    pub(super) fn gone_subject(&self) -> String {
        format!("{}.gone", self.settings.name)
    }
}

impl Known {
    /// Forgets what is stored, before it is read again. What is claimed here stays claimed.
    pub(super) fn reset(&mut self) {
        let held = std::mem::take(&mut self.held);
        let candidates = std::mem::take(&mut self.candidates);
        *self = Self {
            held,
            candidates,
            ..Self::default()
        };
    }

    /// Adds a callback to the index.
    pub(super) fn learn(&mut self, id: Id, mut record: Record, owner: &str) {
        if self.gone.contains(&id) || self.index.get(id).is_some() {
            return;
        }
        self.unreadable.remove(&id);
        record.is_claimed = self.is_claimed_here(id);
        let token = token(&record.route, &record.key);
        self.index.insert(id, record);
        self.apply(&token, owner);
    }

    /// Records up to which message the stream was read.
    pub(super) fn move_on(&mut self, position: u64) {
        self.position = position;
        self.gone = self.gone.split_off(&Id(position + 1));
    }

    /// Records a message that can't be read; `true`: it was not known before.
    pub(super) fn count_unreadable(&mut self, id: Id) -> bool {
        let is_new = self.unreadable.insert(id);
        if is_new {
            self.index.count_damaged();
        }
        is_new
    }

    /// How many messages the stream should have, by the index.
    pub(super) fn messages(&self) -> u64 {
        (self.index.len() + self.unreadable.len()) as u64
    }

    /// Removes a callback that is erased.
    pub(super) fn forget(&mut self, id: Id) {
        self.index.remove(id);
        self.blocked.remove(&id);
        self.unreadable.remove(&id);
        if id.0 > self.position {
            self.gone.insert(id);
        }
    }

    /// Records a state that was read or written.
    pub(super) fn note(&mut self, token: &str, state: State, revision: u64, owner: &str) {
        if let Some(seen) = self.states.get(token)
            && seen.revision >= revision
        {
            return;
        }
        let seen = Seen {
            state,
            revision,
            at: Instant::now(),
        };
        self.states.insert(token.to_owned(), seen);
        self.apply(token, owner);
    }

    fn apply(&mut self, token: &str, owner: &str) {
        let Some(seen) = self.states.get(token) else {
            return;
        };
        let (id, state) = (Id(seen.state.id), &seen.state);
        if self.is_claimed_here(id) || state.owner == owner {
            return;
        }
        if self.index.get(id).is_none_or(|record| record.is_dead) {
            return;
        }
        let is_foreign = !state.owner.is_empty();
        self.index.change(id, |record| {
            record.is_claimed = is_foreign;
            if !is_foreign {
                record.attempts = state.attempts;
                record.next_try = state.next_try;
            }
            if !state.last_error.is_empty() {
                record.last_error = Some(state.last_error.as_str().into());
            }
        });
    }

    /// Whether an instance has not renewed its claim for too long.
    pub(super) fn is_expired(&self, token: &str, revision: u64, lease: Duration) -> bool {
        let seen = self.states.get(token);
        seen.is_some_and(|seen| seen.revision == revision && seen.at.elapsed() >= lease)
    }

    /// Forgets the states of callbacks that are gone.
    pub(super) fn prune(&mut self) {
        let index = &self.index;
        self.states
            .retain(|_, seen| index.get(Id(seen.state.id)).is_some());
    }

    /// Frees the claims that were not renewed in time; `true`: there was one.
    pub(super) fn expire(&mut self, lease: Duration, owner: &str) -> bool {
        let mut has_any = self.unblock(lease);
        let is_lost = |seen: &&Seen| {
            let by_other = !seen.state.owner.is_empty() && seen.state.owner != owner;
            by_other && seen.at.elapsed() >= lease
        };
        let lost: Vec<_> = self.states.values().filter(is_lost).collect();
        let lost: Vec<_> = lost.iter().map(|seen| Id(seen.state.id)).collect();
        for id in lost {
            let is_claimed = self.index.get(id).is_some_and(|record| record.is_claimed);
            if is_claimed && !self.is_claimed_here(id) {
                self.index.release(id);
                has_any = true;
            }
        }
        has_any
    }
    fn is_claimed_here(&self, id: Id) -> bool {
        self.held.contains_key(&id) || self.candidates.contains(&id)
    }

    /// Begins to claim the callback that is due first; returns it and the [`token`] of its key. Messages of the server don't end that.
    pub(super) fn begin_claim(&mut self, route: &str, now: SystemTime) -> Option<(Id, String)> {
        let id = self.index.claim(route, now)?;
        self.candidates.insert(id);
        let record = self.index.get(id).expect("what is claimed is stored");
        Some((id, token(&record.route, &record.key)))
    }

    /// Records a claim that the server has accepted, after so many attempts.
    pub(super) fn hold(&mut self, id: Id, held: Held, attempts: u32) {
        self.candidates.remove(&id);
        self.held.insert(id, held);
        self.index.change(id, |record| {
            record.is_claimed = true;
            record.attempts = attempts;
        });
    }

    /// Ends a claim in the index.
    pub(super) fn release(&mut self, id: Id, token: &str, owner: &str) {
        self.candidates.remove(&id);
        self.held.remove(&id);
        self.index.release(id);
        self.apply(token, owner);
    }

    /// Another instance has set a later time.
    pub(super) fn release_until(&mut self, id: Id, next_try: u64) {
        self.candidates.remove(&id);
        self.index.change(id, |record| {
            record.is_claimed = false;
            record.next_try = next_try;
        });
    }

    /// Ends an attempt to claim, since another instance delivers the key.
    pub(super) fn block(&mut self, id: Id) {
        self.candidates.remove(&id);
        self.blocked.insert(id, Instant::now());
    }

    fn unblock(&mut self, lease: Duration) -> bool {
        let limit = (lease / 4).min(MAX_BLOCKED);
        let over = self.blocked.extract_if(|_, since| since.elapsed() >= limit);
        let over: Vec<_> = over.map(|(id, _)| id).collect();
        for id in &over {
            if !self.is_claimed_here(*id) {
                self.index.release(*id);
            }
        }
        !over.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn record() -> Record {
        let text = |text: &str| text.into();
        Record {
            route: text("status"),
            key: text("CA1"),
            reason: text("connect"),
            received: 0,
            since: 0,
            next_try: 0,
            attempts: 0,
            is_dead: false,
            is_claimed: false,
            last_error: None,
            size: 1,
        }
    }

    fn state(owner: &str) -> State {
        State {
            owner: owner.to_owned(),
            id: 1,
            attempts: 1,
            ..State::default()
        }
    }

    #[tokio::test]
    async fn what_others_said_before_does_not_give_away_what_is_being_claimed() {
        let mut known = Known::default();
        known.learn(Id(1), record(), "me");
        let (id, token) = known.begin_claim("status", NOW).unwrap();
        known.note(&token, state("other"), 5, "me");
        known.note(&token, state(""), 6, "me");
        assert!(known.begin_claim("status", NOW).is_none());
        known.release(id, &token, "me");
        assert!(known.begin_claim("status", NOW).is_some());
        let attempts = known.index.get(id).unwrap().attempts;
        assert_eq!(attempts, 1, "but it is known");
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_instance_has_claimed_is_free_when_its_lease_is_over() {
        let lease = Duration::from_secs(15);
        let mut known = Known::default();
        known.learn(Id(1), record(), "me");
        let token = token("status", "CA1");
        known.note(&token, state("other"), 5, "me");
        tokio::time::advance(Duration::from_secs(14)).await;
        known.note(&token, state("other"), 6, "me");
        tokio::time::advance(Duration::from_secs(14)).await;
        assert!(!known.expire(lease, "me"), "it was renewed");
        assert!(known.begin_claim("status", NOW).is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(known.expire(lease, "me"));
        assert!(known.is_expired(&token, 6, lease));
        assert!(known.begin_claim("status", NOW).is_some());
    }
}
