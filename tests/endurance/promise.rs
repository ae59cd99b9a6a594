//! What a caller may get for a request, by its plan and by what was disturbed meanwhile; and whether a response is that.

use std::time::Instant;

use crate::account::Account;
use crate::app::{FROM_URL, document};
use crate::faults::Promise;
use crate::plan::{App, AppDoes, ClientDoes, Door, Kind, Plan, Planner, Signature, Special, Style};
use crate::windows::{What, Windows};
use crate::wire::Response;

/// One thing that a caller may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// The document with the request's number.
    Own,
    /// The response of this fault, as the app itself gives it.
    Direct(usize),
    /// This document.
    Document(&'static str),
    /// The fallback, for this reason.
    Fallback(&'static str),
    /// What an app does is only observed: its response, and this reason.
    Observed(&'static str, usize),
    /// This status, and no TwiML.
    Error(u16),
    /// The same, by the sender's own fault.
    Refused(u16),
    /// A part of the app's response.
    Truncated,
    /// A response that has no end.
    Endless,
    /// The switch to another protocol.
    Switch,
}

impl Want {
    /// How it is counted: the outcome, and the reason of a fallback or of what is observed.
    pub(crate) fn count(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Own | Self::Direct(_) | Self::Document(_) | Self::Switch => ("upstream", None),
            Self::Fallback(reason) => ("fallback", Some(reason)),
            Self::Observed(reason, _) => ("observed", Some(reason)),
            Self::Error(_) | Self::Truncated => ("error", None),
            Self::Refused(_) => ("rejected", None),
            Self::Endless => ("abandoned", None),
        }
    }
}

/// Everything that the caller may get.
pub(crate) fn wants(planner: &Planner, windows: &Windows, account: &Account) -> Vec<Want> {
    let plan = &account.plan;
    if let Some(only) = refusal(plan) {
        return vec![only];
    }
    let (from, to) = (account.began, account.ended);
    let door = plan.session.door;
    if plan.route.special == Special::Drilled && plan.kind.is_twiml() {
        let drill = What::DrillHolds(door);
        if windows.contain(drill, from, to) {
            return vec![Want::Fallback("drill")];
        }
    }
    let mut wants = planned(planner, plan);
    if plan.route.special == Special::Drilled && windows.touch(What::Drill(door), from, to) {
        wants.push(Want::Fallback("drill"));
    }
    match plan.route.special {
        Special::Breaker => wants.push(Want::Fallback("breaker_open")),
        Special::Narrow => wants.push(Want::Fallback("overload")),
        _ => {}
    }
    disturbed(plan, door, windows, (from, to), &mut wants);
    wants
}

/// Whether the response may have no end, so that the client has to leave.
pub(crate) fn may_be_endless(planner: &Planner, plan: &Plan) -> bool {
    refusal(plan).is_none() && planned(planner, plan).contains(&Want::Endless)
}

/// What is refused whatever the app would do.
fn refusal(plan: &Plan) -> Option<Want> {
    if matches!(plan.client, ClientDoes::Garbage | ClientDoes::WithoutHost) {
        return Some(Want::Refused(400));
    }
    let is_signed = plan.route.special == Special::Signed;
    match plan.signature {
        Signature::Forged | Signature::Missing if is_signed => {
            // A forged one is found when the body is there.
            match plan.client {
                ClientDoes::TooSlowly if plan.signature == Signature::Forged => {
                    Some(Want::Refused(408))
                }
                _ => Some(Want::Refused(403)),
            }
        }
        _ => None,
    }
}

/// What the plan says, if nothing is disturbed.
fn planned(planner: &Planner, plan: &Plan) -> Vec<Want> {
    let is_twiml = plan.kind.is_twiml();
    let failed = |reason, status| match is_twiml {
        true => Want::Fallback(reason),
        false => Want::Error(status),
    };
    let observes = plan.route.special == Special::Observed;
    match plan.route.app {
        App::Refused => return vec![failed("connect", 502)],
        App::Full => return vec![failed("connect_timeout", 502)],
        _ => {}
    }
    // Where responses are only observed, nobody is too slow.
    if plan.client == ClientDoes::TooSlowly && !observes {
        return vec![Want::Refused(408)];
    }
    match plan.app {
        AppDoes::Well | AppDoes::Slowly(_) => vec![Want::Own],
        AppDoes::AtDeadline { .. } if observes => vec![Want::Own],
        AppDoes::AtDeadline { .. } => vec![Want::Own, failed("deadline", 504)],
        AppDoes::Echo => vec![Want::Switch],
        AppDoes::Fault(index) => vec![match planner.faults[index].promise(plan.kind) {
            Promise::Unchanged => Want::Direct(index),
            Promise::Document(document) => Want::Document(document),
            Promise::Fallback(reason) if observes => Want::Observed(reason, index),
            Promise::Fallback(reason) => Want::Fallback(reason),
            Promise::Error(status) => Want::Error(status),
            Promise::Truncated => Want::Truncated,
            Promise::Endless => Want::Endless,
        }],
    }
}

/// What a caller gets where the app has failed for this reason.
pub(crate) fn failed(plan: &Plan, reason: &'static str) -> Want {
    // What is expected there, the form says, of which only half comes.
    let is_unknown = plan.route.special == Special::Auto && plan.client == ClientDoes::TooSlowly;
    let is_replaced = plan.kind.is_twiml() && plan.route.special != Special::Observed;
    match is_replaced && !is_unknown {
        true => Want::Fallback(reason),
        false if reason == "truncated" => Want::Truncated,
        false if reason == "deadline" => Want::Error(504),
        false => Want::Error(502),
    }
}

/// On a route of kind auto, half of a form may be enough to say what is expected.
fn may_be_known(plan: &Plan) -> bool {
    plan.route.special == Special::Auto
        && plan.client == ClientDoes::TooSlowly
        && plan.kind.is_twiml()
}

/// What else a caller may get on a machine that stood still for so long that an app could not respond, or a client not send, in
/// time.
pub(crate) fn stalled(plan: &Plan) -> impl Iterator<Item = Want> {
    let reasons = ["deadline", "connect_timeout", "connect", "tls"];
    let reasons = reasons.map(|reason| failed(plan, reason));
    // A client that is meant to be too slow may then be in time.
    let in_time = (plan.client == ClientDoes::TooSlowly).then_some(Want::Own);
    let reasons = reasons.into_iter().chain([Want::Refused(408)]);
    reasons.chain(in_time)
}

/// What else may happen because of a disturbance.
fn disturbed(
    plan: &Plan,
    door: Door,
    windows: &Windows,
    (from, to): (Instant, Instant),
    wants: &mut Vec<Want>,
) {
    let is = |what| windows.touch(what, from, to);
    let mut reasons: Vec<&'static str> = Vec::new();
    match plan.route.app {
        App::Child => {
            if is(What::ChildDown) {
                reasons.extend(["connect", "reset", "truncated"]);
            }
            if is(What::ChildStopped) {
                reasons.push("deadline");
            }
        }
        App::Unix if is(What::UnixGone) => reasons.extend(["connect", "reset", "truncated"]),
        App::Tcp | App::Secure if is(What::HangUp) => reasons.extend(["reset", "truncated"]),
        App::Tcp | App::Unix | App::Secure | App::Refused | App::Full => {}
    }
    for reason in reasons {
        wants.push(failed(plan, reason));
        if may_be_known(plan) {
            wants.push(Want::Fallback(reason));
        }
    }
    if plan.client == ClientDoes::TooSlowly && is(What::Restart(door)) {
        // While it waited to be accepted, it has sent everything.
        wants.push(Want::Own);
    }
    if is(What::Restart(door)) && !plan.kind.is_twiml() {
        // A restart waits for no stream.
        wants.push(Want::Truncated);
    }
    if is(What::Starved(door)) {
        wants.push(
            match plan.kind.is_twiml() && plan.route.special != Special::Observed {
                true => Want::Fallback("overload"),
                false => Want::Error(502),
            },
        );
    }
}

/// Whether a response is what was wanted, and if not, why.
pub(crate) fn check(
    want: Want,
    plan: &Plan,
    response: &Response,
    direct: impl Fn(usize) -> Direct,
) -> Result<(), String> {
    let is = |is_so: bool, what: &str| is_so.then_some(()).ok_or_else(|| what.to_owned());
    let no_reason = || is(response.reason().is_none(), "it is a fallback");
    let body = || String::from_utf8_lossy(&response.body).into_owned();
    match want {
        Want::Own => {
            is(response.status == 200, "the status is not 200")?;
            no_reason()?;
            is(response.is_whole, "it is not whole")?;
            is(
                response.body == document(plan).as_bytes(),
                "it is not the request's own document",
            )?;
            if plan.kind.is_twiml() {
                let text = twiml_text(&body())?;
                is(text == plan.number.to_string(), "its number is another")?;
            }
            Ok(())
        }
        Want::Direct(fault) | Want::Observed(_, fault) => {
            let own = direct(fault);
            no_reason()?;
            is(response.status == own.status, "the status is not the app's")?;
            is(response.is_whole, "it is not whole")?;
            is(response.body == own.body, "the body is not the app's")
        }
        Want::Document(document) => {
            no_reason()?;
            is(
                response.body == document.as_bytes(),
                "the document is not the app's",
            )
        }
        Want::Fallback(reason) => {
            is(response.status == 200, "the status is not 200")?;
            is(
                response.reason() == Some(reason),
                &format!("the reason is not {reason}"),
            )?;
            is(response.is_whole, "it is not whole")?;
            let content_type = response.header("content-type");
            let expected = match body() == FROM_URL {
                // The app's own.
                true => "text/xml",
                false => "text/xml; charset=utf-8",
            };
            is(
                content_type == Some(expected),
                "the content type is not that of a fallback",
            )?;
            is(plan.kind.is_twiml(), "no TwiML is expected here")?;
            is_fallback_document(plan, &body())
        }
        Want::Error(status) | Want::Refused(status) => {
            is(
                response.status == status,
                &format!("the status is not {status}"),
            )?;
            no_reason()?;
            is(response.is_whole, "it is not whole")?;
            is(!response.body.contains(&b'<'), "it has markup")
        }
        Want::Truncated => {
            is(response.status == 200, "the status is not 200")?;
            is(!response.is_whole, "it is whole")
        }
        Want::Endless => is(response.status == 200, "the status is not 200"),
        Want::Switch => is(response.status == 101, "the status is not 101"),
    }
}

/// What an app responds when it is asked directly.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The text of a TwiML document, by a parser that isn't understudy's.
fn twiml_text(body: &str) -> Result<String, String> {
    let document = roxmltree::Document::parse(body).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        return Err("the root is not Response".to_owned());
    }
    let texts = root.descendants().filter(|node| node.is_text());
    let texts = texts.filter_map(|node| node.text());
    Ok(texts.collect())
}

/// The fallback document of the request's route, with the request's own parameter in it. It says in which edition of the
/// configuration it stands.
fn is_fallback_document(plan: &Plan, body: &str) -> Result<(), String> {
    if body == FROM_URL && plan.route.special == Special::FallbackUrl {
        return Ok(());
    }
    edition(plan, body).map(|_| ())
}

/// The edition of the configuration whose fallback document this is.
pub(crate) fn edition(plan: &Plan, body: &str) -> Result<Option<u64>, String> {
    if body == FROM_URL {
        return Ok(None);
    }
    let text = twiml_text(body)?;
    let words: Vec<_> = text.split(' ').collect();
    let [edition, route, sid] = words[..] else {
        return Err(format!("it is not a fallback of ours: {text:?}"));
    };
    if route != plan.route.name {
        return Err(format!("it is the fallback of another route, {route}"));
    }
    // Of a form that did not come whole, no parameter is used.
    let may_come_apart = matches!(
        plan.client,
        ClientDoes::TooSlowly | ClientDoes::Slowly { .. }
    );
    if sid != sid_of(plan) && !(sid.is_empty() && may_come_apart) {
        return Err(format!("it has another parameter than the request, {sid}"));
    }
    edition
        .parse()
        .map(Some)
        .map_err(|_| format!("its edition is {edition:?}"))
}

/// The CallSid or MessageSid of a request.
pub(crate) fn sid_of(plan: &Plan) -> String {
    let prefix = match plan.kind {
        Kind::Messaging => "SM",
        Kind::Voice | Kind::Callback | Kind::Pass => "CA",
    };
    format!("{prefix}{:032x}", plan.number)
}

/// Whether the response's last byte must come before the deadline; if not, only its head.
pub(crate) fn is_bound_whole(plan: &Plan) -> bool {
    plan.kind.is_twiml() && plan.app != AppDoes::Echo && plan.session.style != Style::Tunnel
}
