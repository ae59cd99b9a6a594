//! A hash table that finds a value by its owner and its name with one probe in the usual case: open addressing, and at most a
//! quarter full. The standard map would hash every byte of a name.

/// Values by owner and name.
#[derive(Debug)]
pub(super) struct Index<T> {
    entries: Vec<(u16, String, T)>,
    /// Positions in `entries`. The length is a power of two, and at least one slot is free.
    slots: Box<[u16]>,
}

const FREE: u16 = u16::MAX;

impl<T> Index<T> {
    pub(super) fn new(entries: Vec<(u16, String, T)>) -> Self {
        let mut slots =
            vec![FREE; (4 * entries.len()).next_power_of_two().max(4)].into_boxed_slice();
        for ((owner, name, _), position) in entries.iter().zip(0..FREE) {
            let mut slot = hash(*owner, name.as_bytes());
            while slots[slot & (slots.len() - 1)] != FREE {
                slot += 1;
            }
            slots[slot & (slots.len() - 1)] = position;
        }
        Self { entries, slots }
    }

    #[inline]
    pub(super) fn get(&self, owner: u16, name: &[u8]) -> Option<&T> {
        let mut slot = hash(owner, name);
        loop {
            let position = self.slots[slot & (self.slots.len() - 1)];
            let (of, known, value) = self.entries.get(usize::from(position))?;
            if *of == owner && known.as_bytes() == name {
                return Some(value);
            }
            slot += 1;
        }
    }
}

/// A hash of a name's length and three of its letters. Names are never empty.
#[inline]
fn hash(owner: u16, name: &[u8]) -> usize {
    let letter = |at: usize| u32::from(name[at]);
    let letters = letter(0) ^ letter(name.len() / 2) << 6 ^ letter(name.len() - 1) << 12;
    let mixed =
        (letters ^ (name.len() as u32) << 18 ^ u32::from(owner) << 24).wrapping_mul(0x9E37_79B1);
    (mixed >> 15) as usize
}
