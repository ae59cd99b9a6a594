//! Which elements Twilio's grammar or an addition has. The grammar can't be listed, so documents are validated against it.

use toml::de::DeValue;

use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::value::parse_text;
use crate::twiml::{
    Extension, ExtensionError, Kind, Problem, Rules, SchemaError, Strictness, lint,
};

/// The elements that an addition may name.
pub(super) struct Known {
    added: Vec<(Option<Kind>, String)>,
    is_incomplete: bool,
}

/// The root of every document.
const ROOT: &str = "Response";

impl Known {
    /// Twilio's elements and those that are added. One whose kind is not valid may be of either kind. `is_incomplete` says that
    /// syntax errors may hide some.
    pub(super) fn new(
        added: impl Iterator<Item = (Option<Kind>, String)>,
        is_incomplete: bool,
    ) -> Self {
        let added = added.collect();
        Self {
            added,
            is_incomplete,
        }
    }

    /// The kinds of document that have this element.
    pub(super) fn kinds_of(&self, element: &str) -> Vec<Kind> {
        let kinds = [Kind::Voice, Kind::Messaging].into_iter();
        kinds.filter(|kind| self.has(*kind, element)).collect()
    }

    /// An element of documents of this kind, or of either kind if none is given.
    pub(super) fn parse_element(
        &self,
        value: &DeValue<'_>,
        kind: Option<Kind>,
    ) -> Result<String, Diagnostic> {
        let found = parse_text(value)?;
        let kinds = self.kinds_of(found);
        let is_known = kind.map_or(!kinds.is_empty(), |kind| kinds.contains(&kind));
        if is_known || self.is_incomplete {
            return Ok(found.to_owned());
        }
        let (twiml, nearest) = match kind {
            Some(kind) => (format!("{kind} TwiML"), nearest(kind, found)),
            None => (
                "TwiML".to_owned(),
                nearest(Kind::Voice, found).or_else(|| nearest(Kind::Messaging, found)),
            ),
        };
        let help = match nearest {
            Some(name) => format!("did you mean {}?", quote(&name)),
            None => "add it as a [[grammar.element]] of its own".to_owned(),
        };
        let message = format!("{} is not an element of {twiml}", quote(found));
        Err(Diagnostic::new(message).help(help))
    }

    fn has(&self, kind: Kind, element: &str) -> bool {
        let is_added =
            |(of, name): &(Option<Kind>, String)| name == element && of.is_none_or(|of| of == kind);
        self.added.iter().any(is_added) || is_twilios(kind, element)
    }
}

/// Whether this is a valid XML name.
pub(super) fn is_name(name: &str) -> bool {
    let errors = rules_with(Kind::Voice, name, &[]).err().unwrap_or_default();
    !errors.contains(&ExtensionError::NotAName(name.to_owned()))
}

/// Whether Twilio's own grammar contains all of an extension.
pub(super) fn is_needless(kind: Kind, extension: &Extension) -> bool {
    let Extension {
        element, parents, ..
    } = extension;
    let inside = render(extension);
    is_twilios(kind, element)
        && match &parents[..] {
            [] if element == ROOT => is_known(kind, ROOT, &inside),
            [] => is_known(kind, element, &within(ROOT, &inside)),
            parents => parents.iter().all(|parent| {
                let inside = match parent.as_str() {
                    ROOT => inside.clone(),
                    parent => within(parent, &inside),
                };
                is_known(kind, parent, &within(ROOT, &inside))
            }),
        }
}

/// The element as it stands in a document, with all that is added to it.
fn render(extension: &Extension) -> String {
    let element = &extension.element;
    let attributes: String = (extension.attributes.iter())
        .map(|name| format!(" {name}=''"))
        .collect();
    let children: String = (extension.children.iter())
        .map(|child| format!("<{child}/>"))
        .collect();
    let text = if extension.text { "text" } else { "" };
    format!("<{element}{attributes}>{text}{children}</{element}>")
}

fn within(parent: &str, inside: &str) -> String {
    format!("<{parent}>{inside}</{parent}>")
}

/// Whether the grammar knows everything in a document, if this element may stand in the root.
fn is_known(kind: Kind, element: &str, document: &str) -> bool {
    let Ok(rules) = rules_with(kind, element, &[]) else {
        return false;
    };
    let report = lint(document.as_bytes(), None, &rules);
    // The values and texts of the document are made up, so errors about them don't count.
    report.findings().iter().all(|finding| {
        matches!(
            finding.problem(),
            Problem::Schema(
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

/// Twilio's element of which this one is probably a typo.
fn nearest(kind: Kind, element: &str) -> Option<String> {
    let document = within(ROOT, &format!("<{element}/>"));
    let report = lint(
        document.as_bytes(),
        None,
        &Rules::new(kind, Strictness::Strict),
    );
    report.findings().iter().find_map(|finding| {
        let Problem::Schema(SchemaError::UnknownElement { suggestion, .. }) = finding.problem()
        else {
            return None;
        };
        suggestion.as_ref().map(|name| name.as_str().to_owned())
    })
}

/// Twilio's grammar, in which this element may also stand in the root and contain these children.
fn rules_with(kind: Kind, element: &str, children: &[&str]) -> Result<Rules, Vec<ExtensionError>> {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let parents: &[&str] = if element == ROOT { &[] } else { &[ROOT] };
    let extension = Extension {
        element: element.to_owned(),
        parents: owned(parents),
        children: owned(children),
        ..Extension::default()
    };
    Rules::with_extensions(kind, Strictness::Strict, &[extension])
}
