//! How an instance gets the right to deliver the oldest callback of a key.

use std::sync::Arc;
use std::time::SystemTime;

use crate::queue::encoding::{Damaged, decode, from_millis, to_millis};
use crate::queue::store::{Claim, Error, Id};

use super::follow::{RECORD, record_in};
use super::jetstream::{JetStream, StoredMessage, Which};
use super::lease::{give_back, read_state, renew, write_state};
use super::shared::{Held, Shared};
use super::state::State;

/// The result of an attempt to claim a callback.
pub(super) enum Attempt {
    Claimed(Box<Claim>),
    /// This instance has the right to it, but it can't be read any more.
    Damaged(Id, StoredMessage),
    /// Another instance delivers it, has delivered it, or has put it off.
    Refused,
}

/// A callback that this instance is about to claim. If it is dropped before that, the callback is due as before.
pub(super) struct Candidate<'a> {
    shared: &'a Arc<Shared>,
    id: Id,
    token: String,
    is_armed: bool,
}

impl<'a> Candidate<'a> {
    pub(super) fn take(shared: &'a Arc<Shared>, route: &str, now: SystemTime) -> Option<Self> {
        let (id, token) = shared.known().begin_claim(route, now)?;
        Some(Self {
            shared,
            id,
            token,
            is_armed: true,
        })
    }

    /// Puts the candidate off because another instance delivers its key.
    fn block(mut self) {
        self.is_armed = false;
        self.shared.known().block(self.id);
    }

    fn release_until(mut self, next_try: u64) {
        self.is_armed = false;
        self.shared.known().release_until(self.id, next_try);
    }

    fn hold(mut self, held: Held, attempts: u32) {
        self.is_armed = false;
        self.shared.known().hold(self.id, held, attempts);
    }

    /// Gets the right to the key, and reads its oldest callback.
    pub(super) async fn claim(
        self,
        session: &JetStream,
        now: SystemTime,
    ) -> Result<Attempt, Error> {
        let shared = self.shared;
        let (id, token) = (self.id, self.token.clone());
        let (state, revision) = read_state(shared, session, &token).await?;
        shared
            .known()
            .note(&token, state.clone(), revision, &shared.owner);
        if !state.owner.is_empty() && state.owner != shared.owner {
            let lease = shared.settings.lease;
            if !shared.known().is_expired(&token, revision, lease) {
                self.block();
                return Ok(Attempt::Refused);
            }
        } else if state.id == id.0 && state.next_try > to_millis(now) {
            // Another instance has set a later time.
            self.release_until(state.next_try);
            return Ok(Attempt::Refused);
        }
        let is_same = state.id == id.0;
        let mine = State {
            owner: shared.owner.clone(),
            id: id.0,
            ..if is_same { state } else { State::default() }
        };
        let Some(revision) = write_state(shared, session, &token, &mine, revision).await? else {
            return Ok(Attempt::Refused);
        };
        let subject = shared.waiting_subject(&token);
        let oldest = session.message(shared.stream(), Which::Oldest(&subject));
        let message = match oldest.await? {
            Some(message) if message.sequence == id.0 => message,
            // The server's oldest callback is another one than the index says.
            other => {
                if !correct(shared, id, other.as_ref()) {
                    self.block();
                }
                let free = State {
                    owner: String::new(),
                    ..mine
                };
                write_state(shared, session, &token, &free, revision).await?;
                return Ok(Attempt::Refused);
            }
        };
        let renewal = shared
            .runtime
            .spawn(renew(Arc::clone(shared), token.clone(), mine.clone()));
        let renewal = renewal.abort_handle();
        let held = Held {
            renewal,
            token: token.clone(),
        };
        let attempts = mine.attempts;
        self.hold(held, attempts);
        let owned = Arc::clone(shared);
        let give_back = move || {
            let held = owned.known().held.remove(&id);
            let runtime = owned.runtime.clone();
            // When the store is closed, it has ended the claim already.
            if held.is_some() {
                runtime.spawn(async move {
                    let _ = give_back(&owned, id, &token).await;
                });
            }
        };
        match decode(&message.payload) {
            Ok(callback) => {
                // The list of callbacks may be read again at the moment.
                let record = message.header(RECORD).and_then(record_in);
                let since = record.map_or(callback.received, |record| from_millis(record.since));
                {
                    let claim = Claim::new(id, callback, attempts, since, give_back);
                    Ok(Attempt::Claimed(Box::new(claim)))
                }
            }
            Err(Damaged) => {
                shared.known().index.count_damaged();
                Ok(Attempt::Damaged(id, message))
            }
        }
    }
}

impl Drop for Candidate<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            let mut known = self.shared.known();
            known.release(self.id, &self.token, &self.shared.owner);
        }
    }
}

/// Corrects the index when the server's oldest callback of a key is another one. `false`: that one can't be read.
fn correct(shared: &Shared, id: Id, oldest: Option<&StoredMessage>) -> bool {
    let mut known = shared.known();
    if oldest.is_none_or(|oldest| oldest.sequence > id.0) {
        known.forget(id);
    }
    let Some(oldest) = oldest else { return true };
    match oldest.header(RECORD).and_then(record_in) {
        Some(record) => known.learn(Id(oldest.sequence), record, &shared.owner),
        None => return oldest.sequence > id.0,
    }
    true
}
