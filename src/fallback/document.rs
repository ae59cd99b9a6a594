//! A fallback document: validated when the configuration is read, rendered when it is sent.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{Error, TestValue, position};
use super::injection::Injection;
use super::source::{CHARSET, Source};
use super::template::Template;
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{self, Kind, Rules, Strictness, Twiml, other_than_utf8};
use crate::webhook::Parameters;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A document that is TwiML for every request. Only [`Document::parse`] makes one.
#[derive(Clone, Debug)]
pub struct Document {
    kind: Kind,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// The same for every request.
    Fixed(Twiml),
    /// With parameters of the request in it.
    Template(Arc<Template>),
}

impl Document {
    /// Validates a document strictly by these rules. If it contains placeholders, such as `{{From}}`, it must be valid with any
    /// values for them. A second XML parser must accept it too.
    ///
    /// # Errors
    ///
    /// What is wrong with the document, and where.
    pub fn parse(document: Bytes, rules: &Rules) -> Result<Self, Error> {
        if document.len() > RESPONSE_LIMIT {
            return Err(Error::TooLarge(document.len()));
        }
        let kind = rules.kind();
        // It is sent with its charset, so no byte order mark is needed, and some readers of XML take it for text.
        let document = match document.strip_prefix(BYTE_ORDER_MARK) {
            Some(_) => document.slice(BYTE_ORDER_MARK.len()..),
            None => document,
        };
        let text = as_text(&document)?;
        if let Some((at, charset)) = other_than_utf8(text) {
            return Err(Error::Declared(charset, position(text, at)));
        }
        let source = Source::parse(text)?;
        let content = if source.is_fixed() {
            let strict = rules.with_strictness(Strictness::Strict);
            let twiml = twiml::validate(document.clone(), CHARSET, &strict)
                .map_err(|error| Error::Twiml(kind, error.into()))?;
            source.check_with_second_parser(&twiml, TestValue::Empty)?;
            Content::Fixed(twiml)
        } else {
            Content::Template(Template::new(&source, rules)?.into())
        };
        Ok(Self { kind, content })
    }

    /// The document with these parameters in it. A document without placeholders is shared, not copied.
    pub(super) fn render(&self, parameters: &Parameters<'_>) -> Bytes {
        match &self.content {
            Content::Fixed(twiml) => twiml.bytes().clone(),
            Content::Template(template) => template.render(parameters).into_bytes(),
        }
    }

    /// The placeholders by which a caller could decide what Twilio does.
    pub fn injections(&self) -> &[Injection] {
        match &self.content {
            Content::Fixed(_) => &[],
            Content::Template(template) => &template.injections,
        }
    }

    /// The kind of TwiML that it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

fn as_text(document: &[u8]) -> Result<&str, Error> {
    str::from_utf8(document).map_err(|error| {
        let valid = &document[..error.valid_up_to()];
        let valid = str::from_utf8(valid).expect("it is valid up to there");
        Error::NotUtf8(position(valid, valid.len()))
    })
}
