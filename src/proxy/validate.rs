//! An answer on a TwiML route, collected and judged: only what was proved goes back.

use bytes::Bytes;
use http::{Response, header};

use super::body::ResponseBody;
use super::run::Run;
use super::snapshot::{ConcurrencyPermit, Route};
use super::{Attempted, PAGE_LIMIT};
use crate::failure::Failure;
use crate::response::{self, Disposition, Expectations};
use crate::twiml::{Kind, Strictness, Twiml};

/// Collects an answer and judges it. On a route that is only observed, a bad one goes back as well.
pub(super) async fn validate_response(
    head: http::response::Parts,
    kind: Kind,
    run: &mut Run,
    slot: ConcurrencyPermit,
) -> Result<Attempted, Failure> {
    let original = run.observes().then(|| head.clone());
    match (collect_body(head, kind, run).await, original) {
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
    Whole(Response<ResponseBody>),
    /// Its body isn't to be collected.
    Stream(http::response::Parts),
}

async fn collect_body(
    mut head: http::response::Parts,
    kind: Kind,
    run: &mut Run,
) -> Result<Collected, Failure> {
    let plan = match plan_response(&head, kind, run) {
        Ok(Disposition::Stream) => return Ok(Collected::Stream(head)),
        Ok(plan) => plan,
        // What has no body needs no type.
        Err(response::Error::ContentType) if run.is_empty().await? => Disposition::Body(None),
        Err(unfit) => return Err(unfit.into()),
    };
    let page = run.page().await?;
    let page = validate_body(&mut head, page, plan, kind, &run.route)?;
    run.done();
    Ok(Collected::Whole(Response::from_parts(
        head,
        ResponseBody::whole(page),
    )))
}

/// What the answer's head says is to be done with it.
pub(super) fn plan_response(
    head: &http::response::Parts,
    kind: Kind,
    run: &Run,
) -> Result<Disposition, response::Error> {
    let terms = Expectations {
        kind,
        strictness: run.route.settings.validate,
        pass_status: &run.route.settings.pass_status,
        conditional: run.conditional,
    };
    response::plan(head, terms)
}

/// The page that goes back by this plan: what needs to be TwiML was proved to be.
pub(super) fn validate_body(
    head: &mut http::response::Parts,
    page: Bytes,
    plan: Disposition,
    kind: Kind,
    route: &Route,
) -> Result<Bytes, Failure> {
    match plan {
        Disposition::Stream | Disposition::AsItIs => Ok(page),
        Disposition::Body(_) | Disposition::Judge { .. } if page.is_empty() => {
            empty(page, kind, route)
        }
        Disposition::Body(warning) => {
            warning.inspect(|code| route.metrics.warned(*code));
            Ok(page)
        }
        Disposition::Judge { charset, text } => {
            let (page, coded) = response::decoded(&head.headers, page, PAGE_LIMIT)?;
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
) -> Result<Bytes, Failure> {
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
fn empty(nothing: Bytes, kind: Kind, route: &Route) -> Result<Bytes, Failure> {
    let warning = response::accept_empty(kind, route.settings.validate)?;
    warning.inspect(|code| route.metrics.warned(*code));
    Ok(nothing)
}
