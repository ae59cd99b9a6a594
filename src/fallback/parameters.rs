//! Finds the values of certain parameters in one pass over a request's parameters, however many there are of either.

use std::borrow::Cow;

use crate::webhook::Parameters;

/// Names of parameters, sorted and without duplicates.
#[derive(Debug)]
pub(super) struct ParameterNames(Box<[Box<str>]>);

/// The values of these parameters in one request. If a name comes several times, the first value counts.
pub(super) struct ParameterValues<'n, 'p> {
    names: &'n ParameterNames,
    values: Vec<Option<Cow<'p, str>>>,
}

impl ParameterNames {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<Box<str>> = names.map(Box::from).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into())
    }

    pub(super) fn find_values<'p>(&self, parameters: &Parameters<'p>) -> ParameterValues<'_, 'p> {
        let mut values = vec![None; self.0.len()];
        for (name, value) in parameters.iter() {
            if let Some(index) = self.index(&name) {
                values[index].get_or_insert(value);
            }
        }
        ParameterValues {
            names: self,
            values,
        }
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|own| (**own).cmp(name)).ok()
    }
}

impl ParameterValues<'_, '_> {
    /// The value of one of the names; `None` if the request doesn't have it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values[self.names.index(name)?].as_deref()
    }
}
