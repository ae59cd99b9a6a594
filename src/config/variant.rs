//! `when`: which callers get another page than the rest.

use std::fmt;

use toml::de::DeValue;

use super::error::Place;
use super::page::Pages;
use super::problem::Problem;
use super::reader::Reader;
use super::value;
use super::words::Text;
use crate::fallback::{Pattern, Variant};
use crate::twiml::Kind;

/// What can be wrong with a variant, its page aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariantProblem {
    /// The parameter has no name.
    NoName,
    /// A star stands elsewhere than at the end.
    Star {
        /// As it stands there.
        found: Text,
    },
    /// An earlier variant takes every caller that this one is for.
    NeverChosen {
        /// Where that one stands.
        earlier: Place,
    },
}

/// What a variant asks for, and where it stands.
#[derive(Clone, Debug)]
struct Asks {
    param: String,
    is: Pattern,
    place: Place,
}

/// Reads `when`: the variants in which nothing is wrong.
pub(super) fn read(page: &mut Reader<'_>, pages: &mut Pages<'_>, kind: Kind) -> Vec<Variant> {
    let mut earlier = Vec::new();
    let tables = page.non_empty_tables("when", EXAMPLE).into_iter();
    tables
        .filter_map(|table| variant(table, pages, kind, &mut earlier))
        .collect()
}

fn variant(
    mut table: Reader<'_>,
    pages: &mut Pages<'_>,
    kind: Kind,
    earlier: &mut Vec<Asks>,
) -> Option<Variant> {
    let param = table.require("param", "param = \"To\"", param);
    let is = table.require("is", "is = \"+33*\"", is);
    let page = pages.page_of_table(&mut table, kind);
    if page.is_none() && table.has_only(&["param", "is"]) {
        table.report(table.here(), Problem::NoPage);
    }
    let place = table.place();
    let asks = param.zip(is).map(|(param, is)| Asks { param, is, place });
    let covering = |asks: &Asks| earlier.iter().find(|earlier| earlier.covers(asks));
    if let Some(Asks { place: earlier, .. }) = asks.as_ref().and_then(covering) {
        let never = VariantProblem::NeverChosen { earlier: *earlier };
        table.report(table.spot("is"), never.into());
    }
    table.finish();
    earlier.extend(asks.clone());
    let Asks { param, is, .. } = asks?;
    page.map(|document| Variant {
        param,
        pattern: is,
        document,
    })
}

impl Asks {
    fn covers(&self, other: &Self) -> bool {
        self.param == other.param && self.is.covers(&other.is)
    }
}

fn param(value: &DeValue<'_>) -> Result<String, Problem> {
    match value::text(value)? {
        "" => Err(VariantProblem::NoName.into()),
        name => Ok(name.to_owned()),
    }
}

fn is(value: &DeValue<'_>) -> Result<Pattern, Problem> {
    let text = value::text(value)?;
    Pattern::parse(text).map_err(|_| VariantProblem::Star { found: text.into() }.into())
}

impl From<VariantProblem> for Problem {
    fn from(problem: VariantProblem) -> Self {
        Self::Variant(problem)
    }
}

impl fmt::Display for VariantProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("this names no parameter; write \"To\""),
            Self::Star { found } => write!(
                f,
                "{found} has a `*` before its end; write a whole value, or how it begins: \"+33*\""
            ),
            Self::NeverChosen { earlier } => write!(
                f,
                "the variant at {earlier} takes these callers already, for the first that fits wins; \
                 put this one before it"
            ),
        }
    }
}

const EXAMPLE: &str =
    "tables in a list: [{ param = \"To\", is = \"+33*\", file = \"voice.fr.xml\" }]";
