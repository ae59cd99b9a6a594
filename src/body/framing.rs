//! Bounds the framing of a chunked body. hyper bounds chunk extensions and trailers, but accepts any number of zeros before a
//! chunk's size and of spaces after it, one byte at a time: a peer that sends nothing else could keep a core busy for as long as it
//! likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most bytes that may have been read and are neither content nor the framing that it needs. hyper buffers up to 64 KiB that it
/// hasn't parsed yet, as much again in frames that nobody has taken, and reads up to 64 KiB of trailers.
const LIMIT: usize = 256 * 1024;

/// How many bytes of framing a chunk may have: its size, line ends, and a short extension.
const PER_CHUNK: usize = 32;

/// How many bytes of a body were read that are neither content nor the framing that it needs. The connection adds what it reads, and
/// the body subtracts its content.
#[derive(Clone, Debug, Default)]
pub struct FramingBytes(Arc<AtomicUsize>);

impl FramingBytes {
    /// Adds bytes that were read from the connection. False if the framing is over its limit.
    pub fn add_read(&self, bytes: usize) -> bool {
        self.0.fetch_add(bytes, Relaxed) + bytes <= LIMIT
    }

    /// Subtracts content of this length, and the framing that it needs.
    pub fn add_content(&self, length: usize) {
        let count = self.0.load(Relaxed);
        // Load and store may be separate, as one thread does both. Content that was read together with the head wasn't added.
        self.0
            .store(count.saturating_sub(length + PER_CHUNK), Relaxed);
    }

    /// Starts with a new message.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_without_content_is_bounded() {
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
