//! Checks every request from three sides: what its plan promises, what its client got, and what understudy itself counted, by its
//! access log line for line, and by its metrics in all. It knows nothing of how understudy works.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use support::Metrics;

use crate::account::{Account, Got};
use crate::app::Diary;
use crate::plan::{
    App, AppDoes, ClientDoes, DEADLINE, Door, Leave, Plan, Planner, ROUTES, Special, Style,
};
use crate::promise::{self, Direct, Want};
use crate::windows::{What, Windows};
use crate::wire::{NoResponse, Response};
use crate::witness::Witness;

/// By how much a response may come after its deadline.
const TOLERANCE: Duration = Duration::from_millis(20);

/// For how long the machine must have stood still before a plan need not be kept.
const STALL: Duration = Duration::from_millis(50);

/// How many discrepancies are told in full.
const TOLD: u64 = 20;

/// How many lines of the logs are remembered for stories.
const REMEMBERED_LINES: usize = 20_000;

/// How a request is counted: the outcome, and the reason of a fallback or of what is observed.
type Count = (String, Option<String>);

/// How a request may be counted, by what its client knows.
#[derive(Clone, Debug)]
struct Allowed {
    /// It may not be counted at all.
    may_be_none: bool,
    counts: Vec<Count>,
}

/// A request that one side has told of and the other hasn't.
enum Pending {
    Account(Box<Account>, Allowed),
    Logged {
        route: String,
        count: Count,
    },
    /// A discrepancy was told of it: how it was counted is no question any more.
    Told,
}

/// What understudy's log says of a request.
#[derive(Deserialize)]
struct AccessLine<'a> {
    route: &'a str,
    outcome: &'a str,
    #[serde(default)]
    reason: Option<&'a str>,
    #[serde(default)]
    trace_id: Option<&'a str>,
    #[serde(default)]
    parent_id: Option<&'a str>,
}

/// The last line of a process's log.
#[derive(Deserialize)]
struct LastLine {
    requests: u64,
}

/// The processes of one instance that have ended since its last audit, by their own last lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) processes: u64,
    /// How many requests they have counted in their lives.
    pub(crate) requests: u64,
}

/// Counts of one instance since its last audit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) outcomes: BTreeMap<(String, String), u64>,
    pub(crate) reasons: BTreeMap<(String, String), u64>,
    pub(crate) observed: BTreeMap<(String, String), u64>,
}

impl Counts {
    /// How many requests were counted in all.
    pub(crate) fn requests(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// What is said at the end.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) requests: AtomicU64,
    pub(crate) responses: AtomicU64,
    pub(crate) fallbacks: AtomicU64,
    pub(crate) left: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) tunnels: AtomicU64,
    pub(crate) excused: AtomicU64,
    pub(crate) waited_in_restart: AtomicU64,
    pub(crate) closed_by_app: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) discrepancies: AtomicU64,
    pub(crate) audits: AtomicU64,
    pub(crate) latest_microseconds: AtomicU64,
}

#[derive(Default)]
struct Ledger {
    pending: HashMap<(u64, u64), Pending>,
    counts: HashMap<Door, Counts>,
    ended: HashMap<Door, Ended>,
    by_want: BTreeMap<String, u64>,
}

/// The editions of an instance's configuration: each with when it was written, and since when it surely holds.
#[derive(Default)]
pub(crate) struct Editions(Mutex<Vec<(u64, Instant, Option<Instant>)>>);

pub(crate) struct Accountant {
    pub(crate) planner: Arc<Planner>,
    pub(crate) windows: Windows,
    pub(crate) witness: Arc<Witness>,
    pub(crate) totals: Totals,
    pub(crate) directs: OnceLock<Vec<Option<Direct>>>,
    pub(crate) editions: HashMap<Door, Editions>,
    /// Lateness is measured, and not held against it: for a machine that is busy with something else.
    pub(crate) is_lenient: bool,
    /// The story of every request is told.
    tells_all: bool,
    diary: Arc<Diary>,
    ledger: Mutex<Ledger>,
    log: Mutex<VecDeque<(Instant, String)>>,
    started: Instant,
}

/// What the client is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Settled,
    /// The connection was closed before the request was taken, as may happen to any client that keeps one: it asks again.
    AskAgain,
}

impl Accountant {
    pub(crate) fn new(
        planner: &Arc<Planner>,
        witness: &Arc<Witness>,
        diary: &Arc<Diary>,
        is_lenient: bool,
        tells_all: bool,
    ) -> Self {
        let editions = [Door::Plain, Door::Tls].map(|door| (door, Editions::default()));
        Self {
            planner: Arc::clone(planner),
            windows: Windows::default(),
            witness: Arc::clone(witness),
            totals: Totals::default(),
            directs: OnceLock::new(),
            editions: editions.into_iter().collect(),
            is_lenient,
            tells_all,
            diary: Arc::clone(diary),
            ledger: Mutex::default(),
            log: Mutex::default(),
            started: Instant::now(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn direct(&self, fault: usize) -> Direct {
        let directs = self.directs.get().expect("the apps were asked first");
        let direct = directs[fault].clone();
        direct.expect("every fault whose response goes back was asked for")
    }

    /// Takes a client's account of a request.
    pub(crate) fn judge(&self, account: Account) -> Verdict {
        if self.tells_all {
            let story = format!("\n{}", self.story(&account));
            let _ = std::io::stdout().write_all(story.as_bytes());
        }
        let verdict = self.verdict(&account);
        let (verdict, allowed) = match verdict {
            Ok(verdict) => verdict,
            Err(problem) => {
                self.tell(&problem, Some(&account));
                // How it was counted is no question any more.
                (Verdict::Settled, None)
            }
        };
        if verdict == Verdict::AskAgain {
            self.totals.retried.fetch_add(1, Relaxed);
        } else {
            self.totals.requests.fetch_add(1, Relaxed);
        }
        match allowed {
            Some(allowed) => self.settle(Box::new(account), allowed),
            None => {
                let key = (account.plan.number, account.attempt);
                let mut ledger = self.ledger();
                if ledger.pending.remove(&key).is_none() {
                    // Its line is still to come.
                    ledger.pending.insert(key, Pending::Told);
                }
            }
        }
        verdict
    }

    /// How the request may be counted; none if that can't be said.
    fn verdict(&self, account: &Account) -> Result<(Verdict, Option<Allowed>), String> {
        let plan = &account.plan;
        let wants = || promise::wants(&self.planner, &self.windows, account);
        match &account.got {
            Got::Response(response) => {
                let wants = wants();
                let mut matched = self.match_want(account, &wants, response);
                if matched.is_err()
                    && let Some(want) = self.closed_by_app(plan)
                {
                    matched = self.match_want(account, &[want], response).or(matched);
                    let is_so = u64::from(matched.is_ok());
                    self.totals.closed_by_app.fetch_add(is_so, Relaxed);
                }
                let want = match matched {
                    Err(_) if self.has_stalled(account) => {
                        let stalled: Vec<_> = promise::stalled(plan).collect();
                        let want = self.match_want(account, &stalled, response);
                        self.totals
                            .excused
                            .fetch_add(u64::from(want.is_ok()), Relaxed);
                        want.or(matched)?
                    }
                    matched => matched?,
                };
                self.totals.responses.fetch_add(1, Relaxed);
                if matches!(want, Want::Fallback(_)) {
                    self.totals.fallbacks.fetch_add(1, Relaxed);
                }
                self.check_time(account, response.head_at, response.end_at)?;
                let may_break_off = wants.contains(&Want::Truncated);
                Ok((
                    Verdict::Settled,
                    self.counts_of(account, want, may_break_off),
                ))
            }
            Got::Tunnel(Ok(())) => {
                self.totals.tunnels.fetch_add(1, Relaxed);
                Ok((Verdict::Settled, once(vec![count(Want::Switch)])))
            }
            Got::Tunnel(Err(problem)) => {
                let (from, to) = (account.began, account.ended);
                let door = plan.session.door;
                let may_end = self.windows.touch(What::Restart(door), from, to)
                    || self.windows.touch(What::HangUp, from, to)
                    || self.windows.touch(What::ChildDown, from, to)
                    || self.windows.touch(What::ChildStopped, from, to)
                    || self.windows.touch(What::Starved(door), from, to);
                match may_end {
                    // A restart waits for no stream.
                    true => Ok((Verdict::Settled, once(vec![count(Want::Switch)]))),
                    false => Err(format!("the tunnel broke: {problem}")),
                }
            }
            Got::Left(response) => {
                self.totals.left.fetch_add(1, Relaxed);
                let allowed = self.allowed_after_leaving(account, response.is_some(), &wants());
                Ok((Verdict::Settled, Some(allowed)))
            }
            Got::NotServed => Ok((Verdict::AskAgain, Some(never()))),
            Got::Nothing(NoResponse::Ended { begun: false, .. }) if self.may_ask_again(account) => {
                Ok((Verdict::AskAgain, Some(maybe(vec![abandoned()]))))
            }
            Got::Nothing(why) => {
                self.totals.lost.fetch_add(1, Relaxed);
                Err(format!("LOST: no response came: {why}"))
            }
        }
    }

    /// Whether the machine stood still for so long that the plan could not be kept.
    fn has_stalled(&self, account: &Account) -> bool {
        let (from, to) = (account.began, account.ended);
        self.is_lenient || self.witness.stalled(from, to) >= STALL
    }

    /// An app that closes a kept connection without a word may do so just when a request is sent on it. That it never saw the request
    /// proves it.
    fn closed_by_app(&self, plan: &Plan) -> Option<Want> {
        let is_there = !matches!(plan.route.app, App::Refused | App::Full);
        let is_unseen = is_there && self.diary.of(plan.number).is_empty();
        is_unseen.then(|| promise::failed(plan, "reset"))
    }

    fn match_want(
        &self,
        account: &Account,
        wants: &[Want],
        response: &Response,
    ) -> Result<Want, String> {
        let mut problems = Vec::new();
        for want in wants {
            let checked =
                promise::check(*want, &account.plan, response, |fault| self.direct(fault));
            match checked {
                Ok(()) => {
                    if let Want::Fallback(_) = want {
                        self.check_edition(account, response)?;
                    }
                    let name = format!("{want:?}");
                    let name = name.split(['(', ',']).next().unwrap_or_default();
                    let name = match want {
                        Want::Fallback(reason) => format!("Fallback({reason})"),
                        _ => name.to_owned(),
                    };
                    *self.ledger().by_want.entry(name).or_default() += 1;
                    return Ok(*want);
                }
                Err(problem) => problems.push(format!("not {want:?}, since {problem}")),
            }
        }
        Err(format!("WRONG response: {}", problems.join("; ")))
    }

    /// A fallback document is that of a configuration which held while the request ran.
    fn check_edition(&self, account: &Account, response: &Response) -> Result<(), String> {
        let body = String::from_utf8_lossy(&response.body);
        let Some(edition) = promise::edition(&account.plan, &body)? else {
            return Ok(());
        };
        let door = account.plan.session.door;
        let (from, to) = (account.began, account.ended);
        let is_moving = [What::Restart(door), What::Upgrade(door)];
        if is_moving
            .iter()
            .any(|what| self.windows.touch(*what, from, to))
        {
            return Ok(());
        }
        let (oldest, newest) = self.editions[&door].between(from, to);
        match (oldest..=newest).contains(&edition) {
            true => Ok(()),
            false => Err(format!(
                "WRONG configuration: the fallback is of edition {edition}, in force were {oldest} to {newest}"
            )),
        }
    }

    /// How a request is counted whose response was this.
    fn counts_of(&self, account: &Account, want: Want, may_break_off: bool) -> Option<Allowed> {
        let plan = &account.plan;
        if plan.client == ClientDoes::Garbage {
            // It has no line of its own, since it belongs to no route.
            let mut ledger = self.ledger();
            let counts = ledger.counts.entry(plan.session.door).or_default();
            let key = ("unmatched".to_owned(), "rejected".to_owned());
            *counts.outcomes.entry(key).or_default() += 1;
            return Some(never());
        }
        let observes = plan.route.special == Special::Observed;
        let mut counts = vec![count(want)];
        if observes {
            // What is late, and what breaks off, is only observed there.
            counts.extend(observed());
        }
        if want == Want::Endless && may_break_off {
            counts.push(count(Want::Truncated));
        }
        if want == Want::Truncated {
            // The client may have been told of its end before understudy was.
            counts.push(abandoned());
        }
        once(counts)
    }

    fn allowed_after_leaving(
        &self,
        account: &Account,
        has_response: bool,
        wants: &[Want],
    ) -> Allowed {
        let plan = &account.plan;
        if account.head_sent.is_none() && plan.session.style != Style::Http2 {
            return never();
        }
        let mut counts: Vec<_> = wants.iter().map(|want| count(*want)).collect();
        counts.push(abandoned());
        if !plan.kind.is_twiml() {
            // A stream that the app broke off.
            counts.push(("error".to_owned(), None));
        }
        if plan.route.special == Special::Observed {
            counts.extend(observed());
        }
        match plan.client {
            ClientDoes::LeaveInResponse { .. } if has_response => Allowed {
                may_be_none: false,
                counts,
            },
            // Whoever ends in good order is read to the end.
            ClientDoes::LeaveInRequest {
                how: Leave::Fin, ..
            }
            | ClientDoes::LeaveAfterRequest {
                how: Leave::Fin, ..
            } if has_response => Allowed {
                may_be_none: false,
                counts,
            },
            _ => maybe(counts),
        }
    }

    /// A connection that is kept may be closed just when a request is sent: by a restart, by an upgrade, or when places are short.
    /// If that began when the head of the response before was sent already, that head could not say it.
    fn may_ask_again(&self, account: &Account) -> bool {
        let door = account.plan.session.door;
        let (from, to) = (account.before.unwrap_or(account.began), account.ended);
        let closing = [
            What::Restart(door),
            What::Upgrade(door),
            What::Starved(door),
        ];
        account.is_reused
            && closing
                .iter()
                .any(|what| self.windows.touch(*what, from, to))
    }

    fn check_time(
        &self,
        account: &Account,
        head_at: Instant,
        end_at: Instant,
    ) -> Result<(), String> {
        let plan = &account.plan;
        let is_bound_whole = promise::is_bound_whole(plan);
        let (start, end) = match is_bound_whole {
            true => (account.head_sent, end_at),
            // Without TwiML, time counts from the last bytes of the request.
            false => (account.all_sent, head_at),
        };
        let Some(start) = start else {
            return Ok(());
        };
        if plan.route.special == Special::Observed {
            // Nothing is replaced there, however late it is.
            return Ok(());
        }
        let took = end.saturating_duration_since(start);
        let Some(late) = took.checked_sub(DEADLINE) else {
            return Ok(());
        };
        let door = plan.session.door;
        let waited = self
            .windows
            .overlap(What::Restart(door), account.began, end)
            .unwrap_or_default();
        let starved = self
            .windows
            .overlap(What::Starved(door), account.began, end)
            .unwrap_or_default();
        if late <= TOLERANCE {
            return Ok(());
        }
        if late <= TOLERANCE + waited + starved {
            let milliseconds = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            self.totals
                .waited_in_restart
                .fetch_max(milliseconds, Relaxed);
            return Ok(());
        }
        let stalled = self.witness.stalled(start, end);
        let microseconds = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.totals
            .latest_microseconds
            .fetch_max(microseconds, Relaxed);
        if late <= TOLERANCE + waited + starved + stalled || self.is_lenient {
            self.totals.excused.fetch_add(1, Relaxed);
            return Ok(());
        }
        self.totals.late.fetch_add(1, Relaxed);
        Err(format!(
            "LATE by {late:?}; the machine stood still for {stalled:?}"
        ))
    }

    /// Compares a client's account with the line in understudy's log, now or when that comes.
    fn settle(&self, account: Box<Account>, allowed: Allowed) {
        let key = (account.plan.number, account.attempt);
        let mut ledger = self.ledger();
        match ledger.pending.remove(&key) {
            Some(Pending::Logged { route, count }) => {
                drop(ledger);
                self.compare(&account, &allowed, &route, &count);
            }
            Some(other @ (Pending::Account(..) | Pending::Told)) => {
                ledger.pending.insert(key, other);
                drop(ledger);
                self.tell("the same request was sent twice", Some(&account));
            }
            None => {
                let pending = Pending::Account(account, allowed);
                ledger.pending.insert(key, pending);
            }
        }
    }

    fn compare(&self, account: &Account, allowed: &Allowed, route: &str, count: &Count) {
        let expected = match account.plan.client {
            ClientDoes::Garbage => "unmatched",
            _ => account.plan.route.name,
        };
        let reason = match count.0.as_str() {
            "fallback" | "observed" => count.1.clone(),
            _ => None,
        };
        let counted = (count.0.clone(), reason);
        let is_so = |counted: &Count| {
            allowed.counts.contains(counted)
                || self.came_later(account, counted)
                || self.was_closed_by_app(account, counted)
                || self.was_ended_by_kill(&account.plan, account.began, counted)
        };
        let is_allowed = is_so(&counted)
            || fallback_of_unknown_kind(account, count).is_some_and(|fallback| is_so(&fallback));
        if route != expected || !is_allowed {
            let problem = format!(
                "MISCOUNTED: understudy counted it as {counted:?} of route {route}; allowed is {allowed:?} of {expected}"
            );
            self.tell(&problem, Some(account));
        }
    }

    /// Whether what was disturbed after a client had left explains how its request was counted.
    fn came_later(&self, account: &Account, counted: &Count) -> bool {
        let has_left = match &account.got {
            Got::Left(_) => account.head_sent.is_some(),
            // It reads the beginning of an endless one.
            Got::Response(response) => !response.is_whole,
            Got::Tunnel(_) | Got::NotServed | Got::Nothing(_) => false,
        };
        if !has_left {
            return false;
        }
        let later = Account {
            ended: Instant::now(),
            ..account.clone()
        };
        let mut wants = promise::wants(&self.planner, &self.windows, &later);
        if self.has_stalled(&later) {
            wants.extend(promise::stalled(&later.plan));
        }
        wants.iter().any(|want| count(*want) == *counted)
    }

    /// What a client that stays gets where an app closes a kept connection just then, is counted for one that leaves.
    fn was_closed_by_app(&self, account: &Account, counted: &Count) -> bool {
        let is_so = matches!(account.got, Got::Left(_))
            && account.head_sent.is_some()
            && self
                .closed_by_app(&account.plan)
                .is_some_and(|want| count(want) == *counted);
        self.totals
            .closed_by_app
            .fetch_add(u64::from(is_so), Relaxed);
        is_so
    }

    /// A body that ends with its connection is whole when its app is killed.
    fn was_ended_by_kill(&self, plan: &Plan, began: Instant, counted: &Count) -> bool {
        let AppDoes::Fault(index) = plan.app else {
            return false;
        };
        self.planner.faults[index].name == "endless_body_until_close"
            && plan.route.app == App::Child
            && !plan.kind.is_twiml()
            && *counted == ("upstream".to_owned(), None)
            && self.windows.touch(What::ChildDown, began, Instant::now())
    }

    /// Takes a line of an instance's log.
    pub(crate) fn log_line(&self, door: Door, line: &str) {
        {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() == REMEMBERED_LINES {
                log.pop_front();
            }
            log.push_back((Instant::now(), line.to_owned()));
        }
        if line.contains("\"understudy::access\"") {
            self.access_line(door, line);
        } else if line.contains("\"message\":\"stopped\"") {
            match serde_json::from_str::<LastLine>(line) {
                Ok(last) => {
                    let mut ledger = self.ledger();
                    let ended = ledger.ended.entry(door).or_default();
                    ended.processes += 1;
                    ended.requests += last.requests;
                }
                Err(error) => self.tell(&format!("{error}: {line}"), None),
            }
        } else if line.contains("panic") {
            self.tell(&format!("PANIC: {line}"), None);
        }
    }

    fn access_line(&self, door: Door, line: &str) {
        let Ok(access) = serde_json::from_str::<AccessLine<'_>>(line) else {
            return self.tell(
                &format!("the log has a line that can't be read: {line}"),
                None,
            );
        };
        let hexadecimal = |text: Option<&str>, from: usize| {
            let text = text?.get(from..)?;
            u64::from_str_radix(text, 16).ok()
        };
        let mut ledger = self.ledger();
        let counts = ledger.counts.entry(door).or_default();
        let label = |text: &str| (access.route.to_owned(), text.to_owned());
        *counts.outcomes.entry(label(access.outcome)).or_default() += 1;
        let reason = access.reason.unwrap_or_default();
        match access.outcome {
            "fallback" => *counts.reasons.entry(label(reason)).or_default() += 1,
            "observed" => *counts.observed.entry(label(reason)).or_default() += 1,
            // What was observed may break off, or its client leave, before its last byte.
            "abandoned" | "error"
                if !matches!(reason, "" | "abandoned") && observes(access.route) =>
            {
                *counts.observed.entry(label(reason)).or_default() += 1;
            }
            _ => {}
        }
        let (number, attempt) = (
            hexadecimal(access.trace_id, 16),
            hexadecimal(access.parent_id, 0),
        );
        let (Some(number), Some(attempt)) = (number, attempt) else {
            drop(ledger);
            return self.tell(
                &format!("a request that nobody sent was counted: {line}"),
                None,
            );
        };
        let key = (number - 1, attempt - 1);
        let count = (
            access.outcome.to_owned(),
            access.reason.map(ToOwned::to_owned),
        );
        match ledger.pending.remove(&key) {
            Some(Pending::Account(account, allowed)) => {
                drop(ledger);
                self.compare(&account, &allowed, access.route, &count);
            }
            Some(Pending::Logged { .. }) => {
                drop(ledger);
                self.tell(&format!("COUNTED TWICE: {line}"), None);
            }
            Some(Pending::Told) => {}
            None => {
                let route = access.route.to_owned();
                ledger.pending.insert(key, Pending::Logged { route, count });
            }
        }
    }

    /// Whether every account of an instance has its line, and every line its account.
    pub(crate) fn is_settled(&self, door: Door) -> bool {
        let ledger = self.ledger();
        !ledger.pending.iter().any(|((number, _), pending)| {
            self.door_of(*number) == door
                && match pending {
                    Pending::Account(_, allowed) => !allowed.may_be_none,
                    Pending::Logged { .. } => true,
                    Pending::Told => false,
                }
        })
    }

    fn door_of(&self, number: u64) -> Door {
        self.planner.session(number / crate::plan::PER_SESSION).door
    }

    /// No request of this instance runs any more: what is still not settled never will be.
    pub(crate) fn close_books(&self, door: Door) {
        let mut ledger = self.ledger();
        let keys: Vec<_> = ledger.pending.keys().copied().collect();
        let mut open = Vec::new();
        for key in keys {
            if self.door_of(key.0) == door
                && let Some(pending) = ledger.pending.remove(&key)
            {
                open.push((key, pending));
            }
        }
        drop(ledger);
        for ((number, attempt), pending) in open {
            match pending {
                Pending::Account(
                    _,
                    Allowed {
                        may_be_none: true, ..
                    },
                )
                | Pending::Told => {}
                Pending::Account(account, allowed) => {
                    let problem = format!("UNCOUNTED: understudy has no line for it; {allowed:?}");
                    self.tell(&problem, Some(&account));
                }
                Pending::Logged { route, count } => {
                    let problem = format!(
                        "COUNTED without a client's account: request {number}, try {attempt}, route {route}, {count:?}"
                    );
                    self.tell(&problem, None);
                }
            }
        }
    }

    /// Takes what the log of an instance has counted since the last time.
    pub(crate) fn take_counts(&self, door: Door) -> Counts {
        self.ledger().counts.remove(&door).unwrap_or_default()
    }

    /// The processes of an instance that have said that they ended, since the last audit.
    pub(crate) fn ended(&self, door: Door) -> Ended {
        self.ledger().ended.get(&door).copied().unwrap_or_default()
    }

    /// The same, to be counted anew from now on.
    pub(crate) fn take_ended(&self, door: Door) -> Ended {
        self.ledger().ended.remove(&door).unwrap_or_default()
    }

    /// How often each thing was got.
    pub(crate) fn summary(&self) -> String {
        let ledger = self.ledger();
        let parts = ledger.by_want.iter();
        let parts: Vec<_> = parts.map(|(want, many)| format!("{want} {many}")).collect();
        parts.join(", ")
    }

    /// Tells of a discrepancy: the story of the request from every side, and how to see it again.
    pub(crate) fn tell(&self, problem: &str, account: Option<&Account>) {
        let number = self.totals.discrepancies.fetch_add(1, Relaxed);
        if number >= TOLD {
            return;
        }
        let mut story = format!(
            "\n=== discrepancy {} after {:?}: {problem}\n",
            number + 1,
            self.started.elapsed()
        );
        if let Some(account) = account {
            story.push_str(&self.story(account));
        }
        let _ = std::io::stderr().write_all(story.as_bytes());
    }

    fn story(&self, account: &Account) -> String {
        let plan = &account.plan;
        let mut events: Vec<_> = account.events.clone();
        events.push((account.ended, format!("client: {:?}", ended(&account.got))));
        events.extend(self.diary.of(plan.number));
        let from = account.before.unwrap_or(account.began);
        events.extend(self.windows.describe(from, account.ended));
        let trace = trace_id(self.planner.seed, plan.number);
        {
            let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = log.iter().filter(|(_, line)| line.contains(&trace));
            events.extend(lines.map(|(at, line)| (*at, format!("understudy's log: {line}"))));
        }
        events.sort();
        let fault = match plan.app {
            AppDoes::Fault(index) => self.planner.faults[index].name,
            _ => "",
        };
        let mut story = format!(
            "seed {}, request {}, try {}: {plan:?} {fault}\n",
            self.planner.seed, plan.number, account.attempt
        );
        for (at, what) in events {
            let relative = match at.checked_duration_since(account.began) {
                Some(after) => format!("{:+10.3} ms", after.as_secs_f64() * 1000.0),
                None => {
                    let before = account.began - at;
                    format!("{:+10.3} ms", -before.as_secs_f64() * 1000.0)
                }
            };
            story.push_str(&format!("{relative}  {what}\n"));
        }
        story.push_str(&format!(
            "to see it again: cargo test --test endurance -- --seed {} --only {}\n",
            self.planner.seed, plan.number
        ));
        story
    }
}

/// Whether a route of this name observes.
fn observes(name: &str) -> bool {
    let mut routes = ROUTES.iter();
    routes.any(|route| route.name == name && route.special == Special::Observed)
}

/// On a route of kind auto, only the whole form says that TwiML is expected. If its client left, of the form may have come less than was
/// sent, and what would be a fallback is an error, for the same reason.
fn fallback_of_unknown_kind(account: &Account, count: &Count) -> Option<Count> {
    let is_unknown = account.plan.route.special == Special::Auto
        && matches!(account.got, Got::Left(_))
        && account.head_sent.is_some();
    (is_unknown && count.0 == "error").then(|| ("fallback".to_owned(), count.1.clone()))
}

/// What came, short enough to be read.
fn ended(got: &Got) -> String {
    let mut text = match got {
        Got::Response(response) | Got::Left(Some(response)) => format!(
            "response {} {:?} whole: {}, body: {:?}",
            response.status,
            response
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
                .collect::<Vec<_>>(),
            response.is_whole,
            String::from_utf8_lossy(&response.body)
        ),
        other => format!("{other:?}"),
    };
    text.truncate(text.floor_char_boundary(2000));
    text
}

/// The trace of a request, by which its lines in the log are found.
pub(crate) fn trace_id(seed: u64, number: u64) -> String {
    format!("{seed:016x}{:016x}", number + 1)
}

fn count(want: Want) -> Count {
    let (outcome, reason) = want.count();
    (outcome.to_owned(), reason.map(ToOwned::to_owned))
}

fn abandoned() -> Count {
    ("abandoned".to_owned(), None)
}

/// What may be observed of an app whatever its plan.
fn observed() -> impl Iterator<Item = Count> {
    let reasons = ["deadline", "reset", "truncated", "overload"];
    let reasons = reasons.into_iter();
    reasons.map(|reason| ("observed".to_owned(), Some(reason.to_owned())))
}

fn once(counts: Vec<Count>) -> Option<Allowed> {
    Some(Allowed {
        may_be_none: false,
        counts,
    })
}

fn maybe(counts: Vec<Count>) -> Allowed {
    Allowed {
        may_be_none: true,
        counts,
    }
}

/// It may not be counted.
fn never() -> Allowed {
    maybe(Vec::new())
}

impl Editions {
    fn all(&self) -> MutexGuard<'_, Vec<(u64, Instant, Option<Instant>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before it is written.
    pub(crate) fn write(&self, edition: u64) {
        let mut all = self.all();
        if all.len() > 100 {
            all.drain(..50);
        }
        all.push((edition, Instant::now(), None));
    }

    /// To be called when it surely holds.
    pub(crate) fn confirm(&self, edition: u64) {
        let mut all = self.all();
        if let Some(own) = all.iter_mut().find(|own| own.0 == edition) {
            own.2 = Some(Instant::now());
        }
    }

    /// The oldest and the newest that may have been in force between these.
    fn between(&self, from: Instant, to: Instant) -> (u64, u64) {
        let all = self.all();
        let held = all
            .iter()
            .filter(|own| own.2.is_some_and(|confirmed| confirmed <= from));
        let written = all.iter().filter(|own| own.1 <= to);
        (
            held.map(|own| own.0).max().unwrap_or_default(),
            written.map(|own| own.0).max().unwrap_or_default(),
        )
    }
}

/// The counters that metrics and log must agree on.
pub(crate) fn counts_of_metrics(metrics: &Metrics) -> Counts {
    let mut counts = Counts::default();
    for series in metrics.series() {
        let label = |name: &str| series.labels.get(name).cloned().unwrap_or_default();
        let value = series.value as u64;
        match series.name.as_str() {
            "understudy_requests_total" => counts
                .outcomes
                .insert((label("route"), label("outcome")), value),
            "understudy_fallback_activations_total" => counts
                .reasons
                .insert((label("route"), label("reason")), value),
            "understudy_observed_failures_total" => counts
                .observed
                .insert((label("route"), label("reason")), value),
            _ => continue,
        };
    }
    counts
}
