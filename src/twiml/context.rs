//! Finds out where in a document a byte is: in the text of an element, or in the value of an attribute.

use super::{
    name::Name,
    scan::{Handler, scan},
    span::Span,
};

/// The construct that a byte of a document is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Context {
    /// The text of an element.
    Text {
        /// The element.
        element: Name,
    },
    /// The value of an attribute.
    Value {
        /// The attribute.
        attribute: Name,
        /// Its element.
        element: Name,
    },
}

impl Context {
    /// The contexts of the bytes at these offsets, which must be in ascending order. Bytes that are in neither are left out.
    ///
    /// ```
    /// use understudy::twiml::Context;
    ///
    /// let document = "<Response><Say voice='alice'>Hello</Say></Response>";
    /// let found = Context::find(document, &[12, 22, 30]);
    /// assert_eq!(found.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [22, 30]);
    /// let Context::Value { attribute, element } = &found[0].1 else { panic!("a value") };
    /// assert_eq!((attribute.as_str(), element.as_str()), ("voice", "Say"));
    /// ```
    pub fn find(document: &str, offsets: &[usize]) -> Vec<(usize, Self)> {
        let text = document.strip_prefix('\u{feff}').unwrap_or(document);
        let mut finder = ContextFinder {
            open: Vec::new(),
            offsets,
            bom: document.len() - text.len(),
            found: Vec::new(),
        };
        // What follows a syntax error has no context.
        let _ = scan(text.as_bytes(), &mut finder);
        finder.found
    }
}

struct ContextFinder<'t, 'o> {
    /// The names of the open elements, outermost first.
    open: Vec<Span<'t>>,
    /// The offsets in the document, in ascending order.
    offsets: &'o [usize],
    /// The length of the byte order mark before the text.
    bom: usize,
    found: Vec<(usize, Context)>,
}

impl<'t> ContextFinder<'t, '_> {
    fn find_in(&mut self, span: Span<'t>, context: impl Fn(Name) -> Context) {
        let Some(element) = self.open.last() else {
            return;
        };
        let start = self.bom + span.at;
        let from = self.offsets.partition_point(|offset| *offset < start);
        let within = self.offsets[from..]
            .iter()
            .take_while(|offset| **offset < start + span.raw.len());
        let context = |offset: &usize| (*offset, context(Name::new(element.raw)));
        self.found.extend(within.map(context));
    }
}

impl<'t> Handler<'t> for ContextFinder<'t, '_> {
    fn on_start(&mut self, name: Span<'t>) {
        self.open.push(name);
    }

    fn on_attribute(&mut self, name: Span<'t>, value: Span<'t>) {
        self.find_in(value, |element| Context::Value {
            attribute: Name::new(name.raw),
            element,
        });
    }

    fn on_text(&mut self, text: Span<'t>) {
        self.find_in(text, |element| Context::Text { element });
    }

    fn on_end(&mut self, _: usize) {
        self.open.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts(document: &str) -> Vec<String> {
        let offsets: Vec<_> = document.match_indices('*').map(|(at, _)| at).collect();
        let found = Context::find(document, &offsets).into_iter();
        found
            .map(|(offset, context)| match context {
                Context::Text { element } => format!("{offset} {element}"),
                Context::Value { attribute, element } => {
                    format!("{offset} {element}/{attribute}")
                }
            })
            .collect()
    }

    #[test]
    fn each_byte_belongs_to_the_innermost_element_or_to_an_attribute() {
        assert_eq!(
            contexts("<R a='*' b=\"x*\">*<!--*--><S/>*<T c='*'>*</T>&amp;*</R>"),
            ["6 R/a", "13 R/b", "16 R", "29 R", "36 T/c", "39 T", "49 R"]
        );
    }

    #[test]
    fn a_byte_order_mark_counts_and_an_error_ends_the_search() {
        assert_eq!(contexts("\u{feff}<R>*</R>"), ["6 R"]);
        assert_eq!(contexts("<R>*<S></R>*"), ["3 R"]);
        assert_eq!(contexts("*"), Vec::<String>::new());
    }
}
