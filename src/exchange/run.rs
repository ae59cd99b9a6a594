//! What is known of a call while it runs, also when its attempt was cut short.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header, request, response};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::page::{self, Page};
use super::site::{Route, Shared, Slot};
use super::{AfterDeadline, Answered, Attempted, PAGE_LIMIT};
use crate::body::{self, Upload};
use crate::deadline::Deadline;
use crate::failures::{self, Failure};
use crate::fallback;
use crate::metrics::Tally;
use crate::outcome::{Cause, Outcome, Verdict};
use crate::twiml::Kind;
use crate::upstream::{self, Download, InFlight, fields};
use crate::webhook::{self, Parameters};

/// How long an app may go on with a call that nobody waits for: as long as Twilio itself would have waited.
const AFTERMATH: Duration = Duration::from_secs(15);

/// How many bytes of an answer that nobody waits for are read, so that its connection can serve the next call.
const AFTERMATH_LIMIT: usize = 4 * PAGE_LIMIT;

/// One call under way. Dropped with a request still in flight, it lets the app finish, if the route says so.
pub(super) struct Run {
    pub(super) route: Arc<Route>,
    pub(super) upload: Upload,
    pub(super) in_flight: Option<InFlight>,
    pub(super) retried: bool,
    /// The app's status, once known.
    pub(super) status: Option<StatusCode>,
    pub(super) websocket: bool,
    pub(super) conditional: bool,
    /// The deadline passed, so what the app still answers is late.
    late: bool,
    uri: Uri,
    form: bool,
    expects: Expects,
    began: Instant,
}

/// What Twilio expects for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Twiml(Kind),
    Anything,
    /// The form will tell, once it is in.
    Untold,
}

impl Run {
    pub(super) fn new(route: Arc<Route>, head: &request::Parts, body: Incoming) -> Self {
        let websocket = fields::asks_for_websocket(head);
        let form = webhook::is_form(&head.headers);
        let expects = match head.method {
            Method::HEAD | Method::OPTIONS => Expects::Anything,
            _ if websocket => Expects::Anything,
            _ => expected(
                &route,
                &head.uri,
                form && !http_body::Body::is_end_stream(&body),
            ),
        };
        let limit = match expects {
            Expects::Anything => u64::MAX,
            Expects::Twiml(_) | Expects::Untold => route.settings.max_request_body,
        };
        Self {
            route,
            upload: Upload::new(body, limit),
            in_flight: None,
            retried: false,
            status: None,
            websocket,
            conditional: is_conditional(&head.method, &head.headers),
            late: false,
            uri: head.uri.clone(),
            form,
            expects,
            began: Instant::now(),
        }
    }

    /// Whether the answer is, or may turn out to be, TwiML.
    pub(super) fn may_be_twiml(&self) -> bool {
        self.expects != Expects::Anything
    }

    /// What TwiML is expected, if any. Reads the rest of the form where only that can tell.
    pub(super) async fn twiml_kind(&self) -> Result<Option<Kind>, body::Failure> {
        if self.expects == Expects::Untold {
            self.upload.read_rest().await?;
        }
        Ok(self.known_kind())
    }

    /// What TwiML is expected by all that is known now.
    pub(super) fn known_kind(&self) -> Option<Kind> {
        match self.expects {
            Expects::Twiml(kind) => Some(kind),
            Expects::Anything => None,
            Expects::Untold => self.parameters(&self.upload.remembered()).kind(),
        }
    }

    /// The page that stands in for the app's. An opt-out gets none of ours: only Twilio may answer it.
    fn stand_in(&self, kind: Kind) -> Bytes {
        match kind {
            Kind::Messaging if self.parameters(&self.form()).opts_out() => fallback::silence(),
            Kind::Messaging | Kind::Voice => self.route.settings.fallback.page(kind),
        }
    }

    fn parameters<'a>(&'a self, form: &'a [u8]) -> Parameters<'a> {
        Parameters::new(self.uri.query().unwrap_or_default().as_bytes(), form)
    }

    fn form(&self) -> Bytes {
        if self.form {
            self.upload.remembered()
        } else {
            Bytes::new()
        }
    }

    /// The app's page, whole.
    pub(super) async fn page(&mut self) -> Result<Bytes, upstream::Failure> {
        match &mut self.in_flight {
            Some(in_flight) => {
                let page = in_flight.page(PAGE_LIMIT).await;
                // A page that broke or is too large leaves nothing to finish.
                page.inspect_err(|_| self.in_flight = None)
            }
            None => Ok(Bytes::new()),
        }
    }

    /// Whether the app's answer has no body.
    pub(super) async fn is_empty(&mut self) -> Result<bool, upstream::Failure> {
        match &mut self.in_flight {
            Some(in_flight) => in_flight.is_empty().await,
            None => Ok(true),
        }
    }

    /// The app's answer is whole: its connection is free.
    pub(super) fn done(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.release();
        }
        self.app_answered();
    }

    fn app_answered(&self) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.route.metrics.upstream_seconds.observe(seconds);
    }

    /// The app switched protocols, as it was asked to.
    pub(super) async fn switched(&mut self, head: response::Parts) -> Result<Attempted, Cause> {
        let in_flight = self.in_flight.take().ok_or(upstream::Failure::Reset)?;
        self.app_answered();
        let response = Response::from_parts(head, Page::whole(Bytes::new()));
        Ok(Attempted::Tunnel(response, in_flight.into_tunnel().await))
    }

    /// The app's answer, its body still to come.
    pub(super) fn download(
        &mut self,
        head: response::Parts,
        slot: Slot,
    ) -> Result<Attempted, Cause> {
        let in_flight = self.in_flight.take().ok_or(upstream::Failure::Reset)?;
        self.app_answered();
        Ok(Attempted::Stream(head, in_flight.into_download()?, slot))
    }

    /// An answer that streams; the call is counted at its end.
    pub(super) fn streamed(
        &self,
        head: response::Parts,
        download: Download,
        tally: Tally,
        slot: Slot,
    ) -> Response<Page> {
        let page = if http_body::Body::is_end_stream(&download) {
            tally.finish(Outcome::Upstream);
            Page::whole(Bytes::new())
        } else {
            Page::stream(download, tally, slot, Arc::clone(&self.route))
        };
        Response::from_parts(head, page)
    }

    /// Reads what the app didn't read of the request before an answer goes back; see [`Upload::read_rest`]. After the
    /// deadline that is what has come already.
    pub(super) async fn read_rest(&self, deadline: Deadline) {
        if !self.upload.is_whole() {
            let _ = deadline.bound(self.upload.read_rest()).await;
        }
    }

    /// Why the app gave no head: maybe the client's doing.
    pub(super) fn blame(&mut self, failure: upstream::Failure) -> Cause {
        // There is nothing left that could finish.
        self.in_flight = None;
        match self.upload.failure() {
            Some(own) => own.into(),
            None => failure.into(),
        }
    }

    pub(super) fn answered(&self, response: Response<Page>) -> Answered {
        Answered {
            leaves_unread: !self.upload.is_whole(),
            ..response.into()
        }
    }

    /// What goes back for a cause, and how the call is counted.
    pub(super) fn answer_for(
        &mut self,
        cause: &Cause,
        shared: &Shared,
    ) -> (Outcome, Response<Page>) {
        self.late = matches!(cause, Cause::Deadline);
        let (outcome, response) = match (cause.verdict(), self.known_kind()) {
            (Verdict::Refuse(_), _) if self.has_left(cause) => (
                Outcome::Abandoned,
                page::plain(StatusCode::BAD_REQUEST, cause),
            ),
            (Verdict::Refuse(status), _) => (Outcome::Rejected, page::plain(status, cause)),
            (Verdict::FallBack { reason, .. }, Some(kind)) => {
                self.route.metrics.fell_back(reason);
                (
                    Outcome::Fallback,
                    page::fallback(self.stand_in(kind), reason),
                )
            }
            (Verdict::FallBack { status, .. }, None) => {
                (Outcome::Error, page::plain(status, cause))
            }
        };
        self.report(cause, outcome, shared);
        (outcome, response)
    }

    /// Whether it was the client that ended the call.
    fn has_left(&self, cause: &Cause) -> bool {
        matches!(cause, Cause::Request(body::Failure::Left))
    }

    /// Says and remembers what happened.
    fn report(&self, cause: &Cause, outcome: Outcome, shared: &Shared) {
        let failure = self.failure(cause, outcome);
        match outcome {
            Outcome::Fallback | Outcome::Error | Outcome::Observed => {
                warn!(
                    target: "understudy::call",
                    route = failure.route,
                    outcome = failure.outcome,
                    reason = failure.reason,
                    twilio_code = failure.twilio_code,
                    sid = failure.sid,
                    upstream_status = failure.upstream_status,
                    milliseconds = failure.milliseconds,
                    line = failure.line,
                    column = failure.column,
                    detail = failure.detail,
                    "the app gave no good answer"
                );
                shared.failures.push(failure);
            }
            Outcome::Upstream | Outcome::Rejected | Outcome::Abandoned => info!(
                target: "understudy::call",
                route = failure.route,
                outcome = failure.outcome,
                detail = failure.detail,
                "a request was not answered"
            ),
        }
    }

    fn failure(&self, cause: &Cause, outcome: Outcome) -> Failure {
        let reason = match cause.verdict() {
            Verdict::FallBack { reason, .. } => reason.label(),
            Verdict::Refuse(_) => outcome.label(),
        };
        Failure {
            timestamp_seconds: failures::now(),
            route: self.route.settings.name.clone(),
            outcome: outcome.label(),
            reason,
            twilio_code: cause.twilio_code(),
            sid: self.parameters(&self.form()).sid(),
            upstream_status: self.status.map(|status| status.as_u16()),
            milliseconds: self.began.elapsed().as_millis() as u64,
            line: cause.place().map(|(line, _)| line),
            column: cause.place().map(|(_, column)| column),
            detail: in_words(cause),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.retried {
            self.route.metrics.retried(self.status.is_some());
        }
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        if self.route.settings.after_deadline == AfterDeadline::Drain && in_flight.is_sent() {
            let (route, late) = (Arc::clone(&self.route), self.late);
            tokio::task::spawn_local(async move {
                let finished = timeout(AFTERMATH, in_flight.finish(AFTERMATH_LIMIT)).await;
                if late && matches!(finished, Ok(Ok(()))) {
                    route.metrics.late.inc();
                }
            });
        }
    }
}

fn expected(route: &Route, uri: &Uri, form: bool) -> Expects {
    use crate::route::Kind as Configured;
    match route.settings.kind {
        Configured::Voice => Expects::Twiml(Kind::Voice),
        Configured::Messaging => Expects::Twiml(Kind::Messaging),
        Configured::Callback | Configured::Pass => Expects::Anything,
        Configured::Auto if form => Expects::Untold,
        Configured::Auto => {
            let query = uri.query().unwrap_or_default().as_bytes();
            Parameters::new(query, b"")
                .kind()
                .map_or(Expects::Anything, Expects::Twiml)
        }
    }
}

/// Whether 304 answers the request (RFC 9110 §13.1).
fn is_conditional(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && (headers.contains_key(header::IF_NONE_MATCH)
            || headers.contains_key(header::IF_MODIFIED_SINCE))
}

/// An error with all that caused it, in one line.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words = format!("{words}: {inner}");
        source = inner.source();
    }
    words
}
