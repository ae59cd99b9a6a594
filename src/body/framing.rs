//! How much of a chunked body is framing. hyper bounds chunk extensions and trailers, but takes any number of zeros before a
//! chunk's size and of blanks behind it, one byte at a time: a peer that sends nothing else would keep a core busy for as long as
//! it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most bytes that may have come and are neither content nor the framing that it needs. hyper itself holds up to 64 KiB that
/// it hasn't looked at yet, as much again in frames that nobody has taken, and reads up to 64 KiB of trailers.
const LIMIT: usize = 256 * 1024;

/// How many bytes of framing one piece of content may have: a size, its line ends, and a short extension.
const PER_PIECE: usize = 32;

/// How many bytes of a body have come that were neither content nor the framing that it needs. Shared by who reads the
/// connection and who takes the content.
#[derive(Clone, Debug, Default)]
pub struct FramingBytes(Arc<AtomicUsize>);

impl FramingBytes {
    /// So many bytes were read from the connection: whether that is still within bounds.
    pub fn add_read(&self, bytes: usize) -> bool {
        self.0.fetch_add(bytes, Relaxed) + bytes <= LIMIT
    }

    /// A piece of content of this length was taken.
    pub fn add_content(&self, length: usize) {
        let count = self.0.load(Relaxed);
        // One thread does both. Content may be counted that was read together with the head, which wasn't counted.
        self.0
            .store(count.saturating_sub(length + PER_PIECE), Relaxed);
    }

    /// A new message begins.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_not_counted_and_framing_without_content_is_bounded() {
        let framing = FramingBytes::default();
        for _ in 0..1000 {
            assert!(framing.add_read(64 * 1024));
            framing.add_content(64 * 1024);
        }
        // Chunks of one byte.
        for _ in 0..100_000 {
            assert!(framing.add_read(6));
            framing.add_content(1);
        }
        assert!(framing.add_read(LIMIT));
        assert!(!framing.add_read(1));
        framing.reset();
        assert!(framing.add_read(1));
    }
}
