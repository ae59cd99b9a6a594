//! What is known already, of Twilio's or of what is added beside it. Twilio's grammar answers no questions but by judging, so
//! it is asked with a page.

use toml::de::DeValue;

use super::GrammarProblem;
use crate::config::problem::Problem;
use crate::config::value;
use crate::config::words::Text;
use crate::twiml::{self, Extension, ExtensionError, Kind, Rules, SchemaError, Strictness, lint};

/// The elements that an addition may speak of.
pub(super) struct Known {
    added: Vec<(Option<Kind>, String)>,
}

/// The element that every page begins with.
const ROOT: &str = "Response";

impl Known {
    /// Twilio's, and these. Where the kind is wrong, that was reported, and it may be either.
    pub(super) fn with(added: impl Iterator<Item = (Option<Kind>, String)>) -> Self {
        Self {
            added: added.collect(),
        }
    }

    /// Which kinds of page have this element.
    pub(super) fn kinds_of(&self, element: &str) -> Vec<Kind> {
        let kinds = [Kind::Voice, Kind::Messaging].into_iter();
        kinds.filter(|kind| self.has(*kind, element)).collect()
    }

    /// An element that pages of this kind have, or pages of either kind if none is given.
    pub(super) fn read(&self, value: &DeValue<'_>, kind: Option<Kind>) -> Result<String, Problem> {
        let found = value::text(value)?;
        let kinds = self.kinds_of(found);
        if kind.map_or(!kinds.is_empty(), |kind| kinds.contains(&kind)) {
            return Ok(found.to_owned());
        }
        let nearest = match kind {
            Some(kind) => nearest(kind, found),
            None => nearest(Kind::Voice, found).or_else(|| nearest(Kind::Messaging, found)),
        };
        Err(Problem::from(GrammarProblem::NoElement {
            found: found.into(),
            kind,
            nearest,
        }))
    }

    fn has(&self, kind: Kind, element: &str) -> bool {
        let is_added =
            |(of, name): &(Option<Kind>, String)| name == element && of.is_none_or(|of| of == kind);
        self.added.iter().any(is_added) || is_twilios(kind, element)
    }
}

/// Whether XML takes this for a name.
pub(super) fn is_name(name: &str) -> bool {
    let refusal = rules_with(Kind::Voice, name, &[]).err().unwrap_or_default();
    !refusal.contains(&ExtensionError::NotAName(name.to_owned()))
}

/// Whether Twilio's own grammar takes all of an addition.
pub(super) fn is_needless(kind: Kind, addition: &Extension) -> bool {
    let Extension {
        element, parents, ..
    } = addition;
    let inside = part(addition);
    is_twilios(kind, element)
        && match &parents[..] {
            [] if element == ROOT => is_taken(kind, ROOT, &inside),
            [] => is_taken(kind, element, &within(ROOT, &inside)),
            parents => parents.iter().all(|parent| {
                let inside = match parent.as_str() {
                    ROOT => inside.clone(),
                    parent => within(parent, &inside),
                };
                is_taken(kind, parent, &within(ROOT, &inside))
            }),
        }
}

/// A page's part that has all of an addition.
fn part(addition: &Extension) -> String {
    let element = &addition.element;
    let attributes: String = (addition.attributes.iter())
        .map(|name| format!(" {name}=''"))
        .collect();
    let children: String = (addition.children.iter())
        .map(|child| format!("<{child}/>"))
        .collect();
    let text = if addition.text { "text" } else { "" };
    format!("<{element}{attributes}>{text}{children}</{element}>")
}

fn within(parent: &str, inside: &str) -> String {
    format!("<{parent}>{inside}</{parent}>")
}

/// Whether nothing on a page is unknown where it stands, if this element may stand in the root.
fn is_taken(kind: Kind, element: &str, page: &str) -> bool {
    let Ok(rules) = rules_with(kind, element, &[]) else {
        return false;
    };
    let report = lint(page.as_bytes(), None, &rules);
    // What is bad about the values and the text of a made-up page is no matter.
    report.findings().iter().all(|finding| {
        matches!(
            finding.problem(),
            twiml::Problem::Schema(
                SchemaError::BadValue { .. }
                    | SchemaError::BadText { .. }
                    | SchemaError::NoText(_)
                    | SchemaError::NoChild { .. }
                    | SchemaError::NotAlone { .. }
            )
        )
    })
}

fn is_twilios(kind: Kind, element: &str) -> bool {
    rules_with(kind, ROOT, &[element]).is_ok()
}

/// The element of Twilio's that this unknown one is probably meant to be.
fn nearest(kind: Kind, element: &str) -> Option<Text> {
    let page = within(ROOT, &format!("<{element}/>"));
    let report = lint(page.as_bytes(), None, &Rules::new(kind, Strictness::Strict));
    report.findings().iter().find_map(|finding| {
        let twiml::Problem::Schema(SchemaError::UnknownElement { suggestion, .. }) =
            finding.problem()
        else {
            return None;
        };
        suggestion.as_ref().map(|name| name.as_str().into())
    })
}

/// Twilio's grammar, where this element may also stand in the root and hold these.
fn rules_with(kind: Kind, element: &str, children: &[&str]) -> Result<Rules, Vec<ExtensionError>> {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let parents: &[&str] = if element == ROOT { &[] } else { &[ROOT] };
    let addition = Extension {
        element: element.to_owned(),
        parents: owned(parents),
        children: owned(children),
        ..Extension::default()
    };
    Rules::with_extensions(kind, Strictness::Strict, &[addition])
}
