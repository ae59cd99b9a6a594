//! Turns the bytes of a document into text. Nearly all documents are UTF-8, which is only checked; any other charset is decoded
//! into a copy for the validator, while the document itself goes back unchanged.
//!
//! The charset is that of the byte order mark, else that of the `Content-Type`, else that of the XML declaration, else UTF-8
//! (RFC 7303 §3.2, XML 1.0 §4.3.3).

use std::{borrow::Cow, ops::Range};

use encoding_rs::{DecoderResult, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

use super::{chars, declaration, name::Name, source_map::SourceMap};

/// Why bytes are not text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// The charset is not one of the WHATWG Encoding Standard.
    #[error("unknown charset `{0}`")]
    Unknown(Name),
    /// The bytes are not valid in the document's charset.
    #[error("bytes that are not valid {charset}")]
    Invalid {
        /// The charset, as the document or its header spells it, else its usual name.
        charset: Name,
    },
    /// The XML declaration names another charset than the document's first bytes show.
    #[error("declared as {declared}, but the bytes are {actual}")]
    Contradicted {
        /// The charset that the declaration names, as it is spelled there.
        declared: Name,
        /// The charset that the document is in.
        actual: &'static str,
    },
}

/// A document as text.
#[derive(Debug)]
pub(super) struct Text<'d> {
    /// The document without its byte order mark.
    body: &'d [u8],
    /// The length of the byte order mark.
    bom: usize,
    charset: &'static Encoding,
    /// The body as valid UTF-8.
    text: Cow<'d, [u8]>,
    /// Whether the text is ASCII without illegal characters.
    is_plain: bool,
}

/// Why a document can't be read as text, and the offset of the first byte that is wrong.
#[derive(Debug)]
pub(super) struct ReadError {
    pub(super) at: usize,
    pub(super) error: EncodingError,
}

impl<'d> Text<'d> {
    /// Reads a document as text. `label` is the `charset` of its `Content-Type`.
    pub(super) fn read(document: &'d [u8], label: Option<&str>) -> Result<Self, ReadError> {
        if let Some((charset, bom)) = Encoding::for_bom(document) {
            return Self::decode(document, bom, charset, charset.name().as_bytes())?
                .check_declaration();
        }
        if let Some(label) = label {
            let label = label.trim_matches(['"', '\'']).as_bytes();
            let charset = find_charset(label).map_err(|error| ReadError { at: 0, error })?;
            return Self::decode(document, 0, with_byte_order(charset, document), label);
        }
        match declared_charset(document)? {
            // The declaration was read byte by byte, so this can't be UTF-16 (XML 1.0 §4.3.3).
            Some((charset, label)) if is_utf16(charset) => Err(ReadError {
                at: label.start,
                error: contradiction(&document[label], UTF_8),
            }),
            Some((charset, label)) => Self::decode(document, 0, charset, &document[label]),
            None => Self::decode(document, 0, UTF_8, UTF_8.name().as_bytes()),
        }
    }

    /// The text as UTF-8, without a byte order mark.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The offset and the code point of the first character that XML forbids.
    pub(super) fn first_illegal(&self) -> Option<(usize, u32)> {
        if self.is_plain {
            None
        } else {
            chars::first_illegal(&self.text)
        }
    }

    /// The map from the text back to the document.
    pub(super) fn source_map(&self) -> SourceMap<'d> {
        match &self.text {
            Cow::Borrowed(_) => SourceMap::Same { bom: self.bom },
            Cow::Owned(_) => SourceMap::decoded(self.body, self.bom, self.charset),
        }
    }

    /// `label` is the charset as it was spelled.
    fn decode(
        document: &'d [u8],
        bom: usize,
        charset: &'static Encoding,
        label: &[u8],
    ) -> Result<Self, ReadError> {
        let body = &document[bom..];
        let (text, is_plain) = to_utf8(body, charset).map_err(|at| ReadError {
            at: bom + at,
            error: EncodingError::Invalid {
                charset: Name::new(label),
            },
        })?;
        Ok(Self {
            body,
            bom,
            charset,
            text,
            is_plain,
        })
    }

    /// A byte order mark and a declaration that names another charset are a fatal error (XML 1.0 §4.3.3).
    fn check_declaration(self) -> Result<Self, ReadError> {
        let (at, error) = match declared_charset(&self.text) {
            Ok(Some((charset, label))) if !is_same(charset, self.charset) => {
                (label.start, contradiction(&self.text[label], self.charset))
            }
            Ok(_) => return Ok(self),
            Err(unknown) => (unknown.at, unknown.error),
        };
        let at = self.source_map().document_offset(at);
        Err(ReadError { at, error })
    }
}

/// The charset that the XML declaration names, and where the name is. A broken declaration counts as none: the scanner reports
/// it.
fn declared_charset(text: &[u8]) -> Result<Option<(&'static Encoding, Range<usize>)>, ReadError> {
    let Ok(declaration) = declaration::read(text) else {
        return Ok(None);
    };
    let Some(label) = declaration.encoding else {
        return Ok(None);
    };
    let at = label.start;
    find_charset(&text[label.clone()])
        .map(|charset| Some((charset, label)))
        .map_err(|error| ReadError { at, error })
}

/// What the XML declaration of a document in UTF-8 names as its charset, and where, if that is another one.
pub fn other_than_utf8(document: &str) -> Option<(usize, Name)> {
    let label = declaration::read(document.as_bytes()).ok()?.encoding?;
    let name = &document.as_bytes()[label.clone()];
    let is_utf8 = Encoding::for_label(name).is_some_and(|charset| charset == UTF_8);
    (!is_utf8).then(|| (label.start, Name::new(name)))
}

fn find_charset(label: &[u8]) -> Result<&'static Encoding, EncodingError> {
    match Encoding::for_label(label) {
        Some(charset) if charset != REPLACEMENT => Ok(charset),
        _ => Err(EncodingError::Unknown(Name::new(label))),
    }
}

fn contradiction(declared: &[u8], actual: &'static Encoding) -> EncodingError {
    EncodingError::Contradicted {
        declared: Name::new(declared),
        actual: actual.name(),
    }
}

fn is_utf16(charset: &Encoding) -> bool {
    charset == UTF_16LE || charset == UTF_16BE
}

/// Whether two charsets differ in no more than the byte order.
fn is_same(a: &Encoding, b: &Encoding) -> bool {
    a == b || is_utf16(a) && is_utf16(b)
}

/// The label `UTF-16` does not tell the byte order, but the first character of a document is ASCII, so its first byte does.
fn with_byte_order(charset: &'static Encoding, document: &[u8]) -> &'static Encoding {
    if charset == UTF_16LE && document.first() == Some(&0) {
        UTF_16BE
    } else {
        charset
    }
}

/// The bytes as UTF-8, and whether they are known to be plain; or the offset of the first invalid byte.
fn to_utf8<'d>(body: &'d [u8], charset: &'static Encoding) -> Result<(Cow<'d, [u8]>, bool), usize> {
    if charset != UTF_8 {
        return Ok((decode_to_utf8(body, charset)?.into(), false));
    }
    let is_plain = chars::is_plain(body);
    if !is_plain && let Err(error) = std::str::from_utf8(body) {
        return Err(error.valid_up_to());
    }
    Ok((body.into(), is_plain))
}

fn decode_to_utf8(body: &[u8], charset: &'static Encoding) -> Result<Vec<u8>, usize> {
    let mut decoder = charset.new_decoder_without_bom_handling();
    let capacity = decoder
        .max_utf8_buffer_length_without_replacement(body.len())
        .expect("no document is near usize::MAX");
    let mut text = String::with_capacity(capacity);
    match decoder.decode_to_string_without_replacement(body, &mut text, true) {
        (DecoderResult::InputEmpty, _) => Ok(text.into_bytes()),
        (DecoderResult::Malformed(bad, after), read) => {
            Err(read.saturating_sub(usize::from(bad) + usize::from(after)))
        }
        (DecoderResult::OutputFull, _) => {
            unreachable!("the capacity is what the decoder asked for")
        }
    }
}

/// A document as text, without its byte order mark, with bytes that are not valid replaced: for showing lines of it.
/// `charset` is that parameter of its `Content-Type`, if it had one.
pub fn decode_lossy<'d>(document: &'d [u8], charset: Option<&str>) -> Cow<'d, str> {
    match Text::read(document, charset).map(|text| text.text) {
        Ok(Cow::Borrowed(text)) => String::from_utf8_lossy(text),
        Ok(Cow::Owned(text)) => String::from_utf8_lossy(&text).into_owned().into(),
        Err(_) => String::from_utf8_lossy(document),
    }
}
