//! Limits the control frames of an HTTP/2 connection: `PING`, `WINDOW_UPDATE`, `PRIORITY`, `SETTINGS`, and those of unknown
//! types. Each costs its sender a few bytes and us some work, and h2 takes any number of them. So their number is limited in
//! proportion to the other frames and to time.

use std::cell::Cell;

use tokio::time::Instant;

/// How many control frames may come at once.
const BURST: u32 = 10_000;

/// How many more may come for each other frame, and for each frame of a response body. A client sends at most two
/// `WINDOW_UPDATE`s for each frame of data that it takes.
const PER_FRAME: u32 = 4;

/// One more may come for so many bytes of a response body.
const BYTES_PER_CONTROL_FRAME: usize = 256;

/// How many more may come for each second.
const PER_SECOND: u32 = 100;

/// The length of what a client sends before its first frame (RFC 9113 §3.4).
const PREFACE_LENGTH: usize = 24;

/// The length of a frame's header (RFC 9113 §4.1).
const HEADER_LENGTH: usize = 9;

/// How many control frames may still come on a connection.
#[derive(Debug)]
pub(super) struct ControlFrameBudget {
    left: Cell<u32>,
    /// Since when the time that has passed isn't yet in `left`.
    since: Cell<Instant>,
}

impl ControlFrameBudget {
    pub(super) fn new() -> Self {
        Self {
            left: Cell::new(BURST),
            since: Cell::new(Instant::now()),
        }
    }

    /// A frame of a response body goes out.
    pub(super) fn add_sent(&self, length: usize) {
        let more = u32::try_from(length / BYTES_PER_CONTROL_FRAME).unwrap_or(u32::MAX);
        self.add(PER_FRAME.saturating_add(more));
    }

    /// Takes one control frame from the budget. Returns false if none is left.
    fn take(&self) -> bool {
        if self.left.get() == 0 {
            let seconds = self.since.replace(Instant::now()).elapsed().as_secs();
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.add(PER_SECOND.saturating_mul(seconds));
        }
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }

    fn add(&self, count: u32) {
        let left = self.left.get().saturating_add(count);
        self.left.set(left.min(BURST));
    }
}

/// Finds the control frames in the bytes of a client.
#[derive(Debug)]
pub(super) struct ControlFrameCounter {
    header: [u8; HEADER_LENGTH],
    /// How much of the header has come.
    header_length: usize,
    /// How many bytes come before the next header.
    skip: usize,
}

impl ControlFrameCounter {
    pub(super) fn new() -> Self {
        Self {
            header: [0; HEADER_LENGTH],
            header_length: 0,
            skip: PREFACE_LENGTH,
        }
    }

    /// Counts the frames in these bytes. Returns whether their number is within the budget.
    pub(super) fn add_read(&mut self, mut bytes: &[u8], budget: &ControlFrameBudget) -> bool {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let missing = HEADER_LENGTH - self.header_length;
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            self.header[self.header_length..][..part.len()].copy_from_slice(part);
            self.header_length += part.len();
            bytes = rest;
            if self.header_length == HEADER_LENGTH {
                self.header_length = 0;
                if !self.add_frame(budget) {
                    return false;
                }
            }
        }
        true
    }

    /// Counts the frame whose header is complete.
    fn add_frame(&mut self, budget: &ControlFrameBudget) -> bool {
        let [high, middle, low, kind, ..] = self.header;
        self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
        // DATA, HEADERS and CONTINUATION. h2 itself limits how many of them may be empty.
        if matches!(kind, 0 | 1 | 9) && self.skip > 0 {
            budget.add(PER_FRAME);
            return true;
        }
        budget.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const DATA: [u8; 12] = [0, 0, 3, 0, 0, 0, 0, 0, 1, 6, 6, 6];

    fn counter(budget: &ControlFrameBudget) -> ControlFrameCounter {
        let mut counter = ControlFrameCounter::new();
        assert!(counter.add_read(&[6; PREFACE_LENGTH], budget));
        counter
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_and_no_more() {
        for piece in [1, 2, 9, 17, 100] {
            let budget = ControlFrameBudget::new();
            let mut counter = counter(&budget);
            let burst = PING.repeat(BURST as usize);
            let mut pieces = burst.chunks(piece);
            assert!(pieces.all(|piece| counter.add_read(piece, &budget)));
            assert!(!counter.add_read(&PING, &budget));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_and_other_frames_allow_for_more() {
        let budget = ControlFrameBudget::new();
        let mut counter = counter(&budget);
        assert!(counter.add_read(&PING.repeat(BURST as usize), &budget));
        assert!(counter.add_read(&DATA, &budget));
        assert!(counter.add_read(&PING.repeat(PER_FRAME as usize), &budget));
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        assert!(counter.add_read(&PING.repeat(2 * PER_SECOND as usize), &budget));
        budget.add_sent(2 * BYTES_PER_CONTROL_FRAME);
        assert!(counter.add_read(&PING.repeat(PER_FRAME as usize + 2), &budget));
        assert!(!counter.add_read(&PING, &budget));
    }
}
