//! The signature of a request is checked before anything else, as its route's policy says.

use http::request::Parts;
use tracing::info;

use super::catch_panic::catch_panic;
use super::context::RequestContext;
use crate::body::RequestBody;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::log::describe_error;
use crate::signature::{Error, UnverifiedRequest, Verification, VerifiedRequest};

impl RequestContext {
    /// Makes the request one that may be forwarded. The body of a request that is checked is read first, and held.
    ///
    /// # Errors
    ///
    /// Why it is refused. Where a signature is required, a request without one is refused by its head alone.
    pub(super) async fn verify(
        &self,
        head: Box<Parts>,
        deadline: Deadline,
    ) -> Result<VerifiedRequest<RequestBody>, Failure> {
        match self.policy.apply(head, self.body.clone()) {
            Verification::Skipped(request) => {
                self.body.check_declared_length()?;
                Ok(request)
            }
            // Boxed, so that requests which are not checked do not carry what these need.
            Verification::Required(unverified) => {
                let checked = Box::pin(catch_panic(self.check(unverified, deadline)));
                checked.await.map_err(|failure| self.refuse(failure))
            }
        }
    }

    /// A request that is not known to be Twilio's gets no fallback.
    fn refuse(&self, failure: Failure) -> Failure {
        if self.policy.is_enforced() {
            failure.unverified()
        } else {
            failure
        }
    }

    async fn check(
        &self,
        unverified: UnverifiedRequest<'_, RequestBody>,
        deadline: Deadline,
    ) -> Result<VerifiedRequest<RequestBody>, Failure> {
        let result = match unverified.check_head() {
            Ok(()) => {
                let body = self.read_whole(deadline).await?;
                unverified.verify(&body)
            }
            Err(error) => Err(error),
        };
        self.route.metrics.record_signature_check(result);
        let request = unverified.accept(result)?;
        if let Err(error) = result {
            self.body.check_declared_length()?;
            self.report_unverified(error);
        }
        Ok(request)
    }

    /// Reads the whole body of a request before anything is done with it. It may take as long as a head may.
    pub(super) async fn read_whole(&self, deadline: Deadline) -> Result<bytes::Bytes, Failure> {
        self.body.check_declared_length()?;
        let body = self.body.collect(&self.snapshot.shared.unverified);
        let deadline = deadline.limit_to(self.snapshot.unverified_timeout);
        match deadline.bound(body).await {
            Ok(body) => Ok(body?),
            Err(_) => Err(Failure::SlowClient),
        }
    }

    fn report_unverified(&self, error: Error) {
        info!(
            target: "understudy::request",
            route = self.route.settings.name,
            error = describe_error(&error),
            "signature not valid; it would be refused if signatures were enforced"
        );
    }
}
