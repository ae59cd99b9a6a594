//! What is known of a request from its head. It is read by every step; only the body of a callback is added later.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header, request};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::route::{Mode, Route};
use super::snapshot::Snapshot;
use crate::body::{self, RequestBody};
use crate::deadline::{Alarm, Deadline};
use crate::failure::Failure;
use crate::form;
use crate::log::TraceContext;
use crate::response::Expectations;
use crate::route;
use crate::signature::Policy;
use crate::twiml::{Kind, KnownDocuments};
use crate::upstream::Names;
use crate::upstream::headers::{self, Peer};
use crate::webhook::Parameters;

/// One request as its head describes it.
pub(super) struct RequestContext {
    /// The configuration that holds for this request, even if it is reloaded while the request runs.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) route: Arc<Route>,
    /// How its signature is checked.
    pub(super) policy: Policy,
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The headers as the upstream gets them, on a route with a fallback URL, which gets some of them, or with a queue.
    pub(super) headers: Option<Box<HeaderMap>>,
    /// A handle to the body; the upstream's side has another one.
    pub(super) body: RequestBody,
    pub(super) worker: FromWorker,
    pub(super) trace: TraceContext,
    pub(super) has_form: bool,
    /// It is a conditional GET, to which 304 is a response (RFC 9110 §13.1).
    is_conditional: bool,
    /// It is a callback that is queued if the upstream can't take it.
    pub(super) queues: bool,
    /// The body of such a callback, once the callback is verified. Nothing is queued without it.
    pub(super) callback_body: OnceCell<Bytes>,
    expected: Expected,
}

/// What a request has from the worker that handles it.
pub(super) struct FromWorker {
    /// When the worker began to handle it.
    pub(super) started: Instant,
    /// Polls the request again at its deadline.
    pub(super) alarm: Option<Rc<Alarm>>,
    pub(super) known_documents: Rc<KnownDocuments>,
}

/// What Twilio expects in response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Twiml(Kind),
    Anything,
    /// The parameters in the body decide.
    DependsOnForm,
}

impl RequestContext {
    /// Reads a head, which has headers of these names, and rewrites them for the upstream.
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        route: Arc<Route>,
        head: &mut request::Parts,
        names: Names,
        incoming: Incoming,
        peer: &Peer,
        worker: FromWorker,
    ) -> Self {
        let policy = snapshot.policy(&route, head).clone();
        let asks_for_websocket = names.has(Names::UPGRADE) && headers::asks_for_websocket(head);
        let has_form = form::is_form(&head.headers);
        let has_parameters = has_form && !http_body::Body::is_end_stream(&incoming);
        let has_no_twiml =
            asks_for_websocket || matches!(head.method, Method::HEAD | Method::OPTIONS);
        let expected = if has_no_twiml {
            Expected::Anything
        } else {
            expected_response(&route, &head.uri, has_parameters)
        };
        let may_be_twiml = expected != Expected::Anything;
        let queues = route.queues()
            && !asks_for_websocket
            && matches!(head.method, Method::GET | Method::POST);
        let is_limited = may_be_twiml || policy.is_checked() || queues;
        let max_request_body = route.settings.max_request_body;
        let limit = if is_limited {
            max_request_body
        } else {
            u64::MAX
        };
        let trace = match names.has(Names::TRACEPARENT) {
            true => TraceContext::from_headers(&head.headers),
            false => TraceContext::default(),
        };
        let is_conditional = is_conditional(&head.method, &head.headers);
        headers::rewrite_request(
            &mut head.headers,
            names,
            peer,
            may_be_twiml,
            asks_for_websocket,
        );
        // Only a fallback URL and a queue need them after the request was sent.
        let needs_headers = queues || route.settings.fallback.has_url();
        let headers = needs_headers.then(|| Box::new(head.headers.clone()));
        Self {
            policy,
            method: head.method.clone(),
            uri: head.uri.clone(),
            headers,
            body: RequestBody::new(incoming, limit).with_framing(head.extensions.get().cloned()),
            worker,
            trace,
            has_form,
            is_conditional,
            queues,
            callback_body: OnceCell::new(),
            expected,
            snapshot,
            route,
        }
    }

    /// Whether the response is TwiML, or may turn out to be.
    pub(super) fn may_be_twiml(&self) -> bool {
        self.expected != Expected::Anything
    }

    /// What TwiML is expected, if any. Reads the rest of the body where only its parameters can tell.
    pub(super) async fn expected_twiml(&self) -> Result<Option<Kind>, body::Error> {
        if self.expected == Expected::DependsOnForm {
            self.body.read_rest().await?;
        }
        Ok(self.known_twiml())
    }

    /// What TwiML is expected by what has arrived so far.
    pub(super) fn known_twiml(&self) -> Option<Kind> {
        match self.expected {
            Expected::Twiml(kind) => Some(kind),
            Expected::Anything => None,
            Expected::DependsOnForm => self.parameters(&self.body.received()).twiml_kind(),
        }
    }

    /// What the head of a response to this request must say.
    pub(super) fn expectations(&self, kind: Kind) -> Expectations<'_> {
        Expectations {
            kind,
            strictness: self.route.settings.validate,
            pass_status: &self.route.settings.pass_status,
            conditional: self.is_conditional,
        }
    }

    /// The parameters of the query and of this form.
    pub(super) fn parameters<'a>(&'a self, form: &'a [u8]) -> Parameters<'a> {
        Parameters::new(self.uri.query().unwrap_or_default().as_bytes(), form)
    }

    /// The form as far as it has arrived; empty if the body is not a form.
    pub(super) fn form(&self) -> Bytes {
        if self.has_form {
            self.body.received()
        } else {
            Bytes::new()
        }
    }

    /// The form if all of it has arrived: one that is cut off may end within a number.
    pub(super) fn whole_form(&self) -> Bytes {
        if self.body.is_complete() {
            self.form()
        } else {
            Bytes::new()
        }
    }

    /// Whether responses go back even where they are not valid.
    pub(super) fn observes(&self) -> bool {
        self.route.settings.mode == Mode::Observe
    }

    /// Waits for a future until the deadline. Where the body streams without a limit, time counts from the last bytes that the
    /// client sent; where the body is read first, to be checked or queued, it does not.
    ///
    /// # Errors
    ///
    /// [`Failure::SlowClient`] if the deadline passed while the client was still sending, else [`Failure::Deadline`].
    pub(super) async fn bound<T>(
        &self,
        deadline: Deadline,
        future: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let extends = !self.may_be_twiml() && !self.policy.is_checked() && !self.queues;
        let mut future = std::pin::pin!(future);
        let mut extended = deadline;
        loop {
            let bounded = match &self.worker.alarm {
                Some(alarm) => extended.bound_by(alarm, future.as_mut()).await,
                // Boxed, so that the others don't carry its timer.
                None => Box::pin(extended.bound(future.as_mut())).await,
            };
            if let Ok(result) = bounded {
                return result;
            }
            let last = self.body.last_received().filter(|_| extends);
            match last.and_then(|last| deadline.restart_from(last)) {
                // Counted from the original, or each extension would be longer than the one before.
                Some(later) => extended = later,
                None => return Err(self.deadline_failure().await),
            }
        }
    }

    /// Who was too slow.
    async fn deadline_failure(&self) -> Failure {
        if self.body.is_waiting_for_client() {
            // Boxed like everything that few requests need.
            Box::pin(self.body.read_arrived()).await;
        }
        match self.body.is_waiting_for_client() {
            true => Failure::SlowClient,
            false => Failure::Deadline,
        }
    }
}

fn expected_response(route: &Route, uri: &Uri, has_parameters: bool) -> Expected {
    match route.settings.kind {
        route::Kind::Voice => Expected::Twiml(Kind::Voice),
        route::Kind::Messaging => Expected::Twiml(Kind::Messaging),
        route::Kind::Callback | route::Kind::Pass => Expected::Anything,
        route::Kind::Auto if has_parameters => Expected::DependsOnForm,
        route::Kind::Auto => {
            let query = uri.query().unwrap_or_default().as_bytes();
            let kind = Parameters::new(query, b"").twiml_kind();
            kind.map_or(Expected::Anything, Expected::Twiml)
        }
    }
}

fn is_conditional(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && (headers.contains_key(header::IF_NONE_MATCH)
            || headers.contains_key(header::IF_MODIFIED_SINCE))
}
