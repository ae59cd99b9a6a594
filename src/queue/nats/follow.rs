//! Keeps the index of an instance equal to what the server stores.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectOptions, Event, ServerAddr};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::queue::index::Record;
use crate::queue::store::Id;

use super::jetstream::{Delivered, Error, JetStream, News, nanoseconds};
use super::server::Server;
use super::shared::{Phase, Shared};
use super::state::{State, from_hex};

/// How long the server may take to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before the next attempt to connect.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// How often the number of callbacks in the index is compared with the server's.
const COMPARE_INTERVAL: Duration = Duration::from_secs(10);

/// The state of a key is deleted when it has not changed for so long.
const STATE_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the server recognizes a message that was stored twice.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The header of a message that has the record of its callback.
pub(super) const RECORD: &str = "Understudy-Record";

/// Follows the server until the store is closed.
pub(super) async fn follow(shared: Arc<Shared>, server: Server) {
    let mut phase = shared.phase.subscribe();
    let follower = Follower {
        shared: &shared,
        server,
    };
    tokio::select! {
        () = follower.run() => {}
        // It only fails if the store was dropped.
        _ = phase.wait_for(|phase| matches!(phase, Phase::Closed)) => {}
    }
}

/// Errors of the server, and the loss of the connection.
type Notices = mpsc::UnboundedReceiver<String>;

struct Follower<'a> {
    shared: &'a Shared,
    server: Server,
}

impl Follower<'_> {
    async fn run(&self) {
        let server = self.server.name();
        let mut is_away = false;
        loop {
            let lost = CancellationToken::new();
            let failed = self.follow_connection(&lost, &mut is_away).await;
            lost.cancel();
            let error = failed.to_string();
            self.shared.set_phase(Phase::Away(error.clone()));
            if !is_away {
                warn!(server, error, "the server of the queue is away");
                is_away = true;
            }
            sleep(RETRY_DELAY).await;
        }
    }

    /// Connects, and follows until the connection is lost.
    async fn follow_connection(&self, lost: &CancellationToken, is_away: &mut bool) -> Error {
        let (session, mut notices) = match self.connect(lost).await {
            Ok(connected) => connected,
            Err(error) => return error,
        };
        tokio::select! {
            followed = self.follow_once(&session, is_away) => match followed {
                Ok(never) => match never {},
                Err(error) => error,
            },
            notice = notices.recv() => Error::NoAnswer(notice.unwrap_or_default()),
        }
    }

    /// Opens a new connection. The client is not reused: it would send requests again that have failed already.
    async fn connect(&self, lost: &CancellationToken) -> Result<(JetStream, Notices), Error> {
        let (sender, notices) = mpsc::unbounded_channel();
        let mut options = ConnectOptions::new()
            .name("understudy")
            .connection_timeout(TIMEOUT)
            .request_timeout(Some(TIMEOUT))
            .max_reconnects(self.server.addresses.len())
            .reconnect_delay_callback(|_| Duration::ZERO)
            .event_callback(move |event| {
                let notice = match event {
                    Event::ServerError(error) => error.to_string(),
                    Event::Disconnected | Event::Closed => "the connection is lost".to_owned(),
                    Event::Connected
                    | Event::LameDuckMode
                    | Event::Draining
                    | Event::SlowConsumer(_)
                    | Event::ClientError(_) => return ready(()),
                };
                // It can't be delivered when a newer connection has replaced this one.
                let _ = sender.send(notice);
                ready(())
            });
        if let Some((user, password)) = &self.server.login {
            options = match password {
                Some(password) => options.user_and_password(user.clone(), password.clone()),
                None => options.token(user.clone()),
            };
        }
        let addresses: &[ServerAddr] = &self.server.addresses;
        match options.connect(addresses).await {
            Ok(client) => Ok((JetStream::new(client, lost.clone()), notices)),
            Err(error) => Err(Error::NoAnswer(error.to_string())),
        }
    }

    /// Reads all callbacks and states, then every change, until an error.
    async fn follow_once(
        &self,
        session: &JetStream,
        is_away: &mut bool,
    ) -> Result<Infallible, Error> {
        let shared = self.shared;
        let mut max_size = shared.max_size.subscribe();
        session.open_stream(&self.stream_config()).await?;
        session.open_stream(&self.state_stream_config()).await?;
        let mut gone = session.listen(shared.gone_subject()).await?;
        shared.known().reset();
        let mut states = session.follow(&shared.state_stream(), false).await?;
        let mut messages = session.follow(shared.stream(), true).await?;
        let mut has_states = states.is_empty;
        let mut has_messages = messages.is_empty;

        let lease = shared.settings.lease;
        let mut tick = tokio::time::interval((lease / 4).min(Duration::from_secs(1)));
        let mut compared = Instant::now();
        let mut before = None;
        let mut is_ready = false;
        loop {
            tokio::select! {
                news = messages.next() => match news? {
                    News::Message(delivered) => {
                        has_messages |= delivered.is_last;
                        self.learn(&delivered);
                    }
                    News::Idle => has_messages = true,
                    News::Pause(subject) => session.tell(subject, Default::default()).await?,
                },
                news = states.next() => match news? {
                    News::Message(delivered) => {
                        has_states |= delivered.is_last;
                        self.note(&delivered);
                    }
                    News::Idle => has_states = true,
                    News::Pause(subject) => session.tell(subject, Default::default()).await?,
                },
                message = gone.next() => {
                    let message = message.ok_or_else(Error::lost)?;
                    let id = std::str::from_utf8(&message.payload).ok();
                    if let Some(id) = id.and_then(|id| id.parse().ok()) {
                        shared.known().forget(id);
                        shared.notify();
                    }
                }
                _ = max_size.changed() => {
                    session.open_stream(&self.stream_config()).await?;
                }
                _ = tick.tick() => {
                    let mut known = shared.known();
                    if is_ready {
                        known.prune();
                    }
                    if known.expire(lease, &shared.owner) {
                        shared.notify();
                    }
                }
            }
            if has_messages && has_states && !is_ready {
                is_ready = true;
                shared.set_phase(Phase::Ready(session.clone()));
                shared.notify();
                if std::mem::take(is_away) {
                    info!(
                        server = self.server.name(),
                        "the server of the queue is back"
                    );
                }
            }
            if is_ready && compared.elapsed() >= COMPARE_INTERVAL {
                compared = Instant::now();
                let info = session.stream_info(shared.stream()).await?;
                let known = shared.known();
                let now = (known.messages(), info.messages(), info.last_sequence());
                drop(known);
                // The counts also differ while a change is on its way.
                if now.0 != now.1 && before == Some(now) {
                    return Err(Error::NoAnswer(
                        "what is known here is not what the server has".to_owned(),
                    ));
                }
                before = Some(now);
            }
        }
    }

    fn learn(&self, delivered: &Delivered) {
        let id = Id(delivered.sequence);
        let mut known = self.shared.known();
        let headers = delivered.message.headers.as_ref();
        let record = headers.and_then(|headers| headers.get(RECORD));
        match record.and_then(|record| record_in(record.as_str())) {
            Some(record) => known.learn(id, record, &self.shared.owner),
            None => {
                if known.count_unreadable(id) {
                    error!(
                        id = id.to_string(),
                        "a message in the stream of the queue can't be read: it is damaged, or of another program or version"
                    );
                }
            }
        }
        known.move_on(id.0);
        drop(known);
        self.shared.notify();
    }

    fn note(&self, delivered: &Delivered) {
        let token = self.shared.token_in(&delivered.message.subject);
        if let Some(token) = token
            && let Ok(state) = State::decode(&delivered.message.payload)
        {
            let mut known = self.shared.known();
            known.note(token, state, delivered.sequence, &self.shared.owner);
            drop(known);
            self.shared.notify();
        }
    }

    fn stream_config(&self) -> Value {
        let name = &self.shared.settings.name;
        let max_size = *self.shared.max_size.borrow();
        json!({
            "name": name,
            "description": "understudy: queued callbacks",
            "subjects": [format!("{name}.waiting.*.*"), format!("{name}.dead.*.*")],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_bytes": i64::try_from(max_size).unwrap_or(i64::MAX),
            "duplicate_window": nanoseconds(DUPLICATE_WINDOW),
            "num_replicas": 1,
        })
    }

    fn state_stream_config(&self) -> Value {
        let name = &self.shared.settings.name;
        json!({
            "name": self.shared.state_stream(),
            "description": "understudy: who delivers a callback, and how often that has failed",
            "subjects": [format!("{name}.state.*.*")],
            "retention": "limits",
            "storage": "file",
            "discard": "old",
            "max_bytes": -1,
            "max_msgs_per_subject": 1,
            "max_age": nanoseconds(STATE_MAX_AGE),
            "num_replicas": 1,
        })
    }
}

/// The record in the header of a message.
pub(super) fn record_in(header: &str) -> Option<Record> {
    Record::decode(&from_hex(header)?).ok()
}
