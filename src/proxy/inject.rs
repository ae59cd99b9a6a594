//! Drills: a request in which a drill injects a fault never reaches the app, and fails as it would by the app's own failure. And
//! which drills a route can have.

use std::fmt;
use std::future::pending;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::Mode;
use super::run::Run;
use super::snapshot::{ConcurrencyPermit, Route};
use crate::body::RequestBody;
use crate::drill::{self, Plan, Progress};
use crate::failure::Failure;
use crate::response::{self, Expectations};
use crate::route;
use crate::twiml::{self, Kind, Rules, Strictness, Twiml};
use crate::webhook::Parameters;

/// A page of an app that died while it wrote it.
const BROKEN_OFF: &[u8] =
    br#"<?xml version="1.0" encoding="UTF-8"?><Response><Say>Thank you for call"#;

/// A page as a tutorial of Twilio's own has it.
const LOWER_CASE: &[u8] =
    br#"<?xml version="1.0" encoding="UTF-8"?><response><say>Thank you for calling.</say></response>"#;

/// Why a drill can't be started.
#[derive(Clone, Debug)]
pub enum DrillRefused {
    /// The route is only observed: nothing is ever replaced.
    Observed,
    /// Answers aren't judged, so a bad page is no failure.
    NotJudged,
    /// The route answers no TwiML, so it has no page.
    NoPage,
    /// The page isn't TwiML that Twilio acts on.
    BadPage(Kind, Box<twiml::Error>),
}

/// Injects the fault of the route's drill, if one is on and chooses this request. The request takes a place on its route, but none
/// at the app.
pub(super) async fn inject_fault(run: &mut Run) -> Result<(), Failure> {
    let Some(fault) = run.route.next_fault() else {
        return Ok(());
    };
    run.injected = Some(fault);
    let _slot = ConcurrencyPermit::on_route(&run.route);
    let kind = run.twiml_kind().await?;
    Err(match (fault, kind) {
        (drill::Fault::Deadline, _) => silence(&run.upload).await,
        (drill::Fault::Malformed, Some(kind)) => bad_page(BROKEN_OFF, run.route.rules(kind)),
        (drill::Fault::Root, Some(kind)) => bad_page(LOWER_CASE, run.route.rules(kind)),
        (drill::Fault::Status5xx, Some(kind)) => bad_status(kind, run),
        // Nobody judges what these would get, so they all meet the same.
        (drill::Fault::Malformed | drill::Fault::Root | drill::Fault::Status5xx, None) => {
            response::Error::Status(StatusCode::INTERNAL_SERVER_ERROR).into()
        }
    })
}

/// The deadline cuts this short. What the client sends is taken meanwhile, as an app that hangs would.
async fn silence(upload: &RequestBody) -> Failure {
    match upload.read_rest().await {
        Ok(()) => pending().await,
        Err(failure) => failure.into(),
    }
}

fn bad_status(kind: Kind, run: &Run) -> Failure {
    let mut head = Response::new(()).into_parts().0;
    head.status = StatusCode::INTERNAL_SERVER_ERROR;
    let terms = Expectations {
        kind,
        strictness: run.route.settings.validate,
        pass_status: &[],
        conditional: run.conditional,
    };
    let planned = response::plan(&head, terms);
    planned
        .expect_err("no status of 500 is an answer where none may pass")
        .into()
}

fn bad_page(page: &'static [u8], rules: &Rules) -> Failure {
    let judged = Twiml::parse(Bytes::from_static(page), None, rules);
    judged.expect_err("the page is bad").into()
}

impl Run {
    /// Records that a drill was answered by the fallback; not where a document was sent because the fallback URL failed.
    pub(super) fn record_drill_success(&self, kind: Kind, from_url: bool) {
        let has_url = self.route.settings.fallback.elsewhere(kind).is_some();
        if from_url == has_url {
            self.route.metrics.drill_succeeded();
        }
    }
}

impl Route {
    /// Begins a drill: the one whose place it takes, if one was on.
    ///
    /// # Errors
    ///
    /// Why it would show nothing.
    pub fn begin_drill(&self, plan: Plan) -> Result<Option<Progress>, DrillRefused> {
        self.can_drill(plan.fault)?;
        self.judge_pages()?;
        Ok(self.drill.begin(plan))
    }

    pub(super) fn can_drill(&self, fault: drill::Fault) -> Result<(), DrillRefused> {
        let judges = self.settings.validate.is_some() && !self.kinds().is_empty();
        match self.settings.mode {
            Mode::Observe => Err(DrillRefused::Observed),
            Mode::Enforce if fault.is_of_a_page() && !judges => Err(DrillRefused::NotJudged),
            Mode::Enforce => Ok(()),
        }
    }

    /// The fault that a drill injects in the next request, if one is on and chooses it.
    fn next_fault(&self) -> Option<drill::Fault> {
        match self.settings.mode {
            Mode::Enforce => self.drill.next_fault(),
            Mode::Observe => None,
        }
    }

    /// Judges the fallback's pages without a call: whom they are for. A fallback URL isn't asked.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn judge_fallback(&self) -> Result<&'static [Kind], DrillRefused> {
        match self.kinds() {
            [] => Err(DrillRefused::NoPage),
            kinds => self.judge_pages().map(|()| kinds),
        }
    }

    fn judge_pages(&self) -> Result<(), DrillRefused> {
        for &kind in self.kinds() {
            let page = self
                .settings
                .fallback
                .page(kind, &Parameters::new(b"", b""));
            // It goes out as UTF-8.
            Twiml::parse(
                page,
                Some("utf-8"),
                &self.rules(kind).at(Strictness::Twilio),
            )
            .map_err(|fault| DrillRefused::BadPage(kind, fault.into()))?;
        }
        Ok(())
    }

    /// Whom it may answer with TwiML.
    fn kinds(&self) -> &'static [Kind] {
        match self.settings.kind {
            route::Kind::Voice => &[Kind::Voice],
            route::Kind::Messaging => &[Kind::Messaging],
            route::Kind::Auto => &[Kind::Voice, Kind::Messaging],
            route::Kind::Callback | route::Kind::Pass => &[],
        }
    }
}

impl fmt::Display for DrillRefused {
    /// Why; what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observed => f.write_str(
                "its mode is observe, where nothing is ever replaced; drill it in mode enforce",
            ),
            Self::NotJudged => f.write_str(
                "its responses are not validated, so a document that is not valid is not a failure there; \
                 drill it with deadline or status_5xx",
            ),
            Self::NoPage => f.write_str(
                "its responses are not TwiML, so it has no fallback document; \
                 judge routes of kind voice, messaging or auto",
            ),
            Self::BadPage(kind, fault) => {
                let place = fault.place();
                let (line, column) = (place.line, place.column);
                write!(
                    f,
                    "the fallback is not valid {kind} TwiML: {line}:{column}: {fault}"
                )
            }
        }
    }
}

impl std::error::Error for DrillRefused {}
