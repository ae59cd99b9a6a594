//! How much of the status is asked for: what stands behind the `?` of `/api/status`.
//!
//! - `routes=N`: at most so many routes, those in trouble first. Without it: all of them, as they were written.
//! - `match=TEXT`: only those of which name, path, host or kind has this in it, in small letters or capital ones.
//! - `history=yes`: with their last ten minutes.

use std::fmt;

use crate::proxy::Route;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// At most so many routes, those in trouble first.
    pub(super) routes: Option<usize>,
    /// In small letters.
    pub(super) matching: String,
    pub(super) history: bool,
}

/// What can't be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    Key(String),
    Routes(String),
    History(String),
}

impl View {
    pub(super) fn read(query: &str) -> Result<Self, Unknown> {
        let mut view = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "routes" => {
                    let many = value.parse();
                    view.routes = Some(many.map_err(|_| Unknown::Routes(value.into()))?);
                }
                "match" => view.matching = value.to_lowercase(),
                "history" if value == "yes" => view.history = true,
                "history" if value == "no" => view.history = false,
                "history" => return Err(Unknown::History(value.into())),
                _ => return Err(Unknown::Key(key.into())),
            }
        }
        Ok(view)
    }

    /// Whether a route is one of those that are asked for.
    pub(super) fn has(&self, route: &Route) -> bool {
        let settings = &route.settings;
        let has = |text: &str| text.to_lowercase().contains(&self.matching);
        self.matching.is_empty()
            || has(&settings.name)
            || has(&settings.pattern.path.to_string())
            || settings.pattern.host.as_deref().is_some_and(has)
            || has(settings.kind.as_str())
    }
}

impl fmt::Display for Unknown {
    /// What was wrong; what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(
                f,
                "nothing is asked for by {key:?}; there are routes, match and history"
            ),
            Self::Routes(value) => {
                write!(f, "routes is {value:?}: it is a whole number, such as 200")
            }
            Self::History(value) => write!(f, "history is {value:?}: it is yes or no"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        assert_eq!(View::read(""), Ok(View::default()));
        let view = View {
            routes: Some(200),
            matching: "é/voice".into(),
            history: true,
        };
        assert_eq!(
            View::read("routes=200&match=%C3%89/Voice&history=yes"),
            Ok(view)
        );
    }

    #[test]
    fn what_can_not_be_asked_for_is_said() {
        for (query, words) in [
            (
                "route=1",
                "nothing is asked for by \"route\"; there are routes, match and history",
            ),
            (
                "routes=-1",
                "routes is \"-1\": it is a whole number, such as 200",
            ),
            ("history=1", "history is \"1\": it is yes or no"),
        ] {
            let unknown = View::read(query).expect_err(query);
            assert_eq!(unknown.to_string(), words);
        }
    }
}
