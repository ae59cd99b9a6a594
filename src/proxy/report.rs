//! What is said and remembered of a call: its line among the failures, and in the access log.

use http::StatusCode;
use tracing::{info, warn};

use super::run::Run;
use super::snapshot::SharedState;
use crate::failure::{Failure, Outcome, ResponsePolicy};
use crate::log::{Access, describe_error};
use crate::recent_failures::{self, FailureRecord};
use crate::twiml;

impl Run {
    /// Says and remembers what happened.
    pub(super) fn report(&mut self, cause: &Failure, outcome: Outcome, shared: &SharedState) {
        let failure = self.failure(cause, outcome);
        self.reason = Some(failure.reason);
        let message = if matches!(cause, Failure::Drill(_)) {
            "request failed on purpose, by a drill"
        } else {
            "upstream response rejected"
        };
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
                    trace_id = self.trace.trace_id(),
                    parent_id = self.trace.parent_id(),
                    detail = failure.detail,
                    "{message}"
                );
                shared.failures.push(failure);
            }
            Outcome::Upstream | Outcome::Rejected | Outcome::Abandoned => info!(
                target: "understudy::call",
                route = failure.route,
                outcome = failure.outcome,
                detail = failure.detail,
                "request refused"
            ),
        }
    }

    fn failure(&self, cause: &Failure, outcome: Outcome) -> FailureRecord {
        let reason = match cause.verdict() {
            ResponsePolicy::FallBack { reason, .. } => reason.label(),
            ResponsePolicy::Refuse(_) => outcome.label(),
        };
        FailureRecord {
            timestamp_seconds: recent_failures::now(),
            route: self.route.settings.name.clone(),
            outcome: outcome.label(),
            reason,
            twilio_code: cause.twilio_code(),
            sid: self.parameters(&self.form()).sid(),
            upstream_status: self.status.map(|status| status.as_u16()),
            milliseconds: self.began.elapsed().as_millis() as u64,
            line: cause.place().map(|(line, _)| line),
            column: cause.place().map(|(_, column)| column),
            excerpt: cause.fault().map(|fault| fault.excerpt().clone()),
            help: cause
                .fault()
                .and_then(|fault| fault.finding().help())
                .map(|help| twiml::redacted(&help)),
            detail: describe_error(cause),
        }
    }

    /// What its line in the access log will say.
    pub(super) fn access(&self, answered: Option<StatusCode>) -> Access {
        Access {
            route: self.route.settings.name.clone(),
            method: self.method.clone(),
            status: answered.map(|status| status.as_u16()),
            reason: self.reason,
            sid: self.parameters(&self.form()).sid(),
            upstream_status: self.status.map(|status| status.as_u16()),
            trace: self.trace.clone(),
        }
    }
}
