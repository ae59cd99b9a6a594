//! Which page fits a caller: the first variant whose parameter is as it asks, else the page itself.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Page;
use super::names::Names;
use super::url::FallbackUrl;
use crate::twiml::Kind;
use crate::webhook::Parameters;

/// A page, and the variants that go before it.
#[derive(Clone, Debug)]
pub struct Choice {
    page: Page,
    variants: Arc<[Variant]>,
    /// Of the parameters that the variants look at.
    names: Arc<Names>,
    /// Who is asked before a page is taken.
    pub(super) elsewhere: Option<FallbackUrl>,
}

/// A page for those callers whose request has a parameter like this.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The parameter's name.
    pub param: String,
    /// What its value must be.
    pub is: Is,
    /// The page.
    pub page: Page,
}

/// What a parameter's value must be. One that is missing is nothing at all, not even empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Is {
    /// This.
    Exactly(String),
    /// Something that begins with this (`+33*` in the configuration).
    Beginning(String),
}

/// A star that stands elsewhere than at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StarWithin;

impl Choice {
    /// The first of these variants that fits, else this page. All are of one kind.
    pub fn new(page: Page, variants: Vec<Variant>) -> Self {
        let names = Names::new(variants.iter().map(|variant| variant.param.as_str()));
        Self {
            page,
            names: Arc::new(names),
            variants: variants.into(),
            elsewhere: None,
        }
    }

    /// With a fallback URL that is asked first.
    #[must_use]
    pub fn after(self, elsewhere: FallbackUrl) -> Self {
        Self {
            elsewhere: Some(elsewhere),
            ..self
        }
    }

    /// The page that fits these parameters, filled with them.
    pub(super) fn page(&self, parameters: &Parameters<'_>) -> Bytes {
        self.fitting(parameters).fill(parameters)
    }

    fn fitting(&self, parameters: &Parameters<'_>) -> &Page {
        if self.variants.is_empty() {
            return &self.page;
        }
        let values = self.names.values(parameters);
        let fits = |variant: &&Variant| {
            let value = values.get(&variant.param);
            value.is_some_and(|value| variant.is.met_by(value))
        };
        let variant = self.variants.iter().find(fits);
        variant.map_or(&self.page, |variant| &variant.page)
    }

    pub(super) fn is_all(&self, kind: Kind) -> bool {
        let variants = self.variants.iter().map(|variant| &variant.page);
        variants.chain([&self.page]).all(|page| page.kind() == kind)
    }
}

impl From<Page> for Choice {
    fn from(page: Page) -> Self {
        Self::new(page, Vec::new())
    }
}

impl Is {
    /// Reads what the configuration writes: a value, or how it begins, with a star at the end.
    ///
    /// # Errors
    ///
    /// If a star stands elsewhere.
    pub fn parse(text: &str) -> Result<Self, StarWithin> {
        let (text, begins) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        match (text.contains('*'), begins) {
            (true, _) => Err(StarWithin),
            (false, true) => Ok(Self::Beginning(text.to_owned())),
            (false, false) => Ok(Self::Exactly(text.to_owned())),
        }
    }

    /// Whether it takes every value that the other takes.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exactly(_), Self::Beginning(_)) => false,
            (_, Self::Exactly(value) | Self::Beginning(value)) => self.met_by(value),
        }
    }

    fn met_by(&self, value: &str) -> bool {
        match self {
            Self::Exactly(whole) => value == whole,
            Self::Beginning(beginning) => value.starts_with(beginning),
        }
    }
}

impl fmt::Display for StarWithin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a `*` stands only at the end, for whatever may follow")
    }
}

impl std::error::Error for StarWithin {}
