//! The query of `/api/status`:
//!
//! - `routes=N`: at most N routes, those in trouble first. Without it: all routes, in the configuration's order.
//! - `match=TEXT`: only routes whose name, path, host or kind contains the text, in upper or lower case.
//! - `history=yes`: with the last ten minutes of each route.

use crate::proxy::Route;

/// Which part of the status is requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StatusQuery {
    /// The most routes, those in trouble first.
    pub(super) routes: Option<usize>,
    /// In lower case.
    pub(super) text: String,
    pub(super) history: bool,
}

/// Why a query is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("unknown parameter {0:?}; use routes, match or history")]
    Parameter(String),
    #[error("routes is {0:?}; write a whole number, such as 200")]
    Routes(String),
    #[error("history is {0:?}; write yes or no")]
    History(String),
}

impl StatusQuery {
    pub(super) fn parse(query: &str) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*key, &*value) {
                ("routes", number) => {
                    let number = number.parse();
                    parsed.routes = Some(number.map_err(|_| Error::Routes(value.into()))?);
                }
                ("match", text) => parsed.text = text.to_lowercase(),
                ("history", "yes") => parsed.history = true,
                ("history", "no") => parsed.history = false,
                ("history", _) => return Err(Error::History(value.into())),
                _ => return Err(Error::Parameter(key.into())),
            }
        }
        Ok(parsed)
    }

    /// Whether the query's text is in this route.
    pub(super) fn matches(&self, route: &Route) -> bool {
        let settings = &route.settings;
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        self.text.is_empty()
            || has(&settings.name)
            || has(&settings.pattern.path.to_string())
            || settings.pattern.host.as_deref().is_some_and(has)
            || has(settings.kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_query_is_parsed() {
        assert_eq!(StatusQuery::parse(""), Ok(StatusQuery::default()));
        let query = StatusQuery {
            routes: Some(200),
            text: "é/voice".into(),
            history: true,
        };
        assert_eq!(
            StatusQuery::parse("routes=200&match=%C3%89/Voice&history=yes"),
            Ok(query)
        );
    }

    #[test]
    fn an_invalid_query_is_refused_with_what_is_valid() {
        for (query, words) in [
            (
                "route=1",
                "unknown parameter \"route\"; use routes, match or history",
            ),
            (
                "routes=-1",
                "routes is \"-1\"; write a whole number, such as 200",
            ),
            ("history=1", "history is \"1\"; write yes or no"),
        ] {
            let error = StatusQuery::parse(query).expect_err(query);
            assert_eq!(error.to_string(), words);
        }
    }
}
