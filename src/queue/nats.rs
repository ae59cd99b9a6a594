//! Callbacks in JetStream, the storage of NATS servers: several instances share one queue.
//!
//! A stream has the callbacks, on a subject for each route and key, which keeps their order. Another one has, for each key, which
//! instance delivers the oldest one and how often that has failed; it is only ever changed from the revision that was read, so no two
//! instances get the same. A claim that isn't renewed for a while is lost to the next one that asks: its instance has died. Clocks of
//! different machines are never compared for that.
//!
//! Each instance follows the headers of the first stream and the whole second one, so it knows what waits without asking.
//! Whether an older callback waits, and which one is the oldest, is asked of the server all the same.

mod claim;
mod follow;
mod jetstream;
mod lease;
mod server;
mod settings;
mod shared;
mod state;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;

use super::callback::Callback;
use super::encoding::{Damaged, decode, encode, to_millis};
use super::index::Record;
use super::store::{Changes, Claim, Ending, Entry, Error, Filter, Future, Id, Store, Summary};

use claim::{Attempt, Candidate};
use follow::{RECORD, follow};
use jetstream::{Error as JetStreamError, JetStream, StoredMessage, Which};
use lease::{end_lease, give_back, read_state, write_state};
use server::Server;
use shared::{Phase, Shared};
use state::{State, hex, token};

pub use settings::{OpenError, Settings};

/// The header by which the server knows a message that it has already.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// How many bytes of the server's largest message are kept free: a callback that becomes a dead letter gets longer headers.
const RESERVE: u64 = 4096;

/// How long a callback waits that could not become a dead letter because the stream was full.
const DEAD_RETRY: Duration = Duration::from_secs(60);

/// Callbacks that several instances share.
pub struct Nats {
    shared: Arc<Shared>,
}

impl Nats {
    /// Begins to connect, on a thread of its own. Until the server is there, everything fails with [`Error::Away`].
    ///
    /// # Errors
    ///
    /// The URL or the name is not valid, or the thread can't be started.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let server = Server::parse(&settings.url)?;
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if settings.name.is_empty() || !settings.name.bytes().all(is_valid) {
            return Err(OpenError::Name(settings.name));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let owner = RandomState::new().hash_one(std::process::id());
        let owner = hex(&owner.to_be_bytes());
        let shared = Shared::new(settings, owner, runtime.handle().clone());
        let followed = Arc::clone(&shared);
        thread::Builder::new()
            .name("queue".to_owned())
            .spawn(move || runtime.block_on(follow(followed, server)))?;
        Ok(Self { shared })
    }
}

/// Another instance can take over what this one has claimed when the lease ends.
impl Drop for Nats {
    fn drop(&mut self) {
        self.shared.phase.send_replace(Phase::Closed);
    }
}

impl Store for Nats {
    fn append(&self, callback: Callback) -> Future<'_, Result<Id, Error>> {
        Box::pin(async move {
            let session = self.shared.session().await?;
            let bytes = encode(&callback);
            let size = bytes.len() as u64;
            let limit = session.max_payload().saturating_sub(RESERVE);
            if size > limit {
                return Err(Error::TooLarge { size, limit });
            }
            let record = Record::new(&callback, size);
            let subject = self
                .shared
                .waiting_subject(&token(&callback.route, &callback.key));
            self.publish(&session, subject, record, bytes, None).await
        })
    }

    fn is_waiting<'a>(&'a self, route: &'a str, key: &'a str) -> Future<'a, Result<bool, Error>> {
        Box::pin(async move {
            let session = self.shared.session().await?;
            let subject = self.shared.waiting_subject(&token(route, key));
            let found = session.message(self.shared.stream(), Which::Newest(&subject));
            Ok(found.await?.is_some())
        })
    }

    fn claim<'a>(
        &'a self,
        route: &'a str,
        now: SystemTime,
    ) -> Future<'a, Result<Option<Claim>, Error>> {
        Box::pin(async move {
            let session = self.shared.session().await?;
            while let Some(candidate) = Candidate::take(&self.shared, route, now) {
                match candidate.claim(&session, now).await? {
                    Attempt::Claimed(claim) => return Ok(Some(*claim)),
                    Attempt::Damaged(id, message) => {
                        self.end_damaged(&session, id, &message, now).await?;
                    }
                    Attempt::Refused => {}
                }
            }
            Ok(None)
        })
    }

    fn finish(&self, mut claim: Claim, ending: Ending) -> Future<'_, Result<(), Error>> {
        Box::pin(async move {
            claim.disarm();
            let ended = self.end(claim.id, claim.callback.clone(), &ending).await;
            let token = token(&claim.callback.route, &claim.callback.key);
            self.shared.release(claim.id, &token);
            ended
        })
    }

    fn changes(&self) -> Changes {
        self.shared.changes.subscribe()
    }

    fn next_due(&self, route: &str) -> Option<SystemTime> {
        self.shared.known().index.next_due(route)
    }

    fn summary(&self) -> Summary {
        self.shared.known().index.summary()
    }

    fn list<'a>(
        &'a self,
        filter: Filter<'a>,
        after: Option<Id>,
        limit: usize,
    ) -> Future<'a, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            self.shared.session().await?;
            Ok(self.shared.known().index.list(filter, after, limit))
        })
    }

    fn find(&self, id: Id) -> Future<'_, Result<Option<(Entry, Callback)>, Error>> {
        Box::pin(async move {
            let session = self.shared.session().await?;
            let Some(message) = self.message(&session, id).await? else {
                return Ok(None);
            };
            let entry = self
                .shared
                .known()
                .index
                .get(id)
                .map(|known| known.to_entry(id));
            let Some(entry) = entry else { return Ok(None) };
            let callback = decode(&message.payload).map_err(|Damaged| Error::Damaged(id))?;
            Ok(Some((entry, callback)))
        })
    }

    fn retry<'a>(&'a self, ids: &'a [Id], now: SystemTime) -> Future<'a, Result<usize, Error>> {
        Box::pin(async move {
            let session = self.shared.session().await?;
            let mut count = 0;
            for id in ids {
                let record = self.shared.known().index.get(*id).cloned();
                let is_found = match record {
                    Some(record) if record.is_dead => {
                        self.retry_dead_letter(&session, *id, &record, now).await?
                    }
                    Some(record) => {
                        self.make_due(&session, *id, &record, now).await?;
                        true
                    }
                    None => false,
                };
                count += usize::from(is_found);
            }
            self.shared.notify();
            Ok(count)
        })
    }

    fn remove<'a>(&'a self, ids: &'a [Id]) -> Future<'a, Result<usize, Error>> {
        Box::pin(async move {
            let session = self.shared.session().await?;
            let mut count = 0;
            for id in ids {
                let is_free = {
                    let known = self.shared.known();
                    known
                        .index
                        .get(*id)
                        .is_some_and(|record| !record.is_claimed)
                };
                if is_free {
                    count += usize::from(self.erase(&session, *id, None).await?);
                }
            }
            self.shared.notify();
            Ok(count)
        })
    }

    /// Sets the limit of the stream, which all instances share.
    fn set_max_size(&self, max_size: u64) {
        self.shared.max_size.send_replace(max_size);
    }

    fn close(&self) -> Future<'_, ()> {
        Box::pin(async move {
            let held = std::mem::take(&mut self.shared.known().held);
            for (id, held) in held {
                if give_back(&self.shared, id, &held.token).await.is_err() {
                    break;
                }
            }
            self.shared.phase.send_replace(Phase::Closed);
        })
    }
}

impl Nats {
    async fn publish(
        &self,
        session: &JetStream,
        subject: String,
        record: Record,
        bytes: Vec<u8>,
        message_id: Option<String>,
    ) -> Result<Id, Error> {
        let size = bytes.len() as u64;
        let mut headers = HeaderMap::new();
        headers.insert(RECORD, hex(&record.encode()));
        if let Some(id) = message_id {
            headers.insert(MESSAGE_ID, id);
        }
        let published = session.publish(subject, headers, bytes.into()).await;
        let id = Id(published.map_err(|error| self.refusal(session, size, error))?);
        self.shared.known().learn(id, record, &self.shared.owner);
        self.shared.notify();
        Ok(id)
    }

    fn refusal(&self, session: &JetStream, size: u64, error: JetStreamError) -> Error {
        if error.is_full() {
            let max_size = *self.shared.max_size.borrow();
            Error::Full { max_size }
        } else if error.is_too_large() {
            let limit = session.max_payload();
            Error::TooLarge { size, limit }
        } else if error.is_of_disk() {
            Error::Io(error.to_string())
        } else {
            error.into()
        }
    }

    async fn end(&self, id: Id, callback: Callback, ending: &Ending) -> Result<(), Error> {
        let session = self.shared.session().await?;
        let token = token(&callback.route, &callback.key);
        match ending {
            Ending::Delivered => {
                self.erase(&session, id, Some(&token)).await?;
                self.shared.known().index.forget_error(&callback.route);
                Ok(())
            }
            Ending::Retry { at, error } => self.put_off(&session, id, &token, *at, error).await,
            Ending::Dead { at, error } => {
                let record = self.shared.known().index.get(id).cloned();
                let Some(record) = record else { return Ok(()) };
                let record = record.into_dead_letter(*at, error);
                let ended = self
                    .make_dead_letter(&session, id, record, encode(&callback))
                    .await;
                match ended {
                    // A dead letter is stored twice for a moment, and the stream has no space for that yet.
                    Err(Error::Full { .. }) => {
                        let at = *at + DEAD_RETRY;
                        self.put_off(&session, id, &token, at, error).await
                    }
                    ended => ended,
                }
            }
        }
    }

    async fn put_off(
        &self,
        session: &JetStream,
        id: Id,
        token: &str,
        at: SystemTime,
        error: &str,
    ) -> Result<(), Error> {
        let put_off = {
            let mut known = self.shared.known();
            let put_off = known.index.put_off(id, at, error).cloned();
            // It stays claimed here until the server has the new state.
            known.index.change(id, |record| record.is_claimed = true);
            put_off
        };
        let Some(record) = put_off else { return Ok(()) };
        let state = State {
            owner: String::new(),
            id: id.0,
            attempts: record.attempts,
            next_try: record.next_try,
            last_error: record.last_error.as_deref().unwrap_or_default().to_owned(),
        };
        end_lease(&self.shared, session, token, Some(&state)).await
    }

    /// Stores a callback as a dead letter, on the subject of dead letters, and erases it where it waited.
    async fn make_dead_letter(
        &self,
        session: &JetStream,
        id: Id,
        record: Record,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let token = token(&record.route, &record.key);
        let subject = self.shared.dead_subject(&token);
        // Publishing it a second time, after a failure between the two steps, does nothing.
        let message_id = Some(format!("dead-{id}"));
        self.publish(session, subject, record, bytes, message_id)
            .await?;
        self.erase(session, id, Some(&token)).await?;
        Ok(())
    }

    async fn end_damaged(
        &self,
        session: &JetStream,
        id: Id,
        message: &StoredMessage,
        now: SystemTime,
    ) -> Result<(), Error> {
        let record = self.shared.known().index.get(id).cloned();
        if let Some(record) = record {
            let record = record.into_dead_letter(now, &Error::Damaged(id).to_string());
            self.make_dead_letter(session, id, record, message.payload.to_vec())
                .await?;
        }
        self.shared.known().held.remove(&id);
        Ok(())
    }

    /// Erases a callback, and ends its claim if it has one, by a [`token`]; `false`: it was erased already.
    async fn erase(
        &self,
        session: &JetStream,
        id: Id,
        claimed: Option<&str>,
    ) -> Result<bool, Error> {
        let erased = session.delete_message(self.shared.stream(), id.0).await;
        let erased = erased?;
        if let Some(token) = claimed {
            end_lease(&self.shared, session, token, None).await?;
        }
        // Not before the lease has ended: other instances now look for the next callback of the key.
        self.shared.known().forget(id);
        let told = session.tell(self.shared.gone_subject(), id.0.to_string().into());
        told.await?;
        Ok(erased)
    }

    async fn message(&self, session: &JetStream, id: Id) -> Result<Option<StoredMessage>, Error> {
        let found = session.message(self.shared.stream(), Which::Sequence(id.0));
        let found = found.await?;
        if found.is_none() {
            self.shared.known().forget(id);
        }
        Ok(found)
    }

    async fn retry_dead_letter(
        &self,
        session: &JetStream,
        id: Id,
        record: &Record,
        now: SystemTime,
    ) -> Result<bool, Error> {
        let Some(message) = self.message(session, id).await? else {
            return Ok(false);
        };
        let subject = self
            .shared
            .waiting_subject(&token(&record.route, &record.key));
        let message_id = Some(format!("again-{id}"));
        let bytes = message.payload.to_vec();
        self.publish(session, subject, record.wait_again(now), bytes, message_id)
            .await?;
        self.erase(session, id, None).await
    }

    async fn make_due(
        &self,
        session: &JetStream,
        id: Id,
        record: &Record,
        now: SystemTime,
    ) -> Result<(), Error> {
        let token = token(&record.route, &record.key);
        loop {
            let (state, revision) = read_state(&self.shared, session, &token).await?;
            if state.id != id.0 || !state.owner.is_empty() {
                break;
            }
            let next_try = state.next_try.min(to_millis(now));
            let state = State { next_try, ..state };
            if write_state(&self.shared, session, &token, &state, revision)
                .await?
                .is_some()
            {
                break;
            }
        }
        self.shared.known().index.make_due(id, now);
        Ok(())
    }
}
