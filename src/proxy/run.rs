//! What is known of a call while it runs, also when its attempt was cut short.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header, request};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::body::{self as page, ResponseBody};
use super::snapshot::{ConcurrencyPermit, Route, SharedState};
use super::{AfterDeadline, Answered, Attempted, Mode, PAGE_LIMIT};
use crate::body::{self, RequestBody};
use crate::breaker::{Opened, Permit};
use crate::deadline::Deadline;
use crate::drill;
use crate::failure::{Failure, Outcome, Reason, ResponsePolicy, UpstreamHealth};
use crate::fallback;
use crate::log::TraceContext;
use crate::metrics::RequestRecord;
use crate::signature::Policy;
use crate::twiml::Kind;
use crate::upstream::{self, InFlight, UpstreamBody, headers};
use crate::webhook::{self, Parameters};

/// How long an app may go on with a call that nobody waits for: as long as Twilio itself would have waited.
const AFTERMATH: Duration = Duration::from_secs(15);

/// How many bytes of an answer that nobody waits for are read, so that its connection can serve the next call.
const AFTERMATH_LIMIT: usize = 4 * PAGE_LIMIT;

/// One call under way. Dropped with a request still in flight, it lets the app finish, if the route says so.
pub(super) struct Run {
    pub(super) route: Arc<Route>,
    /// What is asked of its signature.
    pub(super) policy: Policy,
    /// It must be Twilio's, and isn't known to be yet.
    pub(super) is_unverified: bool,
    pub(super) upload: RequestBody,
    /// Counts the call, until it has.
    tally: Option<RequestRecord>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) retried: bool,
    /// Leave to try the app, until it is told what became of it.
    pub(super) permit: Option<Permit>,
    /// The fault that a drill has injected.
    pub(super) injected: Option<drill::Fault>,
    /// Why enforcing would have replaced the answer that goes back.
    pub(super) observed: Option<Failure>,
    /// Why the app's own answer doesn't go back, or would not, once that is known.
    pub(super) reason: Option<&'static str>,
    pub(super) trace: TraceContext,
    /// The app's status, once known.
    pub(super) status: Option<StatusCode>,
    pub(super) websocket: bool,
    pub(super) conditional: bool,
    /// The deadline passed, so what the app still answers is late.
    late: bool,
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The request's fields as they go to the app; only where a fallback URL may need them.
    pub(super) fields: HeaderMap,
    form: bool,
    expects: Expects,
    pub(super) began: Instant,
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
    pub(super) fn new(
        route: Arc<Route>,
        policy: Policy,
        head: &request::Parts,
        body: Incoming,
    ) -> Self {
        let tally = route.metrics.begin();
        let websocket = headers::asks_for_websocket(head);
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
            Expects::Anything if !policy.checks() => u64::MAX,
            Expects::Anything | Expects::Twiml(_) | Expects::Untold => {
                route.settings.max_request_body
            }
        };
        Self {
            route,
            is_unverified: policy.enforces(),
            policy,
            upload: RequestBody::new(body, limit).counting(head.extensions.get().cloned()),
            in_flight: None,
            retried: false,
            began: tally.began(),
            tally: Some(tally),
            reason: None,
            trace: TraceContext::of(&head.headers),
            permit: None,
            injected: None,
            observed: None,
            status: None,
            websocket,
            conditional: is_conditional(&head.method, &head.headers),
            late: false,
            method: head.method.clone(),
            uri: head.uri.clone(),
            fields: HeaderMap::new(),
            form,
            expects,
        }
    }

    /// Keeps of a head what a fallback URL will need, if there is one.
    pub(super) fn keep(&mut self, fields: &HeaderMap) {
        if !self.route.settings.fallback.kept().is_zero() {
            self.fields = fields.clone();
        }
    }

    /// Whether the answer is, or may turn out to be, TwiML.
    pub(super) fn may_be_twiml(&self) -> bool {
        self.expects != Expects::Anything
    }

    /// What TwiML is expected, if any. Reads the rest of the form where only that can tell.
    pub(super) async fn twiml_kind(&self) -> Result<Option<Kind>, body::Error> {
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
        let form = self.form();
        if kind == Kind::Messaging && self.parameters(&form).opts_out() {
            return fallback::silence();
        }
        // What has come of a form that isn't whole may end in the midst of a number.
        let whole = if self.upload.is_whole() {
            &form[..]
        } else {
            b""
        };
        let parameters = self.parameters(whole);
        self.route.settings.fallback.page(kind, &parameters)
    }

    pub(super) fn parameters<'a>(&'a self, form: &'a [u8]) -> Parameters<'a> {
        Parameters::new(self.uri.query().unwrap_or_default().as_bytes(), form)
    }

    pub(super) fn form(&self) -> Bytes {
        if self.form {
            self.upload.remembered()
        } else {
            Bytes::new()
        }
    }

    /// The app's page, whole.
    pub(super) async fn page(&mut self) -> Result<Bytes, upstream::Error> {
        let observes = self.observes();
        let Some(in_flight) = &mut self.in_flight else {
            return Ok(Bytes::new());
        };
        let page = in_flight.page(PAGE_LIMIT).await;
        let goes_on = observes && matches!(page, Err(upstream::Error::BodyTooLarge(_)));
        if page.is_err() && !goes_on {
            // A page that broke or is too large leaves nothing to finish.
            self.in_flight = None;
        }
        page
    }

    /// Whether answers go back whatever they are.
    pub(super) fn observes(&self) -> bool {
        self.route.settings.mode == Mode::Observe
    }

    /// The call has its answer from the app: how it is counted. On a route that is only observed, what enforcing would have
    /// replaced is counted as such.
    pub(super) fn settle(&mut self, shared: &SharedState) -> Outcome {
        if self.observes() && self.began.elapsed() > self.route.settings.deadline {
            self.observed.get_or_insert(Failure::Deadline);
        }
        let Some(cause) = self.observed.take() else {
            return Outcome::Upstream;
        };
        if let ResponsePolicy::FallBack { reason, .. } = cause.verdict() {
            self.route.metrics.observed(reason);
        }
        self.report(&cause, Outcome::Observed, shared);
        Outcome::Observed
    }

    /// Whether the app's answer has no body.
    pub(super) async fn is_empty(&mut self) -> Result<bool, upstream::Error> {
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
    pub(super) async fn switched(
        &mut self,
        head: http::response::Parts,
    ) -> Result<Attempted, Failure> {
        let in_flight = self.in_flight.take().ok_or(upstream::Error::Reset)?;
        self.app_answered();
        let response = Response::from_parts(head, ResponseBody::whole(Bytes::new()));
        Ok(Attempted::Tunnel(response, in_flight.into_tunnel().await))
    }

    /// The app's answer, its body still to come.
    pub(super) fn download(
        &mut self,
        head: http::response::Parts,
        slot: ConcurrencyPermit,
    ) -> Result<Attempted, Failure> {
        let in_flight = self.in_flight.take().ok_or(upstream::Error::Reset)?;
        self.app_answered();
        Ok(Attempted::Stream(head, in_flight.into_download()?, slot))
    }

    /// An answer that streams; the call is counted at its end.
    pub(super) fn streamed(
        &mut self,
        head: http::response::Parts,
        download: UpstreamBody,
        slot: ConcurrencyPermit,
        outcome: Outcome,
    ) -> Response<ResponseBody> {
        let page = if http_body::Body::is_end_stream(&download) {
            self.end(outcome, Some(head.status));
            ResponseBody::whole(Bytes::new())
        } else {
            let tally = self.take_tally(Some(head.status));
            ResponseBody::stream(download, tally, slot, Arc::clone(&self.route), outcome)
        };
        Response::from_parts(head, page)
    }

    /// The call has ended so, and this status goes back.
    pub(super) fn end(&mut self, outcome: Outcome, answered: Option<StatusCode>) {
        if let Some(tally) = self.take_tally(answered) {
            tally.finish(outcome);
        }
    }

    /// What counts the call, with all that its line in the access log will say.
    fn take_tally(&mut self, answered: Option<StatusCode>) -> Option<RequestRecord> {
        let mut tally = self.tally.take()?;
        if self.route.settings.access_log {
            tally.access = Some(Box::new(self.access(answered)));
        }
        Some(tally)
    }

    /// Reads what the app didn't read of the request before an answer goes back; see [`RequestBody::read_rest`]. After the
    /// deadline that is what has come already.
    pub(super) async fn read_rest(&self, deadline: Deadline) {
        if !self.upload.is_whole() {
            let _ = deadline.bound(self.upload.read_rest()).await;
        }
    }

    /// Why the app gave no head: maybe the client's doing.
    pub(super) fn blame(&mut self, failure: upstream::Error) -> Failure {
        // There is nothing left that could finish.
        self.in_flight = None;
        match self.upload.failure() {
            Some(own) => own.into(),
            None => failure.into(),
        }
    }

    /// The cause, by its proper name if a drill brought it about, or if the sender isn't known.
    pub(super) fn attribute(&self, cause: Failure) -> Failure {
        match self.injected {
            _ if self.is_unverified => cause.unverified(),
            Some(fault) => cause.injected(fault),
            None => cause,
        }
    }

    pub(super) fn answered(&self, response: Response<ResponseBody>) -> Answered {
        Answered {
            leaves_unread: !self.upload.is_whole(),
            ..response.into()
        }
    }

    /// Tells the breaker what was learnt of the app; whether it opened.
    pub(super) fn tell_breaker(
        &mut self,
        attempted: &Result<Attempted, Failure>,
    ) -> Option<Opened> {
        let permit = self.permit.take()?;
        let app = attempted
            .as_ref()
            .map_or_else(Failure::tells_of_app, |_| UpstreamHealth::Up);
        match app {
            UpstreamHealth::Up => permit.succeed(),
            UpstreamHealth::Down => return permit.fail(&self.route.settings.breaker),
            UpstreamHealth::Unknown => {}
        }
        None
    }

    /// What goes back for a cause, and how the call is counted.
    pub(super) fn answer_for(
        &mut self,
        cause: &Failure,
        elsewhere: Option<Response<ResponseBody>>,
        shared: &SharedState,
    ) -> (Outcome, Response<ResponseBody>) {
        self.late = matches!(cause, Failure::Deadline);
        let (outcome, response) = match (cause.verdict(), self.known_kind()) {
            (ResponsePolicy::Refuse(_), _) if self.has_left(cause) => (
                Outcome::Abandoned,
                page::plain(StatusCode::BAD_REQUEST, cause),
            ),
            (ResponsePolicy::Refuse(status), _) => (Outcome::Rejected, page::plain(status, cause)),
            (ResponsePolicy::FallBack { reason, status }, _) if self.observes() => {
                self.route.metrics.observed(reason);
                (Outcome::Observed, page::plain(status, cause))
            }
            (ResponsePolicy::FallBack { reason, .. }, Some(kind)) => {
                self.route.metrics.fell_back(reason);
                if reason == Reason::Drill {
                    self.record_drill_success(kind, elsewhere.is_some());
                }
                (
                    Outcome::Fallback,
                    page::standing_in(elsewhere, || self.stand_in(kind), reason),
                )
            }
            (ResponsePolicy::FallBack { status, .. }, None) => {
                (Outcome::Error, page::plain(status, cause))
            }
        };
        self.report(cause, outcome, shared);
        (outcome, response)
    }

    /// Whether it was the client that ended the call.
    fn has_left(&self, cause: &Failure) -> bool {
        matches!(cause, Failure::Request(body::Error::Left))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A call that hasn't ended by now never will: the client has left.
        self.end(Outcome::Abandoned, None);
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
