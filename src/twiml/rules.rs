//! What a document is validated by.

use std::sync::Arc;

use super::{
    grammar::{Extension, ExtensionError, Grammar},
    kind::Kind,
    suggest::suggest,
};

/// What a document is validated by: a grammar and a strictness. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rules {
    strictness: Strictness,
    grammar: Arc<Grammar>,
}

/// Which findings make a document invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// Those that Twilio logs as an ERROR.
    Twilio,
    /// All.
    Strict,
}

impl Rules {
    /// Twilio's own grammar for this kind of TwiML.
    pub fn new(kind: Kind, strictness: Strictness) -> Self {
        Self {
            strictness,
            grammar: Grammar::of(kind),
        }
    }

    /// Twilio's grammar with extensions.
    ///
    /// # Errors
    ///
    /// All that is wrong with the extensions.
    ///
    /// ```
    /// use understudy::twiml::{Extension, Kind, Rules, Strictness, validate};
    ///
    /// let teleport = Extension { element: "Teleport".into(), attributes: vec!["to".into()], ..Extension::default() };
    /// let rules = Rules::with_extensions(Kind::Voice, Strictness::Strict, &[teleport]).expect("the names are valid");
    /// assert!(validate("<Response><Teleport to='Oslo'/></Response>".into(), None, &rules).is_ok());
    /// ```
    pub fn with_extensions(
        kind: Kind,
        strictness: Strictness,
        extensions: &[Extension],
    ) -> Result<Self, Vec<ExtensionError>> {
        Ok(Self {
            strictness,
            grammar: Grammar::with_extensions(kind, extensions)?,
        })
    }

    /// The same grammar with another strictness.
    #[must_use]
    pub fn with_strictness(&self, strictness: Strictness) -> Self {
        Self {
            strictness,
            ..self.clone()
        }
    }

    /// The kind of TwiML that the grammar is for.
    pub fn kind(&self) -> Kind {
        self.grammar.kind()
    }

    /// Which findings make a document invalid.
    pub fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// Whether the grammar has an element of this name.
    pub fn has_element(&self, name: &str) -> bool {
        self.grammar.has_element(name)
    }

    /// The element of which this name is probably a typo.
    pub fn suggest_element(&self, name: &str) -> Option<&str> {
        suggest(name, self.grammar.tags())
    }

    /// Whether these are the same grammar, at the same strictness.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.strictness == other.strictness && Arc::ptr_eq(&self.grammar, &other.grammar)
    }

    pub(super) fn grammar(&self) -> &Grammar {
        &self.grammar
    }
}
