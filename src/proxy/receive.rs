//! The response of the upstream, from its head to where it can go back.

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::time::Instant;

use super::body::ResponseBody;
use super::context::RequestContext;
use super::permit::ConcurrencyPermit;
use super::respond::{Accepted, AcceptedResponse};
use super::route::{AfterDeadline, Route};
use crate::body::RequestBody;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::response;
use crate::signature::VerifiedRequest;
use crate::upstream::{self, Retry, Tunnel, UpstreamRequest};

/// The body of a response that goes back, as far as it has been received.
pub(super) enum Received {
    Whole(Bytes),
    /// The body streams; on a route that observes, with the reason why enforcing would have replaced it.
    Stream(Option<Failure>),
    Tunnel(Box<(http::response::Parts, Tunnel)>),
}

impl RequestContext {
    /// Sends the request, and receives the response as far as it has to be validated.
    pub(super) async fn receive(
        &self,
        request: VerifiedRequest<RequestBody>,
        upstream: &mut UpstreamRequest,
        deadline: Deadline,
    ) -> Result<Received, Failure> {
        let retry = Retry {
            until: deadline.at(),
            is_allowed: &|| self.route.is_breaker_closed(),
        };
        let sent = upstream.send(request, &retry).await;
        let status = sent.map_err(|error| self.attribute(error))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let head = upstream.take_head();
            let tunnel = Box::pin(upstream.switch_protocols()).await?;
            return Ok(Received::Tunnel(Box::new((head, tunnel))));
        }
        let Some(kind) = self.expected_twiml().await? else {
            if self.queues && self.is_refused(status) {
                return Err(response::Error::Status(status).into());
            }
            return Ok(Received::Stream(None));
        };
        match self.validate_response(kind, upstream).await {
            Err(failure) if self.observes() && upstream.can_stream() => {
                Ok(Received::Stream(Some(failure)))
            }
            received => received,
        }
    }

    /// Whether the upstream says that it couldn't take a callback.
    fn is_refused(&self, status: StatusCode) -> bool {
        status.is_server_error() && !self.route.settings.pass_status.contains(&status)
    }

    /// Why no head came: the request's own body may have failed.
    fn attribute(&self, error: upstream::Error) -> Failure {
        match self.body.error() {
            Some(own) => own.into(),
            None => error.into(),
        }
    }

    /// Takes a response as the upstream's: its connection is free, or its body streams.
    pub(super) fn accept(
        &self,
        received: Received,
        upstream: &mut UpstreamRequest,
        permit: ConcurrencyPermit,
    ) -> Result<Accepted, Failure> {
        let now = Instant::now();
        let metrics = &self.route.metrics;
        metrics.record_upstream_time(now - self.worker.started);
        let upstream_status = upstream.status().unwrap_or_default();
        let mut observed = None;
        let response = match received {
            Received::Whole(body) => {
                let response =
                    Response::from_parts(upstream.take_head(), ResponseBody::Whole(body));
                upstream.release(now);
                AcceptedResponse::Whole(response)
            }
            Received::Stream(failure) => {
                observed = failure;
                let head = upstream.take_head();
                AcceptedResponse::Stream(head, Box::new(upstream.take_body()?), permit)
            }
            Received::Tunnel(switched) => AcceptedResponse::Tunnel(switched),
        };
        Ok(Accepted {
            response,
            observed,
            upstream_status,
        })
    }

    /// Counts a second try, and whether it led to a response.
    pub(super) fn count_retry(&self, upstream: &UpstreamRequest) {
        if upstream.has_retried() {
            self.route.metrics.record_retry(upstream.status().is_some());
        }
    }
}

impl Route {
    /// Whether the upstream may finish a request when nobody waits for its response any more.
    pub(super) fn drains(&self) -> bool {
        self.settings.after_deadline == AfterDeadline::Drain
    }

    /// Counts a response that came after the deadline.
    pub(super) fn count_late(&self) -> impl FnOnce() + 'static {
        let metrics = std::sync::Arc::clone(&self.metrics);
        move || metrics.late_responses.inc()
    }
}
