//! Finds an attribute name that comes twice in one tag (WFC Unique Att Spec), in linear time: each name sets one bit of 64,
//! and only if a bit was already set are the names compared, once, at the end of the tag.

use std::ops::Range;

use arrayvec::ArrayVec;

use crate::twiml::syntax::MAX_ATTRIBUTES;

/// The attribute names of the tag that is being read.
pub(super) struct AttributeNames {
    names: ArrayVec<Range<usize>, MAX_ATTRIBUTES>,
    /// The bits of all names so far.
    seen: u64,
    /// Whether two names have the same bit.
    may_repeat: bool,
}

impl AttributeNames {
    pub(super) fn new() -> Self {
        Self {
            names: ArrayVec::new(),
            seen: 0,
            may_repeat: false,
        }
    }

    /// Starts another tag.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.seen = 0;
        self.may_repeat = false;
    }

    /// Adds a name, which must not be empty. Returns false if there are too many.
    #[inline]
    pub(super) fn add(&mut self, name: &[u8], at: usize) -> bool {
        let bit = 1 << hash(name);
        self.may_repeat |= self.seen & bit != 0;
        self.seen |= bit;
        self.names.try_push(at..at + name.len()).is_ok()
    }

    /// Where a name comes for the second time.
    #[inline]
    pub(super) fn find_duplicate(&self, text: &[u8]) -> Option<Range<usize>> {
        if self.may_repeat {
            self.compare_names(text)
        } else {
            None
        }
    }

    fn compare_names(&self, text: &[u8]) -> Option<Range<usize>> {
        let mut sorted = self.names.clone();
        sorted.sort_unstable_by_key(|name| (&text[name.clone()], name.start));
        let pairs = sorted.iter().zip(sorted.iter().skip(1));
        let equal = pairs.filter(|(a, b)| text[(*a).clone()] == text[(*b).clone()]);
        equal
            .map(|(_, second)| second.clone())
            .min_by_key(|name| name.start)
    }
}

/// A number below 64, from a name's length and three of its letters.
#[inline]
fn hash(name: &[u8]) -> u32 {
    let letter = |at: usize| u32::from(name[at]);
    let mixed = letter(0)
        ^ letter(name.len() / 2) << 5
        ^ letter(name.len() - 1) << 10
        ^ (name.len() as u32) << 15;
    mixed.wrapping_mul(0x9E37_79B1) >> 26
}
