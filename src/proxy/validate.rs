//! The response of the upstream on a TwiML route is collected and validated: only what was proved valid goes back.

use bytes::Bytes;
use http::{header, response};

use super::context::RequestContext;
use super::receive::Received;
use crate::failure::Failure;
use crate::response::{Disposition, Error, accept_empty, decode_body, plan_response};
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{self, Kind, Strictness};
use crate::upstream::UpstreamRequest;

impl RequestContext {
    /// Collects and validates a response of which the head has come.
    ///
    /// # Errors
    ///
    /// Why it does not go back.
    pub(super) async fn validate_response(
        &self,
        kind: Kind,
        upstream: &mut UpstreamRequest,
    ) -> Result<Received, Failure> {
        let disposition = match plan_response(upstream.head(), self.expectations(kind)) {
            Ok(Disposition::Stream) => return Ok(Received::Stream(None)),
            Ok(disposition) => disposition,
            // A response without a body needs no content type.
            Err(Error::ContentType) if upstream.has_empty_body().await? => {
                Disposition::PassBody(None)
            }
            Err(error) => return Err(error.into()),
        };
        let body = upstream.collect_body(RESPONSE_LIMIT).await?;
        let head = upstream.head();
        let body = self.validate_body(head, body, disposition, kind)?;
        Ok(Received::Whole(body))
    }

    /// The body that goes back by this disposition: what has to be TwiML was proved to be.
    pub(super) fn validate_body(
        &self,
        head: &mut response::Parts,
        body: Bytes,
        disposition: Disposition,
        kind: Kind,
    ) -> Result<Bytes, Failure> {
        match disposition {
            Disposition::Stream | Disposition::Pass => Ok(body),
            Disposition::PassBody(_) | Disposition::Validate { .. } if body.is_empty() => {
                self.validate_empty(body, kind)
            }
            Disposition::PassBody(warning) => {
                warning.inspect(|code| self.route.metrics.record_warning(*code));
                Ok(body)
            }
            Disposition::Validate {
                charset,
                may_be_text,
            } => {
                let (body, was_encoded) = decode_body(&head.headers, body, RESPONSE_LIMIT)?;
                let body = if body.is_empty() {
                    self.validate_empty(body, kind)?
                } else {
                    self.validate_twiml(body, charset.as_deref(), may_be_text, kind)?
                };
                // Not before: a response that is not valid may go back as it came.
                if was_encoded {
                    head.headers.remove(header::CONTENT_ENCODING);
                    head.headers.remove(header::CONTENT_LENGTH);
                }
                Ok(body)
            }
        }
    }

    fn validate_twiml(
        &self,
        body: Bytes,
        charset: Option<&str>,
        may_be_text: bool,
        kind: Kind,
    ) -> Result<Bytes, Failure> {
        let rules = self.route.rules(kind);
        let mut twiml = self.worker.known_documents.validate(body, charset, rules)?;
        if twiml.is_plain_text() && !may_be_text {
            // The content type says XML, which this isn't: find out what is wrong with it.
            twiml = twiml::validate(
                twiml.into_bytes(),
                charset,
                &rules.with_strictness(Strictness::Strict),
            )?;
        }
        for warning in twiml.warnings() {
            self.route.metrics.record_warning(warning.code());
        }
        Ok(twiml.into_bytes())
    }

    fn validate_empty(&self, empty: Bytes, kind: Kind) -> Result<Bytes, Failure> {
        let warning = accept_empty(kind, self.route.settings.validate)?;
        warning.inspect(|code| self.route.metrics.record_warning(*code));
        Ok(empty)
    }
}
