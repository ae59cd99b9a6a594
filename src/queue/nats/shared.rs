//! What an instance knows of what all instances have stored. It follows the server; what is decided by it is asked of the server once
//! more.

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

/// A key whose right another instance has is looked at again after so long, or a quarter of the lease.
const MAX_BLOCKED: Duration = Duration::from_secs(1);

/// Whether the server can be asked.
#[derive(Clone)]
pub(super) enum Phase {
    Starting,
    Ready(JetStream),
    Away(String),
    Closed,
}

/// What is shared between those who ask and the one who follows the server.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// The name of this instance; another one after a restart.
    pub(super) owner: String,
    /// The thread of the store: what has to go on by itself runs there.
    pub(super) runtime: Handle,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) changes: watch::Sender<()>,
    pub(super) max_size: watch::Sender<u64>,
    known: Mutex<Known>,
}

/// What this instance knows.
#[derive(Default)]
pub(super) struct Known {
    pub(super) index: Index,
    /// What this instance delivers at the moment.
    pub(super) held: HashMap<Id, Held>,
    /// What this instance is about to deliver, if no other one is.
    candidates: BTreeSet<Id>,
    states: HashMap<String, Seen>,
    /// The last message that was read from the stream.
    position: u64,
    /// What is erased, and will still be read from the stream.
    gone: BTreeSet<Id>,
    /// What can't be claimed at the moment, and since when that is known.
    blocked: HashMap<Id, Instant>,
    /// What is in the stream and can't be read.
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

/// A state, and when it was seen first.
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

    /// It isn't claimed here any more.
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

    /// The connection. It is waited for only at the start, and not for long.
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

    /// The subject of those that wait, by a [`token`].
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

    /// The subject on which instances say what they have erased.
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

    /// A callback is there.
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

    /// The stream was read up to here.
    pub(super) fn move_on(&mut self, position: u64) {
        self.position = position;
        self.gone = self.gone.split_off(&Id(position + 1));
    }

    /// There is something that can't be read; `true`: it is news.
    pub(super) fn count_unreadable(&mut self, id: Id) -> bool {
        let is_new = self.unreadable.insert(id);
        if is_new {
            self.index.count_damaged();
        }
        is_new
    }

    /// How many messages the stream has by what is known here.
    pub(super) fn messages(&self) -> u64 {
        (self.index.len() + self.unreadable.len()) as u64
    }

    /// A callback is erased.
    pub(super) fn forget(&mut self, id: Id) {
        self.index.remove(id);
        self.blocked.remove(&id);
        self.unreadable.remove(&id);
        if id.0 > self.position {
            self.gone.insert(id);
        }
    }

    /// A state was read or written.
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

    /// Makes claimable what instances have claimed that don't renew their claims; `true`: there was some.
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

    /// What this instance may try to claim, and the [`token`] of its key. What the server says meanwhile doesn't change that.
    pub(super) fn begin_claim(&mut self, route: &str, now: SystemTime) -> Option<(Id, String)> {
        let id = self.index.claim(route, now)?;
        self.candidates.insert(id);
        let record = self.index.get(id).expect("what is claimed is stored");
        Some((id, token(&record.route, &record.key)))
    }

    /// It is claimed on the server too, after so many attempts.
    pub(super) fn hold(&mut self, id: Id, held: Held, attempts: u32) {
        self.candidates.remove(&id);
        self.held.insert(id, held);
        self.index.change(id, |record| {
            record.is_claimed = true;
            record.attempts = attempts;
        });
    }

    /// It isn't claimed here any more.
    pub(super) fn release(&mut self, id: Id, token: &str, owner: &str) {
        self.candidates.remove(&id);
        self.held.remove(&id);
        self.index.release(id);
        self.apply(token, owner);
    }

    /// Another instance has put it off.
    pub(super) fn release_until(&mut self, id: Id, next_try: u64) {
        self.candidates.remove(&id);
        self.index.change(id, |record| {
            record.is_claimed = false;
            record.next_try = next_try;
        });
    }

    /// Another instance has the right to the key of this one; when that ends is not known.
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
