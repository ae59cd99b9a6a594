//! The attribute names of one tag, so that none comes twice (WFC Unique Att Spec). Linear on the way: a name whose bit in a
//! 64-bit sketch is free has not been seen; only where a bit was taken are the names compared, once, when the tag ends.

use std::ops::Range;

use arrayvec::ArrayVec;

use super::MAX_ATTRIBUTES;

/// The attribute names of the tag being read.
pub(super) struct Attributes {
    names: ArrayVec<Range<usize>, MAX_ATTRIBUTES>,
    sketch: u64,
    suspect: bool,
}

impl Attributes {
    pub(super) fn new() -> Self {
        Self {
            names: ArrayVec::new(),
            sketch: 0,
            suspect: false,
        }
    }

    /// Starts another tag.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.sketch = 0;
        self.suspect = false;
    }

    /// Notes a name, which is not empty; false if there are too many.
    #[inline]
    pub(super) fn note(&mut self, name: &[u8], at: usize) -> bool {
        let bit = 1 << bucket(name);
        self.suspect |= self.sketch & bit != 0;
        self.sketch |= bit;
        self.names.try_push(at..at + name.len()).is_ok()
    }

    /// Where a name comes for the second time.
    #[inline]
    pub(super) fn duplicate(&self, text: &[u8]) -> Option<Range<usize>> {
        if self.suspect {
            self.search(text)
        } else {
            None
        }
    }

    fn search(&self, text: &[u8]) -> Option<Range<usize>> {
        let mut sorted = self.names.clone();
        sorted.sort_unstable_by_key(|name| (&text[name.clone()], name.start));
        let pairs = sorted.iter().zip(sorted.iter().skip(1));
        let twice = pairs.filter(|(a, b)| text[(*a).clone()] == text[(*b).clone()]);
        twice
            .map(|(_, second)| second.clone())
            .min_by_key(|name| name.start)
    }
}

/// One of 64, from a name's length and three of its letters.
#[inline]
fn bucket(name: &[u8]) -> u32 {
    let letter = |at: usize| u32::from(name[at]);
    let mixed = letter(0)
        ^ letter(name.len() / 2) << 5
        ^ letter(name.len() - 1) << 10
        ^ (name.len() as u32) << 15;
    mixed.wrapping_mul(0x9E37_79B1) >> 26
}
