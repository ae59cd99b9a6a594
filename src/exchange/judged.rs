//! An answer on a TwiML route, collected and judged: only what was proved goes back.

use bytes::Bytes;
use http::{Response, header, response};

use super::page::Page;
use super::run::Run;
use super::site::{Route, Slot};
use super::{Attempted, PAGE_LIMIT};
use crate::answer::{self, Plan, Terms, Unfit};
use crate::outcome::Cause;
use crate::twiml::{Kind, Twiml};

/// Collects an answer and judges it.
pub(super) async fn judged(
    mut head: response::Parts,
    kind: Kind,
    run: &mut Run,
    slot: Slot,
) -> Result<Attempted, Cause> {
    let terms = Terms {
        kind,
        strictness: run.route.settings.validate,
        pass_status: &run.route.settings.pass_status,
        conditional: run.conditional,
    };
    let plan = match answer::plan(&head, terms) {
        Ok(Plan::Stream) => return run.download(head, slot),
        Ok(plan) => plan,
        Err(Unfit::ContentType) if run.is_empty().await? => return Err(Unfit::Empty.into()),
        Err(unfit) => return Err(unfit.into()),
    };
    let page = run.page().await?;
    let page = match plan {
        Plan::Stream | Plan::AsItIs => page,
        Plan::Body(warning) => {
            let page = present(page)?;
            warning.inspect(|code| run.route.metrics.warned(*code));
            page
        }
        Plan::Judge { charset, text } => {
            let (page, coded) = answer::decoded(&head.headers, present(page)?, PAGE_LIMIT)?;
            if coded {
                head.headers.remove(header::CONTENT_ENCODING);
                head.headers.remove(header::CONTENT_LENGTH);
            }
            proven(page, charset.as_deref(), text, kind, &run.route)?
        }
    };
    run.done();
    Ok(Attempted::Whole(Response::from_parts(
        head,
        Page::whole(page),
    )))
}

/// Only a page that was proved to be TwiML goes back, or text of which Twilio only warns.
fn proven(
    page: Bytes,
    charset: Option<&str>,
    text: bool,
    kind: Kind,
    route: &Route,
) -> Result<Bytes, Cause> {
    if text && page.trim_ascii_start().first() != Some(&b'<') {
        route.metrics.warned(12200);
        return Ok(page);
    }
    let twiml = Twiml::parse(page, charset, route.rules(kind))?;
    for warning in twiml.warnings() {
        route.metrics.warned(warning.code());
    }
    Ok(twiml.into_bytes())
}

fn present(page: Bytes) -> Result<Bytes, Unfit> {
    if page.is_empty() {
        Err(Unfit::Empty)
    } else {
        Ok(page)
    }
}
