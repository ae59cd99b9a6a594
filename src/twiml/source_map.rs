//! Maps offsets in the decoded text back to the bytes of the document, for the position of a finding.

use encoding_rs::{Decoder, Encoding};

/// Maps an offset in the text to an offset in the document.
pub(super) enum SourceMap<'d> {
    /// The text is the document itself, without its byte order mark.
    Same {
        /// The length of the byte order mark.
        bom: usize,
    },
    /// The text was decoded from another charset.
    Decoded(Redecoder<'d>),
}

impl<'d> SourceMap<'d> {
    /// The map for a text that was decoded from `body`, which follows a byte order mark of `bom` bytes.
    pub(super) fn decoded(body: &'d [u8], bom: usize, charset: &'static Encoding) -> Self {
        let decoder = charset.new_decoder_without_bom_handling();
        Self::Decoded(Redecoder {
            decoder,
            body,
            bom,
            read: 0,
            start: 0,
            written: 0,
        })
    }

    /// The offset in the document for an offset in the text. Offsets must not decrease from one call to the next.
    pub(super) fn document_offset(&mut self, offset: usize) -> usize {
        match self {
            Self::Same { bom } => *bom + offset,
            Self::Decoded(redecoder) => redecoder.document_offset(offset),
        }
    }
}

/// Decodes a document for the second time, byte by byte, up to the offsets that are asked for.
pub(super) struct Redecoder<'d> {
    decoder: Decoder,
    body: &'d [u8],
    bom: usize,
    /// How many bytes of the body were read.
    read: usize,
    /// Where the bytes of the last character begin.
    start: usize,
    /// The length of the text up to the end of that character.
    written: usize,
}

impl Redecoder<'_> {
    fn document_offset(&mut self, offset: usize) -> usize {
        let mut next = self.read;
        while self.written <= offset && self.read < self.body.len() {
            let wrote = self.decode_byte();
            if wrote > 0 {
                self.written += wrote;
                self.start = next;
                next = self.read;
            }
        }
        self.bom
            + if self.written > offset {
                self.start
            } else {
                self.body.len()
            }
    }

    fn decode_byte(&mut self) -> usize {
        let byte = &self.body[self.read..=self.read];
        let (_, _, wrote) =
            self.decoder
                .decode_to_utf8_without_replacement(byte, &mut [0; 16], false);
        self.read += 1;
        wrote
    }
}
