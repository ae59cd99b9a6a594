//! The few requests to JetStream that are needed, as servers since 2.9 take them. Only the fields that are used are read from
//! a response, so that servers of other versions may leave out or add others.

use std::time::Duration;

use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::queue::store;

/// How often the server sends a heartbeat while it has no message.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Without a message or a heartbeat for so long, the consumer counts as lost.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(5);

/// Error codes of the server. Source: nats-server, `server/errors.json`.
const STREAM_NAME_IN_USE: u64 = 10058;
const STREAM_NOT_FOUND: u64 = 10059;
const NO_MESSAGE: u64 = 10037;
const MESSAGE_NOT_DELETED: u64 = 10057;
const WRONG_LAST_SEQUENCE: u64 = 10071;
const NOT_STORED: u64 = 10077;
const MESSAGE_TOO_LARGE: u64 = 10054;
const NO_RESOURCES: [u64; 4] = [10002, 10023, 10028, 10047];

/// Why a request has failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Error {
    /// The server has refused the request.
    #[error("{text}")]
    Refused { code: u64, text: String },
    /// The message is larger than the server allows.
    #[error("it is too large")]
    TooLarge,
    /// No response has come, or it can't be read.
    #[error("{0}")]
    NoAnswer(String),
}

impl From<Error> for store::Error {
    fn from(error: Error) -> Self {
        Self::Away(error.to_string())
    }
}

impl Error {
    pub(super) fn lost() -> Self {
        Self::NoAnswer("the connection is lost".to_owned())
    }

    fn is(&self, wanted: u64) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether the stream has reached its `max_bytes`.
    pub(super) fn is_full(&self) -> bool {
        self.is(NOT_STORED) && self.to_string().contains("maximum")
    }

    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge) || self.is(MESSAGE_TOO_LARGE)
    }

    /// Whether the server's disk or memory is full, or can't be written.
    pub(super) fn is_of_disk(&self) -> bool {
        self.is(NOT_STORED) || NO_RESOURCES.iter().any(|code| self.is(*code))
    }
}

/// A connection that is used for requests until it is lost.
#[derive(Clone)]
pub(super) struct JetStream {
    client: Client,
    lost: CancellationToken,
}

/// A stream as the server describes it.
#[derive(Deserialize)]
pub(super) struct StreamInfo {
    config: Value,
    state: StreamState,
}

#[derive(Deserialize)]
struct StreamState {
    messages: u64,
    last_seq: u64,
}

impl StreamInfo {
    /// How many messages it has.
    pub(super) fn messages(&self) -> u64 {
        self.state.messages
    }

    /// The number of the newest message, which may be erased.
    pub(super) fn last_sequence(&self) -> u64 {
        self.state.last_seq
    }
}

/// A message that was read from a stream.
pub(super) struct StoredMessage {
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
    headers: Vec<u8>,
}

impl StoredMessage {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let text = std::str::from_utf8(&self.headers).ok()?;
        let mut lines = text.split("\r\n").filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }
}

/// Which message is read.
pub(super) enum Which<'a> {
    /// The one of this number.
    Sequence(u64),
    /// The oldest one of a subject.
    Oldest(&'a str),
    /// The newest one of a subject.
    Newest(&'a str),
}

impl JetStream {
    /// Requests fail as soon as `lost` is cancelled.
    pub(super) fn new(client: Client, lost: CancellationToken) -> Self {
        Self { client, lost }
    }

    /// The largest message that the server takes, in bytes, headers and all.
    pub(super) fn max_payload(&self) -> u64 {
        self.client.server_info().max_payload as u64
    }

    /// Creates a stream if it does not exist. Of an existing one only `max_bytes` is changed.
    pub(super) async fn open_stream(&self, config: &Value) -> Result<(), Error> {
        let name = config["name"].as_str().unwrap_or_default();
        let mut info = self.stream_info(name).await;
        if info.as_ref().is_err_and(|error| error.is(STREAM_NOT_FOUND)) {
            info = self.ask(&format!("STREAM.CREATE.{name}"), config).await;
        }
        if info
            .as_ref()
            .is_err_and(|error| error.is(STREAM_NAME_IN_USE))
        {
            // Another instance has just created it.
            info = self.stream_info(name).await;
        }
        let mut current = info?.config;
        if current["max_bytes"] != config["max_bytes"] {
            current["max_bytes"] = config["max_bytes"].clone();
            let update = format!("STREAM.UPDATE.{name}");
            self.ask::<StreamInfo>(&update, &current).await?;
        }
        Ok(())
    }

    pub(super) async fn stream_info(&self, name: &str) -> Result<StreamInfo, Error> {
        self.ask(&format!("STREAM.INFO.{name}"), &json!({})).await
    }

    /// Stores a message; returns its number when the server has stored it.
    pub(super) async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Stored {
            seq: u64,
        }
        let answer = self.client.request_with_headers(subject, headers, payload);
        let stored: Stored = parse(&self.until_lost(answer).await?)?;
        Ok(stored.seq)
    }

    /// Stores a message if the newest one of its subject has this number (0: the subject is empty), and returns its own; `None`: it has another
    /// one.
    pub(super) async fn publish_after(
        &self,
        subject: String,
        last: u64,
        payload: Bytes,
    ) -> Result<Option<u64>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", last.to_string());
        match self.publish(subject, headers, payload).await {
            Ok(sequence) => Ok(Some(sequence)),
            Err(error) if error.is(WRONG_LAST_SEQUENCE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a message; `None`: it does not exist.
    pub(super) async fn message(
        &self,
        stream: &str,
        which: Which<'_>,
    ) -> Result<Option<StoredMessage>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            message: Found,
        }
        #[derive(Deserialize)]
        struct Found {
            seq: u64,
            #[serde(default)]
            data: String,
            #[serde(default)]
            hdrs: String,
        }
        let wanted = match which {
            Which::Sequence(sequence) => json!({ "seq": sequence }),
            Which::Oldest(subject) => json!({ "seq": 1, "next_by_subj": subject }),
            Which::Newest(subject) => json!({ "last_by_subj": subject }),
        };
        let found = match self.ask(&format!("STREAM.MSG.GET.{stream}"), &wanted).await {
            Ok(Answer { message }) => message,
            Err(error) if error.is(NO_MESSAGE) => return Ok(None),
            Err(error) => return Err(error),
        };
        let read = |text: &str| STANDARD.decode(text).map_err(unreadable);
        Ok(Some(StoredMessage {
            sequence: found.seq,
            payload: read(&found.data)?.into(),
            headers: read(&found.hdrs)?,
        }))
    }

    /// Erases a message; `false`: it does not exist.
    pub(super) async fn delete_message(&self, stream: &str, sequence: u64) -> Result<bool, Error> {
        let delete = format!("STREAM.MSG.DELETE.{stream}");
        match self
            .ask::<Value>(&delete, &json!({ "seq": sequence }))
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if error.is(MESSAGE_NOT_DELETED) || error.is(NO_MESSAGE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Publishes a message that is not stored, to all that are subscribed at the moment.
    pub(super) async fn tell(&self, subject: String, payload: Bytes) -> Result<(), Error> {
        let told = self.client.publish(subject, payload).await;
        told.map_err(|error| Error::NoAnswer(error.to_string()))
    }

    /// Subscribes to messages that are not stored.
    pub(super) async fn listen(&self, subject: String) -> Result<Subscriber, Error> {
        let subscriber = self.client.subscribe(subject).await;
        subscriber.map_err(|error| Error::NoAnswer(error.to_string()))
    }

    /// Reads a stream from its oldest message on, and then every new message.
    pub(super) async fn follow(&self, stream: &str, headers_only: bool) -> Result<Follower, Error> {
        #[derive(Deserialize)]
        struct Consumer {
            num_pending: u64,
        }
        let inbox = self.client.new_inbox();
        let messages = self.listen(inbox.clone()).await?;
        let config = json!({
            "deliver_subject": inbox,
            "deliver_policy": "all",
            "replay_policy": "instant",
            "ack_policy": "none",
            "max_deliver": 1,
            "headers_only": headers_only,
            "flow_control": true,
            "idle_heartbeat": nanoseconds(HEARTBEAT),
            "mem_storage": true,
            "num_replicas": 1,
        });
        let consumer: Consumer = self
            .ask(
                &format!("CONSUMER.CREATE.{stream}"),
                &json!({ "stream_name": stream, "config": config }),
            )
            .await?;
        Ok(Follower {
            messages,
            count: 0,
            heard: Instant::now(),
            is_empty: consumer.num_pending == 0,
        })
    }

    async fn ask<T: DeserializeOwned>(&self, what: &str, body: &Value) -> Result<T, Error> {
        let body = body.to_string();
        let answer = self.client.request(format!("$JS.API.{what}"), body.into());
        parse(&self.until_lost(answer).await?)
    }

    async fn until_lost(
        &self,
        answer: impl Future<Output = Result<Message, RequestError>>,
    ) -> Result<Message, Error> {
        let answer = tokio::select! {
            answer = answer => answer,
            () = self.lost.cancelled() => {
                return Err(Error::lost());
            }
        };
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::MaxPayloadExceeded => Error::TooLarge,
            RequestErrorKind::NoResponders => {
                Error::NoAnswer("JetStream is not enabled there, or not ready".to_owned())
            }
            RequestErrorKind::TimedOut => Error::NoAnswer("no answer in time".to_owned()),
            RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
                Error::NoAnswer(error.to_string())
            }
        })
    }
}

/// A duration as the server reads it.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What comes from a [`Follower`].
pub(super) enum News {
    Message(Delivered),
    /// No further message is stored at the moment.
    Idle,
    /// The server waits for a message on this subject before it sends more.
    Pause(String),
}

/// A message that the server has sent through a consumer.
pub(super) struct Delivered {
    pub(super) message: Message,
    pub(super) sequence: u64,
    /// No further message was stored when it was sent.
    pub(super) is_last: bool,
}

/// The messages of a stream, in their order and without a gap.
pub(super) struct Follower {
    messages: Subscriber,
    /// How many messages have been received.
    count: u64,
    heard: Instant,
    /// The stream was empty at the start.
    pub(super) is_empty: bool,
}

impl Follower {
    /// Waits for the next message; no message is lost if the future is dropped. After an error a new consumer is needed.
    pub(super) async fn next(&mut self) -> Result<News, Error> {
        let message = timeout_at(self.heard + CONSUMER_TIMEOUT, self.messages.next()).await;
        let lost = || Error::NoAnswer("the server sends nothing any more".to_owned());
        let message = message.map_err(|_| lost())?.ok_or_else(lost)?;
        self.heard = Instant::now();
        match message.status {
            None => self.count(message).map(News::Message),
            Some(StatusCode::IDLE_HEARTBEAT) => self.read_heartbeat(&message),
            Some(status) => Err(Error::NoAnswer(format!("the stream has ended: {status}"))),
        }
    }

    fn read_heartbeat(&self, message: &Message) -> Result<News, Error> {
        let header = |name: &str| message.headers.as_ref()?.get(name);
        let stalled = header("Nats-Consumer-Stalled").map(ToString::to_string);
        let pause = message.reply.as_ref().map(ToString::to_string).or(stalled);
        let sent = header("Nats-Last-Consumer").and_then(|sent| sent.as_str().parse().ok());
        match (pause, sent) {
            (Some(subject), _) => Ok(News::Pause(subject)),
            (None, Some::<u64>(sent)) if sent != self.count => Err(gap()),
            (None, _) => Ok(News::Idle),
        }
    }

    fn count(&mut self, message: Message) -> Result<Delivered, Error> {
        let position = message.reply.as_deref().and_then(position);
        let Some(position) = position else {
            return Err(Error::NoAnswer("a message has no number".to_owned()));
        };
        self.count += 1;
        if position.of_consumer != self.count {
            return Err(gap());
        }
        Ok(Delivered {
            message,
            sequence: position.of_stream,
            is_last: position.pending == 0,
        })
    }
}

fn gap() -> Error {
    Error::NoAnswer("a message was lost on its way".to_owned())
}

struct Position {
    of_stream: u64,
    of_consumer: u64,
    pending: u64,
}

/// The position of a message in its stream, read from its reply subject: `$JS.ACK.stream.consumer.tries.17.3.time.pending`,
/// or with a domain and an account before the stream.
fn position(reply: &str) -> Option<Position> {
    let words: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let first = match words.len() {
        7 => 3,
        9.. => 5,
        _ => return None,
    };
    let number = |at: usize| words[first + at].parse().ok();
    Some(Position {
        of_stream: number(0)?,
        of_consumer: number(1)?,
        pending: number(3)?,
    })
}

fn parse<T: DeserializeOwned>(answer: &Message) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        err_code: u64,
        #[serde(default)]
        description: String,
    }
    let mut answer: Value = serde_json::from_slice(&answer.payload).map_err(unreadable)?;
    match answer.get_mut("error").map(Value::take) {
        None | Some(Value::Null) => serde_json::from_value(answer).map_err(unreadable),
        Some(refusal) => {
            let refusal: Refusal = serde_json::from_value(refusal).map_err(unreadable)?;
            Err(Error::Refused {
                code: refusal.err_code,
                text: refusal.description,
            })
        }
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::NoAnswer(format!("the answer can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_subject_says_where_a_message_stands() {
        let old = position("$JS.ACK.understudy.Xy.1.17.3.1700000000.5").unwrap();
        let new = position("$JS.ACK._.ABC.understudy.Xy.1.17.3.1700000000.5.r").unwrap();
        for found in [old, new] {
            assert_eq!(
                (found.of_stream, found.of_consumer, found.pending),
                (17, 3, 5)
            );
        }
        assert!(position("_INBOX.1.2.3.4.5.6.7").is_none());
        assert!(position("$JS.ACK.a.b").is_none());
    }
}
