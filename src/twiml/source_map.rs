//! The way back from decoded text to the bytes that came, for the place of a finding.

use encoding_rs::{Decoder, Encoding};

/// Where in the page that came a character of the text stands.
pub(super) enum SourceMap<'p> {
    /// The text is the page, from after its byte order mark.
    Same {
        /// The length of that mark.
        mark: usize,
    },
    /// The text was decoded.
    Decoded(Decoding<'p>),
}

impl<'p> SourceMap<'p> {
    /// Of the text that these bytes, which come after a byte order mark of this length, were decoded into.
    pub(super) fn decoded(body: &'p [u8], mark: usize, charset: &'static Encoding) -> Self {
        let decoder = charset.new_decoder_without_bom_handling();
        Self::Decoded(Decoding {
            decoder,
            body,
            mark,
            read: 0,
            start: 0,
            written: 0,
        })
    }

    /// The offset in the page of what stands at this offset of the text; never one before the last.
    pub(super) fn origin(&mut self, offset: usize) -> usize {
        match self {
            Self::Same { mark } => *mark + offset,
            Self::Decoded(decoding) => decoding.origin(offset),
        }
    }
}

/// Decodes a page once more, byte by byte, as far as it is asked to.
pub(super) struct Decoding<'p> {
    decoder: Decoder,
    body: &'p [u8],
    mark: usize,
    read: usize,
    /// Where the bytes of the last character begin.
    start: usize,
    /// How much text there is up to the end of that character.
    written: usize,
}

impl Decoding<'_> {
    fn origin(&mut self, offset: usize) -> usize {
        let mut next = self.read;
        while self.written <= offset && self.read < self.body.len() {
            let wrote = self.step();
            if wrote > 0 {
                self.written += wrote;
                self.start = next;
                next = self.read;
            }
        }
        self.mark
            + if self.written > offset {
                self.start
            } else {
                self.body.len()
            }
    }

    fn step(&mut self) -> usize {
        let byte = &self.body[self.read..=self.read];
        let (_, _, wrote) =
            self.decoder
                .decode_to_utf8_without_replacement(byte, &mut [0; 16], false);
        self.read += 1;
        wrote
    }
}
