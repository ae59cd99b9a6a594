//! What is known of an element while it is open.

use crate::twiml::{code::Code, grammar::Definition, name::Name, span::Span};

/// An open element that the grammar knows.
pub(super) struct Frame<'t> {
    /// The index of its definition in the grammar.
    pub(super) definition: u16,
    pub(super) name: Span<'t>,
    /// The bits of the attributes that it has.
    pub(super) attributes: u64,
    /// The bits of the children that it has.
    pub(super) children: u64,
    pub(super) has_unknown_child: bool,
    pub(super) has_unknown_attribute: bool,
    /// The length of its text and that of its children in bytes, without runs of nothing but white space. The text has at most
    /// as many characters.
    pub(super) text_bytes: usize,
    /// Its own text.
    pub(super) text: TextRuns<'t>,
}

/// The runs of text in an element, without those of nothing but white space.
#[derive(Clone, Copy)]
pub(super) enum TextRuns<'t> {
    None,
    One(Span<'t>),
    Several,
}

impl<'t> Frame<'t> {
    #[inline]
    pub(super) fn new(definition: u16, name: Span<'t>) -> Self {
        Self {
            definition,
            name,
            attributes: 0,
            children: 0,
            has_unknown_child: false,
            has_unknown_attribute: false,
            text_bytes: 0,
            text: TextRuns::None,
        }
    }

    /// The element's name, safe to print.
    pub(super) fn element(&self) -> Name {
        Name::new(self.name.raw)
    }

    /// The code for breaking a rule on the whole element. If the element has unknown
    /// content, that may be why the rule is broken, so it is only a warning.
    pub(super) fn code(&self, code: Code) -> Code {
        if self.has_unknown_child || self.has_unknown_attribute {
            code.as_warning()
        } else {
            code
        }
    }

    /// Whether the element has something in place of text.
    pub(super) fn has_text_alternative(&self, rules: &Definition) -> bool {
        let (attributes, children) = rules.text_alternatives;
        self.has_unknown_child || self.attributes & attributes != 0 || self.children & children != 0
    }
}
