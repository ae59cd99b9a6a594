//! Lists, shows, retries and drops queued callbacks.
//!
//! - `GET /api/queue?route=NAME&state=dead&after=ID&limit=N`: a page of them, the oldest id first; `next` is the `after` of the
//!   page behind it, and null on the last one. State `waiting` includes those that are being delivered.
//! - `GET /api/queue/ID`: one of them, with the names of its headers and parameters. Only with `reveal=yes` their values are in
//!   it, and its body; that is guarded as a change is, and logged.
//! - `POST /api/queue/retry` with `{"ids":["17"]}`: they are due at once. A dead letter waits again, under a new id.
//! - `POST /api/queue/drop` with `{"ids":["17"]}`: they are erased. One that is being delivered is left alone.

mod document;
mod summary;

use std::time::{Duration, SystemTime};

use http::StatusCode;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::info;

use super::request_body;
use crate::proxy::Snapshot;
use crate::queue::{self, Filter, Future, Id, ParseIdError, Store};

const PATH: &str = "/api/queue";

const RETRY: &str = "/api/queue/retry";
const DROP: &str = "/api/queue/drop";

/// The most bytes of a request's body: enough for the most ids.
const BODY_LIMIT: usize = 64 << 10;

/// How many callbacks a page has if the request doesn't say.
const PAGE: usize = 100;

/// The most callbacks of a page, and the most ids that are changed at once.
const MOST: usize = 1000;

/// How long the store may take; its server may be far away.
const TIMEOUT: Duration = Duration::from_secs(8);

const EXAMPLE: &str = r#"{"ids":["17","18"]}"#;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    List(Page),
    Show { id: Id, reveal: bool },
    Retry,
    Drop,
}

/// Which callbacks are listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    route: Option<String>,
    is_dead: Option<bool>,
    after: Option<Id>,
    limit: usize,
}

/// Why nothing is listed or done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no queue is configured: see `[queue]` and `when_down` in the configuration")]
    NotConfigured,
    #[error(transparent)]
    Id(#[from] ParseIdError),
    #[error("callback {0} does not exist: it was delivered or dropped, or has another id now")]
    NotFound(Id),
    #[error("unknown parameter {0:?}; use {1}")]
    Parameter(String, &'static str),
    #[error("state is {0:?}; write waiting or dead")]
    State(String),
    #[error("limit is {0:?}; write a whole number from 1 to {MOST}")]
    Limit(String),
    #[error("reveal is {0:?}; write yes or no")]
    Reveal(String),
    #[error("{0}; send {EXAMPLE}")]
    Body(#[from] request_body::Error),
    #[error("the ids can't be read: {0}; send {EXAMPLE}")]
    Json(serde_json::Error),
    #[error("send from 1 to {MOST} ids, such as {EXAMPLE}")]
    Count,
    #[error(transparent)]
    Store(#[from] queue::Error),
    #[error("the queue did not respond within {} s", TIMEOUT.as_secs())]
    TooSlow,
}

impl Error {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotConfigured | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Id(_)
            | Self::Parameter(..)
            | Self::State(_)
            | Self::Limit(_)
            | Self::Reveal(_)
            | Self::Json(_)
            | Self::Count => StatusCode::BAD_REQUEST,
            Self::Body(error) => error.status(),
            Self::Store(queue::Error::Damaged(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// How much waits, for the status; None if no queue is configured. At most so many routes, those whose oldest callback waits the
/// longest first; without a limit all of them by their names.
pub(super) fn summary(snapshot: &Snapshot, most: Option<usize>) -> Option<Value> {
    let settings = snapshot.queue.as_ref()?;
    let store = snapshot.shared.queue()?;
    let stored = store.summary();
    Some(summary::to_json(&stored, settings.max_size, snapshot, most))
}

/// Whether a path is one of the queue's.
pub(super) fn is_path(path: &str) -> bool {
    let rest = path.strip_prefix(PATH);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether requests to this path change something.
pub(super) fn is_change(path: &str) -> bool {
    matches!(path, RETRY | DROP)
}

impl Operation {
    pub(super) fn parse(path: &str, query: &str) -> Result<Self, Error> {
        match path {
            PATH => Page::parse(query).map(Self::List),
            RETRY => Ok(Self::Retry),
            DROP => Ok(Self::Drop),
            _ => {
                let id = path.strip_prefix(PATH).unwrap_or_default();
                let id = id.trim_start_matches('/').parse()?;
                let reveal = parse_reveal(query)?;
                Ok(Self::Show { id, reveal })
            }
        }
    }

    /// Whether it changes something, or reveals what callers sent.
    pub(super) fn is_guarded(&self) -> bool {
        match self {
            Self::List(_) => false,
            Self::Show { reveal, .. } => *reveal,
            Self::Retry | Self::Drop => true,
        }
    }
}

impl Page {
    fn parse(query: &str) -> Result<Self, Error> {
        let mut page = Self {
            route: None,
            is_dead: None,
            after: None,
            limit: PAGE,
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*key, &*value) {
                ("route", name) => page.route = Some(name.to_owned()),
                ("state", "waiting") => page.is_dead = Some(false),
                ("state", "dead") => page.is_dead = Some(true),
                ("state", _) => return Err(Error::State(value.into())),
                ("after", id) => page.after = Some(id.parse()?),
                ("limit", number) => {
                    let number = number.parse().ok();
                    let number = number.filter(|number| (1..=MOST).contains(number));
                    page.limit = number.ok_or_else(|| Error::Limit(value.into()))?;
                }
                _ => {
                    return Err(Error::Parameter(key.into(), "route, state, after or limit"));
                }
            }
        }
        Ok(page)
    }
}

fn parse_reveal(query: &str) -> Result<bool, Error> {
    let mut reveal = false;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        reveal = match (&*key, &*value) {
            ("reveal", "yes") => true,
            ("reveal", "no") => false,
            ("reveal", _) => return Err(Error::Reveal(value.into())),
            _ => return Err(Error::Parameter(key.into(), "reveal")),
        };
    }
    Ok(reveal)
}

/// Does what an operation says; a change is of the ids in the request's body. Gives back the document of the response.
pub(super) async fn execute(
    store: &dyn Store,
    operation: Operation,
    body: Incoming,
) -> Result<Value, Error> {
    match operation {
        Operation::List(page) => list(store, &page).await,
        Operation::Show { id, reveal } => show(store, id, reveal).await,
        Operation::Retry => {
            let ids = parse_ids(&request_body::read(body, BODY_LIMIT).await?)?;
            retry(store, &ids).await
        }
        Operation::Drop => {
            let ids = parse_ids(&request_body::read(body, BODY_LIMIT).await?)?;
            remove(store, &ids).await
        }
    }
}

async fn list(store: &dyn Store, page: &Page) -> Result<Value, Error> {
    let filter = Filter {
        route: page.route.as_deref(),
        is_dead: page.is_dead,
    };
    let mut entries = wait(store.list(filter, page.after, page.limit + 1)).await?;
    let has_more = entries.len() > page.limit;
    entries.truncate(page.limit);
    let last = entries.last().filter(|_| has_more);
    Ok(json!({
        "next": last.map(|entry| entry.id.to_string()),
        "callbacks": entries.iter().map(document::entry).collect::<Vec<_>>(),
    }))
}

async fn show(store: &dyn Store, id: Id, reveal: bool) -> Result<Value, Error> {
    let found = wait(store.find(id)).await?;
    let (entry, callback) = found.ok_or(Error::NotFound(id))?;
    if reveal {
        info!(route = entry.route, %id, "values of a callback revealed");
    }
    let mut document = document::entry(&entry);
    document["request"] = document::request(&callback, reveal);
    Ok(document)
}

async fn retry(store: &dyn Store, ids: &[Id]) -> Result<Value, Error> {
    let found = wait(store.retry(ids, SystemTime::now())).await?;
    info!(callbacks = found, "callbacks retried");
    Ok(json!({ "found": found }))
}

async fn remove(store: &dyn Store, ids: &[Id]) -> Result<Value, Error> {
    let found = wait(store.remove(ids)).await?;
    info!(callbacks = found, "callbacks dropped");
    Ok(json!({ "found": found }))
}

async fn wait<T>(asked: Future<'_, Result<T, queue::Error>>) -> Result<T, Error> {
    let result = timeout(TIMEOUT, asked).await;
    Ok(result.map_err(|_| Error::TooSlow)??)
}

fn parse_ids(body: &[u8]) -> Result<Vec<Id>, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        ids: Vec<String>,
    }
    let Body { ids } = serde_json::from_slice(body).map_err(Error::Json)?;
    if !(1..=MOST).contains(&ids.len()) {
        return Err(Error::Count);
    }
    let mut ids: Vec<Id> = ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

#[cfg(test)]
mod tests;
