//! Which kind of page it is, for whoever has not been told: by its verbs. `Message` and `Sms` are what answers a message;
//! `Redirect` answers both; an `Sms` among verbs of a call is part of a call.

use super::{
    Kind,
    charset::Text,
    grammar::{Grammar, ROOT},
    scan::{Sink, scan},
    span::Span,
};

/// What the verbs of a page say.
pub(super) fn kind(page: &[u8], charset: Option<&str>) -> Option<Kind> {
    let text = Text::read(page, charset).ok()?;
    let mut verbs = Verbs::default();
    scan(text.as_bytes(), &mut verbs).ok()?;
    match verbs {
        Verbs { of_calls: true, .. } => Some(Kind::Voice),
        Verbs {
            of_messages: true, ..
        } => Some(Kind::Messaging),
        Verbs { .. } => None,
    }
}

#[derive(Default)]
struct Verbs {
    depth: usize,
    of_calls: bool,
    of_messages: bool,
}

impl Sink<'_> for Verbs {
    fn open(&mut self, name: Span<'_>) {
        self.depth += 1;
        if self.depth == 2 {
            let is_in = |kind| Grammar::of(kind).child(ROOT, name.raw).is_some();
            self.of_calls |= is_in(Kind::Voice) && !matches!(name.raw, b"Sms" | b"Redirect");
            self.of_messages |= is_in(Kind::Messaging) && name.raw != b"Redirect";
        }
    }

    fn close(&mut self, _: usize) {
        self.depth -= 1;
    }

    fn attribute(&mut self, _: Span<'_>, _: Span<'_>) {}
    fn text(&mut self, _: Span<'_>) {}
}
