//! The step before everything that could answer a request: it becomes a [`VerifiedRequest`], by its signature or unchecked.

use http::request::Parts;
use tracing::info;

use super::run::Run;
use super::snapshot::Snapshot;
use crate::body::RequestBody;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::log::describe_error;
use crate::signature::{self, Admission, Unchecked, VerifiedRequest};

impl Run {
    /// The call, if the route takes the request. One that is checked has its body read first, and held.
    ///
    /// # Errors
    ///
    /// Why it is refused. A request without a signature is where one must be, as soon as its head is here.
    pub(super) async fn verify(
        &mut self,
        head: Parts,
        deadline: Deadline,
        site: &Snapshot,
    ) -> Result<VerifiedRequest<RequestBody>, Failure> {
        match self.policy.clone().admit(head, self.upload.clone()) {
            Admission::VerifiedRequest(call) => {
                self.upload.announced()?;
                Ok(call)
            }
            // In a box, so that calls which aren't checked don't carry what these need.
            Admission::ToCheck(unchecked) => Box::pin(self.check(unchecked, deadline, site)).await,
        }
    }

    async fn check(
        &mut self,
        unchecked: Unchecked<'_, RequestBody>,
        deadline: Deadline,
        site: &Snapshot,
    ) -> Result<VerifiedRequest<RequestBody>, Failure> {
        let found = match unchecked.check_head() {
            Ok(()) => {
                let whole = self.read_unverified(deadline, site).await?;
                unchecked.verify(&whole)
            }
            Err(fault) => Err(fault),
        };
        self.route.metrics.checked(found);
        let call = unchecked.conclude(found)?;
        self.is_unverified = false;
        if let Err(fault) = found {
            self.upload.announced()?;
            self.note_unsigned(fault);
        }
        Ok(call)
    }

    /// The whole body of a request that may be anybody's. Its sender has as long as for a head.
    async fn read_unverified(
        &self,
        deadline: Deadline,
        site: &Snapshot,
    ) -> Result<bytes::Bytes, Failure> {
        self.upload.announced()?;
        let whole = self.upload.whole(&site.shared.unverified);
        match deadline.within(site.unverified_timeout).bound(whole).await {
            Ok(whole) => Ok(whole?),
            Err(_) => Err(Failure::SlowClient),
        }
    }

    fn note_unsigned(&self, fault: signature::Error) {
        info!(
            target: "understudy::call",
            route = self.route.settings.name,
            detail = describe_error(&fault),
            "signature not valid; it would be refused if signatures were enforced"
        );
    }
}
