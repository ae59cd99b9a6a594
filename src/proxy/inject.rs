//! Drills: a request into which a drill injects a fault never reaches the upstream, and fails as it would by the upstream's own
//! failure.

use std::future::pending;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::context::RequestContext;
use super::permit::ConcurrencyPermit;
use crate::deadline::Deadline;
use crate::drill;
use crate::failure::Failure;
use crate::response::{self, Expectations, plan_response};
use crate::twiml::{self, Rules};

/// The document of an app that crashed while it was writing it.
const TRUNCATED: &[u8] =
    br#"<?xml version="1.0" encoding="UTF-8"?><Response><Say>Thank you for call"#;

/// A document as one of Twilio's own tutorials has it.
const LOWER_CASE: &[u8] =
    br#"<?xml version="1.0" encoding="UTF-8"?><response><say>Thank you for calling.</say></response>"#;

impl RequestContext {
    /// Injects the fault of the route's drill, if one is active and chooses this request. The request counts against the limit of
    /// its route, but not against the upstream's.
    pub(super) async fn inject_fault(&self, deadline: Deadline) -> Result<(), Failure> {
        let Some(fault) = self.route.next_fault() else {
            return Ok(());
        };
        let _permit = ConcurrencyPermit::on_route(&self.route.metrics);
        let failed = self.bound(deadline, self.fail_by(fault)).await;
        failed.map_err(|failure| failure.injected(fault))
    }

    /// Fails as the upstream would.
    async fn fail_by(&self, fault: drill::Fault) -> Result<(), Failure> {
        let kind = self.expected_twiml().await?;
        Err(match (fault, kind) {
            (drill::Fault::Deadline, _) => return self.hang().await,
            (drill::Fault::Malformed, Some(kind)) => reject(TRUNCATED, self.route.rules(kind)),
            (drill::Fault::Root, Some(kind)) => reject(LOWER_CASE, self.route.rules(kind)),
            (drill::Fault::Status5xx, Some(kind)) => reject_status(self.expectations(kind)),
            // Nothing is validated on such a route, so a bad document fails like a bad status.
            (drill::Fault::Malformed | drill::Fault::Root | drill::Fault::Status5xx, None) => {
                response::Error::Status(StatusCode::INTERNAL_SERVER_ERROR).into()
            }
        })
    }

    /// Takes what the client sends, as an app that hangs would, and never responds.
    async fn hang(&self) -> Result<(), Failure> {
        self.body.read_rest().await?;
        pending().await
    }
}

fn reject_status(expectations: Expectations<'_>) -> Failure {
    let mut head = Response::new(()).into_parts().0;
    head.status = StatusCode::INTERNAL_SERVER_ERROR;
    let expectations = Expectations {
        pass_status: &[],
        ..expectations
    };
    plan_response(&head, expectations)
        .expect_err("a status of 500 is refused where none may pass")
        .into()
}

fn reject(document: &'static [u8], rules: &Rules) -> Failure {
    twiml::validate(Bytes::from_static(document), None, rules)
        .expect_err("the document is not valid")
        .into()
}
