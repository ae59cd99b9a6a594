//! Frames of HTTP/2 that carry no request, response or body: `PING`, `WINDOW_UPDATE`, `PRIORITY`, `SETTINGS`, those of unknown
//! types. Each costs its sender a few bytes and us some work, and h2 takes any number of them; so they are bounded here, by how
//! much of the other frames there is and by time.

use std::cell::Cell;
use std::rc::Rc;

use tokio::time::Instant;

/// How many control frames may come at once.
const BURST: u32 = 10_000;

/// How many may come for each frame that carries something, and for each piece of a body that goes out; and how many bytes of it
/// allow for one more. For each frame of data that a client takes, it sends two `WINDOW_UPDATE`s at most.
const PER_PIECE: u32 = 4;
const BYTES_FOR_ONE: usize = 256;

/// How many may come for each second.
const PER_SECOND: u32 = 100;

/// The length of what a client sends before its first frame (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// The length of a frame's header (RFC 9113 §4.1).
const HEADER: usize = 9;

/// How many control frames may still come on a connection.
#[derive(Debug)]
pub(super) struct ControlFrameBudget {
    left: Cell<u32>,
    /// When time was last taken into account.
    since: Cell<Instant>,
}

impl ControlFrameBudget {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            left: Cell::new(BURST),
            since: Cell::new(Instant::now()),
        })
    }

    /// A piece of a body goes out.
    pub(super) fn add_sent(&self, length: usize) {
        let more = u32::try_from(length / BYTES_FOR_ONE).unwrap_or(u32::MAX);
        self.add(PER_PIECE.saturating_add(more));
    }

    /// A control frame has come: whether it was one too many.
    fn is_exceeded(&self) -> bool {
        if self.left.get() == 0 {
            let seconds = self.since.replace(Instant::now()).elapsed().as_secs();
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.add(PER_SECOND.saturating_mul(seconds));
        }
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or_default());
        left.is_none()
    }

    fn add(&self, many: u32) {
        let left = self.left.get().saturating_add(many);
        self.left.set(left.min(BURST));
    }
}

/// Finds the control frames in what a client sends.
#[derive(Debug)]
pub(super) struct ControlFrameCounter {
    budget: Rc<ControlFrameBudget>,
    header: [u8; HEADER],
    /// How much of the header has come.
    header_length: usize,
    /// How many bytes come before the next header.
    skip: usize,
}

impl ControlFrameCounter {
    pub(super) fn new(budget: Rc<ControlFrameBudget>) -> Self {
        Self {
            budget,
            header: [0; HEADER],
            header_length: 0,
            skip: PREFACE,
        }
    }

    /// These bytes came: whether there were too many control frames among them.
    pub(super) fn is_exceeded_by(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let missing = HEADER - self.header_length;
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            self.header[self.header_length..][..part.len()].copy_from_slice(part);
            self.header_length += part.len();
            bytes = rest;
            if self.header_length == HEADER {
                self.header_length = 0;
                if self.is_exceeded_by_frame() {
                    return true;
                }
            }
        }
        false
    }

    /// A frame's header is whole.
    fn is_exceeded_by_frame(&mut self) -> bool {
        let [high, middle, low, kind, ..] = self.header;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.skip = length;
        // DATA, HEADERS and CONTINUATION. h2 itself bounds how many of them may be empty.
        let carries = matches!(kind, 0 | 1 | 9) && length > 0;
        if carries {
            self.budget.add(PER_PIECE);
        }
        !carries && self.budget.is_exceeded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const DATA: [u8; 12] = [0, 0, 3, 0, 0, 0, 0, 0, 1, 6, 6, 6];

    fn counter() -> ControlFrameCounter {
        let mut counter = ControlFrameCounter::new(ControlFrameBudget::new());
        assert!(!counter.is_exceeded_by(&[6; PREFACE]));
        counter
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_and_no_more() {
        for piece in [1, 2, 9, 17, 100] {
            let mut counter = counter();
            let burst = PING.repeat(BURST as usize);
            assert!(!burst.chunks(piece).any(|part| counter.is_exceeded_by(part)));
            assert!(counter.is_exceeded_by(&PING));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_and_frames_that_carry_something_make_room() {
        let mut counter = counter();
        assert!(!counter.is_exceeded_by(&PING.repeat(BURST as usize)));
        assert!(!counter.is_exceeded_by(&DATA));
        assert!(!counter.is_exceeded_by(&PING.repeat(PER_PIECE as usize)));
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        assert!(!counter.is_exceeded_by(&PING.repeat(2 * PER_SECOND as usize)));
        counter.budget.add_sent(2 * BYTES_FOR_ONE);
        assert!(!counter.is_exceeded_by(&PING.repeat(PER_PIECE as usize + 2)));
        assert!(counter.is_exceeded_by(&PING));
    }
}
