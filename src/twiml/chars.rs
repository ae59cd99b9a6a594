//! Which characters XML 1.0 (fifth edition) allows where: `[2] Char`, `[3] S`, `[4] NameStartChar`, `[4a] NameChar`.
//! The scanner asks byte by byte, so each class is a bit in a table of 256 bytes. Only characters beyond ASCII are decoded.

use memchr::memmem;

/// A byte that may begin a name.
pub(super) const NAME_START: u8 = 1;
/// A byte that may continue a name.
pub(super) const NAME: u8 = 2;
/// `[3] S`.
pub(super) const SPACE: u8 = 4;
/// A byte at which reading an attribute value has to stop and look: a quote, `<`, `&`.
pub(super) const IN_VALUE: u8 = 8;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphabetic() || b == b'_' || b == b':' {
            table[byte] |= NAME_START | NAME;
        }
        if b.is_ascii_digit() || b == b'-' || b == b'.' {
            table[byte] |= NAME;
        }
        if matches!(b, b' ' | b'\t' | b'\r' | b'\n') {
            table[byte] |= SPACE;
        }
        if matches!(b, b'"' | b'\'' | b'<' | b'&') {
            table[byte] |= IN_VALUE;
        }
        byte += 1;
    }
    table
}

#[inline]
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// The length of the name at the start of `text`, which is valid UTF-8; 0 if none starts there.
#[inline]
pub(super) fn name_len(text: &[u8]) -> usize {
    let len = text
        .iter()
        .position(|&b| !is(b, NAME))
        .unwrap_or(text.len());
    match text.get(len) {
        Some(0x80..) => long_name_len(text),
        _ if len > 0 && !is(text[0], NAME_START) => 0,
        _ => len,
    }
}

/// The same for a name with characters beyond ASCII.
#[cold]
fn long_name_len(text: &[u8]) -> usize {
    let mut len = 0;
    while let Some(c) = first_char(&text[len..]) {
        if !(is_name_start(c) || len > 0 && is_name(c)) {
            break;
        }
        len += c.len_utf8();
    }
    len
}

fn first_char(text: &[u8]) -> Option<char> {
    let bytes = &text[..text.len().min(4)];
    let valid = bytes.utf8_chunks().next()?.valid();
    valid.chars().next()
}

/// `[4] NameStartChar`
fn is_name_start(c: char) -> bool {
    matches!(c, ':' | '_' | 'A'..='Z' | 'a'..='z'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// `[4a] NameChar`
fn is_name(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// `[2] Char`
pub(super) fn is_legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether a document is ASCII and every character legal, which is the usual case. Each block is first checked for control
/// characters of any kind, which the compiler vectorizes; only a block that has one (a line end) is checked byte by byte.
#[inline]
pub(super) fn is_plain(document: &[u8]) -> bool {
    const BLOCK: usize = 32;
    let (blocks, rest) = document.as_chunks::<BLOCK>();
    let last = document.last_chunk::<BLOCK>();
    match last {
        Some(last) => blocks.iter().chain([last]).all(is_plain_block),
        None => rest.iter().all(|&b| is_plain_byte(b)),
    }
}

#[inline]
fn is_plain_block<const N: usize>(block: &[u8; N]) -> bool {
    let has_other = block
        .iter()
        .fold(false, |other, b| other | (b.wrapping_sub(0x20) >= 0x60));
    !has_other
        || block
            .iter()
            .fold(true, |plain, &b| plain & is_plain_byte(b))
}

#[inline]
fn is_plain_byte(b: u8) -> bool {
    (b.wrapping_sub(0x20) < 0x60) | (b == b'\t') | (b == b'\n') | (b == b'\r')
}

/// The offset and the code point of the first character that XML forbids. `text` must be valid UTF-8.
pub(super) fn first_illegal(text: &[u8]) -> Option<(usize, u32)> {
    let control = text
        .iter()
        .position(|&b| b < 0x20 && !is(b, SPACE))
        .map(|at| (at, u32::from(text[at])));
    // UTF-8 can't encode surrogates, so U+FFFE and U+FFFF are the only others.
    let noncharacter = memmem::find_iter(text, b"\xEF\xBF").find_map(|at| {
        (text[at + 2] >= 0xBE).then(|| (at, 0xFFC0 + u32::from(text[at + 2] & 0x3F)))
    });
    [control, noncharacter].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_byte_anywhere_is_found() {
        for len in 0..100 {
            assert!(is_plain(&vec![b'\n'; len]) && is_plain(&vec![b'~'; len]));
            for at in 0..len {
                for odd in [0, 0x1F, 0x0B, 0x80, 0xFF] {
                    let mut text = vec![b' '; len];
                    text[at] = odd;
                    assert!(!is_plain(&text), "{odd} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn names_are_as_long_as_the_productions_say() {
        for (text, name) in [
            ("Say voice", "Say"),
            ("xml:lang='", "xml:lang"),
            ("say-as>", "say-as"),
            ("_.1-·é=", "_.1-·é"),
            ("éa\u{300}/", "éa\u{300}"),
            ("-a", ""),
            ("1a", ""),
            ("·a", ""),
            ("\u{300}", ""),
            ("a×", "a"),
            ("a\u{37E}", "a"),
            ("\u{EFFFF}\u{F0000}", "\u{EFFFF}"),
            ("", ""),
        ] {
            assert_eq!(name_len(text.as_bytes()), name.len(), "{text}");
        }
    }
}
