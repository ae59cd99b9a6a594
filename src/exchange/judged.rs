//! An answer on a TwiML route, collected and judged: only what was proved goes back.

use bytes::Bytes;
use http::{Response, header, response};

use super::page::Page;
use super::run::Run;
use super::site::{Route, Slot};
use super::{Attempted, PAGE_LIMIT};
use crate::answer::{self, Plan, Terms, Unfit};
use crate::outcome::Cause;
use crate::twiml::{Kind, Strictness, Twiml};

/// Collects an answer and judges it. On a route that is only observed, a bad one goes back as well.
pub(super) async fn judged(
    head: response::Parts,
    kind: Kind,
    run: &mut Run,
    slot: Slot,
) -> Result<Attempted, Cause> {
    let original = run.observes().then(|| head.clone());
    match (collected(head, kind, run).await, original) {
        (Ok(Collected::Whole(response)), _) => Ok(Attempted::Whole(response)),
        (Ok(Collected::Stream(head)), _) => run.download(head, slot),
        (Err(cause), Some(original)) if run.in_flight.is_some() => {
            run.observed = Some(cause);
            run.download(original, slot)
        }
        (Err(cause), _) => Err(cause),
    }
}

enum Collected {
    Whole(Response<Page>),
    /// Its body isn't to be collected.
    Stream(response::Parts),
}

async fn collected(
    mut head: response::Parts,
    kind: Kind,
    run: &mut Run,
) -> Result<Collected, Cause> {
    let plan = match planned(&head, kind, run) {
        Ok(Plan::Stream) => return Ok(Collected::Stream(head)),
        Ok(plan) => plan,
        // What has no body needs no type.
        Err(Unfit::ContentType) if run.is_empty().await? => Plan::Body(None),
        Err(unfit) => return Err(unfit.into()),
    };
    let page = run.page().await?;
    let page = proven(&mut head, page, plan, kind, &run.route)?;
    run.done();
    Ok(Collected::Whole(Response::from_parts(
        head,
        Page::whole(page),
    )))
}

/// What the answer's head says is to be done with it.
pub(super) fn planned(head: &response::Parts, kind: Kind, run: &Run) -> Result<Plan, Unfit> {
    let terms = Terms {
        kind,
        strictness: run.route.settings.validate,
        pass_status: &run.route.settings.pass_status,
        conditional: run.conditional,
    };
    answer::plan(head, terms)
}

/// The page that goes back by this plan: what needs to be TwiML was proved to be.
pub(super) fn proven(
    head: &mut response::Parts,
    page: Bytes,
    plan: Plan,
    kind: Kind,
    route: &Route,
) -> Result<Bytes, Cause> {
    match plan {
        Plan::Stream | Plan::AsItIs => Ok(page),
        Plan::Body(_) | Plan::Judge { .. } if page.is_empty() => empty(page, kind, route),
        Plan::Body(warning) => {
            warning.inspect(|code| route.metrics.warned(*code));
            Ok(page)
        }
        Plan::Judge { charset, text } => {
            let (page, coded) = answer::decoded(&head.headers, page, PAGE_LIMIT)?;
            if coded {
                head.headers.remove(header::CONTENT_ENCODING);
                head.headers.remove(header::CONTENT_LENGTH);
            }
            if page.is_empty() {
                return empty(page, kind, route);
            }
            twiml(page, charset.as_deref(), text, kind, route)
        }
    }
}

/// A page that is TwiML, or text of which Twilio only warns.
fn twiml(
    page: Bytes,
    charset: Option<&str>,
    text: bool,
    kind: Kind,
    route: &Route,
) -> Result<Bytes, Cause> {
    let rules = route.rules(kind);
    let mut twiml = Twiml::parse(page, charset, rules)?;
    if twiml.is_plain_text() && !text {
        // It says that it is XML, and isn't.
        twiml = Twiml::parse(twiml.into_bytes(), charset, &rules.at(Strictness::Strict))?;
    }
    for warning in twiml.warnings() {
        route.metrics.warned(warning.code());
    }
    Ok(twiml.into_bytes())
}

/// Success without a body, if it may go back.
fn empty(nothing: Bytes, kind: Kind, route: &Route) -> Result<Bytes, Cause> {
    let warning = answer::accept_empty(kind, route.settings.validate)?;
    warning.inspect(|code| route.metrics.warned(*code));
    Ok(nothing)
}
