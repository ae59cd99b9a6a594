//! A failure is logged, and remembered for the status page.

use http::StatusCode;
use tracing::{info, warn};

use super::context::RequestContext;
use crate::failure::{Failure, Outcome, ResponsePolicy};
use crate::log::describe_error;
use crate::recent_failures::{self, FailureRecord};
use crate::twiml;

impl RequestContext {
    /// Logs and remembers a failure. Returns its reason, as the logs name it.
    pub(super) fn report(
        &self,
        failure: &Failure,
        outcome: Outcome,
        upstream_status: Option<StatusCode>,
    ) -> &'static str {
        let record = self.failure_record(failure, outcome, upstream_status);
        let reason = record.reason;
        match outcome {
            Outcome::Fallback | Outcome::Error | Outcome::Observed | Outcome::Queued => {
                self.warn_of(failure, &record);
                self.snapshot.shared.failures.push(record);
            }
            Outcome::Upstream | Outcome::Rejected | Outcome::Abandoned => info!(
                target: "understudy::request",
                route = record.route,
                outcome = record.outcome,
                error = record.error,
                "request refused"
            ),
        }
        reason
    }

    fn warn_of(&self, failure: &Failure, record: &FailureRecord) {
        let message = if record.outcome == Outcome::Queued.label() {
            "callback queued"
        } else if matches!(failure, Failure::Drill(_)) {
            "request failed on purpose, by a drill"
        } else {
            "upstream response rejected"
        };
        warn!(
            target: "understudy::request",
            route = record.route,
            outcome = record.outcome,
            reason = record.reason,
            twilio_code = record.twilio_code,
            sid = record.sid,
            upstream_status = record.upstream_status,
            milliseconds = record.milliseconds,
            line = record.line,
            column = record.column,
            trace_id = self.trace.trace_id(),
            parent_id = self.trace.parent_id(),
            error = record.error,
            "{message}"
        );
    }

    fn failure_record(
        &self,
        failure: &Failure,
        outcome: Outcome,
        upstream_status: Option<StatusCode>,
    ) -> FailureRecord {
        let reason = match failure.policy() {
            ResponsePolicy::FallBack { reason, .. } => reason.label(),
            ResponsePolicy::Refuse(_) => outcome.label(),
        };
        let document = failure.document_error();
        FailureRecord {
            timestamp_seconds: recent_failures::now(),
            route: self.route.settings.name.clone(),
            outcome: outcome.label(),
            reason,
            twilio_code: failure.twilio_code(),
            sid: self.parameters(&self.form()).sid(),
            upstream_status: upstream_status.map(|status| status.as_u16()),
            milliseconds: self.worker.started.elapsed().as_millis() as u64,
            line: document.map(|error| error.position().line),
            column: document.map(|error| error.position().column),
            excerpt: document.map(|error| error.excerpt().clone()),
            help: document
                .and_then(|error| error.finding().help())
                .map(|help| twiml::redact(&help)),
            error: describe_error(failure),
        }
    }
}
