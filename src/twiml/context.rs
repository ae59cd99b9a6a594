//! What a byte of a document belongs to: the text of an element, or the value of an attribute.

use super::{
    name::Name,
    scan::{Sink, scan},
    span::Span,
};

/// The part of a document that a byte belongs to.
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
    /// What the bytes at these offsets belong to, in ascending order. Those that belong to nothing of the kind are left out.
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
        let mut finder = Finder {
            open: Vec::new(),
            offsets,
            mark: document.len() - text.len(),
            found: Vec::new(),
        };
        // What comes after a fault is not part of the document.
        let _ = scan(text.as_bytes(), &mut finder);
        finder.found
    }
}

struct Finder<'t, 'o> {
    /// The names of the open elements, outermost first.
    open: Vec<Span<'t>>,
    /// In ascending order.
    offsets: &'o [usize],
    /// The length of the byte order mark before the text.
    mark: usize,
    found: Vec<(usize, Context)>,
}

impl<'t> Finder<'t, '_> {
    fn look(&mut self, part: Span<'t>, context: impl Fn(Name) -> Context) {
        let Some(element) = self.open.last() else {
            return;
        };
        let start = self.mark + part.at;
        let from = self.offsets.partition_point(|offset| *offset < start);
        let within = self.offsets[from..]
            .iter()
            .take_while(|offset| **offset < start + part.raw.len());
        let context = |offset: &usize| (*offset, context(Name::new(element.raw)));
        self.found.extend(within.map(context));
    }
}

impl<'t> Sink<'t> for Finder<'t, '_> {
    fn open(&mut self, name: Span<'t>) {
        self.open.push(name);
    }

    fn attribute(&mut self, name: Span<'t>, value: Span<'t>) {
        self.look(value, |element| Context::Value {
            attribute: Name::new(name.raw),
            element,
        });
    }

    fn text(&mut self, text: Span<'t>) {
        self.look(text, |element| Context::Text { element });
    }

    fn close(&mut self, _: usize) {
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
    fn a_byte_order_mark_is_counted_and_a_fault_ends_it() {
        assert_eq!(contexts("\u{feff}<R>*</R>"), ["6 R"]);
        assert_eq!(contexts("<R>*<S></R>*"), ["3 R"]);
        assert_eq!(contexts("*"), Vec::<String>::new());
    }
}
