//! One page: judged whole when the configuration is read, filled when it is sent.

use std::sync::Arc;

use bytes::Bytes;

use super::draft::Draft;
use super::error::{Error, place};
use super::injection::Injection;
use super::template::Template;
use crate::twiml::{Kind, Rules, Strictness, Twiml};
use crate::webhook::Parameters;

/// Twilio takes no longer page, in bytes (error 11750).
pub const LARGEST: usize = 64 << 10;

/// A page goes out as UTF-8, whatever it declares, so it is read as that.
pub(super) const CHARSET: Option<&str> = Some("utf-8");

/// A page that Twilio can act on, whatever it is filled with. Only [`Page::parse`] makes one.
#[derive(Clone, Debug)]
pub struct Page {
    kind: Kind,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// As it stands.
    Fixed(Twiml),
    /// With the values of parameters in it.
    Template(Arc<Template>),
}

impl Page {
    /// Judges a page strictly by this grammar. A page with `{{From}}` in it holds with any value in its place.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn parse(page: Bytes, rules: &Rules) -> Result<Self, Error> {
        if page.len() > LARGEST {
            return Err(Error::TooLarge(page.len()));
        }
        let draft = Draft::of(text(&page)?)?;
        let form = if draft.is_fixed() {
            let page = Twiml::parse(page, CHARSET, &rules.at(Strictness::Strict));
            Form::Fixed(page.map_err(|fault| Error::Twiml(rules.kind(), fault.into()))?)
        } else {
            Form::Template(Template::judged(&draft, rules)?.into())
        };
        let kind = rules.kind();
        Ok(Self { kind, form })
    }

    /// The page with these parameters in it. One that has no place for any is shared, not copied.
    pub(super) fn fill(&self, parameters: &Parameters<'_>) -> Bytes {
        match &self.form {
            Form::Fixed(page) => page.bytes().clone(),
            Form::Template(template) => template.fill(parameters).into_bytes(),
        }
    }

    /// Its placeholders by which a caller could choose what Twilio does.
    pub fn injections(&self) -> &[Injection] {
        match &self.form {
            Form::Fixed(_) => &[],
            Form::Template(template) => &template.injections,
        }
    }

    /// Whom it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

fn text(page: &[u8]) -> Result<&str, Error> {
    str::from_utf8(page).map_err(|error| {
        let good = &page[..error.valid_up_to()];
        let good = str::from_utf8(good).expect("valid up to there");
        Error::NotUtf8(place(good, good.len()))
    })
}
