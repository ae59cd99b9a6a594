//! A document, and the proof that Twilio can act on it.

use bytes::Bytes;

use super::{
    error::Error,
    finding::{Finding, Problem},
    lint::find_warnings,
    rules::Rules,
    schema::SchemaError,
};

/// A document that Twilio can act on. Only [`validate`] makes one, and the bytes are those that came.
#[derive(Clone, Debug)]
pub struct Twiml {
    pub(super) document: Bytes,
    pub(super) warnings: Vec<Finding>,
}

/// Validates a document. `charset` is that parameter of the response's `Content-Type`, if it had one.
///
/// # Errors
///
/// The first error; with [`Strictness::Strict`] also the first warning of a document without errors.
pub fn validate(document: Bytes, charset: Option<&str>, rules: &Rules) -> Result<Twiml, Error> {
    let warnings = find_warnings(&document, charset, rules)?;
    Ok(Twiml { document, warnings })
}

impl Twiml {
    /// The document, exactly as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.document
    }

    /// The document, exactly as it came.
    pub fn into_bytes(self) -> Bytes {
        self.document
    }

    /// Whether it is plain text without markup. In response to a message Twilio sends nothing then, and warns.
    pub fn is_plain_text(&self) -> bool {
        self.warnings
            .iter()
            .any(|warning| *warning.problem() == Problem::Schema(SchemaError::NotMarkup))
    }

    /// What Twilio would log while it acts on the document.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}
