//! The parameters that someone wants to know of, found in one walk over a request's, however many of either there are.

use std::borrow::Cow;

use crate::webhook::Parameters;

/// Names of parameters, sorted, each once.
#[derive(Debug)]
pub(super) struct Names(Box<[Box<str>]>);

/// The values of these parameters in one request; of several of one name the first.
pub(super) struct Values<'n, 'p> {
    names: &'n Names,
    values: Vec<Option<Cow<'p, str>>>,
}

impl Names {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<Box<str>> = names.map(Box::from).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into())
    }

    pub(super) fn values<'p>(&self, parameters: &Parameters<'p>) -> Values<'_, 'p> {
        let mut values = vec![None; self.0.len()];
        for (name, value) in parameters.iter() {
            if let Some(place) = self.place(&name) {
                values[place].get_or_insert(value);
            }
        }
        Values {
            names: self,
            values,
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|own| (**own).cmp(name)).ok()
    }
}

impl Values<'_, '_> {
    /// The value of one of the names; none if the request doesn't have it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values[self.names.place(name)?].as_deref()
    }
}
