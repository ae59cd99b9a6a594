//! Each request is counted once, and has its line in the access log, however it ends.

use http::StatusCode;

use super::context::RequestContext;
use crate::failure::Outcome;
use crate::log::AccessLine;
use crate::metrics::RequestRecord;

/// How a request ended, for its counters and its line in the access log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    /// Why the upstream's response did not go back, or would not have on a route that enforces.
    pub(super) reason: Option<&'static str>,
    /// The status that went back.
    pub(super) status: Option<StatusCode>,
    /// The status of the upstream's response.
    pub(super) upstream_status: Option<StatusCode>,
}

impl Ending {
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }
}

/// Counts a request once. Dropped before that, it counts it as abandoned: the client has left.
pub(super) struct Record<'c> {
    context: &'c RequestContext,
    record: Option<RequestRecord>,
}

impl<'c> Record<'c> {
    pub(super) fn new(context: &'c RequestContext, record: RequestRecord) -> Self {
        Self {
            context,
            record: Some(record),
        }
    }

    /// The request has ended.
    pub(super) fn finish(mut self, ending: Ending) {
        self.finish_as(&ending);
    }

    /// The request will end with its response's body, which then counts it.
    pub(super) fn detach(mut self, ending: &Ending) -> Option<RequestRecord> {
        let record = self.record.take()?;
        Some(self.with_access(record, ending))
    }

    fn finish_as(&mut self, ending: &Ending) {
        if let Some(record) = self.record.take() {
            self.with_access(record, ending).finish(ending.outcome);
        }
    }

    fn with_access(&self, mut record: RequestRecord, ending: &Ending) -> RequestRecord {
        if self.context.route.settings.access_log {
            record.access = Some(Box::new(self.access(ending)));
        }
        record
    }

    fn access(&self, ending: &Ending) -> AccessLine {
        let context = self.context;
        AccessLine {
            route: context.route.settings.name.clone(),
            method: context.method.clone(),
            status: ending.status.map(|status| status.as_u16()),
            reason: ending.reason,
            sid: context.parameters(&context.form()).sid(),
            upstream_status: ending.upstream_status.map(|status| status.as_u16()),
            trace: context.trace.clone(),
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.finish_as(&Ending {
            outcome: Outcome::Abandoned,
            reason: None,
            status: None,
            upstream_status: None,
        });
    }
}
