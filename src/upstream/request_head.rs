//! The head of a request as it is written to the upstream: a copy in which the names have capital letters, kept for a second try.

use memchr::memchr;

/// How many of the first bytes are copied: every head that the server takes, and what is added to it.
const LIMIT: usize = 128 * 1024;

/// The first bytes of a request as they are written: its head, and what hyper writes together with it.
///
/// Names are written as Twilio and most clients write them, since some old handlers compare them letter by letter. hyper can do that
/// too, at twice the cost.
#[derive(Debug, Default)]
pub(super) struct RequestHead {
    bytes: Vec<u8>,
    /// How many of them are written.
    written: usize,
}

impl RequestHead {
    /// The next request begins.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }

    /// All of it, as far as it was given to [`Self::rewrite`].
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What to write in the place of these bytes. hyper gives the whole head at once.
    pub(super) fn rewrite<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.bytes.is_empty() {
            self.bytes
                .extend_from_slice(&bytes[..bytes.len().min(LIMIT)]);
            capitalize_names(&mut self.bytes);
        }
        match self.bytes.get(self.written..) {
            None | Some([]) => bytes,
            Some(rest) => rest,
        }
    }

    /// So many bytes were written.
    pub(super) fn advance(&mut self, written: usize) {
        self.written += written;
    }
}

/// Makes the first letter of each header's name, and each behind a dash, a capital one.
fn capitalize_names(head: &mut [u8]) {
    let mut rest = head;
    while let Some(end) = memchr(b'\n', rest) {
        rest = &mut rest[end + 1..];
        // The blank line has no name.
        if rest.first() == Some(&b'\r') {
            return;
        }
        let length = capitalize_name(rest);
        rest = &mut rest[length..];
    }
}

/// Makes the letters capital that begin the words of the name which this text begins with, up to its colon. Returns where it looked
/// last. Names are ASCII.
fn capitalize_name(text: &mut [u8]) -> usize {
    let mut begins_word = HIGH_BITS & 0xFF;
    let mut at = 0;
    // Eight bytes at a time, since each byte alone takes several instructions.
    for eight in text.as_chunks_mut::<8>().0 {
        let bytes = u64::from_le_bytes(*eight);
        let low = bytes & LOW_BITS;
        let colons = bytes_equal_to(low, b':');
        let dashes = bytes_equal_to(low, b'-');
        // Everything up to the first colon, if there is one.
        let of_name = colons ^ colons.wrapping_sub(1);
        let begins = (dashes << 8 | begins_word) & of_name & lower_case_letters(low);
        *eight = (bytes ^ (begins >> 2)).to_le_bytes();
        if colons != 0 {
            return at;
        }
        begins_word = dashes >> 56;
        at += 8;
    }
    let mut begins_word = begins_word != 0;
    for byte in &mut text[at..] {
        if *byte == b':' {
            break;
        }
        if begins_word {
            byte.make_ascii_uppercase();
        }
        begins_word = *byte == b'-';
    }
    at
}

/// The highest bit of each byte that is this one; other bits are 0. The bytes are ASCII.
fn bytes_equal_to(bytes: u64, byte: u8) -> u64 {
    // A byte that isn't 0 sets its highest bit, and carries nothing to the next.
    !((bytes ^ u64::from_le_bytes([byte; 8])) + LOW_BITS) & HIGH_BITS
}

/// The highest bit of each byte from `a` to `z`; other bits may be set too. The bytes are ASCII.
fn lower_case_letters(bytes: u64) -> u64 {
    let from_a = bytes + u64::from_le_bytes([0x80 - b'a'; 8]);
    let beyond_z = bytes + u64::from_le_bytes([0x7F - b'z'; 8]);
    from_a & !beyond_z
}

const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
const LOW_BITS: u64 = u64::from_le_bytes([0x7F; 8]);

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] =
        b"POST /a-b HTTP/1.1\r\nx-twilio-signature: a-b\r\nhost: c\r\n\r\nd-e\r\nf: g";
    const WRITTEN: &[u8] =
        b"POST /a-b HTTP/1.1\r\nX-Twilio-Signature: a-b\r\nHost: c\r\n\r\nd-e\r\nf: g";

    #[test]
    fn names_have_capital_letters_and_nothing_else_changes() {
        let mut head = RequestHead::default();
        assert_eq!(
            head.rewrite(HEAD).escape_ascii().to_string(),
            WRITTEN.escape_ascii().to_string()
        );
        for odd in [&b""[..], b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\na", b"\n\n"] {
            RequestHead::default().rewrite(odd);
        }
    }

    #[test]
    fn every_name_is_written_as_byte_by_byte() {
        for length in 1..40 {
            for dash in 0..length {
                for byte in [b'a', b'z', b'-', b'_', b'`', b'{', b'A', b'0', b'~', b'!'] {
                    let mut name = vec![byte; length];
                    name[dash] = b'-';
                    let mut text = [&name[..], b": a-b-c-d-e-f"].concat();
                    capitalize_name(&mut text);
                    let mut begins_word = true;
                    for byte in &mut name {
                        if begins_word {
                            byte.make_ascii_uppercase();
                        }
                        begins_word = *byte == b'-';
                    }
                    assert_eq!(text, [&name[..], b": a-b-c-d-e-f"].concat());
                }
            }
        }
    }

    #[test]
    fn it_is_written_piece_by_piece_where_the_kernel_takes_no_more() {
        let mut head = RequestHead::default();
        let mut written = Vec::new();
        while written.len() < HEAD.len() {
            let piece = &head.rewrite(&HEAD[written.len()..])[..1];
            written.extend_from_slice(piece);
            head.advance(1);
        }
        assert_eq!(written, WRITTEN);
        assert_eq!(head.bytes(), WRITTEN);
        assert_eq!(head.rewrite(b"the body"), b"the body");
        head.clear();
        assert_eq!(head.rewrite(HEAD), WRITTEN);
    }

    #[test]
    fn what_follows_a_very_long_head_is_written_as_it_stands() {
        let long = [HEAD, &[b'x'; 2 * LIMIT]].concat();
        let mut head = RequestHead::default();
        let mut written = Vec::new();
        while written.len() < long.len() {
            let piece = head.rewrite(&long[written.len()..]).to_vec();
            head.advance(piece.len());
            written.extend(piece);
        }
        assert_eq!(written, [WRITTEN, &[b'x'; 2 * LIMIT]].concat());
    }
}
