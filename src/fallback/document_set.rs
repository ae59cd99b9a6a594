//! The fallback documents for one kind of TwiML: variants for certain requests, and one document for all others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;

use super::document::Document;
use super::parameters::ParameterNames;
use crate::breaker::Breaker;
use crate::twiml::Kind;
use crate::upstream::Upstream;
use crate::webhook::Parameters;

/// A document, its variants, and maybe a URL that is requested before any of them is used.
#[derive(Clone, Debug)]
pub struct DocumentSet {
    default: Document,
    variants: Arc<[Variant]>,
    /// The parameters that the variants look at.
    names: Arc<ParameterNames>,
    pub(super) fallback_url: Option<FallbackUrl>,
}

/// Another app, which is requested if the first has no valid response, like the fallback URL that Twilio has per number. If it has
/// none either, a document is sent.
#[derive(Clone, Debug)]
pub struct FallbackUrl {
    /// The server.
    pub upstream: Arc<Upstream>,
    /// The path and query that are requested there.
    pub target: PathAndQuery,
    /// While it is open, the URL is not requested, and no time is reserved for it.
    pub breaker: Arc<Breaker>,
    /// How long the request may take, within the route's deadline.
    pub budget: Duration,
}

/// A document for requests with a certain parameter.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The name of the parameter.
    pub param: String,
    /// What its value must be.
    pub pattern: Pattern,
    /// The document.
    pub document: Document,
}

/// What the value of a parameter must be. A parameter that is missing matches nothing, not even an empty value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This value.
    Exact(String),
    /// A value that begins like this (`+33*` in the configuration).
    Prefix(String),
}

/// A pattern has a star before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a `*` is valid only at the end, for whatever may follow")]
pub struct PatternError;

impl DocumentSet {
    /// The first variant that matches is used, else the default. All must be of one kind.
    pub fn new(default: Document, variants: Vec<Variant>) -> Self {
        let names = variants.iter().map(|variant| variant.param.as_str());
        Self {
            default,
            names: Arc::new(ParameterNames::new(names)),
            variants: variants.into(),
            fallback_url: None,
        }
    }

    /// The same documents, used only if this URL gives no valid one.
    #[must_use]
    pub fn with_fallback_url(self, fallback_url: FallbackUrl) -> Self {
        Self {
            fallback_url: Some(fallback_url),
            ..self
        }
    }

    /// The document that matches these parameters, with the parameters in it.
    pub(super) fn render(&self, parameters: &Parameters<'_>) -> Bytes {
        self.select(parameters).render(parameters)
    }

    fn select(&self, parameters: &Parameters<'_>) -> &Document {
        if self.variants.is_empty() {
            return &self.default;
        }
        let values = self.names.find_values(parameters);
        let matches = |variant: &&Variant| {
            let value = values.get(&variant.param);
            value.is_some_and(|value| variant.pattern.matches(value))
        };
        let variant = self.variants.iter().find(matches);
        variant.map_or(&self.default, |variant| &variant.document)
    }

    pub(super) fn is_of_kind(&self, kind: Kind) -> bool {
        let variants = self.variants.iter().map(|variant| &variant.document);
        variants
            .chain([&self.default])
            .all(|document| document.kind() == kind)
    }
}

impl From<Document> for DocumentSet {
    fn from(document: Document) -> Self {
        Self::new(document, Vec::new())
    }
}

impl Pattern {
    /// Parses a pattern of the configuration: a value, or the beginning of one with a star behind it.
    ///
    /// # Errors
    ///
    /// If there is a star before the end.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let prefix = text.strip_suffix('*');
        if prefix.unwrap_or(text).contains('*') {
            return Err(PatternError);
        }
        Ok(match prefix {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        })
    }

    /// Whether it matches every value that the other matches.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(_), Self::Prefix(_)) => false,
            (_, Self::Exact(value) | Self::Prefix(value)) => self.matches(value),
        }
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(exact) => value == exact,
            Self::Prefix(prefix) => value.starts_with(prefix),
        }
    }
}
