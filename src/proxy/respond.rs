//! What goes back to the client: the upstream's response, the fallback, or an error.

use http::{HeaderName, HeaderValue, Response, StatusCode, header, response};

use super::body::ResponseBody;
use super::context::RequestContext;
use super::enqueue::Queued;
use super::permit::ConcurrencyPermit;
use super::record::{Ending, Record};
use crate::body;
use crate::deadline::Deadline;
use crate::failure::{Failure, Outcome, Reason, ResponsePolicy};
use crate::fallback;
use crate::twiml::Kind;
use crate::upstream::{Tunnel, UpstreamBody};

/// Says on a fallback why it was sent; Twilio's request inspector shows it.
const UNDERSTUDY_FALLBACK: HeaderName = HeaderName::from_static("understudy-fallback");

/// What goes back to the client.
pub struct Reply {
    /// The response.
    pub response: Response<ResponseBody>,
    /// The upstream's side of the connection, to be joined with the client's side behind a response that switches protocols.
    pub tunnel: Option<Box<Tunnel>>,
    /// Part of the request's body was not read.
    pub has_unread_body: bool,
}

/// A response of the upstream that goes back.
pub(super) struct Accepted {
    pub(super) response: AcceptedResponse,
    /// Why enforcing would have replaced it.
    pub(super) observed: Option<Failure>,
    pub(super) upstream_status: StatusCode,
}

pub(super) enum AcceptedResponse {
    Whole(Response<ResponseBody>),
    Stream(response::Parts, Box<UpstreamBody>, ConcurrencyPermit),
    Tunnel(Box<(response::Parts, Tunnel)>),
    /// Not the upstream's: it wasn't asked.
    Queued(Box<Queued>),
}

impl Accepted {
    /// The upstream wasn't asked.
    pub(super) fn queued(queued: Queued) -> Self {
        Self {
            upstream_status: StatusCode::default(),
            response: AcceptedResponse::Queued(Box::new(queued)),
            observed: None,
        }
    }
}

/// Why no response of the upstream goes back, and with which status it had begun.
pub(super) struct Rejected {
    pub(super) failure: Failure,
    pub(super) upstream_status: Option<StatusCode>,
}

impl From<Failure> for Rejected {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            upstream_status: None,
        }
    }
}

impl RequestContext {
    /// Sends the upstream's response back.
    pub(super) async fn pass_on(
        &self,
        accepted: Accepted,
        record: Record<'_>,
        deadline: Deadline,
    ) -> Reply {
        if let AcceptedResponse::Whole(_) = accepted.response {
            self.read_rest(deadline).await;
        }
        let ending = self.settle(accepted.observed, accepted.upstream_status);
        match accepted.response {
            AcceptedResponse::Whole(response) => {
                record.finish(ending.with_status(response.status()));
                self.reply(response)
            }
            AcceptedResponse::Stream(head, body, permit) => {
                let ending = ending.with_status(head.status);
                let body = self.stream(*body, record, permit, ending);
                self.reply(Response::from_parts(head, body))
            }
            AcceptedResponse::Tunnel(switched) => {
                let (head, tunnel) = *switched;
                record.finish(ending.with_status(head.status));
                let response = Response::from_parts(head, ResponseBody::default());
                Reply {
                    tunnel: Some(Box::new(tunnel)),
                    has_unread_body: false,
                    response,
                }
            }
            AcceptedResponse::Queued(queued) => self.acknowledge(*queued, record, None),
        }
    }

    /// Sends what a callback gets that was to be queued.
    fn acknowledge(
        &self,
        queued: Queued,
        record: Record<'_>,
        upstream_status: Option<StatusCode>,
    ) -> Reply {
        record.finish(Ending {
            outcome: queued.outcome,
            reason: Some(queued.reason),
            status: Some(queued.response.status()),
            upstream_status,
        });
        self.reply(queued.response)
    }

    /// Sends what replaces the upstream's response.
    pub(super) async fn respond_to(
        &self,
        rejected: Rejected,
        record: Record<'_>,
        deadline: Deadline,
    ) -> Reply {
        let Rejected {
            failure,
            upstream_status,
        } = rejected;
        // A bad request is answered at once, however much of it is still to come.
        if matches!(failure, Failure::Signature(_)) {
            self.body.read_arrived().await;
        } else if !failure.is_refusal() {
            self.read_rest(deadline).await;
        }
        if let Some(body) = self.callback_body.get()
            && let ResponsePolicy::FallBack { reason, .. } = failure.policy()
        {
            let queued = self.queue(reason.label(), body).await;
            self.report(&failure, queued.outcome, upstream_status);
            return self.acknowledge(queued, record, upstream_status);
        }
        let from_url = Box::pin(self.ask_fallback_url(&failure, deadline)).await;
        let (outcome, response) = self.replacement(&failure, from_url);
        let reason = self.report(&failure, outcome, upstream_status);
        record.finish(Ending {
            outcome,
            reason: Some(reason),
            status: Some(response.status()),
            upstream_status,
        });
        self.reply(response)
    }

    /// Reads what the upstream did not read of the request's body before a response goes back, until the deadline: a response that
    /// is sent while bytes still arrive can be lost by a reset. After the deadline, only what has arrived already is read.
    async fn read_rest(&self, deadline: Deadline) {
        if self.body.is_complete() {
            return;
        }
        let read = Box::pin(deadline.bound(self.body.read_rest())).await;
        if read.is_err() {
            self.body.read_arrived().await;
        }
    }

    /// How a request is counted of which the upstream's response goes back.
    fn settle(&self, observed: Option<Failure>, upstream_status: StatusCode) -> Ending {
        let is_late =
            self.observes() && self.worker.started.elapsed() > self.route.settings.deadline;
        let observed = observed.or_else(|| is_late.then_some(Failure::Deadline));
        let mut ending = Ending {
            outcome: Outcome::Upstream,
            reason: None,
            status: None,
            upstream_status: Some(upstream_status),
        };
        if let Some(failure) = observed {
            if let ResponsePolicy::FallBack { reason, .. } = failure.policy() {
                self.route.metrics.record_observed_failure(reason);
            }
            let reason = self.report(&failure, Outcome::Observed, ending.upstream_status);
            ending.outcome = Outcome::Observed;
            ending.reason = Some(reason);
        }
        ending
    }

    /// A body that streams; the request is counted at its end.
    fn stream(
        &self,
        body: UpstreamBody,
        record: Record<'_>,
        permit: ConcurrencyPermit,
        ending: Ending,
    ) -> ResponseBody {
        if http_body::Body::is_end_stream(&body) {
            record.finish(ending);
            return ResponseBody::default();
        }
        let record = record.detach(&ending);
        ResponseBody::stream(body, record, permit, &self.route, ending.outcome)
    }

    fn reply(&self, response: Response<ResponseBody>) -> Reply {
        Reply {
            response,
            tunnel: None,
            has_unread_body: !self.body.is_complete(),
        }
    }

    /// The response to a failure, and how the request is counted.
    fn replacement(
        &self,
        failure: &Failure,
        from_url: Option<Response<ResponseBody>>,
    ) -> (Outcome, Response<ResponseBody>) {
        match (failure.policy(), self.known_twiml()) {
            (ResponsePolicy::Refuse(_), _)
                if matches!(failure, Failure::Request(body::Error::Disconnected)) =>
            {
                let response = error_response(StatusCode::BAD_REQUEST, failure);
                (Outcome::Abandoned, response)
            }
            (ResponsePolicy::Refuse(status), _) => {
                (Outcome::Rejected, error_response(status, failure))
            }
            (ResponsePolicy::FallBack { reason, status }, _) if self.observes() => {
                self.route.metrics.record_observed_failure(reason);
                (Outcome::Observed, error_response(status, failure))
            }
            (ResponsePolicy::FallBack { reason, .. }, Some(kind)) => {
                self.route.metrics.record_fallback(reason);
                if reason == Reason::Drill {
                    self.record_drill_success(kind, from_url.is_some());
                }
                let response = from_url.unwrap_or_else(|| self.fallback_response(kind));
                (Outcome::Fallback, with_reason(response, reason))
            }
            (ResponsePolicy::FallBack { status, .. }, None) => {
                (Outcome::Error, error_response(status, failure))
            }
        }
    }

    /// Records that a drill was answered by the fallback; not where a document was sent because the fallback URL failed.
    fn record_drill_success(&self, kind: Kind, from_url: bool) {
        let has_url = self.route.settings.fallback.fallback_url(kind).is_some();
        if from_url == has_url {
            self.route.metrics.record_drill_success();
        }
    }

    /// The route's fallback document. A message that opts out gets an empty one: only Twilio may respond to it.
    fn fallback_response(&self, kind: Kind) -> Response<ResponseBody> {
        let opts_out = kind == Kind::Messaging && self.parameters(&self.form()).is_opt_out();
        let document = if opts_out {
            fallback::empty_response()
        } else {
            let form = self.whole_form();
            let parameters = self.parameters(&form);
            self.route.settings.fallback.document(kind, &parameters)
        };
        let mut response = Response::new(ResponseBody::Whole(document));
        let xml = HeaderValue::from_static("text/xml; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, xml);
        response
    }
}

fn with_reason(mut response: Response<ResponseBody>, reason: Reason) -> Response<ResponseBody> {
    let reason = HeaderValue::from_static(reason.label());
    let headers = response.headers_mut();
    headers.insert(UNDERSTUDY_FALLBACK, reason);
    // A cache would send it on when the app is well again.
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, no_store);
    response
}

/// The response where no TwiML goes back: the status, and the failure in a line.
fn error_response(status: StatusCode, failure: &Failure) -> Response<ResponseBody> {
    let body = format!("{status}: {failure}\n").into();
    let mut response = Response::new(ResponseBody::Whole(body));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    if matches!(
        failure,
        Failure::Head(_) | Failure::Request(_) | Failure::SlowClient
    ) {
        // Where this request ends, and the next one begins, is not certain.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// The response to a request that a panic of ours has ended where nothing else could.
pub(super) fn internal_error() -> Reply {
    Reply {
        response: error_response(StatusCode::INTERNAL_SERVER_ERROR, &Failure::Panic),
        tunnel: None,
        has_unread_body: true,
    }
}
