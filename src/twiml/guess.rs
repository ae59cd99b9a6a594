//! Guesses the kind of a document by its verbs, for a caller that doesn't know it. `Redirect` is a verb of both kinds; a `Sms`
//! among verbs of a phone call is part of the call.

use super::{
    charset::Text,
    grammar::{Grammar, ROOT},
    kind::Kind,
    scan::{Handler, scan},
    span::Span,
};

/// The kind of a document by its verbs; `None` if they don't tell, or if it is not well-formed. `charset` is that parameter
/// of its `Content-Type`, if it had one.
pub fn guess_kind(document: &[u8], charset: Option<&str>) -> Option<Kind> {
    let text = Text::read(document, charset).ok()?;
    let mut verbs = Verbs::default();
    scan(text.as_bytes(), &mut verbs).ok()?;
    if verbs.has_voice {
        Some(Kind::Voice)
    } else {
        verbs.has_messaging.then_some(Kind::Messaging)
    }
}

#[derive(Default)]
struct Verbs {
    depth: usize,
    has_voice: bool,
    has_messaging: bool,
}

impl Handler<'_> for Verbs {
    fn on_start(&mut self, name: Span<'_>) {
        self.depth += 1;
        if self.depth == 2 {
            let is_in = |kind| Grammar::of(kind).child(ROOT, name.raw).is_some();
            self.has_voice |= is_in(Kind::Voice) && !matches!(name.raw, b"Sms" | b"Redirect");
            self.has_messaging |= is_in(Kind::Messaging) && name.raw != b"Redirect";
        }
    }

    fn on_end(&mut self, _: usize) {
        self.depth -= 1;
    }
}
