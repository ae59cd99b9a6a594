//! What one request met, as its client saw it.

use std::time::Instant;

use crate::plan::Plan;
use crate::wire::{NoResponse, Response};

/// One try to get a response, from its beginning to its end.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) plan: Plan,
    /// Which try it is, from 0.
    pub(crate) attempt: u64,
    /// What happened when.
    pub(crate) events: Vec<(Instant, String)>,
    pub(crate) began: Instant,
    /// When the head's last byte was sent.
    pub(crate) head_sent: Option<Instant>,
    /// When the whole request was sent.
    pub(crate) all_sent: Option<Instant>,
    pub(crate) ended: Instant,
    /// A request was sent on the connection before, so that understudy may have closed it just now.
    pub(crate) is_reused: bool,
    /// When the request before it on the connection began.
    pub(crate) before: Option<Instant>,
    pub(crate) got: Got,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) enum Got {
    Response(Response),
    Nothing(NoResponse),
    /// The client left, with the response if one came all the same.
    Left(Option<Response>),
    /// It was not sent, since the connection ended behind the response to another.
    NotServed,
    /// A tunnel, and what went wrong in it.
    Tunnel(Result<(), String>),
}

impl Account {
    pub(crate) fn new(plan: Plan, attempt: u64) -> Self {
        let now = Instant::now();
        Self {
            plan,
            attempt,
            events: Vec::new(),
            began: now,
            head_sent: None,
            all_sent: None,
            ended: now,
            is_reused: false,
            before: None,
            got: Got::NotServed,
        }
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.events.push((Instant::now(), what.into()));
    }

    pub(crate) fn end(mut self, got: Got) -> Self {
        self.ended = Instant::now();
        self.got = got;
        self
    }
}
