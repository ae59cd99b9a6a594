//! The step before the app: a request becomes a [`Call`], by its signature or unchecked.

use http::request::Parts;
use tracing::info;

use super::run::Run;
use crate::body::Upload;
use crate::log::describe_error;
use crate::outcome::Cause;
use crate::signature::{Admission, Call, Unchecked};

impl Run {
    /// The call, if the route takes the request. One that is checked has its body read first, and held.
    pub(super) async fn admitted(&self, head: Parts) -> Result<Call<Upload>, Cause> {
        let signature = &self.route.settings.signature;
        match signature.admit(head, self.upload.clone()) {
            Admission::Call(call) => Ok(call),
            // In a box, so that calls which aren't checked don't carry what these need.
            Admission::ToCheck(unchecked) => Box::pin(self.checked(unchecked)).await,
        }
    }

    async fn checked(&self, unchecked: Unchecked<'_, Upload>) -> Result<Call<Upload>, Cause> {
        // An open breaker answers before anything is read. The one trial of a breaker that is half-open is not for strangers: leave
        // to try the app is taken after this.
        self.route.is_tried()?;
        let whole = self.upload.whole().await?;
        let (found, call) = unchecked.check(&whole);
        self.route.metrics.checked(found);
        if let (Err(fault), Ok(_)) = (found, &call) {
            info!(
                target: "understudy::call",
                route = self.route.settings.name,
                detail = describe_error(&fault),
                "a request would be refused if signatures were enforced"
            );
        }
        Ok(call?)
    }
}
